"""site.yaml, from nodes to the frozen models of config.model. One pass, all of its problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as FilePath
from typing import TypeVar

import yaml

from config import model
from config.alarm_reader import read_day, read_investigation, read_walk_group
from config.courier_reader import read_courier
from config.detector_reader import read_kinds
from config.device_reader import DeviceReader
from config.dialects import Dialect
from config.effect_reader import read_effect
from config.evaluation import Evaluation, read_evaluation
from config.limits import (
    ALARM_POLL_NS_MAX,
    DEVICES_MAX,
    EFFECTS_MAX,
    INPUTS_MAX,
    LINES_MAX,
    MS,
    OUTPUTS_MAX,
    PEOPLE_MAX,
    POINTS_MAX,
    REPLY_TIMEOUT_NS_DEFAULT,
    REPLY_TIMEOUT_NS_MAX,
    TEXTS_MAX,
    TURNAROUND_NS_MAX,
    WALK_GROUPS_MAX,
    ZONE_WINDOW_NS_MAX,
    ZONE_WINDOW_NS_MIN,
)
from config.loader import Document
from config.people_reader import read_person
from config.problems import Path, Problems
from config.profiles import Profile
from config.quantity import compatible, convert, parse
from config.shape import Keys, Reader
from config.signal_reader import read_input, read_self_test, read_signal, read_siren
from config.words import Direction, LineKind

_SITE = Keys(
    ("site", "links", "devices"),
    (
        "zones",
        "sirens",
        "signals",
        "inputs",
        "self_test",
        "effects",
        "couriers",
        "evaluate",
        "people",
        "day",
        "test_groups",
        "kinds",
    ),
)
_HEAD = Keys(("id", "name"), ("region",))
_LINE_TIMES = ("timeout", "turnaround", "alarm_within", "siren_within")
_LINK_KINDS = {
    "rs485": Keys(("kind", "port", "baud", "parity"), ("stop_bits", "rs485", *_LINE_TIMES)),
    "tcp": Keys(("kind", "host"), ("port", *_LINE_TIMES)),
    "rtu_tcp": Keys(("kind", "host", "port"), _LINE_TIMES),
    "tcp_listen": Keys(("kind", "from", "port")),
    "serial": Keys(("kind", "port", "baud", "parity"), ("stop_bits", "data_bits")),
}
_BAUDS = tuple(str(b) for b in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200))
_PARITIES = ("none", "even", "odd")
_REGIONS = ("cn", "eu", "us", "other")
_ZONE = Keys(("points", "alarm"), ("trend", "investigation"))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """What a site file became, with the profiles and dialects that it uses (by name)."""

    site: model.Site
    profiles: dict[str, Profile] = field(default_factory=dict)
    evaluation: Evaluation = field(default_factory=Evaluation)
    dialects: dict[str, Dialect] = field(default_factory=dict)


_FOR_RECORDINGS = Keys(("site", "evaluate"))


def read_for_recordings(document: Document, problems: Problems) -> SiteFile | None:
    """A file that describes recordings alone: `site` and `evaluate`, no links and no devices."""
    assert document.root is not None
    reader = _SiteReader(document, problems, None)
    found = reader.fields(document.root, (), _FOR_RECORDINGS)
    if found is None:
        return None
    head = reader.head(found["site"])
    evaluation = read_evaluation(reader, found["evaluate"], (), reader.zone)
    if head is None or evaluation is None:
        return None
    site = model.Site(
        id=head[0], name=head[1], region=head[2], links=(), devices=(), zones=(), sirens=(),
        effects=(), couriers=(),
    )  # fmt: skip
    return SiteFile(site, {}, evaluation)


def read_site(
    document: Document, problems: Problems, directory: FilePath | None = None
) -> SiteFile | None:
    """The site, or None and at least one problem. `directory` has the site's own profiles."""
    assert document.root is not None
    before = len(problems) + problems.left_off
    reader = _SiteReader(document, problems, directory)
    found = reader.fields(document.root, (), _SITE)
    if found is None and not isinstance(document.root, yaml.MappingNode):
        return None
    found = found or {k.value: v for k, v in document.root.value if k.value in _SITE.all}
    head = reader.head(found["site"]) if "site" in found else None
    links: tuple[model.Link, ...] = reader.named(found, "links", LINES_MAX, reader.link)
    if "kinds" in found:
        read_kinds(reader, found["kinds"])
    devices = reader.devices(found)
    zones = reader.named(found, "zones", POINTS_MAX, reader.zone)
    sirens = reader.named(found, "sirens", OUTPUTS_MAX, partial(read_siren, reader))
    room = OUTPUTS_MAX - len(sirens)
    signals = reader.named(found, "signals", room, partial(read_signal, reader))
    inputs = reader.named(found, "inputs", INPUTS_MAX, partial(read_input, reader))
    self_test: model.SelfTest | None = model.SelfTest()
    if "self_test" in found:
        self_test = read_self_test(reader, found["self_test"])
    effects = reader.effects(found, head[2] if head is not None else "")
    couriers: tuple[model.AnyCourier, ...] = reader.named(
        found, "couriers", LINES_MAX, lambda *a: read_courier(reader, *a)
    )
    people = reader.named(found, "people", PEOPLE_MAX, lambda *a: read_person(reader, *a))
    evaluation: Evaluation | None = Evaluation()
    if "evaluate" in found:
        own = [f"{d.name}.{p.name}" for d in devices for p in d.points]
        evaluation = read_evaluation(reader, found["evaluate"], own, reader.zone)
    day = read_day(reader, found["day"], ("day",)) if "day" in found else ()
    groups = reader.named(
        found, "test_groups", WALK_GROUPS_MAX, lambda n, _, v, p: read_walk_group(reader, n, v, p)
    )
    if head is None or evaluation is None or len(problems) + problems.left_off > before:
        return None
    assert self_test is not None, "a problem was said"
    site = model.Site(
        id=head[0], name=head[1], region=head[2], links=links, devices=devices, zones=zones,
        sirens=sirens, effects=effects, couriers=couriers, people=people,
        day=day or (), test_groups=groups, signals=signals, inputs=inputs, self_test=self_test,
    )  # fmt: skip
    devices_read = reader.device_reader
    return SiteFile(site, devices_read.profiles, evaluation, devices_read.dialects)


