"""Couriers of site.yaml to alarm receiving centres: SIA DC-09."""

from __future__ import annotations

import re

import yaml

from config import model
from config.limits import (
    DC09_RECEIVERS_MAX,
    DC09_REPLY_NS_MIN,
    DC09_ROUND_NS_MAX,
    DC09_SUPERVISE_NS_MAX,
    DC09_SUPERVISE_NS_MIN,
    DC09_TRIES_MAX,
    GB26875_ADDRESSES_MAX,
    S,
)
from config.problems import Path
from config.quantity import time_text
from config.shape import Keys, Reader

_KEYS = Keys(
    ("kind", "receivers", "account"),
    ("transport", "format", "receiver", "line", "key_file", "supervise", "reply_timeout", "tries",
     "text", "prealarm", "zones"),
)  # fmt: skip
_RECEIVER = Keys(("host", "port"))
_WORDS = {
    "transport": ("tcp", "udp"),
    "format": ("sia-dcs", "adm-cid"),
    "text": ("no", "yes", "false", "true"),
    "prealarm": ("near", "silent"),
}
_ACCOUNT = re.compile(r"[0-9A-Fa-f]{3,16}")
_NUMBER = re.compile(r"[0-9A-Fa-f]{1,6}")
_ZONES = {"sia-dcs": 9_999, "adm-cid": 999}


def read_dc09(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.Dc09Courier | None:
    """One courier to a receiving centre, or None and its problems."""
    found = reader.fields(node, path, _KEYS, key)
    if found is None:
        return None
    before = len(reader.problems)
    words = {k: known[0] for k, known in _WORDS.items()}
    for word, known in _WORDS.items():
        if word in found:
            words[word] = reader.choice(found[word], (*path, word), known) or known[0]
    receivers = _receivers(reader, found["receivers"], (*path, "receivers"))
    texts = {"account": "", "receiver": "", "line": "0"}
    for word, form in (("account", _ACCOUNT), ("receiver", _NUMBER), ("line", _NUMBER)):
        if word in found:
            text = reader.text(found[word], (*path, word)) or ""
            texts[word] = text.upper()
            if text and not form.fullmatch(text):
                reader.problem("dc09.digits", found[word], (*path, word), "", value=text,
                               least="3" if word == "account" else "1",
                               most="16" if word == "account" else "6")  # fmt: skip
    key_file = ""
    if "key_file" in found:
        key_file = reader.text(found["key_file"], (*path, "key_file"), "a path", 512) or ""
        if key_file and not key_file.startswith("/"):
            reader.problem("path.relative", found["key_file"], (*path, "key_file"), "",
                           value=key_file)  # fmt: skip
    times = _times(reader, found, path, len(receivers))
    zones = _zones(reader, found, path, _ZONES[words["format"]])
    if len(reader.problems) > before:
        return None
    return model.Dc09Courier(
        name=name, kind="dc09", receivers=receivers, key_file=key_file, zones=zones,
        transport=words["transport"], format=words["format"], prealarm=words["prealarm"],
        text=words["text"] in ("yes", "true"), account=texts["account"],
        receiver=texts["receiver"], line=texts["line"], reply_ns=times[0], tries=times[1],
        supervise_ns=times[2],
    )  # fmt: skip


def _receivers(reader: Reader, node: yaml.Node, path: Path) -> tuple[tuple[str, int], ...]:
    items = reader.items(node, path) or []
    if not items:
        reader.problem("list.empty", node, path)
    if len(items) > DC09_RECEIVERS_MAX:
        reader.problem("too_many", node, path, "", count=str(len(items)),
                       most=str(DC09_RECEIVERS_MAX))  # fmt: skip
    out = []
    for item, here in items:
        found = reader.fields(item, here, _RECEIVER)
        if found is None:
            continue
        host = reader.text(found["host"], (*here, "host"), "an IP address", 253)
        port = reader.integer(found["port"], (*here, "port"), 1, 65_535)
        if host is not None and port is not None:
            out.append((host, port))
    return tuple(out)


def _times(
    reader: Reader, found: dict[str, yaml.Node], path: Path, receivers: int
) -> tuple[int, int, int]:
    """reply_ns, tries and supervise_ns; all tries at all receivers fit into 10 s."""
    reply_ns, supervise_ns = 2_500_000_000, 60 * S
    tries: int | None = 2
    if "reply_timeout" in found:
        reply_ns = reader.duration(found["reply_timeout"], (*path, "reply_timeout"),
                                   DC09_REPLY_NS_MIN, DC09_ROUND_NS_MAX) or 0  # fmt: skip
    if "tries" in found:
        tries = reader.integer(found["tries"], (*path, "tries"), 1, DC09_TRIES_MAX)
    if "supervise" in found:
        here = (*path, "supervise")
        most_ns = DC09_SUPERVISE_NS_MAX
        supervise_ns = (
            reader.duration(found["supervise"], here, DC09_SUPERVISE_NS_MIN, most_ns) or 0
        )
    round_ns = reply_ns * (tries or 0) * receivers
    if round_ns > DC09_ROUND_NS_MAX:
        slow = next(k for k in ("reply_timeout", "tries") if k in found)
        reader.problem("dc09.slow", found[slow], (*path, slow), "dc09.slow",
                       value=time_text(round_ns), most=time_text(DC09_ROUND_NS_MAX))  # fmt: skip
    return reply_ns, tries or 0, supervise_ns


def _zones(
    reader: Reader, found: dict[str, yaml.Node], path: Path, most: int
) -> tuple[tuple[str, int], ...]:
    """`NAME: number` of points, zones and sirens; checks.py looks the names up."""
    if "zones" not in found:
        return ()
    here = (*path, "zones")
    entries = reader.entries(found["zones"], here) or []
    if len(entries) > GB26875_ADDRESSES_MAX:
        reader.problem("too_many", found["zones"], here, "", count=str(len(entries)),
                       most=str(GB26875_ADDRESSES_MAX))  # fmt: skip
        return ()
    out = []
    given: dict[int, str] = {}
    for name, _, node in entries:
        value = reader.integer(node, (*here, name), 0, most)
        if value is None:
            continue
        if value in given:
            reader.problem("dc09.twice", node, (*here, name), "dc09.twice", other=given[value],
                           value=str(value))  # fmt: skip
        if value:  # 0 is no zone, and may be that of many
            given.setdefault(value, name)
        out.append((name, value))
    return tuple(out)
