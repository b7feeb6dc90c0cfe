"""A plan and the hashes of its PINs on the disk, apart: all processes read the plan, and so may
people who look; the PINs are the business of the field process alone.

`plan.cbor` names the people and their levels; `plan.pins` beside it holds the hashes, made for root
alone and given to the field process by `scripts/activate`. It belongs to the one plan whose digest
it carries: the PIN that a new site file takes away must not go on beside the new plan.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cbor2

from config.limits import PIN_FILE_BYTES_MAX
from config.plan import Plan, encode_plan
from config.whole_file import write_whole

_AGAIN = "no PIN is accepted; run 'sudo scripts/activate'"


def pins_path(plan_file: Path) -> Path:
    """Where the hashes of a plan's PINs are."""
    return plan_file.with_suffix(".pins")


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan, and its PINs beside it. Raises OSError."""
    if plan.people:
        pins = {p.name: p.pin for p in plan.people}
        write_whole(pins_path(path), cbor2.dumps([plan.digest, pins]), mode=0o600)
    else:
        pins_path(path).unlink(missing_ok=True)
    write_whole(path, encode_plan(without_pins(plan)))


def without_pins(plan: Plan) -> Plan:
    """The plan as everybody may read it."""
    return replace(plan, people=tuple(replace(p, pin="") for p in plan.people))


def with_pins(plan: Plan, plan_file: Path) -> tuple[Plan, str]:
    """The plan with its people's hashes, and why there are none; "" when all is well."""
    if all(p.pin for p in plan.people):
        return plan, ""
    path = pins_path(plan_file)
    try:
        with path.open("rb") as f:
            digest, pins = cbor2.loads(f.read(PIN_FILE_BYTES_MAX))
        kept = {name: str(pins[name]) for name in (p.name for p in plan.people)}
    except OSError as e:
        return plan, f"{path}: {e.strerror}: {_AGAIN}"
    except Exception:  # noqa: BLE001 -- cbor2 raises many types on damaged bytes; all mean the same
        return plan, f"{path}: damaged: {_AGAIN}"
    if digest != plan.digest:
        return plan, f"{path}: of another plan: {_AGAIN}"
    return replace(plan, people=tuple(replace(p, pin=kept[p.name]) for p in plan.people)), ""
