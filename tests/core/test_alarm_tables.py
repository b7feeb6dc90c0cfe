"""Every row of the fire table, and what the three verbs do to points."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from core_world import (
    BUTTON,
    CONTACT,
    DISABLED,
    FAULT,
    FIRE,
    PANEL1,
    PRE,
    TEST,
    A,
    World,
    normal,
    of,
)

from agent.core import kernels as k
from agent.core.alarms import (
    FIRE_TABLE,
    Act,
    Event,
    Origin,
    Phase,
    fire_event,
    live_flags,
    live_flags_of,
    reset_event,
)
from agent.core.types import Verb
from config.limits import RESOUND_NS, S
from config.words import Flag, Lane, Quality

ROWS = sorted(FIRE_TABLE.items())


def test_the_table_is_complete_but_for_what_cannot_be() -> None:
    everything = set(itertools.product(Origin, Phase, Event))
    never = {key for key in everything if key[0] is not Origin.GATEWAY and key[1] is Phase.HELD}
    never |= {key for key in everything if key[2] is Event.RETURNS and key[1] is not Phase.HELD}
    assert set(FIRE_TABLE) == everything - never
    for (origin, _, _), (phase, _) in FIRE_TABLE.items():
        assert origin is Origin.GATEWAY or phase is not Phase.HELD


@pytest.mark.parametrize(("row", "outcome"), ROWS)
def test_each_row_keeps_the_rules(
    row: tuple[Origin, Phase, Event], outcome: tuple[Phase, Act]
) -> None:
    origin, phase, event = row
    after, act = outcome
    if origin is Origin.GATED:  # counts for nothing, hence latches nothing
        assert act is Act.NONE
        assert after in (phase, Phase.LIVE if event is Event.RISES else Phase.CLEAR)
        return
    if event is Event.RETURNS:
        assert outcome == (Phase.LIVE, Act.ALARM)
        return
    assert (act is Act.ALARM) == (phase is Phase.CLEAR and after is not Phase.CLEAR)
    assert (act is Act.END) == (phase is not Phase.CLEAR and after is Phase.CLEAR)
    if act is Act.ALARM:
        assert event is Event.RISES
    if act is Act.END:  # only a reset entitled to it, or the panel's own word
        expected = Event.RESET if origin is Origin.GATEWAY else Event.FALLS
        assert event is expected


def drive(world: World, origin: Origin, phase: Phase) -> int:
    """Bring a point of this origin into this phase; which point."""
    point = PANEL1 if origin is Origin.PANEL else CONTACT
    world.quiet()
    if origin is Origin.GATED:
        world.order(Verb.DISABLE, target="point/contact")
    if phase is not Phase.CLEAR:
        world.sample({**normal(), point: FIRE}, 2)
    if phase is Phase.HELD:
        world.sample(normal(), 2)
    assert world.state.alarms.phase[point] == phase
    return point


@pytest.mark.parametrize(("row", "outcome"), ROWS)
def test_each_row_in_a_running_gateway(
    row: tuple[Origin, Phase, Event], outcome: tuple[Phase, Act]
) -> None:
    origin, phase, event = row
    world = World()
    point = drive(world, origin, phase)
    count = world.state.alarms.count
    if event is Event.RISES:
        world.sample({**normal(), point: FIRE}, 2)
    elif event is Event.FALLS:
        world.sample(normal(), 2)
    elif event is Event.UNKNOWN:
        world.sample({point: 0}, 4, quality=Quality.BAD)
    elif event is Event.RESET:
        if phase is Phase.LIVE and origin is Origin.GATEWAY:
            # A contact that reads normal is HELD at once; only a recalled alarm can be both.
            world.state.image.words[point, k.BITS] = k.READY | k.BELOW_CLEAR
        if phase is Phase.LIVE and origin is Origin.GATED:
            world.tick(3)  # it cannot be read any more
        world.order(Verb.RESET)
    elif event is Event.RETURNS:
        world.order(Verb.SILENCE)
        world.sample(normal(), RESOUND_NS // S)
        world.sample({**normal(), point: FIRE}, 1)
    else:
        world.sample({point: 0}, 1, quality=Quality.BAD)
        world.order(Verb.RESET)
    assert world.state.alarms.phase[point] == outcome[0]
    assert world.state.alarms.count - count == (outcome[1] is Act.ALARM)
    assert bool(world.flags(point) & FIRE) == (outcome[0] is not Phase.CLEAR)


@pytest.mark.parametrize(
    ("bits", "event"),
    [
        (k.READY | k.FIRE, Event.RISES),
        (k.FIRE | k.STALE, Event.RISES),
        (k.READY | k.BELOW_CLEAR, Event.FALLS),
        (k.READY, Event.FALLS),
        (0, Event.UNKNOWN),
        (k.READY | k.STALE, Event.UNKNOWN),
        (k.INVALID, Event.UNKNOWN),
        (k.READY | k.TREND, Event.UNKNOWN),
    ],
)
def test_what_bits_say_of_a_fire(bits: int, event: Event) -> None:
    assert fire_event(bits) is event


@pytest.mark.parametrize("extra", [k.STALE, k.INVALID, k.FIRE, k.TREND])
def test_a_reset_is_entitled_only_by_a_good_reading_below_clear(extra: int) -> None:
    assert reset_event(k.READY | k.BELOW_CLEAR) is Event.RESET
    assert reset_event(k.READY) is Event.RESET_REFUSED
    assert reset_event(k.READY | k.BELOW_CLEAR | extra) is Event.RESET_REFUSED


def test_live_flags_of_one_and_of_many_agree() -> None:
    words = [k.TREND, k.INVALID, k.STALE, k.STALE | k.INVALID, FIRE | k.READY, PRE | k.TREND, 0]
    for covered in (False, True):
        many = live_flags(np.array(words, np.uint32), np.full(len(words), covered))
        assert many.tolist() == [live_flags_of(w, covered=covered) for w in words]


def test_fire_latches_and_reset_clears_it_only_below_the_clear_level() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 60.0}, 2)
    assert w.flags(A) & FIRE
    w.sample({**normal(), A: 55.0}, 3)  # inside the deadband
    w.order(Verb.RESET)
    assert w.flags(A) & FIRE
    w.quiet()
    assert w.flags(A) & FIRE
    out = w.order(Verb.RESET)
    assert not w.flags(A) & FIRE
    assert of(out, "operator")[0].body["cleared"] == 1
    assert of(out, "point/101")[0].body["why"] == "reset"


def test_a_dropout_to_zero_does_not_entitle_a_reset() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 80.0}, 3)
    w.sample({**normal(), A: 0.0}, 1)
    w.order(Verb.RESET)
    assert w.flags(A) & FIRE


@pytest.mark.parametrize("how", ["stale", "bad"])
def test_fire_on_a_point_that_cannot_be_read_stays_until_it_reads_good(how: str) -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), CONTACT: FIRE}, 2)
    w.quiet()
    if how == "stale":
        w.tick(5)
    else:
        w.sample({CONTACT: 0}, 4, quality=Quality.BAD)
    w.order(Verb.RESET)
    assert w.flags(CONTACT) & FIRE
    w.quiet()
    w.order(Verb.RESET)
    assert not w.flags(CONTACT) & FIRE


def test_a_panel_alarm_follows_the_panel_and_losing_the_link_clears_nothing() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    w.order(Verb.RESET)
    assert w.flags(PANEL1) & FIRE
    w.tick(10)
    assert w.flags(PANEL1) & FIRE
    assert set(w.on) == {0, 1}
    w.sample(normal(), 1)
    assert not w.flags(PANEL1) & FIRE
    assert w.on == {}


def test_a_contact_counts_at_once_and_latches() -> None:
    w = World()
    w.quiet()
    out = w.sample({**normal(), CONTACT: FIRE}, 1)
    assert of(out, "point/109")[0].lane is Lane.FIRE
    w.quiet()
    assert w.flags(CONTACT) & FIRE


@pytest.mark.parametrize("gate", [DISABLED, TEST])
def test_a_gated_panel_point_sounds_nothing_and_calls_nobody(gate: int) -> None:
    w = World()
    w.quiet()
    out = w.sample({**normal(), PANEL1: FIRE | gate}, 2)
    assert w.on == {}
    assert w.state.alarms.count == 0
    record = of(out, "point/106")[0]
    assert record.lane is Lane.EVENT
    assert record.body["gated"] is True
    assert record.body["to"] & FIRE
    # ... and when the gate opens on a standing fire, it counts.
    out = w.sample({**normal(), PANEL1: FIRE}, 1)
    assert set(w.on) == {0, 1}
    assert of(out, "point/106")[0].lane is Lane.FIRE


@pytest.mark.parametrize("gate", [DISABLED, TEST])
def test_disabling_never_clears_an_existing_fire(gate: int) -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    w.sample({**normal(), PANEL1: FIRE | gate}, 2)
    assert set(w.on) == {0, 1}
    assert w.state.alarms.vote[PANEL1]


def test_acknowledge_silences_nothing_silence_clears_nothing() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 60.0}, 2)
    sounding = dict(w.on)
    out = w.order(Verb.ACKNOWLEDGE)
    assert of(out, "operator")[0].body == {
        "verb": "acknowledge", "who": "eve", "source": "test", "points": 1,
    }  # fmt: skip
    assert w.on == sounding
    w.order(Verb.SILENCE)
    assert w.on == {}
    assert w.flags(A) & FIRE
    assert w.zone(0) & FIRE


def test_a_new_alarm_sounds_again_after_silence() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 60.0}, 2)
    w.order(Verb.SILENCE)
    w.sample({**normal(), A: 60.0}, 3)
    assert w.on == {}
    w.sample({**normal(), A: 60.0, BUTTON: FIRE | Flag.MANUAL}, 1)
    assert 0 in w.on


def test_the_first_alarm_is_frozen_and_alarms_are_numbered_for_life() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 60.0}, 2)
    out = w.sample({**normal(), A: 60.0, CONTACT: FIRE}, 1)
    first = w.state.alarms.first
    assert first is not None
    assert first.name == "heat_a"
    assert list(w.state.alarms.order) == [A, CONTACT]
    assert of(out, "point/109")[0].body["number"] == 2
    w.quiet()
    w.order(Verb.RESET)
    alarms = w.state.alarms
    assert alarms.first is None
    w.sample({**normal(), CONTACT: FIRE}, 1)
    assert w.state.alarms.count == 3
    first = w.state.alarms.first
    assert first is not None
    assert first.name == "contact"


def test_a_prealarm_does_not_latch() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 48.0}, 2)
    assert w.flags(A) == PRE
    w.quiet()
    assert w.flags(A) == 0


def test_a_faulty_sensor_is_one_fault_and_one_end() -> None:
    w = World()
    w.quiet()
    out = w.sample({**normal(), A: float("nan")}, 20)
    assert [r.body["to"] for r in of(out, "point/101")] == [FAULT]
    out = w.quiet(10)
    assert [r.body["to"] for r in of(out, "point/101")] == [0]


def test_disabling_a_panel_point_does_not_end_its_fire_but_our_reset_then_does() -> None:
    """The panel's word changes from "fire" to "disabled": nobody reset anything."""
    world = World()
    world.quiet()
    world.sample({**normal(), PANEL1: FIRE})
    world.sample({**normal(), PANEL1: DISABLED}, 3)
    assert world.flags(PANEL1) & FIRE
    assert set(world.on) == {0, 1}
    world.order(Verb.RESET)
    assert not world.flags(PANEL1) & FIRE
    assert not world.on


def test_a_disabled_panel_point_that_reads_normal_again_has_followed_its_panel() -> None:
    world = World()
    world.quiet()
    world.sample({**normal(), PANEL1: FIRE})
    world.sample({**normal(), PANEL1: DISABLED})
    world.sample(normal())
    assert not world.flags(PANEL1) & FIRE
    assert not world.on
