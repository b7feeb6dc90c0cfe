"""`embergate field`: field links, detection, sirens. No disk, no key, no internet, no YAML."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.core.cycle import new_state
from agent.core.kernel_loader import load_kernel
from agent.core.types import ClockState, Notice
from agent.field import safemode
from agent.field.control import Control
from agent.field.latch import Latch
from agent.field.recordlink import RecordLink
from agent.field.runtime import Runtime, run_directory_ready
from agent.ipc import IpcError, Server, system_policy
from agent.journal import log_to_journal
from agent.lock import Held, hold
from agent.notify import Notifier
from config.limits import CONTROL_RETRY_NS, LAST_WORD_NS_MAX, RECALL_WAIT_NS, RELEASE_WAIT_NS
from config.plan import Plan, PlanError, decode_plan, read_plan
from config.plan_files import with_pins
from drivers.link.loop import new_loop
from drivers.modbus.master import BusMaster
from drivers.panel.client import PanelClient
from drivers.siren.gpio import GpioLines

EX_CONFIG = 78
LOG = logging.getLogger("embergate.field")


def main(argv: Sequence[str]) -> int:
    """Run until told to stop. Returns the exit status: 78 when there is no good plan."""
    parser = argparse.ArgumentParser(prog="embergate field", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the compiled plan")
    parser.add_argument("--run", type=Path, required=True, help="directory of sockets and latch")
    parser.add_argument("--kernel", choices=["aot", "cached-jit", "python"], help="trial and test")
    args = parser.parse_args(argv)
    log_to_journal()
    try:
        plan, no_pins = with_pins(decode_plan(read_plan(args.plan)), args.plan)
    except PlanError as e:
        LOG.error("%s", e, extra={"source": "plan"})
        return EX_CONFIG
    try:
        run_directory_ready(args.run)
        # Two masters on one relay board would switch each other's sirens off.
        lock = hold(args.run / "field.lock", "field process")
    except (Held, OSError) as e:
        LOG.error("%s", e)
        return 1
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_run(plan, args.run, args.kernel, no_pins))
    except (IpcError, OSError) as e:
        LOG.error("%s", e)
        return 1
    finally:
        if lock is not None:
            os.close(lock)
    return 0


async def _run(plan: Plan, run_dir: Path, kernel_path: str | None, no_pins: str = "") -> None:
    clock = SystemClock()
    started_ns = clock.now().mono_ns
    starts = run_dir / "field.starts"
    safe = safemode.note_start(starts, started_ns)
    if safe:
        plan = safemode.without_trends(plan)
    kernel = load_kernel(only=kernel_path)
    latch = Latch(run_dir / "latch.cbor", clock.boot_id, plan.digest)
    on = {o.name: pattern for o in plan.outputs if (pattern := latch.read().get(o.name))}
    held = frozenset(i for i, o in enumerate(plan.outputs) if o.name in on)
    state = new_state(plan, clock.boot_id, kernel.kernel, held_outputs=held)
    runtime = Runtime(plan, state, clock, latch)
    masters = _masters(plan, runtime, clock)
    link = RecordLink(
        run_dir / "record.sock", secrets.token_bytes(16), clock.boot_id, runtime, clock.mono_ns
    )
    gpio = _gpio(plan, runtime, clock)
    # The siren first: before the first poll and before anybody is asked.
    runtime.attach(masters, link, on, gpio)
    if kernel.fault_text:
        runtime.notice(Notice("field.kernel", fault=True, text=kernel.fault_text))
    if no_pins:
        runtime.notice(Notice("field.people", fault=True, text=no_pins))
    if safe:
        runtime.notice(
            Notice("field.safe_mode", fault=True, text="three crashes in a minute: trends are off")
        )

    def gateway() -> dict[str, Any]:
        return {
            "kernel": kernel.path,
            "safe_mode": safe,
            "cycles": runtime.cycles,
            "first_cycle_mono_ns": runtime.first_cycle_ns,
            "lateness_ms_max": round(runtime.lateness_ns_max / 1e6, 1),
            "lateness_ms": [round(ns / 1e6, 2) for ns in runtime.lateness_ns],
            "record_connected": link.connected,
            "alarm_state_kept": link.state_kept,
            "events_said": link.events.said,
            "events_waiting": len(link.events),
            "durable_ms": _percentiles_ms(link.durable_waits_ns),
            "telemetry_dropped": link.telemetry.dropped_readings,
            "lines": [
                {"name": line.name, "up": m.up, **_counted(m)}
                for line, m in zip(plan.lines, masters, strict=True)
            ],
        }

    control = Control(runtime, gateway)
    server = Server(run_dir / "field.sock", control.verbs(), system_policy(), guests=True)
    loops = [m.run for m in masters] + ([gpio.run] if gpio is not None else [])
    recall_ns = RECALL_WAIT_NS if latch.path.exists() else 0
    gc.freeze()  # what stands still is not looked through for garbage in the middle of a cycle
    await _serve(runtime, loops, link, Notifier(), kernel.path, server, recall_ns)
    control.stop()
    await server.stop()
    safemode.note_clean_stop(starts, clock.mono_ns())


def _masters(plan: Plan, runtime: Runtime, clock: SystemClock) -> list[BusMaster | PanelClient]:
    """One for each line: a panel's client where a panel has the line, else a bus master."""
    panels = {plan.devices[p.device].line: p for p in plan.panels}

    def local_s() -> float | None:
        now = clock.now()
        if now.clock is not ClockState.SYNCHRONISED:
            return None
        wall_s = now.wall_ns / 1e9
        return wall_s + time.localtime(wall_s).tm_gmtoff

    return [
        PanelClient(plan, panels[line], runtime, mono_ns=clock.mono_ns, local_s=local_s)
        if line in panels
        else BusMaster(plan, line, runtime, mono_ns=clock.mono_ns)
        for line in range(len(plan.lines))
    ]


