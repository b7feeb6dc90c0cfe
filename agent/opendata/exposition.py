"""The text format of Prometheus, version 0.0.4. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/: lines end with a line feed, all
samples of a metric stand together under its HELP and TYPE, in a label's value backslash, quote and
line feed are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.opendata_limits import SCRAPE_LABEL_CHARS_MAX

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[str, float]
"""Labels as `labels` wrote them, and the value."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def labels(pairs: Mapping[str, object]) -> str:
    """`{zone="一层",state="fire"}`; "" for none."""
    if not pairs:
        return ""
    inner = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in pairs.items())
    return f"{{{inner}}}"


def _escaped(value: str) -> str:
    # A lone surrogate cannot be encoded; a label is no place for it.
    clean = value[:SCRAPE_LABEL_CHARS_MAX].encode("utf-8", "replace").decode()
    return clean.translate(_ESCAPES)


def number(value: float) -> str:
    """A value as Go reads it."""
    if isinstance(value, int):
        return str(int(value))
    if value - value != 0.0:
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124 -- not-a-number alone differs from itself
    return f"{value:.9g}"


class Exposition:
    """Metric by metric; a metric without samples is left out."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, name: str, kind: str, about: str, samples: Iterable[Sample]) -> None:
        """One metric: kind is "gauge" or "counter"."""
        lines = [f"{name}{of} {number(value)}\n" for of, value in samples]
        if lines:
            self._parts.append(
                f"# HELP {name} {about.translate(_HELP_ESCAPES)}\n# TYPE {name} {kind}\n"
            )
            self._parts += lines

    def gauge(self, name: str, about: str, value: float | bool | None) -> None:
        """One number; None: it is not known."""
        if value is not None:
            self.add(name, "gauge", about, [("", value)])

    def counter(self, name: str, about: str, value: int | None) -> None:
        """One count since the start of its process."""
        if value is not None:
            self.add(name, "counter", about, [("", value)])

    def data(self) -> bytes:
        """All of it."""
        return "".join(self._parts).encode()
