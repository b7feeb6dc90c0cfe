"""Couriers of site.yaml to monitoring centres: GB/T 26875.3."""

from __future__ import annotations

import re

import yaml

from config import model
from config.limits import (
    GB26875_ADDRESSES_MAX,
    GB26875_BEAT_NS_MAX,
    GB26875_BEAT_NS_MIN,
    GB26875_DATA_BYTES_MAX,
    GB26875_REPLY_NS_MIN,
    GB26875_RESENDS_MAX,
    GB26875_ROUND_NS_MAX,
    S,
)
from config.problems import Path
from config.quantity import time_text
from config.shape import Keys, Reader

_KEYS = Keys(
    ("kind", "host", "port", "source", "destination"),
    ("transport", "beat", "beat_every", "reply_timeout", "resends", "user_version", "system_type",
     "system", "utc_offset", "time_tags", "tags", "frame_bytes", "pad", "prealarm", "values",
     "address_form", "addresses"),
)  # fmt: skip
_WORDS = {
    "transport": ("tcp", "udp"),
    "beat": ("empty", "status", "none"),
    "time_tags": ("binary", "bcd"),
    "tags": ("standard", "everywhere"),
    "pad": ("zero", "space"),
    "prealarm": ("supervisory", "silent"),
    "address_form": ("zone_low", "zone_high"),
    "values": ("no", "yes", "false", "true"),
}
_NUMBERS = {
    "port": (1, 65_535, 0),
    "source": (0, 2**48 - 1, 0),
    "destination": (0, 2**48 - 1, 0),
    "resends": (0, GB26875_RESENDS_MAX, 3),
    "user_version": (0, 255, 1),
    "system_type": (0, 255, 1),
    "system": (0, 255, 1),
    "frame_bytes": (64, GB26875_DATA_BYTES_MAX, GB26875_DATA_BYTES_MAX),
}
_PAIR = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")
_REPLY_NS = 2_500_000_000  # four tries of it are the 10 s that there are
_BEAT_NS = 20 * S


def read_gb26875(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.Gb26875Courier | None:
    """One courier to a centre, or None and its problems."""
    found = reader.fields(node, path, _KEYS, key)
    if found is None:
        return None
    before = len(reader.problems)
    host = reader.text(found["host"], (*path, "host"), "an IP address", 253)
    words = {k: known[0] for k, known in _WORDS.items()}
    for word, known in _WORDS.items():
        if word in found:
            words[word] = reader.choice(found[word], (*path, word), known) or ""
    numbers = {}
    for number, (low, high, default) in _NUMBERS.items():
        numbers[number] = default
        if number in found:
            value = reader.integer(found[number], (*path, number), low, high)
            numbers[number] = default if value is None else value
    reply_ns, beat_ns = _REPLY_NS, _BEAT_NS
    if "reply_timeout" in found:
        reply_ns = reader.duration(found["reply_timeout"], (*path, "reply_timeout"),
                                   GB26875_REPLY_NS_MIN, GB26875_ROUND_NS_MAX) or 0  # fmt: skip
    if "beat_every" in found:
        beat_ns = reader.duration(found["beat_every"], (*path, "beat_every"),
                                  GB26875_BEAT_NS_MIN, GB26875_BEAT_NS_MAX) or 0  # fmt: skip
    tries = numbers["resends"] + 1
    if reply_ns * tries > GB26875_ROUND_NS_MAX:
        slow = next(k for k in ("reply_timeout", "resends") if k in found)
        reader.problem("centre.slow", found[slow], (*path, slow), "centre.slow",
                       value=time_text(reply_ns * tries), tries=str(tries),
                       most=time_text(GB26875_ROUND_NS_MAX))  # fmt: skip
    offset_s = _offset(reader, found, path)
    addresses = _addresses(reader, found, path, words["address_form"])
    if len(reader.problems) > before or host is None:
        return None
    return model.Gb26875Courier(
        name=name, kind="gb26875", host=host, reply_ns=reply_ns, beat_ns=beat_ns,
        offset_s=offset_s, addresses=addresses, transport=words["transport"], beat=words["beat"],
        time_tags=words["time_tags"], tags=words["tags"], pad=words["pad"],
        prealarm=words["prealarm"], values=words["values"] in ("yes", "true"), **numbers,
    )  # fmt: skip


def _offset(reader: Reader, found: dict[str, yaml.Node], path: Path) -> int:
    if "utc_offset" not in found:
        return 8 * 3600  # the standard is China's
    text = reader.text(found["utc_offset"], (*path, "utc_offset"))
    match = _OFFSET.fullmatch(text or "")
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        if text is not None:
            reader.problem("offset.form", found["utc_offset"], (*path, "utc_offset"),
                           "offset.form", value=text)  # fmt: skip
        return 0
    return (1 if match[1] == "+" else -1) * (int(match[2]) * 3600 + int(match[3]) * 60)


def _addresses(
    reader: Reader, found: dict[str, yaml.Node], path: Path, form: str
) -> tuple[tuple[str, int], ...]:
    """`NAME: zone-number`, or the raw number; checks.py looks the names up."""
    if "addresses" not in found:
        return ()
    here = (*path, "addresses")
    entries = reader.entries(found["addresses"], here) or []
    if len(entries) > GB26875_ADDRESSES_MAX:
        reader.problem("too_many", found["addresses"], here, "", count=str(len(entries)),
                       most=str(GB26875_ADDRESSES_MAX))  # fmt: skip
        return ()
    out: list[tuple[str, int]] = []
    given: dict[int, str] = {}
    for name, _, node in entries:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        pair = _PAIR.fullmatch(text)
        if pair and int(pair[1]) < 65_536 and int(pair[2]) < 65_536:
            low, high = (1, 2) if form == "zone_low" else (2, 1)
            value: int | None = int(pair[low]) | int(pair[high]) << 16
        else:
            value = reader.integer(node, (*here, name), 0, 2**32 - 1)
        if value is None:
            continue
        if value in given:
            reader.problem("address.twice", node, (*here, name), "", other=given[value])
        given.setdefault(value, name)
        out.append((name, value))
    return tuple(out)
