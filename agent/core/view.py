"""What people see: the state in words. Pages are bounded; nothing here changes the state."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agent.core import (
    classify,
    contacts,
    delay,
    disable,
    kernels,
    panel,
    signals,
    texts,
    walktest,
)
from agent.core.detect import readiness
from agent.core.effects import GENERAL
from agent.core.site import FOREVER_NS
from agent.core.state import State
from agent.core.types import Now
from config.limits import STATUS_ACTIVE_MAX
from config.words import FLAG_WORDS, Flag, Mode, Quality

_QUALITIES = {int(q): q.name.lower() for q in Quality}
_WORDS = np.uint32(sum(map(int, FLAG_WORDS.values())))
_FAULT = np.uint32(Flag.FAULT)
_GATED = np.uint32(Flag.TEST | Flag.DISABLED)
_ALARMS = np.uint32(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY)
_SHOWN = np.uint32(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY | Flag.FAULT)


def words_of(flags: int) -> list[str]:
    """Flags in display order: fire first."""
    return [word for word, flag in FLAG_WORDS.items() if flags & int(flag)]


def status(state: State, now: Now) -> dict[str, Any]:
    """The big state. CBOR- and JSON-ready, but for NaN, which never occurs here.

    flags: words of everything that stands anywhere; counts: word -> points; first_alarm with its
    source, name and both times (mono_ns 0: before this boot); zones,
    outputs: one row each; active: the first STATUS_ACTIVE_MAX points in alarm, in alarm order,
    then other points that are not normal; faults: what stands beyond points; mode: "day" or
    "night"; disabled, test, delay: what operators took out of service, the walk test and the
    investigation that run (None: none); last_alarms: to be classified, the latest first.
    """
    return {
        **head(state, now),
        "zones": _zones(state),
        **around(state, now),
    }


def around(state: State, now: Now) -> dict[str, Any]:
    """Outputs, panels and the first STATUS_ACTIVE_MAX texts: what is not points and zones."""
    plan = state.site.plan
    said = texts.rows(state.texts, plan, now.mono_ns, 0, STATUS_ACTIVE_MAX)
    told = [{key: row[key] for key in ("name", "text", "quality")} for row in said]
    return {"outputs": _outputs(state), "panels": _panels(state), "texts": told}


def head(state: State, now: Now) -> dict[str, Any]:
    """The status without its zones, outputs, panels and texts."""
    alarms, site = state.alarms, state.site
    faults = _faults(state)
    first = alarms.first
    others = len(panel.fires(state.book)) + int(state.signals.manual is not None)
    return {
        "site": site.plan.site_id,
        "name": site.plan.site_name,
        "flags": words_of(_big_state(state) | (int(Flag.FAULT) if faults else 0)),
        "points": len(site),
        "counts": {
            word: int(np.count_nonzero(alarms.flags & np.uint32(flag)))
            for word, flag in FLAG_WORDS.items()
        },
        "stale": int(np.count_nonzero(state.image.bits & np.uint32(kernels.STALE))),
        "not_ready": int(np.count_nonzero(state.image.quality == int(Quality.NOT_READY))),
        "alarms": len(alarms.order) + others,
        "alarm_count": alarms.count,
        "unacknowledged": signals.unacknowledged(state),
        "silenced": alarms.silenced,
        "first_alarm": None
        if first is None
        else {
            "source": first.source,
            "name": first.name,
            "mono_ns": first.mono_ns,
            "wall_ns": first.wall_ns,
        },
        "effects": _effects(state, now),
        "active": _active(state, now),
        "faults": faults,
        "mode": "day" if delay.is_day(site.plan, now) else "night",
        "disabled": disable.rows(state, now),
        "test": walktest.row(state, now),
        "delay": delay.row(state, now),
        "last_alarms": classify.rows(state),
        **signals.view(state),
    }


def _big_state(state: State) -> int:
    """Flags of all that stands. A walk test's alarm, or a disabled point's, is none of the place:
    such a point is in test or disabled, and a fire only where one counts.
    """
    flags = state.alarms.flags
    gated = ((flags & _GATED) != 0) & ~state.alarms.vote
    found = int(np.bitwise_or.reduce(np.where(gated, flags & ~_ALARMS, flags), initial=0))
    found |= int(np.bitwise_or.reduce(state.zones.flags, initial=0))
    for standing in state.book.standing.values():
        found |= standing
    if state.signals.manual is not None:
        found |= int(Flag.FIRE | Flag.MANUAL)
    if state.disabled.standing:
        found |= int(Flag.DISABLED)  # an output or a courier, too
    return found


def shown_flags(state: State) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Flags of every point as people see them: a stale one is faulty."""
    stale = (state.image.bits & np.uint32(kernels.STALE)) != 0
    return np.where(stale, state.alarms.flags | _FAULT, state.alarms.flags) & _WORDS


def shown_qualities(state: State) -> np.ndarray[Any, Any]:
    """Quality of every point as people see it: what was good and is old is stale."""
    quality = state.image.quality
    stale = ((state.image.bits & np.uint32(kernels.STALE)) != 0) & (quality == int(Quality.GOOD))
    return np.where(stale, np.uint8(Quality.STALE), quality)


def _zones(state: State) -> list[dict[str, Any]]:
    return [
        {
            "name": zone.name,
            "flags": words_of(flags),
            "votes": votes,
            "needed": zone.needed,
            "healthy": healthy,
        }
        for zone, flags, votes, healthy in zip(
            state.site.plan.zones,
            state.zones.flags.tolist(),
            state.zones.votes.tolist(),
            state.zones.healthy.tolist(),
            strict=True,
        )
    ]


