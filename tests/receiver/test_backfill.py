"""What happened before a gateway's clock was set gets its time, whatever comes first."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import exported
import pytest
from databases import PostgreSqlServer
from gateways import WALL_NS, Gateway
from test_ingest import PLATFORM

from agent.receiver.export import Selection
from agent.receiver.ingest import Ingest, Message
from agent.receiver.readings import Figures, Reading
from agent.receiver.report import report
from agent.receiver.store import Store, open_store
from agent.receiver.trust import read_trust
from config.limits import S

YEAR_1970 = 60 * S


def receiver(store: Store, trust: Path) -> Ingest:
    return Ingest(store, read_trust(trust), PLATFORM, lambda: 10**18, lambda _note: None)


def sent(gateway: Gateway) -> list[Message]:
    """A fire and readings before the clock is set; that moment; an event after it."""
    gateway.clock, gateway.wall_ns = 0, YEAR_1970
    parts = [
        gateway.epoch(), gateway.table(), gateway.events("fire", "point"), gateway.telemetry(),
        gateway.summary(), gateway.events("event", "early"), gateway.clock_is_set(),
        gateway.events("event", "late"),
    ]  # fmt: skip
    return [Message(*part) for part in parts]


def judge(store: Store) -> None:
    events = {row.what: row for row in exported.events(store)}
    for what in ("point", "early"):
        assert WALL_NS - 10 * S < events[what].wall_ns < WALL_NS
        assert events[what].clock == 0, "it was given afterwards, and says so"
    assert events["point"].wall_ns < events["early"].wall_ns
    assert events["late"].wall_ns == WALL_NS
    (fire,) = report(store)["fires"]
    assert fire["wall_ns"] == events["point"].wall_ns
    readings = exported.readings(store, Selection(since_ns=WALL_NS - 60 * S))
    assert len(readings) == 8
    for row in readings:
        assert isinstance(row, Reading)
        assert WALL_NS - 10 * S < row.wall_ns < WALL_NS
    (first, *_) = exported.summaries(store, Selection(since_ns=WALL_NS - 60 * S))
    assert isinstance(first, Figures)
    assert WALL_NS - 10 * S < first.first_ns < first.last_ns < WALL_NS


def test_events_readings_and_summaries_of_before_get_their_time(tmp_path: Path) -> None:
    gateway, trust = Gateway(), tmp_path / "trust.json"
    gateway.trust(trust)
    messages = sent(gateway)
    fire, early, moment, late = (messages[n] for n in (2, 5, 6, 7))
    rest = [m for m in messages if m not in (fire, early, moment, late)]
    for n, order in enumerate(permutations((fire, early, moment, late))):
        store = open_store(str(tmp_path / f"{n}.db"))
        ingest = receiver(store, trust)
        for message in (*rest, *order) if n % 2 else (*order, *rest):
            ingest.take([message])
        ingest.take(messages)  # again, all of it
        judge(store)
        store.close()


def test_a_boot_whose_clock_was_never_set_keeps_what_it_said(tmp_path: Path) -> None:
    gateway, trust = Gateway(), tmp_path / "trust.json"
    gateway.trust(trust)
    messages = sent(gateway)[:6]
    store = open_store(str(tmp_path / "received.db"))
    receiver(store, trust).take(messages)
    events = exported.events(store)
    assert {row.wall_ns for row in events} == {YEAR_1970}
    store.close()


def test_two_receivers_on_one_database_share_what_they_know_of_clocks(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    gateway, trust = Gateway(), tmp_path / "trust.json"
    gateway.trust(trust)
    address = postgresql.database()
    stores = [open_store(address), open_store(address)]
    one, two = (receiver(store, trust) for store in stores)
    messages = sent(gateway)
    one.take(messages[6:])
    two.take(messages[:6])
    judge(stores[0])
    for store in stores:
        store.close()


@pytest.mark.parametrize("wall_ns", [-(2**62), 2**62, 2**63 - 1])
def test_a_time_that_no_database_holds_is_not_believed(tmp_path: Path, wall_ns: int) -> None:
    gateway, trust = Gateway(), tmp_path / "trust.json"
    gateway.trust(trust)
    gateway.clock, gateway.wall_ns = 0, YEAR_1970
    messages = [Message(*gateway.epoch()), Message(*gateway.events("event", "early"))]
    messages.append(Message(*gateway.clock_is_set(wall_ns)))
    store = open_store(str(tmp_path / "received.db"))
    assert receiver(store, trust).take(messages)
    (early,) = [r for r in exported.events(store) if r.what == "early"]
    assert WALL_NS - 10 * S < early.wall_ns < WALL_NS  # by the batch itself
    store.close()
