"""Parts of the record by themselves: keys, clock, eviction rules, the epoch hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from world_record import DEVICE_KEY, FakeClock, write_keys

from agent.clock import SystemClock
from agent.core.types import ClockState, Now
from agent.record.evict import plan_cuts
from agent.record.hint import read_hint, write_hint
from agent.record.keys import KeyProblem, load_platform, load_signer
from agent.record.ring import Db, Entry
from agent.record.sealer import EpochPlace, Sealer
from agent.record.store import Store
from agent.uplink.batch import Codec
from agent.uplink.cose import Signer
from agent.uplink.events import EpochData
from config.limits import EVENT_AGE_NS_MIN, S

# --- keys -----------------------------------------------------------------------------------------


def test_the_key_comes_from_the_service_managers_credential_first(tmp_path: Path) -> None:
    credentials, keys = tmp_path / "credentials", tmp_path / "keys"
    credentials.mkdir()
    keys.mkdir()
    write_keys(credentials)
    (credentials / "device.key").chmod(0o440)  # as systemd makes it, readable through an ACL
    signer = load_signer(keys, {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert signer.public == DEVICE_KEY.public_key().public_bytes_raw()
    with pytest.raises(KeyProblem):
        load_signer(keys, {})


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_keys(tmp_path)
    (tmp_path / "device.key").chmod(mode)
    with pytest.raises(KeyProblem, match=f"{mode:04o}"):
        load_signer(tmp_path, {})


def test_a_key_behind_a_link_and_a_directory_are_refused(tmp_path: Path) -> None:
    write_keys(tmp_path)
    (tmp_path / "device.key").rename(tmp_path / "real.key")
    (tmp_path / "device.key").symlink_to(tmp_path / "real.key")
    with pytest.raises(KeyProblem):
        load_signer(tmp_path, {})
    (tmp_path / "platform.pub").unlink()
    (tmp_path / "platform.pub").mkdir()
    with pytest.raises(KeyProblem):
        load_platform(tmp_path)


def test_no_error_quotes_a_key_file(tmp_path: Path) -> None:
    write_keys(tmp_path)
    for name, load in (("device.key", load_signer), ("platform.pub", load_platform)):
        text = (tmp_path / name).read_text().replace("KEY", "KEE")
        (tmp_path / name).write_text(text)
        with pytest.raises(KeyProblem) as caught:
            load(tmp_path)
        assert text.splitlines()[1] not in str(caught.value)


def test_no_pinned_platform_key_is_an_empty_trust(tmp_path: Path) -> None:
    assert len(load_platform(tmp_path)) == 0
    write_keys(tmp_path)
    assert len(load_platform(tmp_path)) == 1


# --- clock ----------------------------------------------------------------------------------------


def test_the_clock_is_monotonic_and_knows_its_boot() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.mono_ns <= second.mono_ns <= clock.mono_ns()
    assert first.clock in (ClockState.UNSET, ClockState.HOLDOVER, ClockState.SYNCHRONISED)
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert clock.boot_id.hex() == text.replace("-", "")


# --- the hint -------------------------------------------------------------------------------------


def test_the_hint_comes_back_and_damage_is_no_hint(tmp_path: Path) -> None:
    path = tmp_path / "record.epoch"
    assert read_hint(path, b"us") is None
    place = EpochPlace(7, b"epoch--7", bytes(32))
    write_hint(path, b"us", place)
    assert read_hint(path, b"us") == place
    assert read_hint(path, b"them") is None, "another gateway, or another key"
    path.write_bytes(path.read_bytes()[:-1])
    assert read_hint(path, b"us") is None
    path.write_bytes(b"\x83\x07\x00\x00")
    assert read_hint(path, b"us") is None


# --- eviction -------------------------------------------------------------------------------------

YEAR = EVENT_AGE_NS_MIN
NOW = 1_790_000_000 * S


class Shelf:
    """A store with rows of given ages."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.store.open()
        clock = FakeClock()
        self.sealer = Sealer(
            Signer(DEVICE_KEY), "gw", clock.boot_id, bytes(8), None, EpochData("first"), clock.now()
        )
        self.store.append([Entry(self.sealer.opening, 0)], [self.sealer.place])

    def add(self, lane: str, wall_ns: int, count: int, *, size: int = 2000) -> None:
        state = ClockState.SYNCHRONISED if wall_ns else ClockState.UNSET
        now = Now(10**12, wall_ns, state)
        entries = [
            Entry(self.sealer.seal(lane, Codec.CBOR, bytes(size), now, mono_first_ns=0), 0)
            for _ in range(count)
        ]
        self.store.append(entries)

    def cuts(self, db: Db, wall_ns: int = NOW, **limits: int) -> dict[str, int]:
        return {lane: seq for lane, _, seq in plan_cuts(self.store, db, wall_ns, **limits)}


