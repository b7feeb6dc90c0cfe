"""Change in a device to siren coil written and read back, with everything up and with faults."""

from __future__ import annotations

from collections.abc import Callable

from bench.disk import fill, small_disk
from bench.figures import Figures, percentile
from bench.sites import HEATS, latency_site
from bench.world import Bench, bench, free_ports, wait

TICK_MS = 100  # the poll interval of the latency site


def measure(figures: Figures, repeats: int) -> None:
    """Contact and analogue on TCP under each fault, and a contact on the 9,600 baud line."""
    assert repeats <= HEATS
    faults: list[tuple[str, Callable[[Bench], None]]] = [
        ("up", lambda _: None),
        ("broker_gone", lambda w: w.end("broker", kill=True)),
        ("record_killed", lambda w: w.end("record", kill=True)),
    ]
    for name, break_it in faults:
        with bench() as world:
            start(world)
            break_it(world)
            _series(figures, world, name, repeats, line=name == "up")
    with small_disk() as state, bench(state) as world:
        start(world)
        fill(state)
        _series(figures, world, "disk_full", repeats, line=False)


def start(world: Bench) -> None:
    latency_site(
        world.home / "site.yaml", free_ports(1)[0], world.home / "riser", world.broker_port
    )
    world.prepare("bench-latency")
    world.building("--pace")
    world.broker()
    world.receiver()
    world.record()
    world.field()
    world.courier()
    wait(lambda: _normal(world), "a normal state", 60)


def _series(figures: Figures, world: Bench, fault: str, repeats: int, *, line: bool) -> None:
    heats = [f"inputs.heat_{n}" for n in range(repeats)]
    how = f"{repeats} changes at random phases, 100 ms poll, {fault.replace('_', ' ')}"
    _report(
        figures,
        f"contact_tcp_{fault}",
        _changes(world, ["inputs.knock"] * repeats, 1, 0),
        how,
        "<= 120",
    )
    _report(
        figures,
        f"analogue_tcp_{fault}",
        _changes(world, heats, 80.0, 20.0),
        how + ", two of three samples",
        "<= 220",
    )
    if line:
        _report(
            figures,
            "contact_9600",
            _changes(world, ["line_inputs.knock"] * repeats, 1, 0),
            how + ", bytes paced at 9,600 baud; contact, siren and read-back share the line",
            "<= 120",
        )


def _report(
    figures: Figures, name: str, waits: list[tuple[float, float]], how: str, bar: str
) -> None:
    written = [w for w, _ in waits]
    for p in (50, 99, 100):
        figures.add(
            f"{name}_written_p{p}", percentile(written, p), "ms", how, bar if p == 99 else ""
        )
    figures.add(f"{name}_read_back_p99", percentile([r for _, r in waits], 99), "ms", how)


def _changes(world: Bench, points: list[str], high: float, low: float) -> list[tuple[float, float]]:
    """(ms to the coil's write, ms to its read-back) for each change."""
    waits: list[tuple[float, float]] = []
    for point in points:
        device = "line_relays" if point.startswith("line") else "relays"
        world.forget_events()
        world.tell(set=point, value=high, spread_ms=[0, TICK_MS])
        set_ns = world.event("set", 10)["mono_ns"]
        written = world.event("coil", 10, device=device, on=True)["mono_ns"]
        read_back = world.event("readback", 10, device=device, on=True)["mono_ns"]
        waits.append(((written - set_ns) / 1e6, (read_back - set_ns) / 1e6))
        world.tell(set=point, value=low)
        wait(lambda: reset(world), "reset", 20)
    return waits


def reset(world: Bench) -> bool:
    reply = world.ask("field.sock", "reset")
    return bool(reply) and "fire" not in reply["status"]["flags"]


def _normal(world: Bench) -> bool:
    reply = world.ask("field.sock", "status")
    return bool(reply) and not {"fault", "fire"} & set(reply["status"]["flags"])
