"""The worlds of the field socket and of the brokers serve here too."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in ("field", "courier"):
    sys.path.append(str(Path(__file__).parents[1] / _folder))
