"""Couriers of site.yaml: where the record is shipped to."""

from __future__ import annotations

from urllib.parse import urlsplit

import yaml

from config import model
from config.centre_reader import read_gb26875
from config.dc09_reader import read_dc09
from config.opendata_reader import MQTT_JSON_KEYS, read_mqtt_json, read_prometheus
from config.problems import Path
from config.shape import Keys, Reader

INSECURE = "trusted-network"
"""The word that allows mqtt:// without TLS: batches are signed either way, but can be read."""

_KINDS = ("mqtt", "gb26875", "dc09", "mqtt-json", "prometheus")
_PLANNED = ("https",)
_BROKER = ("insecure", "ca", "cert", "key", "username", "password_file")
_MQTT = Keys(("kind", "url"), (*_BROKER, "commands"))
_MQTT_JSON = Keys(("kind", "url"), (*_BROKER, *MQTT_JSON_KEYS))
_COMMANDS = ("acknowledge", "duty", "time", "propose", "resend")
_PORTS = {"mqtt": 1883, "mqtts": 8883}


def read_courier(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.AnyCourier | None:
    """One courier, or None and its problems."""
    entries = reader.entries(node, path)
    if entries is None or reader.identifier(key, path) is None:
        return None
    word = next((v for k, _, v in entries if k == "kind"), None)
    if word is None:
        reader.problem("key.missing", key, path, "need.courier_kind", key="kind")
        return None
    if isinstance(word, yaml.ScalarNode) and word.value in _PLANNED:
        reader.problem("courier.not_built", word, (*path, "kind"), "courier.not_built",
                       value=word.value, known=", ".join(_KINDS))  # fmt: skip
        return None
    if reader.choice(word, (*path, "kind"), _KINDS) is None:
        return None
    if isinstance(word, yaml.ScalarNode) and word.value == "gb26875":
        return read_gb26875(reader, name, key, node, path)
    if isinstance(word, yaml.ScalarNode) and word.value == "dc09":
        return read_dc09(reader, name, key, node, path)
    if isinstance(word, yaml.ScalarNode) and word.value == "prometheus":
        return read_prometheus(reader, name, key, node, path)
    plain = isinstance(word, yaml.ScalarNode) and word.value == "mqtt-json"
    found = reader.fields(node, path, _MQTT_JSON if plain else _MQTT, key)
    broker = _mqtt(reader, name, found, path) if found is not None else None
    if broker is None or not plain:
        return broker
    assert found is not None
    return read_mqtt_json(reader, name, broker, found, path)


def _mqtt(
    reader: Reader, name: str, found: dict[str, yaml.Node], path: Path
) -> model.MqttCourier | None:
    place = _url(reader, found["url"], (*path, "url"))
    if place is None:
        return None
    scheme, host, port = place
    before = len(reader.problems)
    if "insecure" in found:
        reader.choice(found["insecure"], (*path, "insecure"), (INSECURE,))
        if scheme == "mqtts":
            reader.problem("insecure.tls", found["insecure"], (*path, "insecure"))
    elif scheme == "mqtt":
        reader.problem("url.insecure", found["url"], (*path, "url"), "url.insecure", word=INSECURE)
    paths = {}
    for key in ("ca", "cert", "key", "password_file"):
        if key in found:
            paths[key] = _path(reader, found[key], (*path, key))
            if scheme == "mqtt" and key != "password_file":
                reader.problem("tls.plain", found[key], (*path, key), "", key=key)
    for one, other in (("cert", "key"), ("key", "cert"), ("password_file", "username")):
        if one in found and other not in found:
            reader.problem("key.pair", found[one], (*path, one), "", key=one, other=other)
    username = ""
    if "username" in found:
        username = reader.text(found["username"], (*path, "username")) or ""
    commands = _commands(reader, found, path)
    if len(reader.problems) > before:
        return None
    return model.MqttCourier(
        name=name, kind="mqtt", url=f"{scheme}://{_bracketed(host)}:{port}", host=host, port=port,
        tls=scheme == "mqtts", ca=paths.get("ca") or "", cert=paths.get("cert") or "",
        key=paths.get("key") or "", username=username,
        password_file=paths.get("password_file") or "", commands=commands,
    )  # fmt: skip


def _commands(reader: Reader, found: dict[str, yaml.Node], path: Path) -> tuple[str, ...]:
    """What the platform may ask of the site: nothing that is not named."""
    if "commands" not in found:
        return ()
    here = (*path, "commands")
    words = [
        reader.choice(node, at, _COMMANDS)
        for node, at in reader.items(found["commands"], here) or ()
    ]
    return tuple(word for word in words if word is not None)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _url(reader: Reader, node: yaml.Node, path: Path) -> tuple[str, str, int] | None:
    """(scheme, host, port) of mqtt:// or mqtts://."""
    text = reader.text(node, path, "a url", 300)
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        rest = parts.path.strip("/") or parts.query or parts.fragment
        secret = parts.username or parts.password
    except ValueError:
        scheme, host, port, rest, secret = "", None, None, "", None
    if secret is not None:
        reader.problem("url.secret", node, path, "url.secret")
        return None
    if scheme not in _PORTS or not host or rest or port == 0:
        reader.problem("url.form", node, path, "url.form", value=text)
        return None
    return scheme, host, port or _PORTS[scheme]


def _path(reader: Reader, node: yaml.Node, path: Path) -> str | None:
    text = reader.text(node, path, "a path", 512)
    if text is not None and not text.startswith("/"):
        reader.problem("path.relative", node, path, "", value=text)
        return None
    return text
