"""Makes locks the same on every machine: where it was compiled is nobody's business."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ADDRESS = re.compile(r"^\s*(--(index-url|extra-index-url|find-links|trusted-host)|# WARNING)")

for name in sys.argv[1:]:
    path = Path(name)
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not ADDRESS.match(line)]
    text = "\n".join(kept).replace("-r build/requirements-dev.in", "the dev group")
    path.write_text(text.strip("\n") + "\n", encoding="utf-8")
