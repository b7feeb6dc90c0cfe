"""From a site file to its plan: what `embergate check` and `embergate plan` share.

`check_file` runs every pass and answers a plan or problems; it writes nothing. `plan_file` also
writes the id ledger and the plan, each in one step, the ledger first: an id that has left the
gateway is then always in the ledger.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.budget import budgets, with_speed
from agent.compile_effects import compile_effects
from config import model
from config.checks import check_site
from config.dialects import Dialect
from config.ledger import Ledger, ledger_path, read_ledger, update, write_ledger
from config.limits import MS, STALE_INTERVALS, STALE_NS_MAX, STALE_NS_MIN
from config.loader import Document, load, paused_collection, read_bytes
from config.members import named_points
from config.opendata import chosen, main_flag
from config.plan import (
    NO_RULE,
    PLAN_VERSION,
    Courier,
    DayHours,
    Device,
    Input,
    Line,
    Output,
    Panel,
    PanelRule,
    Person,
    Plan,
    PointTable,
    Poll,
    SelfTest,
    Text,
    WalkGroup,
    WordRule,
    Zone,
)
from config.plan_files import write_plan
from config.problems import Problem, Problems
from config.profiles import Profile
from config.site_reader import SiteFile, read_site
from config.value_types import NO_BIT, VALUE_TYPES, bit_field
from config.words import Mode
from drivers.modbus.planner import Want, plan_requests

_PARITY = {"none": "N", "even": "E", "odd": "O"}


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check: a plan with all that it came from, or problems in their order."""

    problems: tuple[Problem, ...] = ()
    left_off: int = 0  # problems beyond the most that are kept
    plan: Plan | None = None
    site: model.Site | None = None
    ledger: Ledger = field(default_factory=Ledger)
    ledger_file: Path | None = None


def check_file(path: Path) -> Checked:
    """Check a site file and compile its plan. Never raises on any content; writes nothing."""
    problems = Problems()
    with paused_collection():
        data = read_bytes(path, problems)
        if data is None:
            return Checked(problems.in_order())
        return _check(data, path, problems)


def _check(data: bytes, path: Path, problems: Problems) -> Checked:
    document = load(data, path.name, problems)
    read = _clean_site(document, problems, path.parent) if document is not None else None
    ledger_file = ledger_path(path)
    old = read_ledger(ledger_file, problems) if read is not None else None
    if read is None or old is None or len(problems):
        return Checked(problems.in_order(), problems.left_off)
    ledger = update(old, read.site)
    plan = compile_plan(read.site, ledger, digest(data, {**read.profiles, **read.dialects}, ledger))
    plan = replace(plan, outputs=with_speed(plan))
    assert document is not None
    _check_time(plan, read.site, document, problems)
    if len(problems):
        return Checked(problems.in_order(), problems.left_off)
    return Checked((), 0, plan, read.site, ledger, ledger_file)


def _check_time(plan: Plan, site: model.Site, document: Document, problems: Problems) -> None:
    """A line whose polls take more time than there is can never keep its intervals; and one with
    limits of its own keeps them with a dead unit, too."""
    for line, link, budget in zip(plan.lines, site.links, budgets(plan), strict=True):
        if isinstance(link, model.SerialLink):
            continue  # a panel's own port: nothing is polled there
        for message, most, found in (
            ("bus.alarm_within", link.alarm_within_ns, budget.alarm_ns[1]),
            ("bus.siren_within", link.siren_within_ns, budget.siren_ns[1]),
        ):
            if most is not None and found > most:
                at = ("links", line.name, message.removeprefix("bus."))
                told = {"found": f"{-(-found // MS)}ms"}
                problems.add(Problem(message, document.place(at), at, "bus.within", told))
        if budget.share > 1.0:
            path = ("links", line.name)
            args = {"share": f"{budget.share:.0%}"}
            span = document.place(path, key=True)
            problems.add(Problem("bus.overload", span, path, "bus.overload", args))


def _clean_site(document: Document, problems: Problems, directory: Path) -> SiteFile | None:
    """The site when shape and cross-checks are clean; a pass runs only after a clean one."""
    read = read_site(document, problems, directory)
    if read is None:
        return None
    check_site(read.site, document, problems)
    return read if not len(problems) else None


def plan_file(path: Path, out: Path) -> Checked:
    """Check a site file; when it is clean, write its ledger and its plan. Raises OSError."""
    checked = check_file(path)
    if checked.plan is not None:
        assert checked.ledger_file is not None
        write_ledger(checked.ledger_file, checked.ledger)
        write_plan(out, checked.plan)
    return checked


def digest(source: bytes, profiles: Mapping[str, Profile | Dialect], ledger: Ledger) -> bytes:
    """SHA-256 over the site file, the profiles and dialects it uses (by name) and the ledger."""
    h = hashlib.sha256()
    parts = [source, *(profiles[n].source for n in sorted(profiles)), ledger.text().encode()]
    for part in parts:
        h.update(struct.pack("<Q", len(part)))
        h.update(part)
    return h.digest()


