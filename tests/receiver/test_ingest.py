"""What a receiver believes, keeps and acknowledges: by the contract's own bytes, no broker."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import exported
import pyarrow.parquet
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from gateways import Gateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.receiver.export import Event, Selection, export_rows, write_csv, write_parquet
from agent.receiver.ingest import ChainId, Ingest, Message, Note
from agent.receiver.readings import Reading
from agent.receiver.report import report
from agent.receiver.sqlite import Sqlite
from agent.receiver.store import StoreFailed, StoreProblem, open_store
from agent.receiver.trust import read_trust
from agent.uplink.ack import Ack, open_ack
from agent.uplink.batch import hash_of
from agent.uplink.cose import Signer, Trust, TrustedKey

PLATFORM = Signer(Ed25519PrivateKey.from_private_bytes(b"p" * 32))


class World:
    """A receiver's store and judge on a file, and one gateway that it trusts."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "received.db"
        self.trust = directory / "trust.json"
        self.gateway = Gateway()
        self.gateway.trust(self.trust)
        self.notes: list[Note] = []
        self.open()

    def open(self) -> None:
        self.store = open_store(str(self.path))
        assert isinstance(self.store.engine, Sqlite)
        self.db = self.store.engine.db
        self.ingest = Ingest(
            self.store, read_trust(self.trust), PLATFORM, lambda: 10**18, self.notes.append
        )

    def restart(self) -> None:
        self.store.close()
        self.open()

    def take(self, *messages: tuple[str, bytes]) -> dict[ChainId, Ack]:
        acks = self.ingest.take([Message(*m) for m in messages])
        trust = Trust([TrustedKey(PLATFORM.public)])
        for (gateway, _, _), ack in acks.items():
            assert ack.topic == f"embergate/1/{gateway}/down/ack"
        return {key: open_ack(ack.payload, trust) for key, ack in acks.items()}

    def acked(self, acks: dict[ChainId, Ack]) -> dict[str, int]:
        return {lane: ack.seq for (_, _, lane), ack in acks.items()}

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        kept = ("batches", "events", "table_parts", "evidence", "chains")
        return {t: self.store.engine.execute(f"select * from {t}") for t in kept}

    def codes(self) -> list[str]:
        return [f["code"] for f in report(self.store)["findings"]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    w = World(tmp_path)
    yield w
    w.store.close()


def test_batches_are_kept_decoded_and_acknowledged_with_their_hash(world: World) -> None:
    g = world.gateway
    sent = [
        g.epoch(),
        g.table(),
        g.events("fire", "zone"),
        g.telemetry(4),
        g.events("event", "a", "b"),
    ]
    acks = world.take(*sent)
    assert world.acked(acks) == {"epoch": 0, "table": 0, "fire": 0, "telemetry": 0, "event": 0}
    for (_, epoch, lane), ack in acks.items():
        message = next(m for t, m in sent if t.endswith(f"/{lane}"))
        assert (ack.gateway, ack.epoch, ack.hash) == ("test-0417", epoch, hash_of(message))
    known = report(world.store)
    assert (known["batches"], known["events"], known["readings"]) == (5, 3, 8)
    assert known["findings"] == []
    assert known["fires"][0]["to"] == ["fire"]
    stored = {bytes(r["bytes"]) for r in world.store.rows("select bytes from batches")}
    assert stored == {m for _, m in sent}


def test_readings_come_back_with_names_units_and_quality(world: World) -> None:
    g = world.gateway
    world.take(g.epoch(), g.table(), g.telemetry(4))
    rows = exported.readings(world.store)
    assert [(r.name, r.unit) for r in rows[:2]] == [("a.heat", "°C"), ("b.heat", "°C")]
    assert [r.value for r in rows if r.point == 7] == pytest.approx([20.0, 20.1, 20.2, 20.3])
    assert [(r.value, r.quality) for r in rows if r.point == 9] == [
        (1 / 3, "good"), (1 / 3, "good"), (1 / 3, "good"), (None, "stale"),
    ]  # fmt: skip
    assert exported.readings(world.store, Selection("another")) == []


def test_summaries_come_back_with_names_and_units_of_points_that_have_a_resolution(
    world: World,
) -> None:
    g = world.gateway
    acks = world.take(g.epoch(), g.table(), g.summary())
    assert world.acked(acks)["summary"] == 0
    (row,) = exported.summaries(world.store)
    assert (row.name, row.unit, row.samples, row.good) == ("a.heat", "°C", 4, 3)
    figures = (row.minimum, row.mean, row.maximum)
    assert figures == pytest.approx((20.0, 20.2, 20.3))
    assert exported.summaries(world.store, Selection("another")) == []


def test_telemetry_before_its_table_is_counted_later(world: World) -> None:
    g = world.gateway
    epoch, table, telemetry = g.epoch(), g.table(), g.telemetry(3)
    world.take(epoch, telemetry)
    assert report(world.store)["readings"] == 0
    world.take(table)
    assert report(world.store)["readings"] == 6


def test_a_duplicate_changes_nothing_and_is_acknowledged_again(world: World) -> None:
    g = world.gateway
    sent = [g.epoch(), g.events("event", "a"), g.events("event", "b")]
    first = world.take(*sent)
    before = world.rows()
    world.restart()
    again = world.take(*sent, *sent)
    assert world.acked(again) == world.acked(first)
    assert world.rows() == before
    found = report(world.store)
    assert found["findings"] == []
    assert {(r["code"], r["lane"], r["count"]) for r in found["remarks"]} == {
        ("duplicate", "epoch", 2), ("duplicate", "event", 4),
    }  # fmt: skip


def test_any_order_ends_whole(world: World) -> None:
    g = world.gateway
    sent = [g.epoch(), g.table()]
    for n in range(6):
        sent += [g.events("event", f"e{n}"), g.telemetry(), g.events("fire", f"f{n}")]
    sent.append(g.epoch())
    sent += [g.events("event", "last")]
    random.Random(4).shuffle(sent)
    for message in sent:
        world.take(message)
    world.restart()
    acks = world.take(*sent)
    assert world.codes() == []
    assert sorted(a.seq for (_, _, lane), a in acks.items() if lane == "event") == [0, 5]
    assert report(world.store)["events"] == 13


def test_a_gap_is_reported_until_it_is_filled_and_holds_the_acknowledgement(world: World) -> None:
    g = world.gateway
    first, missing, last = g.epoch(), g.events("event", "a"), g.events("event", "b")
    assert world.acked(world.take(first, last)) == {"epoch": 0}
    assert world.codes() == ["gap"]
    assert world.acked(world.take(missing)) == {"event": 1}
    assert world.codes() == []


def test_a_cut_tail_shows_in_the_next_epoch(world: World) -> None:
    g = world.gateway
    world.take(g.epoch())
    g.events("event", "lost")
    world.take(g.epoch())
    assert world.codes() == ["truncated"]


def test_a_fork_is_refused_kept_as_evidence_and_reported(world: World) -> None:
    g, clone = world.gateway, Gateway()
    world.take(g.epoch(), g.events("event", "a"))
    clone.epoch()
    other = clone.events("event", "something else")
    assert world.take(other) == {}
    assert world.codes() == ["fork"]
    (kept,) = world.store.rows("select code, bytes from evidence")
    assert (kept["code"], bytes(kept["bytes"])) == ("fork", other[1])


def test_a_key_speaks_only_for_its_gateway(world: World) -> None:
    spy = Gateway("other", seed=2)
    spy.trust(world.trust)
    world.restart()
    spy.name = world.gateway.name
    assert world.take(spy.epoch()) == {}
    assert world.codes() == ["foreign"]


def test_a_stranger_leaves_one_finding_however_much_it_sends(world: World) -> None:
    for seed in range(3, 30):
        stranger = Gateway(f"stranger-{seed}", seed=seed)
        assert world.take(stranger.epoch(), stranger.events("fire", "false alarm")) == {}
    rows = world.store.rows("select gateway, code, count from findings")
    assert rows == [{"gateway": "?", "code": "unknown_key", "count": 54}]
    assert report(world.store)["fires"] == []


def test_a_batch_on_anothers_topic_is_refused(world: World) -> None:
    g = world.gateway
    _, message = g.epoch()
    assert world.take(("embergate/1/other/up/epoch", message)) == {}
    assert world.take((f"embergate/1/{g.name}/up/fire", message)) == {}
    assert world.codes() == ["topic"]


def test_the_link_hint_is_never_a_batch(world: World) -> None:
    assert world.take((f"embergate/1/{world.gateway.name}/up/link", b"online")) == {}
    assert [(n.what, n.text) for n in world.notes] == [("link", "online")]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=60) | st.just("embergate/1/test-0417/up/event"), st.binary(max_size=200))
