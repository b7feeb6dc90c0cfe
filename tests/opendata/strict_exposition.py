"""A reader of the text format 0.0.4 that was written from its description and forgives nothing.

It knows nothing of the product. Beyond the format it wants what `promtool check metrics` wants:
counters end in _total, and nothing else does; every metric has HELP and TYPE, once, before its
samples, and its samples stand together; no series twice; base units in names, no abbreviations.
"""

from __future__ import annotations

import math
import re

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_FLOAT = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_SPECIAL = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}
_NO_UNITS = re.compile(r"_(?:ms|ns|us|milliseconds|minutes|hours|kpa|mb|kb|degrees)(?:_|$)")

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Broken(AssertionError):
    """Not the format."""


def parse(data: bytes) -> Series:
    """All samples, by name and labels in order of their names."""
    text = data.decode("utf-8", "strict")
    if not text.endswith("\n") or "\r" in text:
        raise Broken("lines end with a line feed, the last one too")
    series: Series = {}
    types: dict[str, str] = {}
    helps: set[str] = set()
    done: set[str] = set()
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, about = line[7:].partition(" ")
            _once(name, helps, about)
            helps.add(name)
            done.add(current)
            current = name
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            if name != current or name in types or kind not in ("gauge", "counter"):
                raise Broken(line)
            types[name] = kind
            if (kind == "counter") != name.endswith("_total"):
                raise Broken(f"{name}: a counter ends in _total")
            if _NO_UNITS.search(name):
                raise Broken(f"{name}: base units")
        elif line.startswith("#") or not line.strip():
            raise Broken(f"what is this: {line!r}")
        else:
            name, labels, value = _sample(line)
            if name != current or name in done or name not in types:
                raise Broken(f"{name}: away from its TYPE")
            key = (name, tuple(sorted(labels.items())))
            if key in series:
                raise Broken(f"twice: {line}")
            series[key] = value
    if {name for name, _ in series} != helps or helps != set(types):
        raise Broken("HELP and TYPE without a sample, or the other way round")
    return series


def _once(name: str, helps: set[str], about: str) -> None:
    if not _NAME.fullmatch(name) or name in helps or not about:
        raise Broken(f"HELP of {name!r}")
    if re.search(r"\\(?![\\n])", about.replace("\\\\", "")):
        raise Broken(f"escape in HELP of {name}")


def _sample(line: str) -> tuple[str, dict[str, str], float]:
    match = _NAME.match(line)
    if match is None:
        raise Broken(line)
    at = match.end()
    labels: dict[str, str] = {}
    if at < len(line) and line[at] == "{":
        labels, at = _labels(line, at + 1)
    if line[at : at + 1] != " ":
        raise Broken(line)
    word = line[at + 1 :]
    if word in _SPECIAL:
        return match[0], labels, _SPECIAL[word]
    if not _FLOAT.fullmatch(word):
        raise Broken(f"no number: {line!r}")
    return match[0], labels, float(word)


def _labels(line: str, at: int) -> tuple[dict[str, str], int]:
    out: dict[str, str] = {}
    while True:
        name = _LABEL.match(line, at)
        if name is None or name[0] in out or name[0].startswith("__"):
            raise Broken(line)
        at = name.end()
        if line[at : at + 2] != '="':
            raise Broken(line)
        at += 2
        value = []
        while line[at] != '"':
            if line[at] == "\\":
                at += 1
                value.append({"\\": "\\", '"': '"', "n": "\n"}[line[at]])
            else:
                value.append(line[at])
            at += 1
        out[name[0]] = "".join(value)
        at += 1
        if line[at] == "}":
            return out, at + 1
        if line[at] != ",":
            raise Broken(line)
        at += 1
