"""Values and states become words and come back."""

from __future__ import annotations

import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_site import NOTIFIER, POINTS, P, make_plan

from config.plan import WordRule
from config.value_types import NO_BIT, VALUE_TYPES
from config.words import Flag, Mode, Quality
from drivers.modbus.values import PollDecoder
from drivers.simulator.ambient import set_ambient
from drivers.simulator.fields import SimulatorError
from drivers.simulator.registers import Registers
from drivers.simulator.states import flags_of


def registers_of(*points: P) -> Registers:
    return Registers(make_plan(points))


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int16", -1, [0xFFFF]),
        ("uint16", 0x1234, [0x1234]),
        ("int32", -2, [0xFFFF, 0xFFFE]),
        ("uint32", 0x12345678, [0x1234, 0x5678]),
        ("int32_le", -2, [0xFFFE, 0xFFFF]),
        ("uint32_le", 0x12345678, [0x5678, 0x1234]),
        ("float32", 123.5, list(struct.unpack(">HH", struct.pack(">f", 123.5)))),
        ("float32_le", 123.5, list(struct.unpack(">HH", struct.pack(">f", 123.5)))[::-1]),
    ],
)
def test_words_on_the_wire(kind: str, value: float, words: list[int]) -> None:
    registers = registers_of(P("panel.x", 3, 7, kind, 1.0))
    registers.set_value("panel.x", value)
    found = registers.read(0, 3, 7, len(words))
    assert found is not None
    assert found.tolist() == words
    assert registers.value("panel.x") == value


@given(
    kind=st.sampled_from([t for t in VALUE_TYPES if t != "bit"]),
    scale=st.sampled_from([1.0, 0.1, 0.01, -0.5, 10.0]),
    bias=st.sampled_from([0.0, -40.0, 273.15]),
    raw=st.integers(-0x8000, 0x7FFF),
)
def test_every_value_comes_back_within_half_a_step(
    kind: str, scale: float, bias: float, raw: int
) -> None:
    if kind.startswith(("uint", "bcd")):
        raw = abs(raw) % 9_999
    registers = registers_of(P("panel.x", 4, 0, kind, scale, bias))
    value = (raw + 0.25) * scale + bias
    registers.set_value("panel.x", value)
    assert registers.value("panel.x") == pytest.approx(value, abs=abs(scale) / 2)


def test_a_value_that_does_not_fit_is_refused_or_saturates() -> None:
    registers = registers_of(P("panel.x", 4, 0, "int16", 0.1))
    with pytest.raises(
        SimulatorError, match=r"panel\.x: expected a value from -3276\.8 to 3276\.7"
    ):
        registers.set_value("panel.x", 5000.0)
    registers.set_value("panel.x", 5000.0, clamp=True)
    assert registers.value("panel.x") == pytest.approx(3276.7)


def test_a_bit_leaves_its_neighbours_alone() -> None:
    registers = registers_of(
        P("panel.a", 3, 0, "uint16", 1.0, bit=0, kind="contact", unit=""),
        P("panel.b", 3, 0, "uint16", 1.0, bit=13, kind="contact", unit=""),
    )
    registers.set_value("panel.a", 1)
    registers.set_value("panel.b", 1)
    registers.set_value("panel.a", 0)
    word = registers.read(0, 3, 0, 1)
    assert word is not None
    assert word.tolist() == [0x2000]
    assert (registers.value("panel.a"), registers.value("panel.b")) == (0, 1)


@pytest.mark.parametrize(
    "flags", [Flag.NONE, Flag.FIRE, Flag.FIRE | Flag.DISABLED, Flag.FAULT | Flag.PREALARM]
)
def test_a_state_becomes_a_word_that_the_rule_reads_so(flags: Flag) -> None:
    registers = Registers(make_plan())
    registers.set_flags("panel.loop1", flags)
    word = registers.read(0, 3, 0, 1)
    assert word is not None
    assert flags_of(NOTIFIER, int(word[0])) == flags
    assert registers.value("panel.loop1") == flags


def test_states_that_share_a_word_do_not_disturb_each_other() -> None:
    alarm = WordRule(cases=((0x8000, 0x8000, Flag.FIRE),))
    fault = WordRule(cases=((0x2000, 0x2000, Flag.FAULT),))
    registers = registers_of(
        P("panel.alarm", 3, 0, "uint16", 1.0, rule=alarm),
        P("panel.fault", 3, 0, "uint16", 1.0, rule=fault),
    )
    registers.set_flags("panel.alarm", Flag.FIRE)
    registers.set_flags("panel.fault", Flag.FAULT)
    assert registers.value("panel.alarm") == Flag.FIRE
    registers.set_flags("panel.alarm", Flag.NONE)
    assert (registers.value("panel.alarm"), registers.value("panel.fault")) == (0, Flag.FAULT)


