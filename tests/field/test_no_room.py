"""A run directory without room: the sirens do not depend on it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from field_world import field_world

from agent.field.latch import Latch


def test_a_place_where_no_control_socket_can_be_made_still_sounds_its_sirens() -> None:
    async def story() -> None:
        async with field_world() as world, asyncio.timeout(30):
            (world.home / "field.sock").mkdir()  # nothing can listen here
            (world.home / "latch.tmp").mkdir()  # and no latch can be written
            await world.start()
            await world.told("READY=1")
            world.building.set_point("inputs.knock", 1)
            await world.building.wait_output("stair_a", on=True)
            assert not (world.home / "latch.cbor").exists()
            # Room again: the latch of what sounds is written without another order.
            (world.home / "latch.tmp").rmdir()
            (world.home / "field.sock").rmdir()

            async def latched() -> bool:
                return (world.home / "latch.cbor").exists()

            await world.until(latched)
            assert "fire" in await world.flags()

    asyncio.run(story())


def test_a_latch_that_does_not_fit_is_an_error_and_the_old_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latch = Latch(tmp_path / "latch.cbor", b"b" * 16, b"d" * 32)
    latch.write({"stair_a": "evacuate"})
    write = os.write
    # What a file system that fills up in the middle of a write answers.
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    with pytest.raises(OSError, match="space"):
        latch.write({"stair_a": "evacuate", "stair_b": "evacuate"})
    assert latch.read() == {"stair_a": "evacuate"}


def test_every_siren_there_can_be_fits_in_the_latch(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "latch.cbor", b"b" * 16, b"d" * 32)
    on = {chr(0x20000 + n) * 64: "evacuate" for n in range(256)}
    latch.write(on)
    assert latch.read() == on