def test_any_bytes_on_any_topic_are_answered_by_a_finding(
    world: World, topic: str, payload: bytes
) -> None:
    assert world.take((topic, payload)) == {}
    assert world.store.rows("select count(*) as n from batches") == [{"n": 0}]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_changed_byte_is_believed(world: World, data: st.DataObject) -> None:
    g = Gateway()
    topic, message = g.epoch()
    at = data.draw(st.integers(0, len(message) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = message[:at] + bytes([message[at] ^ flip]) + message[at + 1 :]
    cut = data.draw(st.integers(0, len(message) - 1))
    assert world.take((topic, changed), (topic, message[:cut]), (topic, message + b"\0")) == {}


def test_what_the_store_does_not_take_is_neither_acknowledged_nor_remembered(world: World) -> None:
    g = world.gateway
    sent = [g.epoch(), g.events("event", "a")]
    db = world.db
    (pages,) = db.execute("pragma page_count").fetchone()
    db.execute(f"pragma max_page_count = {pages}")
    big = [g.events("event", *("x" * 60 for _ in range(400))) for _ in range(6)]
    with pytest.raises(StoreFailed):
        world.take(*sent, *big)
    assert world.store.rows("select count(*) as n from batches") == [{"n": 0}]
    db.execute("pragma max_page_count = 1000000")
    assert world.acked(world.take(*sent, *big)) == {"epoch": 0, "event": 6}


def test_one_receiver_writes_at_a_time(world: World) -> None:
    with pytest.raises(StoreProblem, match="one writes at a time"):
        open_store(str(world.path))
    world.restart()


def test_a_report_can_be_read_beside_the_writer_and_needs_a_receivers_file(
    world: World, tmp_path: Path
) -> None:
    g = world.gateway
    world.take(g.epoch())
    reader = open_store(str(world.path), read_only=True)
    assert report(reader)["batches"] == 1
    reader.close()
    (tmp_path / "text.db").write_text("no database " * 100)
    for name in ("text.db", "missing.db"):
        with pytest.raises(StoreProblem):
            open_store(str(tmp_path / name), read_only=True)


# --- heartbeats ---


def test_a_tail_that_is_cut_away_on_the_way_shows_with_the_third_heartbeat(world: World) -> None:
    g = world.gateway
    world.take(g.epoch(), g.events("event", "a"))
    withheld = [g.events("event", "b"), g.events("fire", "c")]
    for after_s in (60, 120):
        assert world.take(g.heartbeat(after_s)) == {}, "nobody acknowledges a heartbeat"
        assert world.codes() == []
    world.take(g.heartbeat(180))
    found = report(world.store)["findings"]
    assert [(f["code"], f["lane"], f["seq"]) for f in found] == [
        ("tail_missing", "event", 1), ("tail_missing", "fire", 0),
    ]  # fmt: skip
    world.take(*withheld, g.heartbeat(240))
    assert [f["count"] for f in report(world.store)["findings"]] == [1, 1], "and no more"
    rows = world.store.rows("select lane from batches where lane = 'heartbeat'")
    assert rows == [], "nothing of it is kept"


def test_a_backlog_that_drains_is_late_and_not_missing(world: World) -> None:
    g = world.gateway
    world.take(g.epoch())
    backlog = [g.events("event", "a") for _ in range(6)]
    for k, batch in enumerate(backlog):
        world.take(batch, g.heartbeat(60 * (k + 1)))
    assert world.codes() == []


def test_a_replayed_heartbeat_says_nothing_and_a_forged_or_foreign_one_is_refused(
    world: World,
) -> None:
    g = world.gateway
    world.take(g.epoch())
    g.events("event", "withheld")
    old = g.heartbeat(60)
    for _ in range(5):
        world.take(old)
    assert world.codes() == []
    topic, data = g.heartbeat(120)
    world.take((topic, data[:-1] + bytes([data[-1] ^ 1])), g.heartbeat(121, name="another"))
    assert sorted(world.codes()) == ["foreign", "forged"]


def test_a_heartbeat_with_another_hash_under_a_held_number_is_a_fork(world: World) -> None:
    g = world.gateway
    world.take(g.epoch(), g.events("event", "a"))
    head = g.heads["event"]
    g.heads["event"] = replace(head, hash=b"another hash of thirty-two bytes")
    world.take(g.heartbeat(60))
    assert world.codes() == ["fork"]


# --- exports and reports ---


def test_rows_are_chosen_by_gateway_lane_and_time(world: World, tmp_path: Path) -> None:
    g = world.gateway
    world.take(g.epoch(), g.table(), g.telemetry(4), g.summary())
    world.take(g.events("fire", "zone"), g.events("event", "a", "b"))
    rows = exported.readings(world.store)
    stamps = sorted({r.wall_ns for r in rows})
    assert len(stamps) == 4
    some = Selection(g.name, since_ns=stamps[1], until_ns=stamps[3])
    chosen = exported.readings(world.store, some)
    assert {r.wall_ns for r in chosen if isinstance(r, Reading)} == set(stamps[1:3])
    events = exported.events(world.store, Selection(lane="fire"))
    assert [e.what for e in events if isinstance(e, Event)] == ["zone"]
    assert len(exported.events(world.store)) == 3
    assert exported.events(world.store, Selection(since_ns=2**62)) == []

    for kind, count in (("readings", 8), ("summaries", 1), ("events", 3)):
        path, text = tmp_path / f"{kind}.parquet", io.StringIO()
        what = Selection(g.name)
        assert write_parquet(kind, export_rows(world.store, kind, what), path) == count
        write_csv(kind, export_rows(world.store, kind, what), text)
        table = pyarrow.parquet.read_table(path)
        lines = list(csv.DictReader(io.StringIO(text.getvalue())))
        assert (table.num_rows, len(lines)) == (count, count)
        assert table.column_names == list(lines[0])
        assert [str(v or "") for v in table.column("gateway").to_pylist()] == [g.name] * count
    values = pyarrow.parquet.read_table(tmp_path / "readings.parquet").column("value")
    assert values.null_count == 1, "a value that is not a measurement is none"


def test_a_report_names_keys_that_speak_from_two_places(world: World) -> None:
    g, clone, other = world.gateway, Gateway(), Gateway("other", seed=9)
    other.trust(world.trust)
    world.restart()
    world.take(g.epoch(), g.events("event", "a"), other.epoch())
    clone.epoch()
    world.take(clone.events("event", "of the copy"))
    found = report(world.store)
    assert found["clones"] == {"test-0417": ["fork"]}
    assert report(world.store, "other")["clones"] == {}
    assert [x["gateway"] for x in report(world.store, "other")["gateways"]] == ["other"]


def test_monotonic_time_that_runs_back_is_a_remark(world: World) -> None:
    g = world.gateway
    first, second = g.epoch(), g.events("event", "a")
    g._mono_ns -= 10**9 // 2
    world.take(first, second, g.events("event", "b"))
    found = report(world.store)
    assert (found["findings"], [r["code"] for r in found["remarks"]]) == ([], ["clock_regression"])


def test_a_record_that_was_put_back_from_a_copy_is_said_and_told(world: World) -> None:
    """Until its epochs have passed those that are held: with every heartbeat, and to itself."""
    g, copy = world.gateway, Gateway()
    for _ in range(5):
        world.take(g.epoch())
    newest, late = g.epoch_id, g.heartbeat(60)
    world.take(g.heartbeat(600), late)
    for _ in range(2):
        copy.epoch()
    acks = world.take(copy.epoch(b"restored"))
    assert acks["test-0417", newest, "epoch"].seq == 4, "the gateway's own record learns of it"
    withheld = copy.events("fire", "withheld")
    for n in range(3):
        world.restart()
        assert [key[1] for key in world.take(copy.heartbeat(10 + 60 * n))] == [newest]
        assert world.take(late) == {}, "what is late or sent again changes nothing"
    found = {f["code"]: f for f in report(world.store)["findings"]}
    assert set(found) == {"epoch_fork", "rolled_back", "tail_missing"}
    assert found["rolled_back"]["count"] == 3
    assert "from 2 again and was at 4" in found["rolled_back"]["text"]
    assert found["tail_missing"]["lane"] == "fire"
    world.take(withheld)
    copy.ordinal = 4
    world.take(copy.epoch())
    assert world.take(copy.heartbeat(5)) == {}, "past it, heartbeats are as ever"
