"""What batches add up to: in any order, with losses, cuts and copies."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
import uplink_makers as b
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplink import cbor
from agent.uplink.audit import Audit
from agent.uplink.batch import Loss, LossReason, hash_of, seal
from agent.uplink.history import History, Kind


def feed(messages: Iterable[bytes], history: History | None = None) -> tuple[History, list[str]]:
    history = history or History()
    codes: list[str] = []
    for message in messages:
        verdict = history.offer(b.opened(message), None)
        codes += [f.code for f in verdict.findings if f.error]
    return history, codes


def problems(history: History) -> set[str]:
    return {f.code for f in history.problems()}


def building(epochs: int = 3, each: int = 4) -> b.Maker:
    maker = b.Maker()
    for _ in range(epochs):
        maker.open_epoch()
        for _ in range(each):
            maker.add("event")
            maker.add("fire")
    return maker


def test_a_whole_history_has_no_problem() -> None:
    history, codes = feed(building().messages)
    assert not codes
    assert not problems(history)


def _kept(history: History) -> list[list[Any]]:
    rows: list[list[Any]] = cbor.decode(cbor.encode([list(row) for row in history.changes()]))
    return rows


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter_and_a_restart_in_between(rng: random.Random) -> None:
    messages = building(2, 3).messages
    rng.shuffle(messages)
    half = len(messages) // 2
    history, codes = feed(messages[:half])
    again = History()
    again.apply((bytes(e), lane, state) for e, lane, state in _kept(history))
    history, more = feed(messages[half:], again)
    assert not codes + more
    assert not problems(history)
    duplicates = [history.offer(b.opened(m), hash_of(m)).kind for m in messages]
    assert set(duplicates) == {Kind.DUPLICATE}


@settings(max_examples=60)
@given(st.data())
def test_every_missing_batch_is_noticed_but_the_newest_of_a_lane(data: st.DataObject) -> None:
    maker = building()
    at = data.draw(st.integers(0, len(maker.messages) - 1))
    missing = b.opened(maker.messages[at]).batch
    history, _ = feed(maker.messages[:at] + maker.messages[at + 1 :])
    newest = maker.epoch == missing.epoch and missing.seq == 3 and missing.lane != "epoch"
    assert bool(problems(history)) != newest


def test_a_fork_a_clone_and_a_broken_link_are_refused() -> None:
    maker = building(2)
    history, _ = feed(maker.messages)
    twin = b.batch(epoch=maker.epoch, lane="fire", seq=3, prev=bytes(32))
    verdict = history.offer(b.opened(seal(twin, b.DEVICE)), None)
    assert (verdict.kind, verdict.findings[0].code) == (Kind.REFUSED, "fork")
    stored = b.batch(epoch=maker.epoch, lane="fire", seq=1, prev=bytes(32))
    verdict = history.offer(b.opened(seal(stored, b.DEVICE)), bytes(32))
    assert (verdict.kind, verdict.findings[0].code) == (Kind.REFUSED, "fork")
    loose = b.batch(epoch=maker.epoch, lane="fire", seq=4, prev=bytes(32))
    verdict = history.offer(b.opened(seal(loose, b.DEVICE)), None)
    assert (verdict.kind, verdict.findings[0].code) == (Kind.REFUSED, "broken_link")


def test_a_restored_card_opens_the_same_ordinal_twice() -> None:
    maker = building(2)
    history, _ = feed(maker.messages)
    copy = building(1)
    twin = copy.open_epoch(epoch=b"restored")
    verdict = history.offer(b.opened(twin), None)
    assert "epoch_fork" in {f.code for f in verdict.findings}


def test_a_first_batch_that_does_not_point_at_its_epoch_is_noticed() -> None:
    maker = b.Maker()
    maker.open_epoch()
    maker.add("fire", prev=b"x" * 32)
    _, codes = feed(maker.messages)
    assert codes == ["broken_link"]


def test_a_cut_tail_shows_in_the_next_epoch() -> None:
    maker = building(2)
    kept = [
        m for m in maker.messages
        if (b.opened(m).batch.epoch, b.opened(m).batch.seq) != (b"epoch-00", 3)
    ]  # fmt: skip
    history, _ = feed(kept)
    assert problems(history) == {"truncated"}


def test_declared_losses_explain_gaps_and_undeclared_ones_stay() -> None:
    maker = building(2)
    gone = b.evicted("event", b"epoch-01", 1)
    maker.add("event", losses=(gone,))
    kept = [
        m for m in maker.messages
        if not (
            b.opened(m).batch.lane == "event"
            and (b.opened(m).batch.epoch, b.opened(m).batch.seq) <= (b"epoch-01", 1)
        )
    ]  # fmt: skip
    history, codes = feed(kept)
    assert not codes
    assert not problems(history)
    assert history.acknowledge(maker.epoch, "event") == (4, hash_of(maker.messages[-1]))
    one_less = [m for m in kept if b.opened(m).batch.seq != 2 or b.opened(m).batch.lane != "event"]
    assert problems(feed(one_less)[0]) == {"gap"}


def test_a_lost_epoch_and_a_damaged_file_are_explained_by_the_next_epoch() -> None:
    maker = building(2)
    overrun = Loss(LossReason.OVERRUN, "epoch", b"epoch-01", 1, 1)
    damaged = [
        Loss(LossReason.DAMAGED, lane, b"epoch-01", 0, 2**63 - 1) for lane in ("event", "fire")
    ]
    maker.open_epoch(losses=(overrun, *damaged))
    maker.add("fire")
    first, last = maker.messages[0], maker.messages[-2:]
    history, codes = feed([first, *last])
    assert not codes
    assert not problems(history)
    assert problems(feed([first, last[1]])[0]) == {"missing_epoch"}


def test_the_acknowledgement_goes_no_further_than_the_chain() -> None:
    maker = building(1)
    history = History()
    fire = [m for m in maker.messages if b.opened(m).batch.lane == "fire"]
    feed([fire[0], fire[2]], history)
    assert history.acknowledge(maker.epoch, "fire") is None, "its epoch is not known yet"
    feed([maker.messages[0]], history)
    assert history.acknowledge(maker.epoch, "fire") == (0, hash_of(fire[0]))
    feed([fire[1]], history)
    assert history.acknowledge(maker.epoch, "fire") == (2, hash_of(fire[2]))
    assert history.acknowledge(maker.epoch, "epoch") == (0, hash_of(maker.messages[0]))
    assert history.acknowledge(maker.epoch, "event") is None


def test_what_waits_for_a_missing_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.uplink.history.HISTORY_PENDING_MAX", 3)
    maker = building(1, 6)
    fire = [m for m in maker.messages if b.opened(m).batch.lane == "fire"]
    history, codes = feed([maker.messages[0], *fire[1:]])
    assert codes == ["window", "window"]
    feed([fire[0], *fire[4:]], history)
    assert history.acknowledge(maker.epoch, "fire") == (5, hash_of(fire[5]))


def test_a_huge_ordinal_costs_nothing() -> None:
    maker = b.Maker()
    maker.open_epoch(seq=2**62, prev=bytes(32))
    history, _ = feed(maker.messages)
    assert problems(history) == {"gap"}


def test_a_monotonic_clock_that_runs_back_is_noted() -> None:
    maker = b.Maker()
    maker.open_epoch()
    maker.add("event", mono_last_ns=9_000_000_000)
    maker.add("event", mono_last_ns=8_000_000_000)
    history = History()
    notes = [f for m in maker.messages for f in history.offer(b.opened(m), None).findings]
    assert [(f.code, f.error) for f in notes] == [("clock_regression", False)]


def test_an_audit_reads_everything_and_is_whole_only_when_all_is() -> None:
    maker = building(2)
    audit = Audit(b.TRUST)
    for message in maker.messages:
        opened = audit.open(message, "here")
        assert opened is not None
        audit.take(opened)
    assert audit.finish()
    account = audit.accounts[b.GATEWAY]
    assert account.records == {"epoch": 2, "event": 8, "fire": 8}
    assert audit.open(b"garbage", "there") is None
    assert not audit.finish()
    assert not Audit(b.TRUST).finish(), "nothing is not whole"


def test_a_signed_batch_that_cannot_be_read_is_an_error() -> None:
    maker = b.Maker()
    maker.open_epoch()
    maker.add("event", data=b"\x80")
    audit = Audit(b.TRUST)
    for message in maker.messages:
        opened = audit.open(message, "")
        assert opened is not None
        audit.take(opened)
    assert not audit.finish()
    assert [f.code for f in audit.accounts[b.GATEWAY].findings] == ["unreadable"]
