"""Cross-checks: what no single key can say. They run on a site whose shape is right.

Registers that overlap, two units at one address, references that lead nowhere, sirens that cannot
sound and fires that sound nothing. All problems of the pass at once, in the order of the file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from config.alarm_checks import check_alarms
from config.effect_checks import EffectChecks
from config.loader import Document
from config.members import by_name, members_of, named_points
from config.model import (
    Dc09Courier,
    Device,
    Gb26875Courier,
    Link,
    Point,
    SerialLink,
    Site,
    TcpLink,
    Text,
)
from config.opendata_checks import check_open_data
from config.problems import Path, Problem, Problems
from config.registers import COIL, DISCRETE, short_form
from config.signal_checks import check_inputs, check_outputs
from config.words import Flag, LineKind

_SERIAL_UNITS = range(1, 248)  # Modbus over serial line V1.02, 2.2: 0 is broadcast, 248+ reserved
_MODBUS_PORT = 502


def check_site(site: Site, document: Document, problems: Problems) -> None:
    """Add every contradiction of the site to `problems`."""
    checks = Checks(site, document, problems)
    checks.links()
    checks.devices()
    checks.zones()
    checks.alarms()
    check_outputs(checks)
    check_inputs(checks)
    effects = EffectChecks(checks)
    effects.rows()
    checks.centres()
    check_open_data(checks)
    if not len(problems):
        effects.silence()


class Checks:
    """What the passes share: the site, its document, and where problems go."""

    def __init__(self, site: Site, document: Document, problems: Problems) -> None:
        self.site = site
        self.document = document
        self.problems = problems
        self.device_of = {d.name: d for d in site.devices}
        self.points_of = {d.name: by_name(d) for d in site.devices}
        self.zone_of = {z.name: z for z in site.zones}
        self.broken_zones: set[str] = set()

    def add(self, message_id: str, path: Path, hint: str = "", *, key: bool = False,
            **args: str) -> None:  # fmt: skip
        span = self.document.place(path, key=key)
        self.problems.add(Problem(message_id, span, path, hint, args))

    def line(self, path: Path) -> str:
        """The line of a name, as people count."""
        return str(self.document.place(path, key=True).line)

    def reference(
        self, noun: str, value: str, known: Iterable[str], path: Path, section: Path
    ) -> bool:
        """Whether `value` is one of `known`; a problem with did-you-mean when it is not."""
        names = list(known)
        if value in names:
            return True
        near = self.problems.suggest(value, names)
        if near is not None:
            at = self.line((*section, near))
            self.add("ref.unknown", path, "near_line", noun=noun, value=value, near=near, line=at)
        elif names:
            listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            self.add("ref.unknown", path, "one_of", noun=noun, value=value, known=listed)
        else:
            self.add("ref.unknown", path, "ref.none", noun=noun, value=value)
        return False

    # --- links and devices --------------------------------------------------------------------

    def links(self) -> None:
        """A port has one master: two links on one port would talk into each other."""
        first: dict[str, str] = {}
        for link in self.site.links:
            serial = not isinstance(link, TcpLink)
            place = f"{link.host}:{link.port}" if isinstance(link, TcpLink) else link.port
            if link.kind is LineKind.TCP_LISTEN:
                serial, place = True, f"port {link.port} of this gateway"
            other = first.setdefault(place, link.name)
            if other != link.name:
                path = ("links", link.name, "port" if serial else "host")
                self.add("link.twice", path, value=place, other=other,
                         line=self.line(("links", other)))  # fmt: skip

    def devices(self) -> None:
        links = {link.name: link for link in self.site.links}
        first: dict[tuple[str, int], str] = {}
        for device in self.site.devices:
            path: Path = ("devices", device.name)
            if not self.reference("link", device.link, links, (*path, "link"), ("links",)):
                pass
            elif not self.own_link(device, links[device.link]):
                unit, kind = str(device.unit), links[device.link].kind
                if kind is not LineKind.TCP and device.unit not in _SERIAL_UNITS:
                    self.add("unit.range", (*path, "unit"), value=unit)
                other = first.setdefault((device.link, device.unit), device.name)
                if other != device.name:
                    self.add("unit.twice", (*path, "unit"), value=unit, link=device.link,
                             other=other, line=self.line(("devices", other)))  # fmt: skip
            self.registers(device)

    def own_link(self, device: Device, link: Link) -> bool:
        """Whether a panel is on the link, or in question there: it shares it with nobody."""
        path: Path = ("devices", device.name, "link")
        others = [d for d in self.site.devices if d.link == link.name and d is not device]
        panel = next((d for d in others if d.panel is not None), None)
        if device.panel is None and link.kind not in (LineKind.SERIAL, LineKind.TCP_LISTEN):
            if panel is not None and link.kind is LineKind.TCP:
                self.add("panel.shared", path, link=link.name, other=panel.name,
                         line=self.line(("devices", panel.name)))  # fmt: skip
            return panel is not None
        if device.panel is None:
            self.add("link.serial", path, "link.serial", link=link.name)
        elif not isinstance(link, TcpLink | SerialLink) or link.kind is LineKind.RTU_TCP:
            self.add("panel.link", path, "panel.link", link=link.name, kind=str(link.kind))
        elif isinstance(link, TcpLink) and link.port == _MODBUS_PORT:
            self.add("panel.port", ("links", link.name), "panel.port", key=True)
        elif panel is not None:
            self.add("panel.shared", path, link=link.name, other=panel.name,
                     line=self.line(("devices", panel.name)))  # fmt: skip
        return True

    def registers(self, device: Device) -> None:
        """Two points may share a word (bits of it), never half of one."""
        tables: dict[int, list[Point | Text]] = {}
        for point in device.entries:
            tables.setdefault(point.function, []).append(point)
        for points in tables.values():
            points.sort(key=lambda p: (p.address, p.width))
            fields: dict[int, list[Point | Text]] = defaultdict(list)
            for point in points:
                if point.bits > 1:
                    fields[point.address].append(point)
            reach = points[0]  # of those so far, the one that ends last
            places: dict[tuple[int, int | None], Point | Text] = {}
            for point in points:
                same = places.setdefault((point.address, point.bit), point)
                crossed = next(
                    (p for p in fields.get(point.address, ()) if _bits_cross(p, point)), None
                )
                if same is point and crossed is not None:
                    self._pair("point.bits", point, crossed)
                elif same is not point:
                    self._pair("point.same", point, same)
                elif point.address < reach.address + reach.width and not (
                    point.address == reach.address and point.width == reach.width
                ):
                    self._pair("point.overlap", point, reach)
                if point.address + point.width > reach.address + reach.width:
                    reach = point

    def _pair(self, message_id: str, a: Point | Text, b: Point | Text) -> None:
        places = [self.document.place(p.where, key=True) for p in (a, b)]
        if (places[0].line, places[0].column) < (places[1].line, places[1].column):
            a, b = b, a
        wide = a if a.width > 1 else b
        self.add(message_id, a.where, key=True, name=a.name, other=b.name, mine=_extent(a),
                 theirs=_extent(b), line=self.line(b.where), type=wide.type,
                 count=str(wide.width))  # fmt: skip

    # --- couriers -------------------------------------------------------------------------------

    def centres(self) -> None:
        """Addresses are of points, zones or sirens that there are."""
        sirens = {s.name for s in self.site.outputs}
        for courier in self.site.couriers:
            numbers: tuple[tuple[str, int], ...] = ()
            key = "addresses"
            if isinstance(courier, Gb26875Courier):
                numbers = courier.addresses
            elif isinstance(courier, Dc09Courier):
                numbers, key = courier.zones, "zones"
            for name, _ in numbers:
                path = ("couriers", courier.name, key, name)
                if name in sirens or name in self.zone_of:
                    continue
                points = self.point_reference(name, path)
                if points and name != f"{name.partition('.')[0]}.{points[0].name}":
                    self.add("ref.unknown", path, "", noun="point", value=name)

    # --- zones, sirens, effects -----------------------------------------------------------------

    def point_reference(self, text: str, path: Path) -> list[Point]:
        """The points that a text selects; [] after a problem."""
        device_name, _, rest = text.partition(".")
        if not self.reference("device", device_name, self.device_of, path, ("devices",)):
            return []
        device = self.device_of[device_name]
        points, missing = members_of(device, rest, self.points_of[device_name])
        if missing is None:
            return points
        names = self.points_of[device_name]
        if any(t.name == missing for t in device.texts):
            self.add("text.reference", path, value=f"{device_name}.{missing}")
            return []
        near = self.problems.suggest(missing, list(names)) if missing else None
        whole = f"{device_name}.{missing}" if missing else text
        if near is not None:
            self.add("ref.unknown", path, "near_line", noun="point", value=whole,
                     near=f"{device_name}.{near}", line=self.line(names[near].where))  # fmt: skip
        elif names:
            known = ", ".join(f"{device_name}.{n}" for n in list(names)[:6])
            known += ", …" if len(names) > 6 else ""
            self.add("ref.unknown", path, "one_of", noun="point", value=whole, known=known)
        else:
            self.add("ref.unknown", path, "ref.none", noun="point", value=whole)
        return []

    def zones(self) -> None:
        for zone in self.site.zones:
            path: Path = ("zones", zone.name)
            seen: set[str] = set()
            broken = False
            for i, text in enumerate(zone.members):
                here = (*path, "points", i)
                points = self.point_reference(text, here)
                broken |= not points
                device_name = text.partition(".")[0]
                for point in points:
                    whole = f"{device_name}.{point.name}"
                    if whole in seen:
                        self.add("zone.twice", here, value=whole)
                    elif not point.can & (Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY):
                        self.add("zone.cannot", here, value=whole, kind=point.kind)
                    else:
                        seen.add(whole)
                        continue
                    broken = True
                    break
            if broken:
                self.broken_zones.add(zone.name)
            elif zone.needed > len(seen):
                self.add("zone.needed", (*path, "alarm"), "zone.needed", needed=str(zone.needed),
                         count=str(len(seen)))  # fmt: skip

    def alarms(self) -> None:
        check_alarms(self.site, self.document, self.problems, self.zone_points)

    def zone_points(self, name: str) -> Sequence[Point]:
        """The points of a zone; none after a problem."""
        if name in self.broken_zones:
            return ()
        return [p for _, p in named_points(self.zone_of[name].members, self.device_of)]


def _bits_cross(first: Point | Text, second: Point | Text) -> bool:
    """Two bit fields of one register that have some bits in common, and not the first one."""
    if first.address != second.address or first.bit is None or second.bit is None:
        return False
    return first.bit < second.bit < first.bit + first.bits


def _extent(point: Point | Text) -> str:
    """`input 6-7`, as in the file's short form."""
    first = short_form(point.function, point.address)
    if point.function in (COIL, DISCRETE) or point.width == 1:
        return first
    return f"{first}-{point.address + point.width - 1}"
