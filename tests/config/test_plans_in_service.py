"""A plan that an earlier release wrote is read: after an update the gateway starts with its own."""

from __future__ import annotations

from pathlib import Path

import cbor2

from config.plan import decode_plan, encode_plan

KEPT = Path(__file__).with_name("plans") / "version-3.cbor"
AT_LEAST = {
    "lines": 12, "devices": 6, "polls": 14, "zones": 7, "outputs": 12, "effects": 14, "couriers": 3,
}  # fmt: skip
"""Of each section of it: how long its rows are. A field that goes leaves its place."""


def test_a_plan_in_service_is_read_whatever_was_added_since() -> None:
    plan = decode_plan(KEPT.read_bytes())
    assert (plan.site_id, len(plan.points), len(plan.outputs)) == ("tj-heping-0417", 26, 1)
    before, now = cbor2.loads(KEPT.read_bytes()), cbor2.loads(encode_plan(plan))
    for name in before.keys() - {"points", "check"}:
        old, new = cbor2.loads(before[name]), cbor2.loads(now[name])
        if name in AT_LEAST:
            assert old, name
            assert all(len(row) == AT_LEAST[name] for row in old), name
            assert [row[: len(was)] for row, was in zip(new, old, strict=True)] == old
        else:
            assert new == old, name