@pytest.fixture
def shelf(tmp_path: Path) -> Any:
    made = Shelf(tmp_path / "file.db")
    yield made
    made.store.close()


def test_events_younger_than_a_year_stay_until_the_file_is_twice_too_large(shelf: Shelf) -> None:
    shelf.add("event", NOW - YEAR // 2, 100)
    used = shelf.store.used_bytes()
    assert shelf.cuts(Db.EVENTS, events_bytes=used, rows_min=10) == {}
    assert shelf.cuts(Db.EVENTS, events_bytes=used - 1, rows_min=10) == {}
    assert shelf.cuts(Db.EVENTS, events_bytes=used // 2 - 1, rows_min=10)["event"] >= 0


def test_events_older_than_a_year_go_first_and_the_least_number_stays(shelf: Shelf) -> None:
    shelf.add("event", NOW - 2 * YEAR, 20)
    shelf.add("fire", NOW - 2 * YEAR, 5)
    shelf.add("event", NOW - YEAR // 2, 100)
    small = {"events_bytes": shelf.store.used_bytes() - 1}
    enough = shelf.store.used_bytes() // 64
    last = shelf.cuts(Db.EVENTS, rows_min=10, **small)["event"]
    rows = shelf.store.oldest(["event"], last + 1)
    assert sum(row[5] for row in rows[:-1]) < enough <= sum(row[5] for row in rows), "a 64th"
    assert shelf.cuts(Db.EVENTS, rows_min=125, **small) == {}
    assert shelf.cuts(Db.EVENTS, rows_min=124, **small) == {"event": 0}
    assert shelf.cuts(Db.EVENTS, wall_ns=0, rows_min=10, **small) == {}, "no clock, no age"


def test_a_start_in_1970_makes_nothing_old(shelf: Shelf) -> None:
    shelf.add("event", 0, 50)
    shelf.add("event", NOW - 1000, 50)
    size = shelf.store.used_bytes() - 1
    assert shelf.cuts(Db.EVENTS, events_bytes=size, rows_min=10) == {}


def test_rows_without_a_time_are_as_old_as_what_came_after(shelf: Shelf) -> None:
    shelf.add("event", 0, 3)
    shelf.add("event", NOW - 2 * YEAR, 3)
    shelf.add("event", NOW, 100)
    size = shelf.store.used_bytes() - 1
    assert shelf.cuts(Db.EVENTS, events_bytes=size, rows_min=10)["event"] in (2, 3)


def test_telemetry_goes_before_summaries_and_the_last_of_a_lane_stays(shelf: Shelf) -> None:
    shelf.add("summary", NOW, 5)
    shelf.add("telemetry", NOW, 30)
    used = shelf.store.used_bytes()
    assert shelf.cuts(Db.TELEMETRY, telemetry_bytes=used) == {}
    small = {"telemetry_bytes": used - 1}
    assert list(shelf.cuts(Db.TELEMETRY, **small)) == ["telemetry"]
    shelf.store.delete("telemetry", 0, 28)
    small = {"telemetry_bytes": 1000}
    assert list(shelf.cuts(Db.TELEMETRY, **small)) == ["summary"]
    shelf.store.delete("summary", 0, 3)
    assert shelf.cuts(Db.TELEMETRY, **small) == {}
    assert shelf.store.open().heads["telemetry"].seq == 29


def test_deleted_pages_are_used_again_and_the_file_does_not_grow(shelf: Shelf) -> None:
    shelf.add("telemetry", NOW, 500)
    size = 0
    for n in range(1, 5):
        shelf.store.delete("telemetry", 0, 500 * n - 2)
        shelf.add("telemetry", NOW, 500)
        now = shelf.store.path.stat().st_size
        assert size == 0 or now <= size * 1.1
        size = now
