"""Remote control of a building: JSON objects in, JSON objects out. No pipes here: the caller has
them.

In (any message may carry "id", which its answers repeat):
  {"set": POINT, "value": NUMBER}                  engineering value; null is a dead sensor
  {"set": POINT, "flags": ["fire"]}                a state point; [] is normal
  {"set": POINT, "quality": "bad" | "not_ready"}
      each with "spread_ms": [a, b]                after a seeded random wait from a to b
  {"get": POINT}
  {"fault": {"device": NAME, "kind": KIND, "probability", "delay_ms", "count", "code"}}
  {"clear_fault": {"device": NAME, "kind": KIND}}, {"clear_faults": true}
  {"start_fire": true}                             what the command line prepared
  {"start_fire": {"points": [...], "radii_m": [...], "growth", "peak_kw", "ceiling_m",
                  "sensor_tau_s", "noise", "speed"}}
  {"panel": NAME, "say": WORD, "address", "place", "text", "harm", "clock_off_s"}
                                                   a panel on a port of its own tells an event
  {"panel": NAME, "hex": BYTES}                    raw bytes from its port
  {"stop": true}
Out: {"event": "ready" | "set" | "value" | "coil" | "readback" | "fault" | "faults_cleared" |
"fire" | "panel" | "scene_end" | "stopped" | "error", ...}; "mono_ns" is the monotonic clock at the
very moment: of "set" when the value is visible to the next request, of "coil" when the write acts,
of "readback" when the last byte of the first reply that tells the coil after a write has left.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from config.desk_limits import (
    SIMULATOR_CONTROL_LINE_BYTES_MAX,
    SIMULATOR_DELAY_NS_MAX,
    SIMULATOR_SETS_PENDING_MAX,
)
from config.limits import MS, S
from config.words import Mode, Quality
from drivers.simulator.building import Building, CoilEvent
from drivers.simulator.faults import Fault, FaultKind
from drivers.simulator.fields import SimulatorError
from drivers.simulator.fire import Fire, Growth
from drivers.simulator.panel_server import PanelLine
from drivers.simulator.panel_words import Harm, Telling
from drivers.simulator.states import flag_names, parse_flags

Message = dict[str, Any]
_CLOCK_OFF_S_MAX = 10 * 366 * 86_400
_FIRE_NUMBERS = ("peak_kw", "ceiling_m", "sensor_tau_s", "noise")
_QUALITIES = {"bad": Quality.BAD, "not_ready": Quality.NOT_READY}


class Control:
    """Does what messages say and tells what happens. `emit` takes each event.

    start_scene: what {"start_fire": true} does; None when nothing was prepared.
    """

    def __init__(
        self,
        building: Building,
        emit: Callable[[Message], None],
        *,
        start_scene: Callable[[], None] | None = None,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._building = building
        self._emit = emit
        self._start_scene = start_scene
        self._mono_ns = mono_ns
        self._rng = random.Random(building.options.seed)  # noqa: S311 -- a phase, seeded on purpose
        self._pending: set[asyncio.TimerHandle] = set()
        self.stopped = asyncio.Event()
        building.on_coil.append(self._coil)
        building.on_scene_end.append(lambda: emit({"event": "scene_end", "mono_ns": mono_ns()}))

    def ready(self) -> None:
        """Tell what is served."""
        building = self._building
        self._emit(
            {
                "event": "ready",
                "mono_ns": self._mono_ns(),
                "lines": [{"name": n, "address": x.address} for n, x in building.lines.items()],
                "devices": [d.name for d in building.plan.devices],
                "points": len(building.plan.points),
                "outputs": [o.name for o in building.plan.outputs],
            }
        )

    async def line(self, data: bytes) -> None:
        """One line of input. Whatever is wrong with it becomes an "error" event."""
        try:
            if len(data) > SIMULATOR_CONTROL_LINE_BYTES_MAX:
                raise SimulatorError(
                    f"expected at most {SIMULATOR_CONTROL_LINE_BYTES_MAX} bytes a line"
                )
            try:
                message = json.loads(data)
            except (ValueError, RecursionError) as e:
                raise SimulatorError(f"expected one JSON object a line: {e}") from e
            if not isinstance(message, dict):
                raise SimulatorError("expected a JSON object")
        except SimulatorError as e:
            self._emit({"event": "error", "text": str(e)})
            return
        await self.handle(message)

    async def handle(self, message: Message) -> None:
        """One message, as `line`."""
        tag = {"id": message["id"]} if "id" in message else {}
        verbs = {
            "set": self._set,
            "get": self._get,
            "fault": self._fault,
            "clear_fault": self._clear_fault,
            "clear_faults": self._clear_faults,
            "start_fire": self._start_fire,
            "panel": self._panel,
            "stop": self._stop,
        }
        try:
            given = [verb for verb in verbs if verb in message]
            if len(given) != 1:
                raise SimulatorError(f"expected one of {', '.join(verbs)}; found {sorted(message)}")
            await verbs[given[0]](message, tag)
        except SimulatorError as e:
            self._emit({"event": "error", "text": str(e), **tag})

    async def _set(self, message: Message, tag: Message) -> None:
        point = _typed(message, "set", str)
        self._building.registers.index(point)
        set_now = self._setter(point, message)
        if "spread_ms" not in message:
            set_now(tag)
            return
        if len(self._pending) >= SIMULATOR_SETS_PENDING_MAX:
            raise SimulatorError(f"{len(self._pending)} sets are waiting already")
        wait_s = self._rng.uniform(*_spread_ms(message["spread_ms"])) * MS / S

        def ring() -> None:
            self._pending.discard(timer)
            try:
                set_now(tag)
            except SimulatorError as e:
                self._emit({"event": "error", "text": str(e), **tag})

        timer = asyncio.get_running_loop().call_later(wait_s, ring)
        self._pending.add(timer)

    def _setter(self, point: str, message: Message) -> Callable[[Message], None]:
        building = self._building
        change: Callable[[], int]
        if "flags" in message:
            names = message["flags"]
            if not isinstance(names, list):
                raise SimulatorError(f"expected flags as a list of words, found {names!r}")
            change = partial(building.set_flags, point, parse_flags([str(n) for n in names]))
        elif "quality" in message:
            quality = _QUALITIES.get(str(message["quality"]))
            if quality is None:
                raise SimulatorError(
                    f"expected quality 'bad' or 'not_ready', found {message['quality']!r}"
                )
            change = partial(building.set_quality, point, quality)
        else:
            dead = "value" in message and message["value"] is None
            value = math.nan if dead else _number(message, "value")
            change = partial(building.set_point, point, value)

        def set_now(tag: Message) -> None:
            mono_ns = change()
            self._emit({"event": "set", "point": point, "mono_ns": mono_ns, **tag})

        return set_now

    async def _get(self, message: Message, tag: Message) -> None:
        point = _typed(message, "get", str)
        registers = self._building.registers
        value = registers.value(point)
        event: Message = {"event": "value", "point": point, "mono_ns": self._mono_ns(), **tag}
        event["value"] = None if math.isnan(value) else value
        if registers.mode(registers.index(point)) is Mode.STATE and not math.isnan(value):
            event["flags"] = flag_names(int(value))
        self._emit(event)

    async def _fault(self, message: Message, tag: Message) -> None:
        given = _typed(message, "fault", dict)
        device, kind = self._device_and_kind(given)
        _known(given, "device", "kind", "probability", "delay_ms", "count", "code")
        numbers: Message = {k: _number(given, k) for k in ("probability", "delay_ms") if k in given}
        numbers |= {k: _typed(given, k, int) for k in ("count", "code") if k in given}
        await self._building.inject(Fault(device, kind, **numbers))
        self._emit({"event": "fault", **given, "mono_ns": self._mono_ns(), **tag})

    async def _clear_fault(self, message: Message, tag: Message) -> None:
        given = _typed(message, "clear_fault", dict)
        device, kind = self._device_and_kind(given)
        await self._building.remove_fault(device, kind)
        self._emit({"event": "faults_cleared", **given, "mono_ns": self._mono_ns(), **tag})

    async def _clear_faults(self, _message: Message, tag: Message) -> None:
        await self._building.clear_faults()
        self._emit({"event": "faults_cleared", "mono_ns": self._mono_ns(), **tag})

    def _device_and_kind(self, given: Message) -> tuple[int, FaultKind]:
        device = self._building.device(_typed(given, "device", str))
        try:
            return device, FaultKind(_typed(given, "kind", str))
        except ValueError as e:
            raise SimulatorError(
                f"expected kind of {', '.join(FaultKind)}; found {given['kind']!r}"
            ) from e

    async def _start_fire(self, message: Message, tag: Message) -> None:
        given = message["start_fire"]
        if isinstance(given, dict):
            points = given.get("points", [])
            radii_m = given.get("radii_m", [])
            _known(given, "points", "radii_m", "growth", "speed", *_FIRE_NUMBERS)
            if not isinstance(points, list) or not isinstance(radii_m, list):
                raise SimulatorError("expected points and radii_m as lists")
            radii_m = [_number({"radii_m": r}, "radii_m") for r in radii_m]
            speed = _number(given, "speed") if "speed" in given else 1.0
            names = [str(point) for point in points]
            self._building.ignite(fire_of(given), names, radii_m, speed=speed)
        elif self._start_scene is None:
            self._building.ignite(Fire(seed=self._building.options.seed))
        else:
            self._start_scene()
        self._emit({"event": "fire", "mono_ns": self._mono_ns(), **tag})

    async def _panel(self, message: Message, tag: Message) -> None:
        name = _typed(message, "panel", str)
        told = tell_panel(self._building.panel(name), message)
        self._emit({"event": "panel", "panel": name, **told, "mono_ns": self._mono_ns(), **tag})

    async def _stop(self, _message: Message, tag: Message) -> None:
        self.end()
        self._emit({"event": "stopped", **tag})

    def end(self) -> None:
        """Drop sets that are waiting, and say that it is over."""
        for timer in self._pending:
            timer.cancel()
        self._pending.clear()
        self.stopped.set()

    def _coil(self, event: CoilEvent) -> None:
        self._emit(
            {
                "event": "readback" if event.read_back else "coil",
                "device": event.device,
                "coil": event.coil,
                "on": event.on,
                "mono_ns": event.mono_ns,
                "output": event.output,
            }
        )


def tell_panel(line: PanelLine, message: Message) -> Message:
    """Do what a "panel" message says; what was done. Raises SimulatorError."""
    _known(message, "panel", "id", "say", "address", "place", "text", "harm", "clock_off_s", "hex")
    if "hex" in message:
        try:
            data = bytes.fromhex(_typed(message, "hex", str))
        except ValueError as e:
            raise SimulatorError("expected 'hex' to be hexadecimal digits") from e
        line.send(data)
        return {"bytes": len(data)}
    words = {k: _typed(message, k, str) for k in ("address", "place", "text") if k in message}
    word = "" if "text" in words else _typed(message, "say", str)
    harm = str(message.get("harm", Harm.NONE))
    if harm not in tuple(Harm):
        raise SimulatorError(f"expected harm of {', '.join(Harm)}; found {harm!r}")
    off_s = _number(message, "clock_off_s") if "clock_off_s" in message else 0.0
    if abs(off_s) > _CLOCK_OFF_S_MAX:
        raise SimulatorError(f"expected clock_off_s within {_CLOCK_OFF_S_MAX}, found {off_s:g}")
    now = datetime.now().astimezone() + timedelta(seconds=off_s)
    line.tell(Telling(word, harm=Harm(harm), **words), now)
    return {"say": word or words["text"]}


def fire_of(given: Mapping[str, Any]) -> Fire:
    """A Fire from words and numbers; what is missing is Fire's default. Raises SimulatorError."""
    numbers = {name: _number(given, name) for name in _FIRE_NUMBERS if name in given}
    for name, value in numbers.items():
        if value < 0 or (value == 0 and name != "noise"):
            raise SimulatorError(f"expected {name} above 0, found {value}")
    growth = str(given.get("growth", Growth.FAST))
    if growth not in tuple(Growth):
        raise SimulatorError(f"expected growth of {', '.join(Growth)}; found {growth!r}")
    return Fire(growth=Growth(growth), seed=int(given.get("seed", 0)), **numbers)


def _known(given: Message, *names: str) -> None:
    unknown = sorted(given.keys() - set(names))
    if unknown:
        raise SimulatorError(f"expected {', '.join(names)}; found {', '.join(unknown)}")


def _typed(given: Message, key: str, kind: type[Any]) -> Any:
    value = given.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {str: "a name", dict: "an object", int: "a whole number"}
        raise SimulatorError(f"expected '{key}' to be {words[kind]}, found {value!r}")
    return value


def _number(given: Mapping[str, Any], key: str) -> float:
    value = given.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SimulatorError(f"expected '{key}' to be a number, found {value!r}")
    return float(value)


def _spread_ms(value: Any) -> tuple[float, float]:
    most = SIMULATOR_DELAY_NS_MAX / MS
    if isinstance(value, list) and len(value) == 2:
        low, high = (_number({"spread_ms": v}, "spread_ms") for v in value)
        if 0 <= low <= high <= most:
            return low, high
    raise SimulatorError(f"expected spread_ms [a, b], 0 <= a <= b <= {most:g}; found {value!r}")
