"""Points as metrics. The unit is in the name, so values are in one unit of each dimension. Pure."""

from __future__ import annotations

from collections import defaultdict

from agent.opendata.exposition import Exposition, Sample, labels
from agent.opendata.known import Known
from agent.opendata.picture import Picture
from config.quantity import UNITS
from config.words import FLAG_WORDS, Mode

_DIMENSIONS: dict[str, tuple[str, float]] = {
    # dimension of config.quantity -> (suffix, factor from its base unit)
    "time": ("seconds", 1e-9),
    "temperature": ("celsius", 1.0),
    "pressure": ("pascals", 1.0),
    "length": ("meters", 1.0),
    "share": ("percent", 1.0),
    "explosive": ("percent_lel", 1.0),
    "explosive_path": ("lel_meters", 1.0),
    "volume_share": ("ppm", 1.0),
    "mass_concentration": ("milligrams_per_cubic_meter", 1.0),
    "current": ("amperes", 1e-3),
    "smoke_share": ("percent_per_meter", 1.0),
    "smoke_decibel": ("decibels_per_meter", 1.0),
    "flow": ("cubic_meters_per_second", 1e-3 / 60),
    "voltage": ("volts", 1.0),
    "power": ("watts", 1.0),
    "energy": ("joules", 3_600.0),
    "frequency": ("hertz", 1.0),
    "humidity": ("relative_humidity_percent", 1.0),
    "resistance": ("ohms", 1.0),
    "volume": ("cubic_meters", 1e-3),
}
_SPEEDS = {"rpm": "revolutions_per_minute", "m/s": "meters_per_second"}
_WORDS = tuple((word, int(flag)) for word, flag in FLAG_WORDS.items())
_FLAGS = sum(flag for _, flag in _WORDS)


def metric_of(unit: str) -> tuple[str, float, float]:
    """(suffix of the name, factor, bias): what is told is value * factor + bias."""
    if unit in _SPEEDS:
        return _SPEEDS[unit], 1.0, 0.0
    known = UNITS.get(unit)
    if known is None or known.dimension not in _DIMENSIONS:
        return "value", 1.0, 0.0
    suffix, factor = _DIMENSIONS[known.dimension]
    return suffix, known.factor * factor, known.bias * factor


class PointMetrics:
    """The points that are told. What does not change of a line is made once."""

    def __init__(self, known: Known, units: list[str]) -> None:
        which = known.settings["points"]
        self._chosen = [
            k
            for k, mode in enumerate(known.modes)
            if which == "all" or (which == "alarm" and mode != Mode.TELEMETRY)
        ]
        self._labels = {
            k: labels({"id": known.ids[k], "point": known.points[k], "kind": known.kinds[k]})
            for k in self._chosen
        }
        self._metrics: dict[str, list[tuple[int, str, float, float]]] = defaultdict(list)
        for k in self._chosen:
            if known.modes[k] == Mode.STATE:
                continue
            suffix, factor, bias = metric_of(units[k])
            of = self._labels[k]
            if suffix == "value":
                of = f"{of[:-1]},{labels({'unit': units[k]})[1:]}"
            self._metrics[suffix].append((k, of, factor, bias))

    def tell(self, out: Exposition, picture: Picture) -> None:
        """Values that can be believed, qualities, and the states that stand."""
        good, values = picture.good, picture.values
        for suffix, points in self._metrics.items():
            about = "value of a point; one that cannot be believed is left out"
            if suffix == "value":
                about += "; in the unit of the label"
            samples: list[Sample] = [
                (of, values[k] * factor + bias) for k, of, factor, bias in points if good(k)
            ]
            out.add(f"embergate_point_{suffix}", "gauge", about, samples)
        out.add(
            "embergate_point_quality", "gauge",
            "0 good, 1 not ready, 2 stale, 3 bad",
            ((self._labels[k], picture.qualities[k]) for k in self._chosen),
        )  # fmt: skip
        out.add(
            "embergate_point_state", "gauge",
            "1 for each state that stands at a point; no line for one that does not",
            self._standing(picture),
        )  # fmt: skip

    def _standing(self, picture: Picture) -> list[Sample]:
        out: list[Sample] = []
        for k in self._chosen:
            flags = picture.flags[k] & _FLAGS
            if flags:
                of = self._labels[k][:-1]
                out += [(f'{of},state="{word}"}}', 1) for word, flag in _WORDS if flags & flag]
        return out
