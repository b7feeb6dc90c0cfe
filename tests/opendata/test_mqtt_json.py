"""Plain JSON at a real broker, as a dashboard sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from authorities import LOOPBACK, Authority
from brokers import Mosquitto, free_port, mosquitto, short_dir, until
from opendata_world import World, open_world
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.opendata import mqtt_json
from config.limits import MS
from config.plan import Courier
from config.words import Flag, Quality

BASE = "embergate-json/dock-9"
MAINS = {
    "泵房.感温": int(Flag.FIRE),
    "泵房.pressure": int(Flag.SUPERVISORY),
    "泵房.knock": int(Flag.FIRE),
}
_TEMPLATE = re.compile(r"\{\{ value_json\.(\w+) \}\}")


class Dashboard:
    """Sees every topic, and knows what Home Assistant would make of it."""

    def __init__(self, port: int) -> None:
        self.topics: dict[str, bytes] = {}
        self.order: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "dashboard")
        self._client.on_message = self._take
        self._client.on_connect = self._begin
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _begin(self, *_: object) -> None:
        self._client.subscribe("#", 1)

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        self.order.append((message.topic, payload))
        if payload:
            self.topics[message.topic] = payload
        else:
            self.topics.pop(message.topic, None)

    def close(self) -> None:
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def json(self, topic: str) -> Any:
        return json.loads(self.topics.get(f"{BASE}/{topic}", b"null"))

    def configs(self) -> dict[str, Any]:
        return {
            topic: json.loads(payload)
            for topic, payload in dict(self.topics).items()
            if topic.endswith("/config")
        }

    def state(self, unique: str) -> str:
        """As Home Assistant 2024 and later shows an entity."""
        config = next(c for c in self.configs().values() if c["unique_id"] == unique)
        for one in config["availability"]:
            payload = self.topics.get(one["topic"], b"").decode()
            if "value_template" in one:
                value = json.loads(payload)["value"] if payload else None
                payload = "offline" if value is None else "online"
            if payload != "online":
                return "unavailable"
        match = _TEMPLATE.fullmatch(config["value_template"])
        assert match
        rendered = str(json.loads(self.topics[config["state_topic"]])[match[1]])
        if rendered == "None":
            return "unknown"
        if "payload_on" in config:
            return {config["payload_on"]: "on", config["payload_off"]: "off"}[rendered]
        return rendered

    async def until(self, condition: Callable[[], Any]) -> Any:
        while not (found := condition()):
            await asyncio.sleep(0.02)
        return found


def courier(port: int, **more: Any) -> Courier:
    settings = {
        "url": f"mqtt://127.0.0.1:{port}", "insecure": True, "topic": "embergate-json",
        "discovery": "homeassistant", "points": MAINS, "zones": True, "every_ns": 1_000_000_000,
    }  # fmt: skip
    return Courier("dashboard", "mqtt-json", {**settings, **more})


@contextlib.asynccontextmanager
async def house() -> AsyncIterator[tuple[World, Mosquitto, Dashboard]]:
    with short_dir() as directory:
        async with mosquitto(directory) as broker, open_world() as world:
            dashboard = Dashboard(broker.port)
            try:
                yield world, broker, dashboard
            finally:
                dashboard.close()


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def is_online(d: Dashboard) -> bool:
    return d.topics.get(f"{BASE}/status") == b"online"


def is_announced(d: Dashboard) -> bool:
    return d.order[-1][0] == f"{BASE}/announced" if d.order else False


def test_states_first_then_that_they_are_true_then_what_they_are() -> None:
    async def story() -> None:
        async with house() as (world, broker, d):
            await world.start_record()
            world.read(感温=23.5, pressure=300, knock=0)
            heat = f"point/{world.id_of('泵房.感温')}"
            await world.start(courier(broker.port))
            await d.until(lambda: is_online(d))
            told = d.json(heat)
            assert told["name"] == "泵房.感温"
            assert (told["value"], told["unit"], told["quality"]) == (23.5, "°C", "good")
            assert (told["fire"], told["state"]) == (False, "normal")
            assert d.json("zone/一层")["fire"] is False
            assert d.json("output/stair_b")["on"] is None, "never read: not known"
            assert d.json("gateway")["name"] == '九号码头 "A"'
            first = [t for t, _ in d.order].index(f"{BASE}/status")
            assert all(not t.endswith("/config") for t, _ in d.order[:first])
            await d.until(lambda: len(d.configs()) > 20 and is_announced(d))
            check_configs(d)
            node = "embergate-dock-9"
            point = world.id_of("泵房.感温")
            assert d.state(f"{node}-point-{point}-value") == "23.5"
            assert d.state(f"{node}-point-{point}-fire") == "off"
            assert d.state(f"{node}-output-stair_b-on") == "unknown"

            world.read(knock=1)
            world.read(Quality.BAD, 感温=0)
            await d.until(lambda: d.json("zone/一层")["fire"])
            await d.until(lambda: d.json(heat)["quality"] == "bad")
            assert d.json(heat)["value"] is None, "unknown is never 0"
            assert d.state(f"{node}-point-{point}-value") == "unavailable"
            assert d.state(f"{node}-point-{point}-fire") == "unknown"
            assert d.state(f"{node}-gateway-fire") == "on"
            await d.until(lambda: d.json("courier/platform")["connected"] is False)

            await world.control.server.stop()
            await d.until(lambda: d.topics[f"{BASE}/status"] == b"offline")
            assert d.state(f"{node}-gateway-fire") == "unavailable"

    asyncio.run(story())


def check_configs(d: Dashboard) -> None:
    """Every announcement against what the two schemas of Home Assistant ask for."""
    known = {
        "sensor": ({"temperature", "pressure", "humidity"}, {"unit_of_measurement", "state_class"}),
        "binary_sensor": (
            {"safety", "problem", "heat", "sound", "connectivity", "running"},
            {"payload_on", "payload_off"},
        ),
    }
    common = {
        "name", "unique_id", "default_entity_id", "state_topic", "value_template", "qos",
        "json_attributes_topic", "availability", "availability_mode", "device", "origin",
        "device_class",
    }  # fmt: skip
    uniques = set()
    for topic, config in d.configs().items():
        match = re.fullmatch(
            r"homeassistant/(sensor|binary_sensor)/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)/config", topic
        )
        assert match, topic
        classes, own = known[match[1]]
        assert set(config) <= common | own, "no command topic, nor anything else"
        assert config.get("device_class", "") in classes | {""}
        assert config["state_topic"] in d.topics
        assert config["availability_mode"] == "all"
        assert re.fullmatch(rf"{match[1]}\.[a-z0-9_]+", config["default_entity_id"])
        assert config["device"]["identifiers"] == ["embergate-dock-9"]
        assert config["device"]["name"] == '九号码头 "A"'
        assert set(config["origin"]) <= {"name", "sw_version", "support_url"}
        if "state_class" in config:
            assert config["state_class"] == "measurement"
        uniques.add(config["unique_id"])
    assert len(uniques) == len(d.configs())


def test_what_is_gone_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_json, "OPENDATA_LIST_WAIT_NS", 200 * MS)

    async def story() -> None:
        async with house() as (world, broker, d):
            world.read(感温=23.5, pressure=300, knock=0)
            gone = f"point/{world.id_of('泵房.pressure')}"
            await world.start_here(courier(broker.port))
            await d.until(lambda: any(gone.replace("/", "-") in t for t in d.configs()))
            assert d.json("announced")["things"][gone] == [
                "binary_sensor/supervisory",
                "sensor/value",
            ], "the list is there before what it names"
            await world.stop_here()
            await d.until(lambda: d.topics[f"{BASE}/status"] == b"offline")

            fewer = {k: v for k, v in MAINS.items() if k != "泵房.pressure"}
            await world.start_here(courier(broker.port, points=fewer, discovery=""))
            await d.until(lambda: gone not in d.json("announced")["things"])
            assert f"{BASE}/{gone}" not in d.topics
            assert d.json("announced")["discovery"] == ""
            assert not d.configs()
            assert d.json("gateway")["points"] == 5
            left = [t for t in d.topics if t.startswith(f"{BASE}/point/")]
            assert len(left) == len(fewer)

    asyncio.run(story())


def test_a_broker_that_restarts_gets_everything_again_and_no_order_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt_json, "COURIER_RECONNECT_NS_MIN", 50 * MS)
    monkeypatch.setattr(mqtt_json, "COURIER_RECONNECT_NS_MAX", 200 * MS)

    async def story() -> None:
        async with house() as (world, broker, d):
            world.read(感温=23.5, pressure=300, knock=0)
            await world.start_here(courier(broker.port))
            await d.until(lambda: is_online(d) and is_announced(d) and d.configs())
            subscribed = [line for line in broker.log.splitlines() if "embergate-dock-9" in line]
            topics = re.findall(r"embergate-dock-9-dashboard \d (\S+)", "\n".join(subscribed))
            assert set(topics) == {f"{BASE}/announced", "homeassistant/status"}
            before = len(d.order)
            d.publish(f"{BASE}/zone/一层", b'{"fire":true}')
            d.publish("homeassistant/siren/embergate-dock-9/x/set", b"ON")
            assert world.control.operators == []

            broker.stop()
            d.topics.clear()
            await broker.start()
            await d.until(lambda: is_online(d) and d.json("gateway"))
            assert len(d.order) > before

    asyncio.run(story())


def test_values_are_told_at_most_every_so_often() -> None:
    async def story() -> None:
        async with house() as (world, broker, d):
            world.read(感温=20, pressure=300, knock=0)
            heat = f"{BASE}/point/{world.id_of('泵房.感温')}"
            await world.start_here(courier(broker.port, every_ns=3_600 * 10**9, discovery=""))
            await d.until(lambda: is_online(d))
            seen = world.control.control.fanout._seq
            world.read(感温=21)
            await d.until(lambda: json.loads(d.topics[heat])["value"] == 21.0)
            world.read(感温=22)
            await d.until(lambda: world.control.control.fanout._seq > seen + 3)
            assert json.loads(d.topics[heat])["value"] == 21.0
            world.read(Quality.NOT_READY, 感温=22)
            await d.until(lambda: json.loads(d.topics[heat])["value"] is None)

    asyncio.run(story())


def test_home_assistant_that_starts_is_told_everything_again_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its birth message: after a while of its own choice, and not at each of many."""
    monkeypatch.setattr(mqtt_json, "OPENDATA_BIRTH_NS_MIN", 1)
    monkeypatch.setattr(mqtt_json, "OPENDATA_BIRTH_NS_MAX", 2)
    monkeypatch.setattr(mqtt_json, "OPENDATA_BIRTH_EVERY_NS", 100 * MS)

    async def story() -> None:
        async with house() as (world, broker, d):
            world.read(感温=23.5, pressure=300, knock=0)
            await world.start_here(courier(broker.port))
            await d.until(lambda: is_online(d) and d.configs() and is_announced(d))
            configs = d.configs()
            states = {t for t in d.topics if t.startswith(BASE)} - {
                f"{BASE}/{x}" for x in ("announced", "status")
            }
            said = len(d.order)
            for word in (b"offline", b"\xff", b"onlineonline"):
                d.publish("homeassistant/status", word)
            d.publish(f"{BASE}/point/x", b"")  # comes back after them, so they were seen
            await d.until(lambda: (f"{BASE}/point/x", b"") in d.order)
            assert {t for t, _ in d.order[said:]} == {"homeassistant/status", f"{BASE}/point/x"}

            monkeypatch.setattr(mqtt_json, "OPENDATA_BIRTH_EVERY_NS", 0)
            said = len(d.order)
            d.publish("homeassistant/status", b"online")
            await d.until(lambda: set(configs) | states <= {t for t, _ in d.order[said:]})
            again = [t for t, _ in d.order[said:] if t in configs]
            assert sorted(again) == sorted(configs), "each once"
            assert d.configs() == configs

            monkeypatch.setattr(mqtt_json, "OPENDATA_BIRTH_EVERY_NS", 3_600 * 10**9)
            said = len(d.order)
            d.publish("homeassistant/status", b"online")
            seq = world.control.control.fanout._seq
            await d.until(lambda: world.control.control.fanout._seq > seq + 3)
            assert not [t for t, _ in d.order[said:] if t in configs], "not again so soon"

    asyncio.run(story())


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_with_the_certificate_of_the_broker_and_of_both(
    mutual: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said to a broker that is not the named one, and nothing in plain text."""
    caplog.set_level("INFO", "embergate.opendata")

    async def story() -> None:
        with short_dir() as home:
            home.chmod(0o755)  # mosquitto gives up root before it reads its files
            ours, foreign = Authority(home, "ours"), Authority(home, "foreign")
            cert, key = ours.issue("broker", LOOPBACK)
            lines = [f"cafile {ours.path}", f"certfile {cert}", f"keyfile {key}"]
            own: dict[str, str] = {}
            if mutual:
                lines += ["require_certificate true", "use_identity_as_username true"]
                mine = ours.issue("dock-9")
                own = {"cert": str(mine[0]), "key": str(mine[1])}
            port = free_port()
            lines += [f"listener {port} 127.0.0.1", "allow_anonymous true"]
            async with mosquitto(home, *lines) as broker, open_world() as world:
                await until(lambda: listens(port), "the broker's other listener")
                d = Dashboard(port)
                world.read(感温=23.5, pressure=300, knock=0)
                url = f"mqtts://127.0.0.1:{broker.port}"
                wrong = {**own, "ca": str(foreign.path)}
                await world.start_here(courier(0, url=url, insecure=False, **wrong))
                await d.until(lambda: "not to be trusted" in caplog.text)
                await world.stop_here()
                assert not d.topics
                if mutual:
                    without = {"ca": str(ours.path)}
                    await world.start_here(courier(0, url=url, insecure=False, **without))
                    await d.until(lambda: "peer did not return a certificate" in broker.log)
                    await world.stop_here()
                    assert not d.topics
                right = {**own, "ca": str(ours.path)}
                await world.start_here(courier(0, url=url, insecure=False, **right))
                await d.until(lambda: is_online(d) and d.configs())
                assert d.json("gateway")["site"] == "dock-9"
                assert ("u'dock-9'" in broker.log) == mutual, "its certificate is its name"
                await world.stop_here()
                await d.until(lambda: d.topics[f"{BASE}/status"] == b"offline")
                d.close()

    asyncio.run(story())
