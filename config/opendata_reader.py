"""Couriers of site.yaml that tell what there is to see: plain JSON over MQTT, and Prometheus.

Nobody's safety hangs on them: they read, and nothing they are sent does anything.
"""

from __future__ import annotations

import re

import yaml

from config import model
from config.limits import POINTS_MAX
from config.opendata_limits import (
    OPENDATA_EVERY_NS_DEFAULT,
    OPENDATA_EVERY_NS_MAX,
    OPENDATA_EVERY_NS_MIN,
)
from config.problems import Path
from config.shape import Keys, Reader

MQTT_JSON_KEYS = ("topic", "discovery", "points", "zones", "every", "same_broker")
ACCEPTED = "accepted"
"""The word that allows open data on the broker of the signed record."""

_PROMETHEUS = Keys(("kind", "port"), ("host", "points"))
_LOOPBACK = ("127.0.0.1", "::1")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){0,3}")
_ALL = ("alarm", "all", "none")


def read_mqtt_json(
    reader: Reader, name: str, broker: model.MqttCourier, found: dict[str, yaml.Node], path: Path
) -> model.MqttJsonCourier | None:
    """Plain JSON at a broker whose address and identity are read already."""
    before = len(reader.problems)
    topic = _topic(reader, found, path, "topic", "embergate-json")
    discovery = _topic(reader, found, path, "discovery", "homeassistant")
    points: str | tuple[str, ...] | None = "alarm"
    if "points" in found:
        points = _points(reader, found["points"], (*path, "points"))
    zones: str | None = "all"
    if "zones" in found:
        zones = reader.choice(found["zones"], (*path, "zones"), ("all", "none"))
    every_ns: int | None = OPENDATA_EVERY_NS_DEFAULT
    if "every" in found:
        every_ns = reader.duration(
            found["every"], (*path, "every"), OPENDATA_EVERY_NS_MIN, OPENDATA_EVERY_NS_MAX
        )
    if "same_broker" in found:
        reader.choice(found["same_broker"], (*path, "same_broker"), (ACCEPTED,))
    if topic == discovery:
        reader.problem("opendata.topics", found["topic" if "topic" in found else "discovery"], path)
    if len(reader.problems) > before:
        return None
    given = broker.model_dump(exclude={"name", "kind", "commands"})
    return model.MqttJsonCourier(
        **given, name=name, kind="mqtt-json", topic=topic, points=points or (),
        discovery="" if discovery == "none" else discovery, zones=zones == "all",
        every_ns=every_ns or 0, same_broker="same_broker" in found,
    )  # fmt: skip


def read_prometheus(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.PrometheusCourier | None:
    """Metrics on loopback, or None and its problems."""
    found = reader.fields(node, path, _PROMETHEUS, key)
    if found is None:
        return None
    before = len(reader.problems)
    port = reader.integer(found["port"], (*path, "port"), 1_024, 65_535)
    host = "127.0.0.1"
    if "host" in found:
        host = reader.text(found["host"], (*path, "host"), "an IP address", 64) or host
        if host not in _LOOPBACK:
            reader.problem("opendata.loopback", found["host"], (*path, "host"),
                           "opendata.loopback", value=host)  # fmt: skip
    points: str | None = "all"
    if "points" in found:
        points = reader.choice(found["points"], (*path, "points"), _ALL)
    if len(reader.problems) > before:
        return None
    return model.PrometheusCourier(
        name=name, kind="prometheus", host=host, port=port or 0, points=points or ""
    )


def _topic(reader: Reader, found: dict[str, yaml.Node], path: Path, key: str, default: str) -> str:
    if key not in found:
        return default
    text = reader.text(found[key], (*path, key)) or ""
    if text and not _TOPIC.fullmatch(text):
        reader.problem("opendata.topic", found[key], (*path, key), "opendata.topic", value=text)
    elif text.split("/")[0] == "embergate":
        reader.problem("opendata.contract", found[key], (*path, key), "opendata.topic", value=text)
    return text


def _points(reader: Reader, node: yaml.Node, path: Path) -> str | tuple[str, ...]:
    """A word, or names as in zones."""
    if isinstance(node, yaml.ScalarNode):
        return reader.choice(node, path, _ALL) or ""
    items = reader.items(node, path) or []
    if len(items) > POINTS_MAX:
        reader.problem("too_many", node, path, "", count=str(len(items)), most=str(POINTS_MAX))
        return ()
    texts = (reader.text(item, here, "a point", 200) for item, here in items)
    return tuple(text for text in texts if text is not None)