def compile_plan(site: model.Site, ledger: Ledger, plan_digest: bytes) -> Plan:
    """The plan of a site that passed every check. Pure; the same site gives the same bytes."""
    ids = ledger.ids()
    device_index = {d.name: i for i, d in enumerate(site.devices)}
    line_index = {link.name: i for i, link in enumerate(site.links)}
    zone_index = {z.name: i for i, z in enumerate(site.zones)}
    flat = sorted(
        (
            (ids[f"{d.name}.{p.name}"], i, f"{d.name}.{p.name}", p)
            for i, d in enumerate(site.devices)
            for p in d.points
        ),
        key=lambda row: row[0],
    )
    point_index = {name: k for k, (_, _, name, _) in enumerate(flat)}
    rules: dict[model.Rule, int] = {}
    polls = tuple(
        poll
        for i, d in enumerate(site.devices)
        for poll in _polls(
            i, d.points, [point_index[f"{d.name}.{p.name}"] for p in d.points], rules
        )
    )
    refs = {"zone": zone_index, "device": device_index, "point": point_index}
    return Plan(
        version=PLAN_VERSION,
        digest=plan_digest,
        site_id=site.id,
        site_name=site.name,
        region=site.region,
        points=_point_table(flat),
        lines=tuple(_line(link) for link in site.links),
        devices=tuple(
            Device(d.name, line_index[d.link], d.unit, d.profile, d.heartbeat, d.output_timeout_ns)
            for d in site.devices
        ),
        polls=polls,
        rules=tuple(WordRule(r.cases, r.bad, r.not_ready) for r in rules),
        zones=_zones(site, point_index),
        outputs=_outputs(site, device_index),
        effects=compile_effects(site, refs),
        couriers=tuple(_courier(site, c) for c in site.couriers),
        panels=_panels(site),
        texts=_texts(site, ids, device_index),
        people=tuple(Person(p.name, p.level, p.pin) for p in site.people),
        day=tuple(DayHours(h.days, h.first, h.last) for h in site.day),
        test_groups=tuple(
            WalkGroup(g.name, tuple(zone_index[z] for z in g.zones)) for g in site.test_groups
        ),
        inputs=tuple(_input(i, point_index) for i in site.inputs),
        self_tests=_self_tests(site.self_test),
    )


def _zones(site: model.Site, point_index: Mapping[str, int]) -> tuple[Zone, ...]:
    devices = {d.name: d for d in site.devices}
    return tuple(
        Zone(
            zone.name,
            tuple(point_index[name] for name, _ in named_points(zone.members, devices)),
            zone.needed, zone.window_ns, zone.trend_fire, zone.acknowledge_ns,
            zone.investigate_ns,
        )
        for zone in site.zones
    )  # fmt: skip


def _texts(
    site: model.Site, ids: Mapping[str, int], device_index: Mapping[str, int]
) -> tuple[Text, ...]:
    """In the order of their ids."""
    rows = [
        Text(
            ids[f"{d.name}.{t.name}"], f"{d.name}.{t.name}", device_index[d.name], t.function,
            t.address, t.width, t.poll_ns, t.encoding, t.low_first,
        )
        for d in site.devices
        for t in d.texts
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: row.id))


def _outputs(site: model.Site, device_index: Mapping[str, int]) -> tuple[Output, ...]:
    """Sirens and signals. active_low of a line and idle_energised together say what "on" is."""
    return tuple(
        Output(
            name=s.name,
            device=-1 if s.chip else device_index[s.device],
            coil=s.coil,
            readback_ns=s.read_back_ns,
            kind=str(s.kind),
            chip=s.chip,
            drive=s.drive,
            inverted=s.active_low != s.idle_energised,
            idle_energised=s.idle_energised,
            means=tuple(str(m) for m in s.means),
        )
        for s in site.outputs
    )


def _input(item: model.Input, point_index: Mapping[str, int]) -> Input:
    """A contact to ground is low while it is closed, one to the supply is high."""
    low_is_closed = item.bias in ("pull-up", "none-low")
    return Input(
        name=item.name,
        role=str(item.role),
        chip=item.chip,
        number=item.line if item.chip else point_index[item.point],
        active_low=bool(item.chip) and low_is_closed == item.closed,
        bias="none" if item.bias.startswith("none") else item.bias,
        debounce_ns=item.debounce_ns,
        inverted=not item.chip and not item.closed,
    )


def _self_tests(test: model.SelfTest) -> tuple[SelfTest, ...]:
    if not test.silent_ns and not test.duration_ns:
        return ()
    return (SelfTest(test.silent_ns, test.weekday, test.minute, test.duration_ns, test.offset_s),)


def _panels(site: model.Site) -> tuple[Panel, ...]:
    return tuple(panel_row(i, d.panel) for i, d in enumerate(site.devices) if d.panel is not None)


