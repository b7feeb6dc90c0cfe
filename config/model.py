"""The site as frozen, typed models: the vocabulary of everyone above the plan.

The reader (config.site_reader) fills them from site.yaml; every quantity is already in its stated
unit, every register a read function and a 0-based address. Names of fields are those of the file
where the file has them. `where` is the place in the document, for problems of later passes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from config.value_types import type_width
from config.words import (
    Direction,
    Flag,
    InputRole,
    LineKind,
    Meaning,
    Mode,
    OutputKind,
    PanelAction,
    PanelProtocol,
)

Where = tuple[str | int, ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TcpLink(_Frozen):
    """Modbus TCP, RTU frames through a serial server, or a device at `host` that connects to us."""

    name: str
    kind: Literal[LineKind.TCP, LineKind.RTU_TCP, LineKind.TCP_LISTEN]
    host: str  # an address, never a name: a siren must not wait for a resolver
    port: int
    timeout_ns: int
    turnaround_ns: int
    alarm_within_ns: int | None = None  # the site's own limits
    siren_within_ns: int | None = None


class Rs485Link(_Frozen):
    """Modbus RTU on a serial port."""

    name: str
    kind: Literal[LineKind.RS485]
    port: str
    baud: int
    parity: Literal["none", "even", "odd"]
    stop_bits: int
    timeout_ns: int
    turnaround_ns: int
    alarm_within_ns: int | None = None  # the site's own limits
    siren_within_ns: int | None = None
    direction: Direction = Direction.AUTO


class SerialLink(_Frozen):
    """A panel's own serial port: bytes of its protocol, no Modbus."""

    name: str
    kind: Literal[LineKind.SERIAL]
    port: str
    baud: int
    parity: Literal["none", "even", "odd"]
    stop_bits: int
    data_bits: int
    timeout_ns: int = 0
    turnaround_ns: int = 0


Link = TcpLink | Rs485Link | SerialLink


class PanelRule(_Frozen):
    """What a panel's word does; see plan.PanelRule. reset: it is the panel's own system reset."""

    pattern: str
    action: PanelAction
    flags: Flag
    address: str = ""
    reset: bool = False


class PanelPort(_Frozen):
    """A panel on a link of its own; see plan.Panel."""

    dialect: str
    protocol: PanelProtocol
    encoding: str
    silence_ns: int
    record: str
    begin: bytes
    mark: bytes
    checksum: str
    station: str
    address: str
    time: str
    rules: tuple[PanelRule, ...]

    @property
    def can(self) -> Flag:
        """Every flag that the panel can raise."""
        out = Flag.NONE
        for rule in self.rules:
            out |= rule.flags if rule.action is PanelAction.SETS else Flag.NONE
        return out


class Rule(_Frozen):
    """How a device's word becomes a state: see plan.WordRule."""

    cases: tuple[tuple[int, int, int], ...] = ()
    bad: tuple[tuple[int, int], ...] = ()
    not_ready: tuple[tuple[int, int], ...] = ()

    @property
    def can(self) -> Flag:
        """Every flag that the rule can raise."""
        out = Flag.NONE
        for _, _, flags in self.cases:
            out |= Flag(flags)
        return out


class Point(_Frozen):
    """One value of a device."""

    name: str
    where: Where
    function: int  # 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers
    address: int  # 0-based
    type: str  # one of plan.VALUE_TYPES
    bit: int | None  # the first, of a bit field
    scale: float
    bias: float
    unit: str
    kind: str
    mode: Mode
    params: tuple[float, ...]  # plan.PARAMS, in `unit`; NaN where off
    rule: Rule | None
    can: Flag  # what the point can raise on its own
    poll_ns: int
    resolution: float
    bits: int = 1  # width of a bit field
    confirm: bool = False  # an alarm is read again at once

    @property
    def width(self) -> int:
        """Registers, or bits of tables 1 and 2."""
        return type_width(self.type)

    @property
    def alarm(self) -> bool:
        """Whether a cycle runs at once after its poll."""
        return self.mode is not Mode.TELEMETRY


class Text(_Frozen):
    """Registers of a device that hold characters."""

    name: str
    where: Where
    function: int  # 3 or 4
    address: int
    width: int  # registers
    encoding: str  # ascii, utf-8 or gb18030
    low_first: bool  # of the two characters in a register
    poll_ns: int
    type: Literal["string"] = "string"
    bit: None = None  # a text has whole registers
    bits: Literal[1] = 1


class Device(_Frozen):
    """One unit on a line."""

    name: str
    where: Where
    link: str
    unit: int
    profile: str
    coils: int | None  # how many the profile says that the device has
    points: tuple[Point, ...]
    heartbeat: tuple[int, ...] = ()  # plan.Device.heartbeat
    output_timeout_ns: int = 0  # plan.Device.output_timeout_ns
    panel: PanelPort | None = None
    texts: tuple[Text, ...] = ()

    @property
    def entries(self) -> tuple[Point | Text, ...]:
        """Everything that the site file calls a point."""
        return (*self.points, *self.texts)


class Zone(_Frozen):
    """A place with a name; `needed` of its points in alarm make its fire."""

    name: str
    members: tuple[str, ...]  # as written: device.point, device.l1d1-20, device.*
    needed: int
    window_ns: int = 0  # double knock: a first knock that stands for longer is fire
    trend_fire: bool = False
    acknowledge_ns: int = 0  # T1 and T2 of an investigation by day; 0: none
    investigate_ns: int = 0


class DayHours(_Frozen):
    """See plan.DayHours."""

    days: int
    first: int
    last: int


