"""A simulated building: a plan's devices on real ports, with a life of their own.

    building = Building(plan, Options(walk=True))
    await building.start()
    building.set_point("panel.room_4", 61.5)
    await building.inject(Fault(building.device("relays"), FaultKind.SILENCE))
    await building.wait_output("stair_b", True)
    await building.stop()

Everything runs on one event loop: a value is visible to the next request from the moment a setter
returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.desk_limits import SIMULATOR_TICK_NS_MIN, SIMULATOR_WRITES_KEPT
from config.limits import MS, S
from config.plan import Line, Panel, Plan
from config.words import LineKind, Quality
from drivers.simulator.ambient import set_ambient
from drivers.simulator.faults import Fault, FaultKind, Faults
from drivers.simulator.fields import SimulatorError
from drivers.simulator.fire import Fire
from drivers.simulator.pacing import Pace
from drivers.simulator.panel_server import PanelLine
from drivers.simulator.panels import make_panel
from drivers.simulator.recording import Recording
from drivers.simulator.registers import COILS, Registers
from drivers.simulator.responder import CoilHook, Responder
from drivers.simulator.scene import Playing, Scene, apply, fire_scene, recording_scene
from drivers.simulator.server import RtuLine, TcpLine, check_loopback
from drivers.simulator.walk import Walk

_BEAT_NS = 1 * S  # heartbeats of the simulated devices count up this often


@dataclass(frozen=True, slots=True)
class Options:
    """How the building is served. All chance comes from `seed`."""

    listen_any: bool = False  # TCP on addresses that the network can reach
    pace: bool = False  # RTU at the true baud rate
    walk: bool = False  # a random walk of one least significant digit on all measured points
    walk_interval_ns: int = 1 * S
    tick_ns: int = 100 * MS  # how often scenes move the points
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("walk_interval_ns", "tick_ns"):
            if getattr(self, name) < SIMULATOR_TICK_NS_MIN:
                raise SimulatorError(
                    f"{name}: expected at least {SIMULATOR_TICK_NS_MIN // MS} ms, "
                    f"found {getattr(self, name) / MS:g} ms"
                )


@dataclass(frozen=True, slots=True)
class CoilEvent:
    """A coil was written, or told for the first time after a write (`read_back`)."""

    device: str
    coil: int
    on: bool
    mono_ns: int
    read_back: bool
    output: str  # the plan's name of the siren on it, or ""


class Building:
    """All devices of a plan. `writes` queues coil writes, the oldest are dropped when full."""

    def __init__(
        self,
        plan: Plan,
        options: Options | None = None,
        *,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.plan = plan
        self.options = options or Options()
        self._mono_ns = mono_ns
        self.registers = Registers(plan)
        set_ambient(plan, self.registers)
        self.faults = Faults(random.Random(self.options.seed))  # noqa: S311 -- a simulation, seeded on purpose
        self._walk: Walk | None = None
        self._next_walk_ns = 0
        self._next_beat_ns = 0
        if self.options.walk:
            walk = Walk(plan, self.registers, self.options.seed)
            self.registers.changed = lambda p, measured: walk.recentre(p, measured=measured)
            self._walk = walk
        self._playing: Playing | None = None
        self._wake = asyncio.Event()
        self._outputs = {(o.device, o.coil): o.name for o in plan.outputs if o.on_bus}
        self.writes: asyncio.Queue[CoilEvent] = asyncio.Queue(SIMULATOR_WRITES_KEPT)
        self.on_coil: list[Callable[[CoilEvent], None]] = []
        self.on_scene_end: list[Callable[[], None]] = []
        self._coil_moved = asyncio.Event()
        self.lines: dict[str, TcpLine | RtuLine | PanelLine] = {}
        self.panels: dict[int, PanelLine] = {}
        panels = {plan.devices[p.device].line: p for p in plan.panels}
        for index, line in enumerate(plan.lines):
            if index in panels:
                self.lines[line.name] = self._make_panel(panels[index], line)
            else:
                self.lines[line.name] = self._make_line(index, line)
        self._ticking: asyncio.Task[None] | None = None

    def _make_panel(self, panel: Panel, line: Line) -> PanelLine:
        if line.kind != LineKind.SERIAL and not self.options.listen_any:
            check_loopback(line.name, line.host)
        served = PanelLine(line, make_panel(panel), mono_ns=self._mono_ns)
        self.panels[panel.device] = served
        return served

    def _make_line(self, index: int, line: Line) -> TcpLine | RtuLine:
        serial = line.kind == LineKind.RS485
        units = {d.unit: i for i, d in enumerate(self.plan.devices) if d.line == index}
        responder = Responder(
            rtu=line.kind != LineKind.TCP,
            units=units,
            registers=self.registers,
            faults=self.faults,
            on_write=self._coil_hook(read_back=False),
            mono_ns=self._mono_ns,
        )
        told = self._coil_hook(read_back=True)
        if serial:
            pace = Pace.of_line(line.baud, line.parity, line.stop_bits)
            return RtuLine(
                path=Path(line.serial_port),
                responder=responder,
                on_read_back=told,
                mono_ns=self._mono_ns,
                pace=pace if self.options.pace else None,
            )
        if not self.options.listen_any:
            check_loopback(line.name, line.host)
        return TcpLine(
            host=line.host,
            port=line.tcp_port,
            responder=responder,
            on_read_back=told,
            mono_ns=self._mono_ns,
        )

    # --- running ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Open all lines, or none: raises SimulatorError."""
        started: list[TcpLine | RtuLine | PanelLine] = []
        try:
            for line in self.lines.values():
                await line.start()
                started.append(line)
        except BaseException:
            for line in started:
                await line.stop()
            raise
        self._ticking = asyncio.create_task(self._tick_for_ever())

    async def stop(self) -> None:
        """Close all lines; raises what ended the clock, if something did."""
        for line in self.lines.values():
            await line.stop()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
            ticking, self._ticking = self._ticking, None
            if not ticking.cancelled() and (error := ticking.exception()) is not None:
                raise error

    async def failed(self) -> None:
        """Until what moves the building dies of an error, which is raised; else for ever."""
        assert self._ticking is not None, "start it first"
        await asyncio.shield(self._ticking)

    async def _tick_for_ever(self) -> None:
        due_ns = self._mono_ns()
        while True:
            self._wake.clear()
            self.tick(self._mono_ns())
            due_ns = max(due_ns + self._step_ns(), self._mono_ns())
            # A scene that begins meanwhile wants shorter steps than what is being waited for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((due_ns - self._mono_ns()) / S):
                    await self._wake.wait()
                    due_ns = self._mono_ns()

    def _step_ns(self) -> int:
        if self._playing is not None:
            return self.options.tick_ns
        return self.options.walk_interval_ns

    def tick(self, now_ns: int) -> None:
        """Move what a scene or the walk moves. Called by the clock; a test calls it itself."""
        playing = self._playing
        if playing is not None:
            for point, value in playing.changes(now_ns):
                apply(self.registers, point, value)
            if playing.ended:
                self._playing = None
                for tell in self.on_scene_end:
                    tell()
        if now_ns >= self._next_beat_ns:
            self.registers.beat(shared=self._walk is not None)
            self._next_beat_ns = now_ns + _BEAT_NS
        if self._walk is not None and now_ns >= self._next_walk_ns:
            self._walk.step()
            late_ns = now_ns - self._next_walk_ns
            interval_ns = self.options.walk_interval_ns
            base_ns = now_ns if late_ns > interval_ns else self._next_walk_ns
            self._next_walk_ns = base_ns + interval_ns

    def play(
        self,
        recording: Recording,
        mapping: Mapping[str, str],
        *,
        speed: float = 1.0,
        start_s: float | None = None,
        hold: bool = False,
    ) -> Callable[[], None]:
        """Play a recording from `start_s`; columns -> point names. The last row holds at its end.

        With `hold` the points show the row at `start_s` until the function that is returned is
        called; it starts the recording (again). Raises SimulatorError.
        """
        scene = recording_scene(self.registers, recording, mapping)
        first_s = scene.first_s if start_s is None else start_s
        Playing.check_speed(speed)

        def begin() -> None:
            self._play(scene, start_s=first_s, speed=speed)

        for point, value in scene.sample(first_s):
            apply(self.registers, point, value)
        if not hold:
            begin()
        return begin

    def ignite(
        self,
        fire: Fire,
        points: Sequence[str] = (),
        radii_m: Sequence[float] = (),
        *,
        speed: float = 1.0,
        hold: bool = False,
    ) -> Callable[[], None]:
        """Start a fire now near `points` (default: the first zone with detectors it moves).

        With `hold` it starts when the function that is returned is called. Raises SimulatorError.
        """
        Playing.check_speed(speed)

        def scene() -> Scene:
            return fire_scene(self.plan, self.registers, fire, points, radii_m)

        def begin() -> None:
            self._play(scene(), start_s=0.0, speed=speed)

        scene()  # whether it can burn is told now
        if not hold:
            begin()
        return begin

    def _play(self, scene: Scene, *, start_s: float, speed: float) -> None:
        now_ns = self._mono_ns()
        self._playing = Playing(scene, begun_ns=now_ns, start_s=start_s, speed=speed)
        self._wake.set()
        self.tick(now_ns)

    # --- points -----------------------------------------------------------------------------

    def set_point(self, point: int | str, value: float) -> int:
        """Set an engineering value (NaN: a dead sensor); the monotonic ns at which it is visible.

        Raises SimulatorError when the point is unknown or its register cannot hold the value.
        """
        self.registers.set_value(point, value)
        return self._mono_ns()

    def set_flags(self, point: int | str, flags: int) -> int:
        """Set a state point to words.Flag; as `set_point`."""
        self.registers.set_flags(point, flags)
        return self._mono_ns()

    def set_quality(self, point: int | str, quality: Quality) -> int:
        """Make a point read BAD or NOT_READY; as `set_point`."""
        self.registers.set_quality(point, quality)
        return self._mono_ns()

    def value(self, point: int | str) -> float:
        """What the register holds: engineering value, flags of a state point, NaN when bad."""
        return self.registers.value(point)

    # --- panels on ports of their own -----------------------------------------------------------

    def panel(self, name: str) -> PanelLine:
        """The panel of this name on its own port. Raises SimulatorError."""
        device = self.device(name)
        if device not in self.panels:
            raise SimulatorError(f"{name} is polled; set its points instead")
        return self.panels[device]

    # --- faults -----------------------------------------------------------------------------

    def device(self, name: str) -> int:
        """Index of a device. Raises SimulatorError."""
        for index, device in enumerate(self.plan.devices):
            if device.name == name:
                return index
        raise SimulatorError(
            f"no device is called {name!r}; the plan has "
            f"{', '.join(d.name for d in self.plan.devices[:20])}"
        )

    async def inject(self, fault: Fault) -> None:
        """Put a fault in force. Raises SimulatorError when its line cannot have it."""
        line = self._line_of(fault.device)
        rtu = self.plan.lines[self.plan.devices[fault.device].line].kind != LineKind.TCP
        if isinstance(line, PanelLine):
            if fault.kind not in (FaultKind.SILENCE, FaultKind.REFUSE):
                raise SimulatorError("a panel's port can have 'silence' and 'refuse' only")
            line.silent = line.silent or fault.kind is FaultKind.SILENCE
        elif fault.kind is FaultKind.CRC and not rtu:
            raise SimulatorError("Modbus TCP has no CRC; use 'transaction'")
        elif fault.kind is FaultKind.TRANSACTION and rtu:
            raise SimulatorError("Modbus RTU has no transaction id; use 'crc'")
        self.faults.put(fault)
        if fault.kind is FaultKind.FROZEN:
            self.registers.freeze(fault.device, True)
        elif fault.kind is FaultKind.REFUSE:
            await line.stop()

    async def remove_fault(self, device: int, kind: FaultKind) -> None:
        """End one fault."""
        if not self.faults.holds(device, kind):
            return
        self.faults.remove(device, kind)
        served = self._line_of(device)
        if isinstance(served, PanelLine) and kind is FaultKind.SILENCE:
            served.silent = False
        if kind is FaultKind.FROZEN:
            self.registers.freeze(device, False)
        elif kind is FaultKind.REFUSE:
            line = self.plan.devices[device].line
            others = (i for i, d in enumerate(self.plan.devices) if d.line == line)
            if not any(self.faults.holds(i, FaultKind.REFUSE) for i in others):
                await self._line_of(device).start()

    async def clear_faults(self) -> None:
        """End all faults."""
        for device in range(len(self.plan.devices)):
            for kind in FaultKind:
                await self.remove_fault(device, kind)

    def _line_of(self, device: int) -> TcpLine | RtuLine | PanelLine:
        return self.lines[self.plan.lines[self.plan.devices[device].line].name]

    # --- coils ------------------------------------------------------------------------------

    def coil(self, device: int, coil: int) -> bool:
        """What a coil is now, whatever a frozen device tells."""
        word = self.registers.word(device, COILS, coil)
        if word is None:
            raise SimulatorError(f"{self.plan.devices[device].name} has no coil {coil}")
        return bool(self.registers.memory[word])

    def output_on(self, name: str) -> bool:
        """Whether the siren of this name sounds."""
        for output in self.plan.outputs:
            if output.name == name:
                return self.coil(output.device, output.coil)
        raise SimulatorError(f"no siren is called {name!r}")

    async def wait_output(self, name: str, on: bool) -> None:
        """Until the siren is on (or off). The caller bounds it with asyncio.timeout."""
        while self.output_on(name) != on:
            self._coil_moved.clear()
            await self._coil_moved.wait()

    def _coil_hook(self, *, read_back: bool) -> CoilHook:
        def told(device: int, coil: int, on: bool, mono_ns: int) -> None:
            event = CoilEvent(
                device=self.plan.devices[device].name,
                coil=coil,
                on=on,
                mono_ns=mono_ns,
                read_back=read_back,
                output=self._outputs.get((device, coil), ""),
            )
            if not read_back:
                if self.writes.full():
                    self.writes.get_nowait()
                self.writes.put_nowait(event)
                self._coil_moved.set()
            for tell in self.on_coil:
                tell(event)

        return told