def _panels(state: State) -> list[dict[str, Any]]:
    """Panels on ports of their own, with what they told and did not take back.

    supervised: whether a panel that falls silent is noticed; one that only prints events is not.
    acknowledged: of a fire that counts; None for all else.
    """
    out = []
    down = None if state.health is None else state.health.line_down
    for port in state.site.plan.panels:
        told = [(a, f) for (d, a), f in state.book.standing.items() if d == port.device]
        line = state.site.device_line[port.device]
        out.append(
            {
                "name": state.site.plan.devices[port.device].name,
                "dialect": port.dialect,
                "supervised": port.silence_ns > 0,
                "lost": down is not None and bool(down[line]),
                "silenced": port.device in state.book.silenced,
                "told": len(told),
                "standing": [
                    {
                        "address": address,
                        "flags": words_of(flags),
                        "acknowledged": state.book.votes.get((port.device, address)),
                    }
                    for address, flags in told[:STATUS_ACTIVE_MAX]
                ],
            }
        )
    return out


def _outputs(state: State) -> list[dict[str, Any]]:
    """`on` is what was ordered (None: never), `read_back` what the coil reads (None: nothing)."""
    out = []
    for i, output in enumerate(state.site.plan.outputs):
        book = signals.outputs_of(state, i)
        last = book.commanded.get(i)
        out.append(
            {
                "name": output.name,
                "kind": output.kind,
                "on": (True if i in book.held else None) if last is None else last.on,
                "pattern": "" if last is None else last.pattern,
                "read_back": book.reads.get(i),
                "proven": last is not None and i not in book.unproven_ns,
                "fault": i in book.faulted,
                "disabled": disable.output_disabled(state, i),
            }
        )
    return out


def _effects(state: State, now: Now) -> dict[str, Any]:
    """The matrix. general: why the general alarm stands ("devices", "manual", "zone", "time",
    "own": our own manual alarm, "guard"; "" when not); messages of rows that stand; delays that
    run, with what is left of them.
    """
    effects = state.effects
    t = effects.tables
    left_ns = effects.since_ns + t.after_ns - now.mono_ns
    runs = (effects.since_ns != FOREVER_NS) & (left_ns > 0)
    ordered = ("guard" if state.signals.manual is None else "own") if effects.evacuate else ""
    return {
        "general": effects.general or ordered,
        "messages": [
            {"row": i + 1, "name": t.rows[i].text, "text": t.rows[i].message}
            for i in sorted(effects.telling - {GENERAL})[:STATUS_ACTIVE_MAX]
        ],
        "delays": [
            {"row": i + 1, "name": t.rows[i].text, "left_s": round(int(left_ns[i]) / 1e9, 1)}
            for i in np.flatnonzero(runs).tolist()[:STATUS_ACTIVE_MAX]
        ],
    }


def _active(state: State, now: Now) -> list[dict[str, Any]]:
    order = list(state.alarms.order)[:STATUS_ACTIVE_MAX]
    seen = set(order)
    standing = np.flatnonzero(state.alarms.flags & _SHOWN).tolist()
    rest = [k for k in standing if k not in seen][: STATUS_ACTIVE_MAX - len(order)]
    return _rows(state, now, np.array(order + rest, np.intp))


def _faults(state: State) -> list[dict[str, str]]:
    plan = state.site.plan
    out = [{"source": n.source, "text": n.text} for n in state.notices.values()]
    if state.health is not None:
        out += [
            {"source": f"line/{plan.lines[i].name}", "text": "down"}
            for i in np.flatnonzero(state.health.line_down).tolist()
        ]
        out += [
            {"source": f"line/{plan.lines[i].name}/jam", "text": "something talks without end"}
            for i in sorted(state.health.jammed)
        ]
        out += [
            {"source": f"device/{plan.devices[i].name}", "text": state.health.why.get(i, "silent")}
            for i in np.flatnonzero(state.health.faulted).tolist()
        ]
    out += [
        {"source": f"output/{plan.outputs[i].name}", "text": "does not read as ordered"}
        for i in sorted(state.effects.faulted | state.signals.driven.faulted)
    ]
    trouble = contacts.trouble(state.signals.panel, state.site)
    return out + [{"source": source, "text": text} for source, text in trouble]


def points(state: State, now: Now, first: int, count: int) -> list[dict[str, Any]]:
    """Points `first` to `first + count` of the plan, in order of stable id; behind all, texts."""
    assert first >= 0
    assert count >= 0
    size, plan = len(state.site), state.site.plan
    rows = _rows(state, now, np.arange(first, min(first + count, size)))
    left = count - len(rows)
    return rows + texts.rows(state.texts, plan, now.mono_ns, max(0, first - size), left)


def _rows(state: State, now: Now, at: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """One row a point. `value` is None when there is none; `age_s` None before the first sample."""
    table = state.site.plan.points
    image, alarms = state.image, state.alarms
    columns = zip(
        at.tolist(),
        state.site.ids[at].tolist(),
        shown_flags(state)[at].tolist(),
        image.value[at].tolist(),
        image.quality[at].tolist(),
        image.bits[at].tolist(),
        image.mono_ns[at].tolist(),
        alarms.acked[at].tolist(),
        state.site.modes[at].tolist(),
        strict=True,
    )
    return [
        {
            "id": point_id,
            "name": table.names[k],
            "flags": words_of(flags) if flags else [],
            "value": value if math.isfinite(value) else None,
            "unit": table.units[k],
            "quality": _QUALITIES[quality],
            "says": words_of(int(value)) if mode == Mode.STATE and math.isfinite(value) else None,
            "detector": readiness(bits),
            "age_s": None if stamp == kernels.NEVER else round((now.mono_ns - stamp) / 1e9, 3),
            "acknowledged": acknowledged,
        }
        for k, point_id, flags, value, quality, bits, stamp, acknowledged, mode in columns
    ]