class WalkGroup(_Frozen):
    """Zones that are walk-tested together."""

    name: str
    zones: tuple[str, ...]


class Siren(_Frozen):
    """A switched output with its read-back: a siren, or another of words.OutputKind."""

    name: str
    device: str = ""  # "": a GPIO line
    coil: int = 0  # the offset of a GPIO line
    read_back_ns: int
    kind: OutputKind = OutputKind.SIREN
    section: str = "sirens"  # of the file
    chip: str = ""
    drive: str = ""
    active_low: bool = False  # of a GPIO line: current flows while it is low
    idle_energised: bool = False  # current flows while the output is off
    means: tuple[Meaning, ...] = ()


class Input(_Frozen):
    """A button or a supervision contact. closed: the contact's position that is active."""

    name: str
    role: InputRole
    closed: bool
    debounce_ns: int
    point: str = ""  # "": a GPIO line
    chip: str = ""
    line: int = 0
    bias: str = ""


class SelfTest(_Frozen):
    """See plan.SelfTest."""

    silent_ns: int = 0
    weekday: int = -1
    minute: int = 0
    duration_ns: int = 0
    offset_s: int = 0


class Leaf(_Frozen):
    """One input of the matrix."""

    cause: Literal["zone", "device", "point", "kind", "address", "input"]
    ref: str  # the name; of "kind" the kind of point, of "address" the panel
    state: Flag
    within: str = ""  # of "kind" a zone, of "address" the address, as the panel tells it
    where: Where = ()


class Several(_Frozen):
    """`any`, `all`, `at_least`: so many of these inputs."""

    word: Literal["any", "all", "at_least"]
    needed: int  # of "any" and "all" 0: how many there are is known after ranges are spread
    of: tuple[Leaf | Several, ...]
    where: Where = ()


class Effect(_Frozen):
    """One row of the cause-and-effect matrix; see plan.Effect."""

    when: Leaf | Several
    sound: tuple[str, ...]
    pattern: str = "evacuate"
    switch: tuple[str, ...] = ()
    message: str = ""
    after_ns: int = 0
    off_by: tuple[str, ...] = ("silence", "cause")
    in_test: Literal["nothing", "pulse"] = "nothing"
    investigation: Literal["waits", "acts"] = "waits"
    region: Literal["", "cn"] = ""


class MqttCourier(_Frozen):
    """A platform reached over MQTT 5, or 3.1.1 where the broker speaks no 5."""

    name: str
    kind: Literal["mqtt"]
    url: str
    host: str
    port: int
    tls: bool
    ca: str
    cert: str
    key: str
    username: str
    password_file: str
    commands: tuple[str, ...] = ()  # of the platform, that the site obeys


class Gb26875Courier(_Frozen):
    """A monitoring centre reached by GB/T 26875.3. addresses: (point, zone or siren, raw)."""

    name: str
    kind: Literal["gb26875"]
    host: str
    port: int
    transport: str
    source: int
    destination: int
    beat: str
    beat_ns: int
    reply_ns: int
    resends: int
    user_version: int
    system_type: int
    system: int
    offset_s: int
    time_tags: str
    tags: str
    frame_bytes: int
    pad: str
    prealarm: str
    values: bool
    addresses: tuple[tuple[str, int], ...]


class Dc09Courier(_Frozen):
    """An alarm receiving centre reached by SIA DC-09. zones: (point, zone or siren, number)."""

    name: str
    kind: Literal["dc09"]
    receivers: tuple[tuple[str, int], ...]  # host, port: the main one, then the stand-by
    transport: str
    format: str
    account: str
    receiver: str
    line: str
    key_file: str
    supervise_ns: int
    reply_ns: int
    tries: int
    text: bool
    prealarm: str
    zones: tuple[tuple[str, int], ...]


class MqttJsonCourier(_Frozen):
    """Open data as plain JSON over MQTT. points: "alarm", "all", "none" or names as in zones."""

    name: str
    kind: Literal["mqtt-json"]
    url: str
    host: str
    port: int
    tls: bool
    ca: str
    cert: str
    key: str
    username: str
    password_file: str
    topic: str
    discovery: str  # prefix of Home Assistant's discovery, "" for none
    points: str | tuple[str, ...]
    zones: bool
    every_ns: int
    same_broker: bool


class PrometheusCourier(_Frozen):
    """Open data as metrics, on loopback. points: "alarm", "all" or "none"."""

    name: str
    kind: Literal["prometheus"]
    host: str
    port: int
    points: str


AnyCourier = MqttCourier | Gb26875Courier | Dc09Courier | MqttJsonCourier | PrometheusCourier


class Person(_Frozen):
    """Somebody with a PIN; `pin` is its hash."""

    name: str
    level: str
    pin: str


class Site(_Frozen):
    """A whole site."""

    id: str
    name: str
    region: str
    links: tuple[Link, ...]
    devices: tuple[Device, ...]
    zones: tuple[Zone, ...]
    sirens: tuple[Siren, ...]
    effects: tuple[Effect, ...]
    couriers: tuple[AnyCourier, ...]
    people: tuple[Person, ...] = ()
    day: tuple[DayHours, ...] = ()
    test_groups: tuple[WalkGroup, ...] = ()
    signals: tuple[Siren, ...] = ()  # lamps, buzzers, relays, fault outputs
    inputs: tuple[Input, ...] = ()
    self_test: SelfTest = SelfTest()

    @property
    def outputs(self) -> tuple[Siren, ...]:
        """Everything that is switched, in the order of the plan."""
        return (*self.sirens, *self.signals)