def _gpio(plan: Plan, runtime: Runtime, clock: SystemClock) -> GpioLines | None:
    """The GPIO lines; None, and no library, where the site has none."""
    if all(o.on_bus for o in plan.outputs) and not any(i.chip for i in plan.inputs):
        return None
    from drivers.siren.chip import Line  # noqa: PLC0415 -- as above

    return GpioLines(plan, runtime, Line, clock.mono_ns)


def _counted(master: BusMaster | PanelClient) -> dict[str, Any]:
    if isinstance(master, PanelClient):
        return {"units": [], "panel": asdict(master.talk)}
    return {"jams": master.jams, "units": [u.told() for u in master.counters.values()]}


def _percentiles_ms(waits_ns: Collection[int]) -> dict[str, float]:
    if not waits_ns:
        return {}
    ordered = sorted(waits_ns)
    last = len(ordered) - 1
    return {f"p{p}": round(ordered[last * p // 100] / 1e6, 2) for p in (50, 99, 100)}


async def _serve(
    runtime: Runtime,
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    link: RecordLink,
    notifier: Notifier,
    kernel_path: str,
    server: Server,
    recall_ns: int,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    points = len(runtime.plan.points)
    text = f"{points} points on {len(runtime.plan.lines)} lines, kernel {kernel_path}"
    LOG.info("watching %s", text)
    # A programmer's error in any of these ends the process: the service manager has it back in
    # under two seconds and the latch sounds again what was sounding.
    with contextlib.suppress(_Stopped):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(link.run())
                group.create_task(_open_control(server, runtime))
                # Sirens sounded here before: the fire that is read first may be one that people
                # silenced. To a new fire this is less than a cycle; what was on sounds already.
                await link.recall(recall_ns)
                for forever in loops:
                    group.create_task(forever())
                group.create_task(runtime.run_timer(notifier, lambda: text))
                await stop.wait()
                notifier.stopping()
                released = runtime.release()
                runtime.last_cycle()
                await link.settle(LAST_WORD_NS_MAX)
                if released:
                    await asyncio.sleep(RELEASE_WAIT_NS / 1e9)  # the line's queue does it
                raise _Stopped
        except* _Stopped:
            LOG.info("stopped")


async def _open_control(server: Server, runtime: Runtime) -> None:
    """Listen for people. A place without room for a socket still has its sirens."""
    told = False
    while True:
        try:
            await server.start()
        except (IpcError, OSError) as e:
            if not told:
                runtime.notice(Notice("field.control", fault=True, text=f"no control socket: {e}"))
            told = True
            await asyncio.sleep(CONTROL_RETRY_NS / 1e9)
        else:
            if told:
                text = "the control socket is there"
                runtime.notice(Notice("field.control", fault=False, text=text))
            return


class _Stopped(Exception):  # noqa: N818 -- it ends the task group, nothing failed
    pass
