"""Sweeps as they are given to the command: `fire_level=50,54,57`, or a grid of several."""

from __future__ import annotations

from agent.evaluate.messages import Place, Refused
from config.desk_limits import EVALUATE_SWEEP_VALUES_MAX
from config.plan import PARAMS
from config.problems import closest
from config.sweep import Sweep, values_of


class BadSweep(Refused):
    """A sweep cannot be read. The text says what was expected."""


def parse_sweep(text: str) -> Sweep:
    """`fire_level=50,54,57`, `trend_rise=5:20:5` (first, last, step), or both for the grid of them.

    Parameters of a grid stand in one text with spaces between. Raises BadSweep.
    """
    where = Place(f"--sweep {text[:100]}")
    axes: dict[str, tuple[float, ...]] = {}
    for part in text.split() or [""]:
        name, mark, rest = part.partition("=")
        if not mark or name not in PARAMS:
            near = closest(name, PARAMS)
            advice = ("sweep.near", {"near": near}) if near else ("sweep.known", _KNOWN)
            raise BadSweep(where, "sweep.parameter", found=name[:60], advice=advice)
        if name in axes:
            raise BadSweep(where, "sweep.twice", found=name)
        axes[name] = values_of(rest)
        if not axes[name]:
            raise BadSweep(where, "sweep.values")
    sweep = Sweep(tuple(axes), tuple(axes.values()))
    if len(sweep) > EVALUATE_SWEEP_VALUES_MAX:
        raise BadSweep(where, "sweep.many", most=EVALUATE_SWEEP_VALUES_MAX)
    return sweep


_KNOWN = {"known": ", ".join(PARAMS)}
