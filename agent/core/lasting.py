"""What outlives a restart beside the alarms themselves: one key of the snapshot a subject.

A key is added by whoever owns the subject; an unknown one is ignored, and a damaged one costs that
subject alone, never a fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.core import classify, delay, disable, panel, signals, trials, walktest
from agent.core.types import Now, Record

if TYPE_CHECKING:
    from agent.core.state import State


def dump(state: State) -> dict[str, Any]:
    """The keys of a snapshot that this life has something to say about."""
    found: dict[str, Any] = {
        "disabled": disable.dump(state),
        "walk": walktest.dump(state),
        "delay": delay.dump(state),
        "past": classify.dump(state),
        "hushed": panel.dump(state.book, state.site),
        "manual": signals.dump(state),
        "tests": trials.dump(state.signals.trials),
        "seen": state.signals.alarms_seen,
    }
    return {key: value for key, value in found.items() if value}


def restore(state: State, more: dict[str, Any], now: Now, *, same_boot: bool) -> list[Record]:
    """Merge what was kept, after the alarms themselves."""
    out = disable.restore(state, more.get("disabled"), now, same_boot=same_boot)
    out += walktest.restore(state, more.get("walk"), now, same_boot=same_boot)
    out += delay.restore(state, more.get("delay"), now, same_boot=same_boot)
    classify.restore(state, more.get("past"))
    panel.restore(state.book, state.site, more.get("hushed"))
    trials.restore(state.signals.trials, more.get("tests"))
    return out
