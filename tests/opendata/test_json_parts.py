"""The list of what was announced, ids, and the queue, as pure functions."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agent.opendata.announced import gone, merged, read_list, write_list
from agent.opendata.homeassistant import Names, entities, plain, point_entities
from agent.opendata.outbox import LOUD, QUIET, SOON, Outbox
from config.kinds import KINDS
from config.opendata_limits import OPENDATA_LIST_BYTES_MAX, OPENDATA_TICK_MESSAGES, OPENDATA_WINDOW
from config.words import Flag

NAMES = Names("九号", "九号码头", "embergate-json/九号", "homeassistant", "1")
THINGS = {
    "gateway": frozenset({"binary_sensor/fire"}),
    "zone/一层": frozenset({"binary_sensor/fire", "sensor/state"}),
    "point/17": frozenset({"sensor/value"}),
}


def test_the_list_comes_back_as_it_went() -> None:
    assert read_list(write_list("homeassistant", THINGS)) == ("homeassistant", THINGS)
    fewer = {"gateway": frozenset[str](), "point/17": THINGS["point/17"]}
    assert gone(THINGS, fewer) == (
        ["zone/一层"],
        [("gateway", "binary_sensor/fire"), ("zone/一层", "binary_sensor/fire"),
         ("zone/一层", "sensor/state")],
    )  # fmt: skip
    assert merged(THINGS, fewer) == THINGS


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)
_FORGED = st.fixed_dictionaries(
    {"version": st.just(1), "discovery": st.text(max_size=12) | st.just("ha"),
     "things": st.dictionaries(
         st.text(max_size=12) | st.sampled_from(["point/1", "zone/一层", "zone/#", "../x"]),
         st.lists(st.text(max_size=12) | st.just("sensor/value") | st.just("siren/x"), max_size=3),
         max_size=3)}
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), (_JSON | _FORGED).map(lambda v: json.dumps(v).encode())))
def test_a_forged_list_reaches_no_topic_but_ours(data: bytes) -> None:
    found = read_list(data)
    if found is None:
        return
    prefix, things = found
    for thing, listed in things.items():
        assert not set(thing) & set("+#\0")
        assert thing.count("/") <= 1
        for entity in listed:
            topic = NAMES.config_topic(thing, entity, prefix or "homeassistant")
            assert f"/{NAMES.node}/" in topic
            assert topic.endswith("/config")
            assert not topic.startswith("embergate/")


def test_a_list_that_is_too_long_is_none() -> None:
    assert read_list(b"[" * (OPENDATA_LIST_BYTES_MAX + 1)) is None
    assert read_list(b"[" * OPENDATA_LIST_BYTES_MAX) is None
    assert read_list(b'{"version":1,"discovery":"embergate/1","things":{}}') is None


def test_ids_are_plain_and_stay() -> None:
    assert plain("stair_b") == "stair_b"
    assert plain("一层") == plain("一层") != plain("二层")
    assert plain("一层").isascii()
    assert len({plain("X" + "0" * 16), plain("一层"), plain("x" * 64)}) == 3
    topic = NAMES.config_topic("zone/一层", "binary_sensor/fire")
    assert topic.isascii()


def test_every_kind_and_unit_makes_entities_that_are_sensors() -> None:
    for kind in KINDS.values():
        for unit in (*kind.units, "", "%RH", "1"):
            for main in (Flag.NONE, Flag.FIRE, Flag.SUPERVISORY):
                for e in point_entities(kind.name, unit, main, number=True):
                    assert e.component in ("sensor", "binary_sensor")
                    more = dict(e.more)
                    if more.get("device_class") == "temperature":
                        assert more["unit_of_measurement"] in ("°C", "°F", "K")
    co = next(point_entities("co", "ppm", Flag.FIRE, number=True))
    assert dict(co.more)["device_class"] == "carbon_monoxide"
    mega = next(point_entities("water_pressure", "MPa", Flag.NONE, number=True))
    assert "device_class" not in dict(mega.more), "a unit that Home Assistant does not know"
    for what in ("gateway", "zone", "siren", "output", "line", "panel", "courier"):
        assert {e.component for e in entities(what)} <= {"sensor", "binary_sensor"}


def test_a_fire_goes_first_and_each_key_waits_once_with_its_latest() -> None:
    box = Outbox()
    sent: list[tuple[str, bytes]] = []

    def send(topic: str, payload: bytes) -> int:
        sent.append((topic, payload))
        return len(sent)

    value = [b"1"]
    for n in range(OPENDATA_WINDOW + 5):
        box.put(f"v{n}", QUIET, lambda key: (key, value[0]))
    box.put("v3", QUIET, lambda key: (key, value[0]))
    box.put("zone", SOON, lambda key: (key, b"z"))
    box.put("v4", LOUD, lambda key: (key, value[0]))
    value[0] = b"2"
    assert box.pump(send, 100, 1_000) == 0
    assert sent[0] == ("v4", b"2")
    assert sent[1] == ("zone", b"z")
    assert len(sent) == OPENDATA_WINDOW, "the window"
    for mid in range(1, OPENDATA_WINDOW + 1):
        assert box.acknowledged(mid, taken=mid != 1)
    assert not box.acknowledged(1, taken=True), "twice"
    box.pump(send, 100, 1_000)
    assert len(sent) == OPENDATA_WINDOW + 6
    assert len({topic for topic, _ in sent}) == len(sent)
    box.put("v4", SOON, lambda key: (key, b"2"))
    box.put("zone", SOON, lambda key: (key, b"z"))
    for mid in range(1, len(sent) + 1):
        box.acknowledged(mid, taken=True)
    box.pump(send, 100, 1_000)
    assert sent[-1] == ("v4", b"2"), "it was refused; what the broker has does not go again"
    assert len(sent) == OPENDATA_WINDOW + 7


def test_what_the_broker_refuses_goes_again_later_unless_there_is_something_newer() -> None:
    box = Outbox()
    sent: list[tuple[str, bytes]] = []

    def send(topic: str, payload: bytes) -> int:
        sent.append((topic, payload))
        return len(sent)

    box.put("zone", LOUD, lambda key: (key, b"fire"))
    box.put("status", LOUD, lambda key: (key, b"online"))
    box.pump(send, 100, 1_000)
    for mid in (1, 2):
        box.acknowledged(mid, taken=False)
    box.pump(send, 100, 1_000)
    assert len(sent) == 2, "not at once"
    box.put("status", LOUD, lambda key: (key, b"offline"))
    box.again()
    box.pump(send, 100, 1_000)
    assert sorted(sent[2:]) == [("status", b"offline"), ("zone", b"fire")]
    for mid in (3, 4):
        box.acknowledged(mid, taken=mid == 3)
    box.connection_lost()
    box.again()
    box.pump(send, 100, 1_000)
    assert len(sent) == 4


def test_at_most_so_many_in_a_tick_and_nothing_that_is_too_large() -> None:
    box = Outbox()
    count = 0

    def send(_topic: str, _payload: bytes) -> int:
        nonlocal count
        count += 1
        box.acknowledged(count - 1, taken=True)
        return count

    for n in range(3 * OPENDATA_TICK_MESSAGES):
        box.put(f"v{n}", SOON, lambda key: (key, b"x"))
    box.put("large", LOUD, lambda key: (key, b"x" * 2_000))
    assert box.pump(send, 100, 1_000) == 1
    assert count == OPENDATA_TICK_MESSAGES
    box.tick()
    box.pump(send, 100, 1_000)
    assert count == 2 * OPENDATA_TICK_MESSAGES
    box.connection_lost()
    box.tick()
    assert box.pump(send, 100, 1_000) == 0
    assert count == 2 * OPENDATA_TICK_MESSAGES
