"""The hashes of the PINs are where only the field process can read them, and of this plan only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from control_world import PEOPLE, PIN
from field_world import SITE, field_world

from agent.compile import plan_file
from agent.ipc import Client
from config import pin
from config.plan import Plan, decode_plan, read_plan
from config.plan_files import pins_path, with_pins, write_plan

HASH = pin.make(PIN, b"s" * pin.SALT_BYTES).text()
LI = f'people:\n  li: {{{{level: operate, pin: "{HASH}"}}}}\n'


def written(directory: Path, site: str = SITE + LI) -> tuple[Path, Plan]:
    (directory / "site.yaml").write_text(site.format(port=1502))
    out = directory / "plan.cbor"
    checked = plan_file(directory / "site.yaml", out)
    assert not checked.problems
    return out, decode_plan(read_plan(out))


def test_the_plan_names_people_and_has_no_hash(tmp_path: Path) -> None:
    out, plan = written(tmp_path)
    assert [(p.name, p.level, p.pin) for p in plan.people] == [("li", "operate", "")]
    assert b"scrypt" not in out.read_bytes()
    pins = pins_path(out)
    assert pins.stat().st_mode & 0o777 == 0o600
    whole, wrong = with_pins(plan, out)
    assert (whole.people[0].pin, wrong) == (HASH, "")


def test_hashes_of_another_plan_damaged_or_missing_open_nothing(tmp_path: Path) -> None:
    out, plan = written(tmp_path)
    pins = pins_path(out)
    good = pins.read_bytes()
    stranger = replace(plan, digest=b"x" * 32)
    assert "of another plan" in with_pins(stranger, out)[1]
    for damaged in (b"", good[:-40], b"\xff" * 40, b"\x82\x01\x02"):
        pins.write_bytes(damaged)
        found, wrong = with_pins(plan, out)
        assert "damaged" in wrong
        assert found == plan
    pins.unlink()
    found, wrong = with_pins(plan, out)
    assert str(pins) in wrong
    assert "scripts/activate" in wrong
    assert found == plan


def test_a_site_without_people_leaves_no_hashes_behind(tmp_path: Path) -> None:
    out, plan = written(tmp_path)
    write_plan(out, replace(plan, people=PEOPLE))
    assert pins_path(out).exists()
    write_plan(out, replace(plan, people=()))
    assert not pins_path(out).exists()
    assert with_pins(decode_plan(read_plan(out)), out)[1] == ""


@pytest.mark.timeout(30)
def test_the_field_process_takes_a_pin_and_says_when_it_cannot() -> None:
    async def run() -> None:
        async with field_world(SITE + LI) as world:
            await world.start()
            await world.normal()
            client = await Client.connect(world.home / "field.sock")
            reply = await client.call("lamp-test", person="li", pin=PIN)
            assert reply["record"]["who"] == "li"
            client.close()
            await world.kill()
            pins_path(world.home / "plan.cbor").unlink()
            await world.start()

            async def told() -> bool:
                reply = await world.ask("status")
                faults = reply["status"]["faults"] if reply else []
                return any(f["source"] == "field.people" for f in faults)

            await world.until(told)

    asyncio.run(run())
