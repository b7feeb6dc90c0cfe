"""Recordings and fires on a clock of the test's own."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from simulated_site import Clock, make_plan

from config.words import Flag
from drivers.simulator.building import Building
from drivers.simulator.fields import SimulatorError
from drivers.simulator.fire import ALPHA_KW_PER_S2, Fire, Growth
from drivers.simulator.recording import RecordingError, read_recording

CSV = "t_s,Heat_1,alarm,Heat_2\n-2,20.0,0,19\n-1,20.5,0,\n0,21.0,1,22\n10,80.25,1,nan\n"


@pytest.fixture
def recording_file(tmp_path: Path) -> Path:
    path = tmp_path / "fire.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    return path


def test_values_hold_until_the_next_row(recording_file: Path) -> None:
    recording = read_recording(recording_file, ["Heat_1", "Heat_2"])
    assert (recording.first_s, recording.last_s) == (-2.0, 10.0)
    assert recording.at(-99.0).tolist() == [20.0, 19.0]
    assert recording.at(9.99).tolist() == [21.0, 22.0]
    assert recording.at(10.0)[0] == 80.25
    assert math.isnan(recording.at(11.0)[1])
    held = read_recording(recording_file, ["Heat_2"], blank="hold")
    assert held.values[:, 0].tolist() == [19.0, 19.0, 22.0, 22.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t_s,a\n0,1\n1,hot\n", "row 3, column a: expected a number, found 'hot'"),
        ("t_s,a\n0,1\n1,inf\n", "row 3, column a: expected a number"),
        ("t_s,a\n0,1\n-1,2\n", "row 3, column t_s: expected a time that is not before"),
        ("t_s,a\n,1\n", "row 2, column t_s"),
        ("t_s,a\n0,1,2\n", "row 2: expected 2 cells, found 3"),
        ("t_s,b\n0,1\n", "row 1: expected one column 'a', found none; the columns are t_s, b"),
        ("t_s,a,a\n0,1,1\n", "row 1: expected one column 'a', found 2"),
        ("time,a\n0,1\n", "expected one column 't_s'"),
        ("t_s,a\n", "expected rows below the header, found none"),
        ("", "expected one column 't_s', found none"),
    ],
)
def test_what_is_wrong_with_a_recording_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(RecordingError) as told:
        read_recording(path, ["a"])
    assert says in str(told.value)
    assert str(path) in str(told.value)


def test_files_that_are_no_recording_at_all(tmp_path: Path) -> None:
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(CSV.encode() * 50)[:60])
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"t_s,a\n0,\xff\xfe\n")
    for path in (torn, binary, tmp_path / "missing.csv"):
        with pytest.raises(RecordingError, match=path.name):
            read_recording(path, ["a"])


def test_a_recording_plays_at_any_speed(recording_file: Path) -> None:
    clock = Clock()
    building = Building(make_plan(), mono_ns=clock)
    ended = []
    building.on_scene_end.append(lambda: ended.append(clock()))
    recording = read_recording(recording_file, ["Heat_1", "alarm", "Heat_2"])
    mapping = {"Heat_1": "sensor1.heat", "alarm": "panel.loop1", "Heat_2": "sensor2.heat"}
    building.play(recording, mapping, speed=10.0)
    assert building.value("sensor1.heat") == pytest.approx(20.0)
    assert building.value("panel.loop1") == Flag.NONE
    clock.pass_s(0.1)  # t_s = -1: an empty cell is a dead sensor
    building.tick(clock())
    assert building.value("sensor1.heat") == pytest.approx(20.5)
    assert math.isnan(building.value("sensor2.heat"))
    clock.pass_s(0.1)
    building.tick(clock())
    assert building.value("panel.loop1") == Flag.FIRE
    assert building.value("sensor2.heat") == pytest.approx(22.0)
    assert ended == []
    clock.pass_s(1.5)
    building.tick(clock())
    assert building.value("sensor1.heat") == pytest.approx(80.2)
    assert len(ended) == 1


def test_a_held_recording_waits_at_its_start(recording_file: Path) -> None:
    clock = Clock()
    building = Building(make_plan(), mono_ns=clock)
    recording = read_recording(recording_file, ["Heat_1"])
    begin = building.play(recording, {"Heat_1": "sensor1.heat"}, start_s=-1.0, hold=True)
    clock.pass_s(100.0)
    building.tick(clock())
    assert building.value("sensor1.heat") == pytest.approx(20.5)
    begin()
    clock.pass_s(1.0)
    building.tick(clock())
    assert building.value("sensor1.heat") == pytest.approx(21.0)


def test_a_recording_saturates_like_its_sensor_and_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "hot.csv"
    path.write_text("t_s,a,b\n0,5000,\n")
    building = Building(make_plan(), mono_ns=Clock())
    building.play(read_recording(path, ["a"]), {"a": "sensor1.heat"})
    assert building.value("sensor1.heat") == pytest.approx(3276.7)
    with pytest.raises(SimulatorError, match=r"panel\.mains: a single bit has no way"):
        building.play(read_recording(path, ["b"]), {"b": "panel.mains"})


def test_fires_reach_a_thousand_kilowatts_when_nfpa_72_says() -> None:
    for growth, t_s in zip(Growth, (600, 300, 150, 75), strict=True):
        assert Fire(growth=growth).heat_release_kw(t_s) == pytest.approx(1055, rel=0.001)
    assert ALPHA_KW_PER_S2[Growth.FAST] == 0.0469


def test_alpert_worked_out_by_hand() -> None:
    """1 MW under 4 m: 167.7 K in the plume, 5.38 * (1000 / 4)^(2/3) / 4 = 53.4 K at 4 m."""
    fire = Fire(growth=Growth.FAST, peak_kw=1000.0, ceiling_m=4.0)
    assert fire.gas_rise_k(1e6, 0.0) == pytest.approx(167.7, abs=0.1)
    assert fire.gas_rise_k(1e6, 4.0) == pytest.approx(53.4, abs=0.1)


@pytest.mark.parametrize("growth", list(Growth))
def test_a_fire_only_grows_and_passes_57_degrees(growth: Growth) -> None:
    fire = Fire(growth=growth)
    readings = [fire.reading("heat", 20.0, t, 2.0) for t in np.arange(-5.0, 900.0, 5.0)]
    assert all(r is not None for r in readings)
    values = np.array(readings, float)
    assert np.all(np.diff(values) >= 0)
    assert values[0] == 20.0
    assert values[-1] > 57.0
    assert all(fire.sensor_rise_k(t, 2.0) < fire.gas_rise_k(t, 2.0) for t in (10.0, 30.0, 60.0))


def test_the_sensor_lags_as_a_first_order_sensor_does() -> None:
    """Against a small-step integration of the differential equation."""
    fire = Fire(growth=Growth.FAST, sensor_tau_s=20.0)
    rise, dt = 0.0, 0.01
    for i in range(int(90 / dt)):
        rise += dt / 20.0 * (fire.gas_rise_k((i + 0.5) * dt, 1.5) - rise)
    assert fire.sensor_rise_k(90.0, 1.5) == pytest.approx(rise, rel=0.01)


def test_noise_is_a_function_of_time_and_seed() -> None:
    fire, other = Fire(noise=0.5, seed=3), Fire(noise=0.5, seed=4)
    assert fire.reading("heat", 20.0, 5.0, 1.0) == fire.reading("heat", 20.0, 5.0, 1.0)
    assert fire.reading("heat", 20.0, 5.0, 1.0) != other.reading("heat", 20.0, 5.0, 1.0)
    spread = [fire.reading("heat", 20.0, -float(t), 1.0) for t in range(1, 400)]
    assert np.std(np.array(spread, float)) == pytest.approx(0.5, rel=0.15)


def test_a_building_catches_fire_where_it_has_detectors() -> None:
    clock = Clock()
    building = Building(make_plan(), mono_ns=clock)
    building.ignite(Fire(growth=Growth.ULTRA_FAST), speed=10.0)
    seen = []
    for _ in range(60):
        seen.append(building.value("sensor1.heat"))
        clock.pass_s(0.1)
        building.tick(clock())
    assert seen == sorted(seen)
    assert building.value("sensor1.heat") > 57.0
    assert building.value("sensor1.heat") > building.value("sensor2.heat") > 30.0
    building.ignite(Fire(), ["panel.smoke", "panel.co"], [1.0, 1.0])
    clock.pass_s(60.0)
    building.tick(clock())
    assert building.value("panel.smoke") > 10.0
    assert building.value("panel.co") > 20.0
    with pytest.raises(SimulatorError, match=r"panel\.pressure: a simulated fire moves heat"):
        building.ignite(Fire(), ["panel.pressure"])