def panel_row(device: int, port: model.PanelPort) -> Panel:
    """The panel of a device, as the plan has it."""
    return Panel(
        device=device,
        dialect=port.dialect,
        protocol=str(port.protocol),
        encoding=port.encoding,
        silence_ns=port.silence_ns,
        record=port.record,
        begin=port.begin,
        mark=port.mark,
        checksum=port.checksum,
        station=port.station,
        address=port.address,
        time=port.time,
        rules=tuple(
            PanelRule(r.pattern, str(r.action), int(r.flags), r.address) for r in port.rules
        ),
    )


def _line(link: model.Link) -> Line:
    timeout, turnaround = link.timeout_ns, link.turnaround_ns
    if isinstance(link, model.TcpLink):
        return Line(
            link.name, str(link.kind), host=link.host, tcp_port=link.port,
            reply_timeout_ns=timeout, turnaround_ns=turnaround,
        )  # fmt: skip
    return Line(
        link.name, str(link.kind), serial_port=link.port, baud=link.baud,
        parity=_PARITY[link.parity], stop_bits=link.stop_bits, reply_timeout_ns=timeout,
        turnaround_ns=turnaround,
        data_bits=link.data_bits if isinstance(link, model.SerialLink) else 8,
        direction=str(link.direction) if isinstance(link, model.Rs485Link) else "none",
    )  # fmt: skip


def _courier(site: model.Site, courier: model.AnyCourier) -> Courier:
    """Settings that are not given are not there: a courier never sees an empty path."""
    given = courier.model_dump(exclude={"name", "kind"})
    if isinstance(courier, model.Gb26875Courier):
        return Courier(courier.name, courier.kind, {**given, "addresses": dict(courier.addresses)})
    if isinstance(courier, model.Dc09Courier):
        return Courier(courier.name, courier.kind, {**given, "zones": dict(courier.zones)})
    if isinstance(courier, model.PrometheusCourier):
        return Courier(courier.name, courier.kind, given)
    settings = {k: v for k, v in given.items() if v not in ("", False, ())}
    if isinstance(courier, model.MqttJsonCourier):
        settings["points"] = {
            name: int(main_flag(point)) for name, point in chosen(site, courier.points).items()
        }
    settings["insecure"] = not courier.tls
    settings["version"] = "auto"  # MQTT 5, or 3.1.1 where the broker speaks no 5
    return Courier(courier.name, courier.kind, settings)


def _point_table(flat: Sequence[tuple[int, int, str, model.Point]]) -> PointTable:
    params = [value for _, _, _, p in flat for value in p.params]
    return PointTable(
        ids=_pack("I", [point_id for point_id, _, _, _ in flat]),
        names=tuple(name for _, _, name, _ in flat),
        devices=_pack("H", [device for _, device, _, _ in flat]),
        kinds=tuple(p.kind for _, _, _, p in flat),
        units=tuple(p.unit for _, _, _, p in flat),
        modes=_pack("B", [int(p.mode) for _, _, _, p in flat]),
        resolutions=_pack("d", [p.resolution for _, _, _, p in flat]),
        stale_ns=_pack("q", [stale_ns(p) for _, _, _, p in flat]),
        params=_pack("d", params),
    )


def stale_ns(point: model.Point) -> int:
    """After how long without a sample a point is stale: STALE_INTERVALS polls, within bounds."""
    stale = max(STALE_NS_MIN, STALE_INTERVALS * point.poll_ns)
    return stale if point.mode is Mode.TELEMETRY else min(stale, STALE_NS_MAX)


def _polls(
    device: int, points: Sequence[model.Point], indices: Sequence[int], rules: dict[model.Rule, int]
) -> Iterator[Poll]:
    wants = [
        Want(k, p.function, p.address, p.width, p.poll_ns, p.alarm) for k, p in enumerate(points)
    ]
    for request in plan_requests(wants):
        chosen = [points[k] for k in request.keys]
        yield Poll(
            device=device,
            function=request.function,
            address=request.address,
            count=request.count,
            interval_ns=request.interval_ns,
            alarm=request.alarm,
            points=_pack("I", [indices[k] for k in request.keys]),
            offsets=_pack("H", [p.address - request.address for p in chosen]),
            types=_pack("B", [VALUE_TYPES.index(p.type) for p in chosen]),
            bits=_pack(
                "B", [NO_BIT if p.bit is None else bit_field(p.bit, p.bits) for p in chosen]
            ),
            scales=_pack("d", [p.scale for p in chosen]),
            biases=_pack("d", [p.bias for p in chosen]),
            rules=_pack("H", [_rule(p, rules) for p in chosen]),
            confirms=_confirms(chosen),
        )


def _confirms(points: Sequence[model.Point]) -> bytes:
    return bytes(p.confirm for p in points) if any(p.confirm for p in points) else b""


def _rule(point: model.Point, rules: dict[model.Rule, int]) -> int:
    if point.rule is None:
        return NO_RULE
    index = rules.setdefault(point.rule, len(rules))
    assert index < NO_RULE
    return index


def _pack(code: str, values: Sequence[int] | Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)
