"""What Home Assistant is told of our topics, so that they show there by themselves. Pure.

Sensors and binary sensors only: nothing that could be ordered. One retained message an entity,
at PREFIX/COMPONENT/NODE/OBJECT/config; an empty one takes the entity away.
https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.words import FLAG_WORDS, Flag

_PLAIN = re.compile(r"[a-z0-9_-]{1,40}")
_TEMPERATURE = "temperature"
_UNITS: dict[str, tuple[str, str]] = {
    # unit of a point -> (device class, unit as Home Assistant writes it)
    **{unit: (_TEMPERATURE, unit) for unit in ("°C", "°F", "K")},
    **{unit: ("pressure", unit) for unit in ("Pa", "hPa", "kPa", "bar", "mbar", "psi")},
    **{unit: ("distance", unit) for unit in ("mm", "cm", "m")},
    **{unit: ("current", unit) for unit in ("mA", "A")},
    **{unit: ("voltage", unit) for unit in ("mV", "V")},
    **{unit: ("power", unit) for unit in ("W", "kW")},
    "Hz": ("frequency", "Hz"),
    "%RH": ("humidity", "%"),
    "m/s": ("speed", "m/s"),
    "m3/h": ("volume_flow_rate", "m³/h"),
    "L/min": ("volume_flow_rate", "L/min"),
    "m3": ("volume_storage", "m³"),
    "L": ("volume_storage", "L"),
}
_SPELLED = {"mg/m3": "mg/m³", "Ohm": "Ω", "kOhm": "kΩ", "MOhm": "MΩ", "uA": "µA"}
_FIRE_CLASSES = {
    "heat": "heat", "smoke": "smoke", "co": "carbon_monoxide", "gas": "gas", "line_gas": "gas",
    "toxic_gas": "gas", "cable_temperature": "heat",
}  # fmt: skip
_STATE_CLASSES = {
    Flag.FIRE: "safety", Flag.PREALARM: "safety", Flag.SUPERVISORY: "problem",
    Flag.FAULT: "problem", Flag.ACTIVATED: "running", Flag.FEEDBACK: "running",
}  # fmt: skip
_WORDS = {flag: word for word, flag in FLAG_WORDS.items()}


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity. key: within its thing; field: of the thing's JSON."""

    component: str  # sensor or binary_sensor
    key: str
    name: str
    field: str
    more: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """As in the list of what was announced."""
        return f"{self.component}/{self.key}"


def plain(name: str) -> str:
    """A name for ids: itself, or X and a digest where it has other letters than a topic's id."""
    if _PLAIN.fullmatch(name):
        return name
    return "X" + hashlib.sha256(name.encode()).hexdigest()[:16]


def point_entities(kind: str, unit: str, main: Flag, *, number: bool) -> Iterator[Entity]:
    """Its value, and its main state."""
    if number:
        device_class, spelled = _UNITS.get(unit, ("", _SPELLED.get(unit, unit)))
        if kind == "co" and unit == "ppm":
            device_class = "carbon_monoxide"
        more = {"device_class": device_class, "unit_of_measurement": spelled}
        given = tuple((k, v) for k, v in more.items() if v and v != "1")
        yield Entity("sensor", "value", "value", "value", (*given, ("state_class", "measurement")))
    if main:
        word = _WORDS[main]
        found = _FIRE_CLASSES.get(kind) if main & (Flag.FIRE | Flag.PREALARM) else None
        found = found or _STATE_CLASSES.get(main)
        yield _binary(word, word, found or "")


def entities(what: str) -> Iterator[Entity]:
    """Of the gateway, a zone, a siren or other output, a line, panel or courier."""
    if what == "gateway":
        yield _binary("fire", "fire", "safety")
        yield _binary("prealarm", "prealarm", "safety")
        yield _binary("supervisory", "supervisory", "problem")
        yield _binary("fault", "fault", "problem")
        yield _binary("general_alarm", "general alarm", "safety")
        yield _binary("silenced", "silenced", "")
        yield _count("alarms", "alarms")
        yield _count("unacknowledged", "unacknowledged alarms")
        yield _count("faults", "faults")
        yield _count("unknown", "points unknown")
        yield Entity("sensor", "first_alarm", "first alarm", "first_alarm")
        yield Entity("sensor", "clock", "clock", "clock")
    elif what == "zone":
        yield _binary("fire", "fire", "safety")
        yield _binary("fault", "fault", "problem")
        yield Entity("sensor", "state", "state", "state")
    elif what in ("siren", "output"):
        yield _binary("on", "on", "sound" if what == "siren" else "")
        yield _binary("fault", "fault", "problem")
    elif what == "line":
        yield _binary("up", "line", "connectivity")
    elif what == "panel":
        yield _binary("fire", "fire", "safety")
        yield _binary("lost", "not heard", "problem")
    elif what == "courier":
        yield _binary("connected", "destination", "connectivity")
        yield _count("waiting", "waiting")


def _binary(key: str, name: str, device_class: str) -> Entity:
    more = (("device_class", device_class),) if device_class else ()
    return Entity("binary_sensor", key, name, key, more)


def _count(key: str, name: str) -> Entity:
    return Entity("sensor", key, name, key, (("state_class", "measurement"),))


@dataclass(frozen=True, slots=True)
class Names:
    """Of one gateway: where its topics and its entities are."""

    site: str
    site_name: str
    base: str  # of its topics, PREFIX/SITE
    prefix: str  # of discovery
    version: str

    @property
    def node(self) -> str:
        """Of all its entities."""
        return f"embergate-{plain(self.site)}"

    def config_topic(self, thing: str, entity_id: str, prefix: str = "") -> str:
        """Where an entity is announced. entity_id: COMPONENT/KEY."""
        component, _, key = entity_id.partition("/")
        return f"{prefix or self.prefix}/{component}/{self.node}/{_object(thing)}-{key}/config"

    def config(self, thing: str, name: str, entity: Entity) -> dict[str, Any]:
        """What is announced. thing: kind/id; name: as people know it."""
        kind = thing.partition("/")[0]
        topic = f"{self.base}/{thing}"
        unique = f"{self.node}-{_object(thing)}-{entity.key}"
        status: dict[str, str] = {"topic": f"{self.base}/status"}
        out: dict[str, Any] = {
            "name": entity.name if kind == "gateway" else f"{name} {entity.name}",
            "unique_id": unique,
            "default_entity_id": f"{entity.component}.{re.sub('[^a-z0-9]+', '_', unique.lower())}",
            "state_topic": topic,
            "value_template": f"{{{{ value_json.{entity.field} }}}}",
            "json_attributes_topic": topic,
            "availability": [status],
            "availability_mode": "all",
            "qos": 1,
            **dict(entity.more),
            "device": self._device(),
            "origin": {"name": "Embergate", "sw_version": self.version},
        }
        if entity.component == "binary_sensor":
            out |= {"payload_on": "True", "payload_off": "False"}
        elif entity.key == "value":
            # What is not known is unavailable there, and never the last value that was.
            out["availability"] = [
                status,
                {
                    "topic": topic,
                    "value_template": "{{ 'offline' if value_json.value is none else 'online' }}",
                },
            ]
        return out

    def _device(self) -> dict[str, Any]:
        return {
            "identifiers": [self.node],
            "name": self.site_name,
            "manufacturer": "Embergate",
            "model": "fire gateway",
            "sw_version": self.version,
        }


def _object(thing: str) -> str:
    kind, _, name = thing.partition("/")
    return f"{kind}-{plain(name)}" if name else kind