class _SiteReader(Reader):
    """One method a section."""

    def __init__(self, document: Document, problems: Problems, directory: FilePath | None) -> None:
        super().__init__(document, problems)
        self.device_reader = DeviceReader(self, directory)

    def too_many(self, node: yaml.Node, path: Path, count: int, most: int) -> bool:
        if count > most:
            self.problem("too_many", node, path, "", count=str(count), most=str(most))
        return count > most

    def named(
        self,
        found: dict[str, yaml.Node],
        section: str,
        most: int,
        read: Callable[[str, yaml.Node, yaml.Node, Path], T | None],
    ) -> tuple[T, ...]:
        """A section that is a map of named things."""
        if section not in found:
            return ()
        out = []
        entries = list(self.walk(found[section], (section,)))
        if self.too_many(found[section], (section,), len(entries), most):
            return ()
        for name, key, value, path in entries:
            one = read(name, key, value, path)
            if one is not None:
                out.append(one)
        return tuple(out)

    def head(self, node: yaml.Node) -> tuple[str, str, str] | None:
        path: Path = ("site",)
        found = self.fields(node, path, _HEAD)
        if found is None:
            return None
        site_id = self.identifier(found["id"], (*path, "id"))
        name = self.text(found["name"], (*path, "name"))
        region: str | None = "other"
        if "region" in found:
            region = self.choice(found["region"], (*path, "region"), _REGIONS)
        if site_id is None or name is None or region is None:
            return None
        return site_id, name, region

    def devices(self, found: dict[str, yaml.Node]) -> tuple[model.Device, ...]:
        devices = self.named(found, "devices", DEVICES_MAX, self.device_reader.read)
        total = sum(len(d.points) for d in devices)
        if "devices" in found:
            self.too_many(found["devices"], ("devices", "*", "points"), total, POINTS_MAX)
            texts = sum(len(d.texts) for d in devices)
            self.too_many(found["devices"], ("devices", "*", "points"), texts, TEXTS_MAX)
        return devices

    # --- links ------------------------------------------------------------------------------

    def link(self, name: str, key: yaml.Node, node: yaml.Node, path: Path) -> model.Link | None:
        entries = self.entries(node, path)
        if entries is None:
            return None
        word = next((v for k, _, v in entries if k == "kind"), None)
        if word is None:
            self.problem("key.missing", key, path, "need.link_kind", key="kind")
            return None
        kind = self.choice(word, (*path, "kind"), tuple(_LINK_KINDS))
        if kind is None:
            return None
        found = self.fields(node, path, _LINK_KINDS[kind], key)
        if found is None:
            return None
        timeout = self._time(found, "timeout", path, 20 * MS, REPLY_TIMEOUT_NS_MAX,
                             REPLY_TIMEOUT_NS_DEFAULT)  # fmt: skip
        turnaround = self._time(found, "turnaround", path, 0, TURNAROUND_NS_MAX, 0)
        if timeout is None or turnaround is None:
            return None
        times: dict[str, int] = {"timeout_ns": timeout, "turnaround_ns": turnaround}
        for key_ in ("alarm_within", "siren_within"):
            if key_ in found:
                limit = self.duration(found[key_], (*path, key_), MS, ALARM_POLL_NS_MAX)
                if limit is None:
                    return None
                times[f"{key_}_ns"] = limit
        if kind in ("rs485", "serial"):
            return self._serial(name, LineKind(kind), found, path, times)
        listens = kind == "tcp_listen"
        end = "from" if listens else "host"
        host = self.address(found[end], (*path, end))
        port: int | None = 502
        if "port" in found:
            # Ports below 1024 are root's, and the service is not.
            port = self.integer(found["port"], (*path, "port"), 1024 if listens else 1, 65_535)
        if host is None or port is None:
            return None
        return model.TcpLink.model_validate(
            {"name": name, "kind": LineKind(kind), "host": host, "port": port, **times}
        )  # fmt: skip

    def _serial(
        self,
        name: str,
        kind: LineKind,
        found: dict[str, yaml.Node],
        path: Path,
        times: dict[str, int],
    ) -> model.Rs485Link | model.SerialLink | None:
        port = self.text(found["port"], (*path, "port"), "a serial port", 256)
        if port is not None and not port.startswith(("/", "usb:", "path:")):
            self.problem("port.path", found["port"], (*path, "port"), "port.path", value=port)
            return None
        baud = self.choice(found["baud"], (*path, "baud"), _BAUDS, "a baud rate")
        parity = self.choice(found["parity"], (*path, "parity"), _PARITIES, "a parity")
        stop: int | None = 1
        if "stop_bits" in found:
            stop = self.integer(found["stop_bits"], (*path, "stop_bits"), 1, 2)
        data: int | None = 8
        if "data_bits" in found:
            data = self.integer(found["data_bits"], (*path, "data_bits"), 7, 8)
        if port is None or baud is None or parity is None or stop is None or data is None:
            return None
        fields = {"name": name, "kind": kind, "port": port, "baud": int(baud), "parity": parity,
                  "stop_bits": stop}  # fmt: skip
        if kind is LineKind.SERIAL:
            return model.SerialLink.model_validate({**fields, "data_bits": data})
        word: str | None = "auto"
        if "rs485" in found:
            word = self.choice(found["rs485"], (*path, "rs485"), tuple(Direction))
        if word is None:
            return None
        return model.Rs485Link.model_validate({**fields, **times, "direction": Direction(word)})

    def _time(
        self, found: dict[str, yaml.Node], key: str, path: Path, low: int, high: int, default: int
    ) -> int | None:
        if key not in found:
            return default
        return self.duration(found[key], (*path, key), low, high)

    # --- zones, sirens, effects -------------------------------------------------------------

    def zone(self, name: str, key: yaml.Node, node: yaml.Node, path: Path) -> model.Zone | None:
        found = self.fields(node, path, _ZONE, key)
        if found is None:
            return None
        items = self.items(found["points"], (*path, "points"))
        if items is None:
            return None
        if not items:
            self.problem("list.empty", found["points"], (*path, "points"))
        members = [self.text(n, p, "a point", 160) for n, p in items]
        rule = self._needed(found["alarm"], (*path, "alarm"))
        trend: str | None = "prealarm"
        if "trend" in found:
            trend = self.choice(found["trend"], (*path, "trend"), ("prealarm", "fire"))
        waits: tuple[int, int] | None = (0, 0)
        if "investigation" in found:
            waits = read_investigation(self, found["investigation"], (*path, "investigation"))
        if rule is None or trend is None or waits is None or any(m is None for m in members):
            return None
        return model.Zone(name=name, members=tuple(m or "" for m in members), needed=rule[0],
                          window_ns=rule[1], trend_fire=trend == "fire",
                          acknowledge_ns=waits[0], investigate_ns=waits[1])  # fmt: skip

    def _needed(self, node: yaml.Node, path: Path) -> tuple[int, int] | None:
        """`any`, `2 of n` (n is however many the zone has) or `2 of n within 60s`: (k, window)."""
        text = self.text(node, path, "an alarm rule")
        if text is None:
            return None
        words = text.split()
        if words == ["any"]:
            return 1, 0
        if len(words) >= 3 and words[1:3] == ["of", "n"] and words[0].isdecimal():
            number = int(words[0][:9])
            window = _window(words[3:])
            if 1 <= number <= POINTS_MAX and window is not None:
                return number, window
        self.problem("alarm.form", node, path, "alarm.form", value=text)
        return None

    def effects(self, found: dict[str, yaml.Node], region: str) -> tuple[model.Effect, ...]:
        if "effects" not in found:
            return ()
        path: Path = ("effects",)
        items = self.items(found["effects"], path) or []
        if self.too_many(found["effects"], path, len(items), EFFECTS_MAX):
            return ()
        effects = [read_effect(self, node, here, region) for node, here in items]
        return tuple(e for e in effects if e is not None)


def _window(words: list[str]) -> int | None:
    """`within 60s` in nanoseconds; 0 when nothing is said, None when it cannot be read."""
    if not words:
        return 0
    found = parse("".join(words[1:])) if words[0] == "within" else None
    if found is None or not compatible(found.unit, "s"):
        return None
    window = round(convert(found.value, found.unit, "ns"))
    return window if ZONE_WINDOW_NS_MIN <= window <= ZONE_WINDOW_NS_MAX else None