def test_a_state_that_the_device_cannot_say_is_refused() -> None:
    registers = Registers(make_plan())
    with pytest.raises(SimulatorError, match=r"panel\.contact: its device has no word for fault"):
        registers.set_flags("panel.contact", Flag.FAULT)
    with pytest.raises(SimulatorError, match="this is not a state point"):
        registers.set_flags("sensor1.heat", Flag.FIRE)
    with pytest.raises(SimulatorError, match="no point is called 'sensor9'"):
        registers.set_flags("sensor9", Flag.FIRE)


def test_a_dead_sensor_leaves_its_sentinel() -> None:
    registers = Registers(make_plan())
    for name, words in (
        ("sensor1.heat", [0x8000]),  # nothing says so: the type's own
        ("sensor2.heat", [0x7FFF]),  # the rule says so
        ("panel.pressure", [0xFFFF]),
    ):
        registers.set_value(name, math.nan)
        field = registers.fields(registers.index(name))[0]
        found = registers.read(field.device, field.function, field.address, 1)
        assert found is not None
        assert found.tolist() == words
    assert math.isnan(registers.value("sensor2.heat"))
    registers.set_quality("sensor2.heat", Quality.NOT_READY)
    assert registers.memory[registers.fields(10)[0].word] == 0x7FFE
    registers.set_value("panel.smoke", math.nan)
    assert math.isnan(registers.value("panel.smoke"))
    with pytest.raises(SimulatorError, match="no way to say"):
        registers.set_value("panel.mains", math.nan)


def test_addresses_that_nobody_polls_do_not_exist() -> None:
    registers = Registers(make_plan())
    assert registers.read(0, 3, 0, 6) is not None
    assert registers.read(0, 3, 0, 7) is None
    assert registers.read(0, 3, 65_535, 1) is None
    assert registers.read(0, 1, 0, 1) is None
    assert registers.read(3, 1, 0, 2) is not None
    assert not registers.write(3, 1, 1, [1, 1])
    assert registers.write(3, 1, 0, [1, 1])


def test_a_quiet_day_alarms_nowhere() -> None:
    plan = make_plan()
    registers = Registers(plan)
    set_ambient(plan, registers)
    assert registers.value("sensor1.heat") == pytest.approx(20.0)
    assert registers.value("panel.pressure") == 400
    for i, p in enumerate(POINTS):
        params = dict(p.params)
        value = registers.value(i)
        if p.mode == 2:
            assert value == Flag.NONE, p.name
        assert not value >= params.get("fire_level", math.inf), p.name
        assert not value <= params.get("low_level", -math.inf), p.name


def test_ambient_stays_off_levels_that_stand_where_it_would_be() -> None:
    registers_plan = make_plan(
        (
            P("panel.cold", 4, 0, params=(("fire_level", 10.0), ("fire_clear", 8.0))),
            P("panel.hot", 4, 1, params=(("low_level", 30.0), ("low_clear", 35.0))),
            P("panel.ranged", 4, 2, params=(("range_min", 50.0), ("range_max", 90.0))),
        )
    )
    registers = Registers(registers_plan)
    set_ambient(registers_plan, registers)
    assert registers.value("panel.cold") < 8.0
    assert registers.value("panel.hot") > 35.0
    assert 50.0 <= registers.value("panel.ranged") <= 90.0


def test_the_gateway_reads_what_the_simulator_shows() -> None:
    """Two codecs that share no code, over every type, states, sentinels and dead sensors."""
    plan = make_plan()
    registers = Registers(plan)
    set_ambient(plan, registers)
    rng = random.Random(5)
    numeric = [i for i, p in enumerate(POINTS) if p.mode is not Mode.STATE and p.bit == NO_BIT]
    states = [i for i, p in enumerate(POINTS) if p.rule is NOTIFIER]
    for _ in range(200):
        registers.set_value(rng.choice(numeric), rng.choice([rng.uniform(0, 500), math.nan]))
        flags = rng.choice([Flag.NONE, Flag.FIRE, Flag.FAULT, Flag.FIRE | Flag.DISABLED])
        registers.set_flags(rng.choice(states), flags)
        for poll in plan.polls:
            decoder = PollDecoder(poll, plan.rules)
            words = registers.read(poll.device, poll.function, poll.address, poll.count)
            assert words is not None
            if poll.function == 2:
                payload = np.packbits(words.astype(bool), bitorder="little").tobytes()
            else:
                payload = words.astype(">u2").tobytes()
            values, quality = decoder.decode(payload)
            for point, value, good in zip(decoder.point, values, quality == 0, strict=True):
                shown = registers.value(int(point))
                assert good == (not math.isnan(shown)), POINTS[point].name
                assert not good or value == pytest.approx(shown, rel=1e-12), POINTS[point].name
