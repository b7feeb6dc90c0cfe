"""Rows of the matrix on the small building, with three outputs more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core_world import (
    CONTACT,
    FIRE,
    PRE,
    A,
    B,
    World,
    normal,
    plan_of,
)

from config.limits import S
from config.plan import OFF_CAUSE, OFF_RESET, OFF_SILENCE, Effect, Output, Plan

CAUSE, SILENCE, RESET = OFF_CAUSE, OFF_SILENCE, OFF_RESET
HOT = {A: 70.0}


def rows(*effects: Effect, **more: Any) -> World:
    """A quiet world with these rows."""
    w = World(with_rows(*effects, **more))
    w.quiet()
    return w


def with_rows(*effects: Effect, **more: Any) -> Plan:
    plan = plan_of(effects=effects)
    outputs = tuple(Output(f"o{i}", 3, i) for i in range(5))
    return replace(plan, outputs=outputs, **more)


def any_of(*terms: tuple[Any, ...]) -> dict[str, Any]:
    return rule(1, *terms)


def rule(needed: int, *terms: tuple[Any, ...]) -> dict[str, Any]:
    """The cause of a row that counts."""
    state = 0
    for term in terms:
        state |= term[2] if term[0] != "of" else FIRE
    return {"cause": "rule", "ref": 0, "state": state, "terms": ("of", needed, terms)}


def point(k: int, state: int = FIRE) -> tuple[Any, ...]:
    return ("point", k, state, "")


def row(k: int = A, state: int = FIRE, outputs: tuple[int, ...] = (0,), **more: Any) -> Effect:
    """A row of one point."""
    return Effect("point", k, state, outputs, **more)


def fire(w: World, *points: int) -> None:
    """These points in fire, all else quiet."""
    values = normal()
    for k in points:
        values[k] = 70.0 if k in (A, B, 2) else FIRE
    w.sample(values, 3)


def clear(w: World) -> None:
    """Everything quiet again, and reset."""
    w.quiet(6)
    w.order_reset()


def seconds(n: float) -> int:
    return int(n * S)


__all__ = ["CONTACT", "PRE", "any_of", "clear", "fire", "point", "row", "rows", "rule", "seconds"]
