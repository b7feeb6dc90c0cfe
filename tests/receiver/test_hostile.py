"""Enrolled gateways that say what no gateway should: nobody else may notice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from databases import PostgreSqlServer
from gateways import Gateway, platform_key
from typer.testing import CliRunner, Result

from agent.cli import receive, received
from agent.receiver.export import Selection, export_rows, write_parquet
from agent.receiver.ingest import Ingest, Message, Note
from agent.receiver.postgresql import PostgreSql
from agent.receiver.readings import kept_batch
from agent.receiver.report import report
from agent.receiver.store import Store, StoreFailed, open_store
from agent.receiver.trust import read_signer, read_trust
from agent.uplink import cbor
from agent.uplink.batch import Batch, Codec, seal
from agent.uplink.errors import UplinkError
from config.limits import S

NOW_NS = 1_795_000_000 * S
MOST = 2**63 - 1
ROW: list[Any] = [b"s" * 16, 1, "zone/0", "zone", 1, 1, 2, 0, {}]


def event(**other: Any) -> bytes:
    names = ("session", "seq", "source", "what", "mono", "wall", "clock", "folded", "body")
    return cbor.encode([[other.get(n, v) for n, v in zip(names, ROW, strict=True)]])


def counts(polls: Any, samples: Any) -> bytes:
    return cbor.encode([polls, samples, b"", [], b"", b"", b"", b""])


# name -> (lane, codec, data, whether it is kept and reported as unreadable)
SAID: dict[str, tuple[str, Codec, bytes, bool]] = {
    "U+0000 in a source": ("event", Codec.CBOR, event(source="a\0b"), True),
    "U+0000 in what": ("event", Codec.CBOR, event(what="\0"), True),
    "U+0000 in a body": ("event", Codec.CBOR, event(body={"a\0": ["\0"]}), False),
    "the largest": ("event", Codec.CBOR, event(seq=MOST, mono=MOST, wall=MOST, folded=MOST), False),
    "no clock": ("event", Codec.CBOR, event(clock=0, mono=MOST, wall=MOST), False),
    "a body of all kinds": (
        "event", Codec.CBOR, event(body={"a": {1: [b"x", math.inf, 2**64 - 1]}}), False,
    ),
    "samples without end": ("telemetry", Codec.COLUMNS, counts([3], [math.inf]), True),
    "samples of 64 bits": ("telemetry", Codec.COLUMNS, counts([3], [2**64 - 1]), True),
    "more than an integer": ("telemetry", Codec.COLUMNS, counts([3] * 9, [2**31] * 9), True),
    "samples below none": ("telemetry", Codec.COLUMNS, counts([3], [-5]), True),
    "polls of no table": ("telemetry", Codec.COLUMNS, counts([4], [1]), True),
    "no columns": ("telemetry", Codec.COLUMNS, cbor.encode({0: [3], 1: [4]}), True),
    "a lane of its own": ("own", Codec.CBOR, b"", False),
}  # fmt: skip


class Platform:
    """A receiver, a gateway that says what it likes, and one beside it."""

    def __init__(self, where: str, home: Path) -> None:
        self.where, self.home = where, home
        self.bad, self.good = Gateway("bad", 1), Gateway("good", 2)
        platform_key(home / "platform")
        for gateway in (self.bad, self.good):
            gateway.trust(home / "trust.json")
        self.notes: list[Note] = []
        self.now_ns = NOW_NS
        self.store: Store = open_store(where)
        self.ingest = Ingest(
            self.store, read_trust(home / "trust.json"), read_signer(home / "platform"),
            lambda: self.now_ns, self.notes.append,
        )  # fmt: skip
        self.take(self.bad.epoch(), self.bad.table(), self.good.epoch())

    def take(self, *messages: tuple[str, bytes]) -> set[str]:
        """Gateways that got an acknowledgement."""
        return {key[0] for key in self.ingest.take([Message(*m) for m in messages])}

    def says(self, lane: str, codec: Codec, data: bytes, **other: Any) -> tuple[str, bytes]:
        """A batch of the bad one, signed as it should be."""
        fields: dict[str, Any] = {
            "gateway": "bad", "epoch": self.bad.epoch_id, "lane": lane, "seq": 0,
            "prev": self.bad._epoch_hash, "boot": b"boot-of-the-test", "mono_first_ns": 1,
            "mono_last_ns": 2, "wall_ns": 3, "clock": 2, "codec": int(codec), "data": data,
            "table": self.bad._table if lane == "telemetry" else b"",
        }  # fmt: skip
        batch = Batch(**{**fields, **other})
        return f"embergate/1/bad/up/{lane}", seal(batch, self.bad.signer)

    def codes(self) -> list[str]:
        return [f["code"] for f in report(self.store)["findings"]]


def command(*args: str) -> Result:
    app = typer.Typer()
    receive.register(app)
    received.register(app)
    return CliRunner().invoke(app, args)


@pytest.fixture(params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    where = str(tmp_path / "received.db")
    if request.param == "postgresql":
        server: PostgreSqlServer = request.getfixturevalue("postgresql")
        where = server.database()
    made = Platform(where, tmp_path)
    yield made
    made.store.close()


def test_what_one_gateway_says_holds_up_no_other(platform: Platform) -> None:
    unreadable = 0
    p = platform
    for n, (lane, codec, data, kept_only) in enumerate(SAID.values()):
        good = p.good.events("event", f"e{n}")
        epoch = p.bad.epoch()  # each in an epoch of its own
        bad = p.says(lane, codec, data)
        assert p.take(epoch, bad, good) == {"bad", "good"}
        unreadable += kept_only
    assert p.codes() == ["unreadable"] * unreadable
    assert report(p.store)["gateways"][1]["events"] == len(SAID)


def test_a_lane_that_no_database_can_write_is_refused(platform: Platform) -> None:
    bad = platform.says("x\0y", Codec.CBOR, b"")
    assert platform.take(bad, platform.good.events("event", "a")) == {"good"}
    assert platform.codes() == ["malformed"]


def test_what_only_the_database_refuses_is_found_and_dropped_alone(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that no check of ours knows of."""
    known = Ingest._decode

    def decode(self: Ingest, gateway: str, opened: Any) -> Any:
        count, events = known(self, gateway, opened)
        return (2**70 if gateway == "bad" else count), events

    monkeypatch.setattr(Ingest, "_decode", decode)
    sent = [platform.good.events("event", f"e{n}") for n in range(6)]
    sent.insert(3, platform.bad.events("event", "x"))
    assert platform.take(*sent) == {"good"}
    assert report(platform.store)["events"] == 6
    (note,) = [n for n in platform.notes if n.what == "refused"]
    assert note.error
    assert "embergate/1/bad/up/event" in note.text
    assert platform.codes() == []


