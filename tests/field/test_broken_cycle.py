"""A defect inside a cycle ends the process, whoever ran the cycle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from field_world import SITE

from agent.clock import SystemClock
from agent.compile import plan_file
from agent.core.cycle import new_state
from agent.field.latch import Latch
from agent.field.runtime import Runtime
from agent.notify import Notifier
from config.plan import decode_plan


def test_a_cycle_that_broke_in_a_callback_ends_the_timer_and_so_the_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "site.yaml").write_text(SITE.format(port=1502))
    assert not plan_file(tmp_path / "site.yaml", tmp_path / "plan.cbor").problems
    plan = decode_plan((tmp_path / "plan.cbor").read_bytes())
    clock = SystemClock()
    latch = Latch(tmp_path / "latch", clock.boot_id, plan.digest)
    runtime = Runtime(plan, new_state(plan, clock.boot_id), clock, latch)
    whole = runtime.state
    runtime.state = None  # type: ignore[assignment]  # -- a defect, as bad as they come
    with pytest.raises(AttributeError):
        runtime.run_cycle()
    runtime.state = whole  # the next cycle would pass: it must not be reached
    with pytest.raises(AttributeError):
        asyncio.run(asyncio.wait_for(runtime.run_timer(Notifier({}), lambda: ""), 10))
