"""Ids survive renaming and reordering, and none is ever given twice."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from config.ledger import HEADER, Ledger, parse_ledger, read_ledger, update, write_ledger
from config.loader import load
from config.model import Site
from config.problems import Problems
from config.site_reader import read_site


def site(points: list[tuple[str, int]], device: str = "pumps", unit: int = 3) -> Site:
    """A site of measured points: (name, address)."""
    rows = "".join(
        f"      {name}: {{register: input {address}, type: int16, kind: measure}}\n"
        for name, address in points
    )
    text = (
        "site: {id: demo, name: Demo}\nlinks: {l: {kind: tcp, host: 192.0.2.1}}\n"
        f"devices:\n  {device}:\n    link: l\n    unit: {unit}\n    poll: 1s\n    points:\n{rows}"
    )
    problems = Problems()
    document = load(text.encode(), "site.yaml", problems)
    assert document is not None
    read = read_site(document, problems)
    assert read is not None, problems.found
    return read.site


def ids(ledger: Ledger) -> dict[str, int]:
    return ledger.ids()


def test_reordering_keeps_ids() -> None:
    first = update(Ledger(), site([("a", 0), ("b", 1), ("c", 2)]))
    assert ids(first) == {"pumps.a": 1, "pumps.b": 2, "pumps.c": 3}
    assert ids(update(first, site([("c", 2), ("a", 0), ("b", 1)]))) == ids(first)


def test_a_new_name_at_the_same_place_keeps_its_id() -> None:
    first = update(Ledger(), site([("a", 0), ("b", 1)]))
    second = update(first, site([("x", 0), ("b", 1)], device="cellar"))
    assert ids(second) == {"cellar.x": 1, "cellar.b": 2}


def test_a_new_place_of_the_same_name_keeps_its_id() -> None:
    first = update(Ledger(), site([("a", 0), ("b", 1)]))
    assert ids(update(first, site([("a", 10), ("b", 11)], unit=7))) == ids(first)


def test_swapped_names_follow_the_place() -> None:
    first = update(Ledger(), site([("a", 0), ("b", 1)]))
    assert ids(update(first, site([("b", 0), ("a", 1)]))) == {"pumps.b": 1, "pumps.a": 2}


def test_retired_ids_are_never_given_again() -> None:
    first = update(Ledger(), site([("a", 0), ("b", 1)]))
    second = update(first, site([("a", 0)]))
    assert ids(second) == {"pumps.a": 1}
    third = update(second, site([("a", 0), ("b", 1), ("c", 2)]))
    assert ids(third) == {"pumps.a": 1, "pumps.b": 3, "pumps.c": 4}
    assert [e.id for e in third.entries if e.retired] == [2]


names = st.sampled_from("abcdefgh")
layouts = st.lists(st.tuples(names, st.integers(0, 9)), unique_by=(lambda p: p[0], lambda p: p[1]),
                   min_size=1, max_size=6)  # fmt: skip


@given(st.lists(layouts, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_history(history: list[list[tuple[str, int]]]) -> None:
    ledger = Ledger()
    retired: set[int] = set()
    for points in history:
        ledger = update(ledger, site(points))
        living = ids(ledger)
        assert set(living) == {f"pumps.{name}" for name, _ in points}
        assert len(set(living.values())) == len(points)
        assert not set(living.values()) & retired
        retired = {e.id for e in ledger.entries if e.retired}
        problems = Problems()
        assert parse_ledger(ledger.text().encode(), "x.ids", problems) == ledger
        assert update(ledger, site(points)) == ledger


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda t: f"{HEADER}\n{t}".encode())
    )
)
@settings(deadline=None)
def test_any_bytes(data: bytes) -> None:
    problems = Problems()
    assert (parse_ledger(data, "x.ids", problems) is None) == bool(len(problems))


def test_it_is_written_in_one_step_and_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "site.ids"
    ledger = update(Ledger(), site([("a", 0)]))
    write_ledger(path, ledger)
    assert read_ledger(path, Problems()) == ledger
    before = path.stat()
    write_ledger(path, ledger)
    assert path.stat().st_ino == before.st_ino
    write_ledger(path, update(ledger, site([("b", 5)])))
    assert path.stat().st_ino != before.st_ino
    assert [p.name for p in tmp_path.iterdir()] == ["site.ids"]