def test_an_export_names_what_it_leaves_out_and_writes_all_others(platform: Platform) -> None:
    p = platform
    p.take(p.says(*SAID["polls of no table"][:3]), p.good.table(), p.good.telemetry(3))
    p.take(p.bad.epoch())
    p.take(p.says(*SAID["no columns"][:3]))
    with pytest.raises(UplinkError):
        list(export_rows(p.store, "readings", Selection()))
    out = p.home / "r.parquet"
    told: list[str] = []
    rows = export_rows(p.store, "readings", Selection(), told.append)
    assert write_parquet("readings", rows, out) == 6
    assert len(told) == 2
    assert told[0].startswith("bad telemetry ")
    done = command("export", "readings", "--db", p.where)
    assert done.exit_code == 1
    assert "2 batches cannot be decoded; all others were written" in done.stderr
    assert len(done.stdout.splitlines()) == 1 + 6


def test_a_time_beyond_all_calendars_is_no_reading(platform: Platform) -> None:
    p = platform
    data = kept_batch(p.bad.telemetry(3)[1]).data
    late = p.says("telemetry", Codec.COLUMNS, data, mono_first_ns=1, mono_last_ns=1, wall_ns=MOST)
    assert p.take(late) == {"bad"}
    told: list[str] = []
    rows = export_rows(p.store, "readings", Selection(), told.append)
    assert write_parquet("readings", rows, p.home / "r.parquet") == 0
    assert len(told) == 1


def test_a_summary_of_a_time_beyond_all_calendars_is_none(platform: Platform) -> None:
    p = platform
    established = {"event": "clock_established", "boot": b"boot-of-the-test", "wall_ns": 2**62 - 1,
                   "mono_ns": 0}  # fmt: skip
    p.take(p.says("event", Codec.CBOR, event(body=established)))
    data = cbor.encode([[3], [1], [], [], [], []])
    late = p.says("summary", Codec.SUMMARY, data, clock=0, mono_first_ns=1, mono_last_ns=MOST,
                  table=p.bad._table)  # fmt: skip
    assert p.take(late) == {"bad"}
    told: list[str] = []
    rows = export_rows(p.store, "summaries", Selection(), told.append)
    assert write_parquet("summaries", rows, p.home / "m.parquet") == 0
    assert len(told) == 1


def test_a_terminal_obeys_no_gateway(platform: Platform) -> None:
    _, batch = platform.says("event", Codec.CBOR, event())
    platform.take(("embergate/1/[b]\x1b[2J/up/event", batch))
    done = command("receive", "--report", "--db", platform.where)
    assert done.exit_code == 0, done.output
    assert "[b]" in done.stdout
    assert "\x1b[2J" not in done.stdout


# --- PostgreSQL alone ---


def test_a_server_that_vanishes_is_left_within_half_a_minute(
    postgresql: PostgreSqlServer,
) -> None:
    store = open_store(postgresql.database())
    assert isinstance(store.engine, PostgreSql)
    said = store.engine._connection.info.get_parameters()
    store.close()
    assert int(said["tcp_user_timeout"]) == 30_000
    idle, every, times = (int(said[f"keepalives_{k}"]) for k in ("idle", "interval", "count"))
    assert idle + every * times <= 30


def test_a_database_that_was_begun_anew_is_made_ready_again(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    url = postgresql.database()
    p = Platform(url, tmp_path)
    name = url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")
        admin.execute(f"create database {name}")
    sent = [p.good.epoch(), p.good.events("event", "a")]
    with pytest.raises(StoreFailed):
        p.take(*sent)
    assert p.take(*sent) == {"good"}
    p.store.close()


def test_a_clock_that_goes_back_finds_its_partitions(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path)
    p.now_ns -= 400 * 24 * 3_600 * S
    sent = p.good.events("event", "a")
    with pytest.raises(StoreFailed):
        p.take(sent)
    assert p.take(sent) == {"good"}
    p.store.close()
