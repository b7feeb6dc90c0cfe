"""The whole path, as a user sees it: the demo against a real Mosquitto."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(240)
def test_a_fire_sounds_and_arrives_while_broker_courier_and_record_die(tmp_path: Path) -> None:
    home = Path("/tmp") / f"eb-{tmp_path.name[-12:]}"  # a socket's path must be short
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agent.cli.main", "demo", "--mosquitto", "--speed", "2",
             "--home", str(home)],
            capture_output=True,
            text=True,
            timeout=230,
            check=False,
        )  # fmt: skip
        log = (home / "processes.log").read_text()
        assert done.returncode == 0, done.stdout + done.stderr + log[-4_000:]
        assert "both sirens sound" in done.stdout
        assert "nothing is missing" in done.stdout
    finally:
        shutil.rmtree(home, ignore_errors=True)
