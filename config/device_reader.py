"""Devices of site.yaml: their own points, and those that they take from a profile."""

from __future__ import annotations

import re
from pathlib import Path as FilePath

import yaml

from config import model
from config.dialects import ON_RESET, Dialect, dialect_names, load_dialect, read_rules
from config.heartbeat_reader import read_heartbeat
from config.limits import POINTS_MAX, POLL_INTERVAL_NS_MAX, POLL_INTERVAL_NS_MIN
from config.point_reader import POINT_KEYS, Fields, read_point
from config.problems import Path
from config.profiles import (
    Profile,
    Relocated,
    load_profile,
    names_in,
    own_profile,
    profile_names,
)
from config.shape import Keys, Reader
from config.text_reader import is_text, read_text
from config.words import PanelProtocol

_PANEL = Keys(("link", "panel"), ("address", "on_reset", "rules"))
_DEVICE = Keys(("link", "unit"), ("profile", "use", "points", "poll", "heartbeat"))


_Entry = model.Point | model.Text
_OWN = re.compile(r"\./(?!\.)[\w.-]{1,120}\.ya?ml")


class DeviceReader:
    """Reads devices through a site's reader; remembers the profiles that were used.

    directory: where the site file is, for profiles of its own.
    """

    def __init__(self, reader: Reader, directory: FilePath | None = None) -> None:
        self._reader = reader
        self._directory = directory
        self.profiles: dict[str, Profile] = {}
        self._names = profile_names()
        self.dialects: dict[str, Dialect] = {}
        self._dialect_names = dialect_names()

    def read(self, name: str, key: yaml.Node, node: yaml.Node, path: Path) -> model.Device | None:
        """One device, or None and its problems."""
        reader = self._reader
        if isinstance(node, yaml.MappingNode) and any(k.value == "panel" for k, _ in node.value):
            return self._panel(name, key, node, path)
        found = reader.fields(node, path, _DEVICE, key)
        if found is None:
            return None
        link = reader.text(found["link"], (*path, "link"), "a link")
        unit = reader.integer(found["unit"], (*path, "unit"), 0, 255)
        poll = None
        if "poll" in found:
            poll = reader.duration(
                found["poll"], (*path, "poll"), POLL_INTERVAL_NS_MIN, POLL_INTERVAL_NS_MAX
            )
            poll = poll or POLL_INTERVAL_NS_MIN  # a problem was said; points need no second one
        profile = None
        if "profile" in found:
            profile = self._profile(found["profile"], (*path, "profile"))
            if profile is None:
                return None
        elif "use" in found:
            reader.problem("use.no_profile", found["use"], (*path, "use"), "use.no_profile")
        heart: tuple[int, ...] | None = ()
        if profile is not None and profile.heartbeat is not None:
            heart = profile.heartbeat.row()
        if "heartbeat" in found:
            heart = read_heartbeat(reader, found["heartbeat"], (*path, "heartbeat"))
        points = self._points(found, key, path, profile, poll)
        coils = profile.coils if profile else None
        if points is None or link is None or unit is None or heart is None:
            return None
        values = [p for p in points if isinstance(p, model.Point)]
        texts = [p for p in points if isinstance(p, model.Text)]
        if not points and coils is None and "points" not in found and "use" not in found:
            reader.problem("device.no_points", key, path, "device.no_points")
            return None
        return model.Device(
            name=name, where=path, link=link, unit=unit, profile=profile.name if profile else "",
            coils=coils, points=tuple(values), texts=tuple(texts), heartbeat=heart,
            output_timeout_ns=(profile.output_timeout_ns or 0) if profile else 0,
        )  # fmt: skip

    def _panel(self, name: str, key: yaml.Node, node: yaml.Node, path: Path) -> model.Device | None:
        """A panel on a link of its own, in the words of a dialect."""
        reader = self._reader
        found = reader.fields(node, path, _PANEL, key)
        if found is None:
            return None
        link = reader.text(found["link"], (*path, "link"), "a link")
        dialect = self._dialect(found["panel"], (*path, "panel"))
        if dialect is None:
            return None
        coded = dialect.protocol is PanelProtocol.ID3000
        own: tuple[model.PanelRule, ...] | None = ()
        if "rules" in found:
            own = read_rules(reader, found["rules"], (*path, "rules"), coded=coded, own=True)
        on_reset: str | None = dialect.on_reset
        if "on_reset" in found:
            on_reset = reader.choice(found["on_reset"], (*path, "on_reset"), ON_RESET)
        station: int | None = 2  # the paging system's usual address
        if "address" in found and dialect.protocol is not PanelProtocol.ESPA:
            reader.problem("panel.no_address", found["address"], (*path, "address"))
            return None
        if "address" in found:
            station = reader.integer(found["address"], (*path, "address"), 0, 9)
        if link is None or own is None or on_reset is None or station is None:
            return None
        port = dialect.port(own, on_reset, station)
        return model.Device(
            name=name, where=path, link=link, unit=0, profile="", coils=None, points=(), panel=port
        )

    def _dialect(self, node: yaml.Node, path: Path) -> Dialect | None:
        """One that comes with the product, or ./NAME.yaml beside the site file."""
        word = self._reader.text(node, path, "a dialect")
        if word is None:
            return None
        own = own_profile(word)
        if not (self._is_there(word, node, path) if own else self._reader.choice(
                node, path, self._dialect_names, "a dialect")):  # fmt: skip
            return None
        if word not in self.dialects:
            directory = self._directory if own else None
            loaded = load_dialect(word, self._reader.problems, directory)
            if loaded is None:
                return None
            self.dialects[word] = loaded
        return self.dialects[word]

    def _is_there(self, word: str, node: yaml.Node, path: Path) -> bool:
        """Whether a file of the site's own can be read; a problem when it cannot."""
        if self._directory is None or not _OWN.fullmatch(word):
            self._reader.problem("profile.path", node, path, "profile.path", value=word)
            return False
        if not (self._directory / word).is_file():
            self._reader.problem("profile.none", node, path, "profile.none", value=word)
            return False
        return True

    def _profile(self, node: yaml.Node, path: Path) -> Profile | None:
        word = self._reader.text(node, path, "a profile")
        if word is None:
            return None
        own = own_profile(word)
        if own and word not in self.profiles and not self._is_there(word, node, path):
            return None
        if not own and self._reader.choice(node, path, self._names, "a profile") is None:
            return None
        if word not in self.profiles:
            directory = self._directory if own else None
            profile = load_profile(word, self._reader.problems, directory)
            if profile is None:
                return None
            self.profiles[word] = profile
        return self.profiles[word]

    def _points(
        self, found: Fields, key: yaml.Node, path: Path, profile: Profile | None, poll: int | None
    ) -> list[_Entry] | None:
        reader = self._reader
        own: dict[str, tuple[yaml.Node, yaml.Node, Path]] = {}
        if "points" in found:
            for name, at, value, here in reader.walk(found["points"], (*path, "points")):
                own[name] = (at, value, here)
        if len(own) > POINTS_MAX:
            reader.problem("too_many", found["points"], path, "", count=str(len(own)),
                           most=str(POINTS_MAX))  # fmt: skip
            return None
        out = self._used(found, key, path, profile, poll, own)
        for name, (at, value, here) in own.items():
            fields = self._own_fields(value, here, at, name, profile)
            point = self._entry(name, fields, at, here, poll) if fields is not None else None
            if point is not None:
                out.append(point)
        return out

    def _entry(
        self, name: str, fields: Fields, at: yaml.Node, path: Path, poll: int | None
    ) -> _Entry | None:
        if is_text(fields):
            return read_text(self._reader, name, fields, at, path)
        return read_point(self._reader, name, fields, at, path, poll)

    def _own_fields(
        self, value: yaml.Node, path: Path, at: yaml.Node, name: str, profile: Profile | None
    ) -> Fields | None:
        """The keys of a point of the site file, over those of the profile's point of that name."""
        reader = self._reader
        entries = reader.entries(value, path)
        if entries is None:
            return None
        out: Fields = {}
        base = profile.fields(name) if profile is not None else None
        for word, node, item in entries:
            if word == "from":
                base = self._from(item, (*path, "from"), node, profile)
                if base is None:
                    return None
        if base is not None:
            out = Relocated(at, named=True).fields(base)
        known = (*POINT_KEYS.all, "from")
        for word, node, item in entries:
            if word == "from":
                continue
            if word in known:
                out[word] = item
            else:
                rest = [k for k in known if k not in out]
                reader.unknown("key.unknown", node, path, rest, value=word)
        return out

    def _from(
        self, item: yaml.Node, path: Path, at: yaml.Node, profile: Profile | None
    ) -> Fields | None:
        """The keys of the profile's point that the site gives a name of its own."""
        if profile is None:
            self._reader.problem("from.no_profile", at, path, "use.no_profile")
            return None
        text = self._reader.text(item, path, "a point")
        base = profile.fields(text) if text is not None else None
        if base is None and text is not None:
            self._reader.unknown("use.unknown", item, path, profile.known(), value=text,
                                 profile=profile.name)  # fmt: skip
        return base

    def _used(
        self, found: Fields, key: yaml.Node, path: Path, profile: Profile | None, poll: int | None,
        own: dict[str, tuple[yaml.Node, yaml.Node, Path]],
    ) -> list[_Entry]:  # fmt: skip
        """The points that the site takes from a profile as they are."""
        if profile is None:
            return []
        reader = self._reader
        named = "use" in found
        items: list[tuple[yaml.Node, Path, str]] = []
        if named:
            for node, here in reader.items(found["use"], (*path, "use")) or ():
                text = reader.text(node, here, "a point")
                if text is not None:
                    items.append((node, here, text))
        else:
            items = [(key, path, text) for text in profile.default_use]
        out: list[_Entry] = []
        taken: set[str] = set()
        for node, here, text in items:
            relocated = Relocated(node, named=named)
            for name in self._names_of(node, here, text):
                if len(taken) >= POINTS_MAX:
                    return out  # the total is refused by the site's reader
                point = self._take(profile, name, node, here, poll, relocated, taken, own)
                if point is False:
                    break  # one problem for an item is enough
                if isinstance(point, model.Point | model.Text):
                    out.append(point)
        return out

    def _names_of(self, node: yaml.Node, path: Path, text: str) -> list[str]:
        names = names_in(text)
        if names is None:
            self._reader.problem("use.range", node, path, "use.range", value=text)
        return names or []

    def _take(
        self, profile: Profile, name: str, node: yaml.Node, path: Path, poll: int | None,
        relocated: Relocated, taken: set[str],
        own: dict[str, tuple[yaml.Node, yaml.Node, Path]],
    ) -> _Entry | bool | None:  # fmt: skip
        """A point; None when the site writes it out itself; False after a problem."""
        reader = self._reader
        base = profile.fields(name)
        if base is None:
            reader.unknown("use.unknown", node, path, profile.known(), value=name,
                           profile=profile.name)  # fmt: skip
            return False
        if name in taken:
            reader.problem("use.twice", node, path, "", value=name)
            return False
        taken.add(name)
        if name in own:
            return None
        fields = relocated.fields(base)
        return self._entry(name, fields, node, path, poll) or False
