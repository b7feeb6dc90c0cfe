"""Prints the development tools of pyproject.toml (dependency group `dev`), one a line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
sys.stdout.write("\n".join(project["dependency-groups"]["dev"]) + "\n")
