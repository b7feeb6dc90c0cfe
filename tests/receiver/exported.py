"""Rows of an export, each of the type that its kind has."""

from __future__ import annotations

from typing import TypeVar

from agent.receiver.export import Event, Selection, export_rows
from agent.receiver.readings import Figures, Reading
from agent.receiver.store import Store

T = TypeVar("T")


def readings(store: Store, what: Selection = Selection()) -> list[Reading]:  # noqa: B008 -- frozen
    return _all(Reading, store, "readings", what)


def summaries(store: Store, what: Selection = Selection()) -> list[Figures]:  # noqa: B008 -- frozen
    return _all(Figures, store, "summaries", what)


def events(store: Store, what: Selection = Selection()) -> list[Event]:  # noqa: B008 -- frozen
    return _all(Event, store, "events", what)


def _all(type_: type[T], store: Store, kind: str, what: Selection) -> list[T]:
    rows: list[T] = []
    for row in export_rows(store, kind, what):
        assert isinstance(row, type_)
        rows.append(row)
    return rows
