"""`embergate command` over a real broker, through a real courier, to the record and the field."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from test_platform_commands import ALL, COMMANDER, STRANGER, Site, site
from world_record import GATEWAY, ROOT, run

sys.path.insert(0, str(Path(__file__).parents[1] / "courier"))

from brokers import mosquitto

from agent.courier.main import Courier, Task


def write_key(path: Path, key: Ed25519PrivateKey) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


async def embergate(s: Site, *words: str) -> tuple[int, str]:
    """(exit status, what it said); the record goes on meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.cli.main", "command", GATEWAY, *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode()


def test_from_the_command_line_to_the_field(tmp_path: Path) -> None:
    keys = [write_key(tmp_path / f"{n}.pem", k) for n, k in enumerate((COMMANDER, STRANGER))]

    async def test() -> None:
        async with mosquitto(tmp_path) as broker, site() as s:
            s.loop.clock.wall = time.time_ns()
            url = f"mqtt://127.0.0.1:{broker.port}"
            settings = {"url": url, "insecure": True, "commands": ALL}
            task, stop = Task("platform", GATEWAY, settings), asyncio.Event()
            courier = Courier(task, s.world.socket, random.Random(1))
            running = asyncio.create_task(courier.run(stop))
            await s.loop.until(lambda: s.loop.service.status_of("platform")["connected"])
            good, strange = (["--key", str(key), "--broker", url] for key in keys)

            # At the same time: of two, only the one whose key is pinned is obeyed.
            (_, _), (code, text) = await asyncio.gather(
                embergate(s, "acknowledge", *strange, "--number", "1"),
                embergate(s, "acknowledge", *good, "--number", "2"),
            )
            assert (code, "went out" in text) == (0, True), text
            await s.loop.until(lambda: any(m["e"] == "order" for m in s.field.told))
            assert [m["verb"] for m in s.field.told if m["e"] == "order"] == ["acknowledge"]

            await embergate(s, "duty", *good, "--number", "3", "--minutes", "5")
            await s.loop.until(lambda: any(m["e"] == "duty" and m["asked"] for m in s.field.told))
            await s.say("event", "duty", name="platform", state="answered")
            await s.loop.until(
                lambda: [m["asked"] for m in s.field.told if m["e"] == "duty"] == [True, False]
            )
            said = await s.said("command", 2)
            assert [(b["order"], b["outcome"]) for b in said] == [
                ("acknowledge", "done"), ("duty", "done"),
            ]  # fmt: skip
            assert s.loop.service._couriers._refusals == {
                "platform: command_refused: unknown_key": 1
            }
            stop.set()
            await running
        s.world.close()

    run(test)
