"""What a centre asks for and what it gets: types 61 to 88 of GB/T 26875.3. Pure."""

from __future__ import annotations

from typing import Any

from agent.courier.gb26875_book import Book
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import Dialect, Stamp, stamp_of

SOFTWARE = (0, 1)
"""Major and minor version of the gateway."""


def answer_of(unit: gb.Unit, book: Book, wall_ns: int, dialect: Dialect) -> gb.Unit | None:
    """The unit that answers a request; None when there is nothing to be said: it is denied.

    What does not fit into one frame is left out: the centre asked for more than a frame holds.
    """
    answer = gb.answer_type(unit.type)
    if answer is None:
        return None
    made = _objects(unit, book, wall_ns)
    parts = gb.split(answer, made, dialect)
    return parts[0] if parts else None


def _objects(unit: gb.Unit, book: Book, wall_ns: int) -> list[Any]:
    asked = unit.objects[0]
    if unit.type in (61, 65, 66, 68):
        own = (book.style.system, book.style.address)
        asks = [o for o in unit.objects if (o.system, o.address) == own]
        return [_of_system(unit.type, book, wall_ns) for _ in asks]
    if unit.type in (62, 63, 67):
        found = [_of_component(unit.type, ask, book, wall_ns) for ask in unit.objects]
        return [made for made in found if made is not None]
    if unit.type == 64:
        mine = (asked.system, asked.address) == (book.style.system, book.style.address)
        return [*book.operation_log(asked.count, _since(asked.start, book))] if mine else []
    if unit.type == 84:
        return [*book.device_log(asked.count, _since(asked.start, book))]
    return [_of_device(unit.type, book, wall_ns)]


def _of_system(kind: int, book: Book, wall_ns: int) -> Any:
    own = (book.style.system, book.style.address)
    if kind == 61:
        return book.system_status(wall_ns)
    if kind == 65:
        return gb.SystemVersion(*own, *SOFTWARE)
    if kind == 66:
        return gb.SystemConfiguration(*own, _described(book))
    return gb.SystemTime(*own, _now(book, wall_ns))


def _of_component(kind: int, ask: gb.ReadComponent, book: Book, wall_ns: int) -> Any:
    source = book.by_number.get(ask.number)
    if source is None or (ask.system, ask.address) != (book.style.system, book.style.address):
        return None
    if kind == 62:
        return book.component_status(source, wall_ns)
    return book.analogue(source) if kind == 63 else book.configuration(source)


def _of_device(kind: int, book: Book, wall_ns: int) -> Any:
    if kind == 81:
        return book.device_status(wall_ns)
    if kind == 85:
        return gb.DeviceVersion(*SOFTWARE)
    if kind == 86:
        return gb.DeviceConfiguration(_described(book))
    return gb.DeviceTime(_now(book, wall_ns))


def _now(book: Book, wall_ns: int) -> Stamp:
    return stamp_of(wall_ns + book.clock_skew_ns, book.style.offset_s)


def _described(book: Book) -> str:
    return f"Embergate, {len(book.components)} components"


def _since(start: Stamp, book: Book) -> int:
    """Nothing that is a date: from the beginning."""
    wall_ns = start.wall_ns(book.style.offset_s)
    return 0 if wall_ns is None else wall_ns - book.clock_skew_ns
