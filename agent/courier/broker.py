"""Where the broker is and how it is to be believed: an address and a TLS context, or a refusal."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PORT_TLS = 8883
PORT_PLAIN = 1883
PASSWORD_BYTES_MAX = 1_024


class SettingsProblem(Exception):  # noqa: N818 -- reaches a person as a problem
    """The settings of a connection cannot be used. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A broker. `tls` is None only where the site says `insecure: true`."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        return f"{scheme}://{self.host}:{self.port}"


def address(settings: Mapping[str, Any]) -> Address:
    """The broker of a courier's settings: url, ca, cert, key, username, password_file, insecure.

    mqtts:// verifies the broker's certificate and name, TLS 1.2 or newer; nothing turns that off.
    `ca` names the only authority that is believed (a PEM file), without it the system's are.
    mqtt:// is refused unless `insecure` is set (or the
    checked plan says `tls: false`, which it does for a site that wrote it). Raises SettingsProblem.
    """
    scheme, host, port = _split(str(settings.get("url", "")))
    tls: ssl.SSLContext | None = None
    if scheme == "mqtts":
        if settings.get("insecure"):
            raise SettingsProblem("'insecure' goes with mqtt:// only; mqtts:// always verifies")
        tls = _context(settings)
    elif not settings.get("insecure") and settings.get("tls") is not False:
        raise SettingsProblem(
            f"mqtt://{host} sends everything in plain text; use mqtts://, or say 'insecure: true' "
            "for a broker on this machine"
        )
    username = settings.get("username") or None
    password_file = settings.get("password_file") or None
    return Address(
        host=host,
        port=port,
        tls=tls,
        username=None if username is None else str(username),
        password=None if password_file is None else _password(Path(str(password_file))),
    )


def _split(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("mqtt", "mqtts") or not host:
        raise SettingsProblem(f"expected a url like mqtts://broker.example:8883, found {url!r}")
    if parts.username or parts.password:
        raise SettingsProblem("a url carries no password; use username and password_file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsProblem(f"expected nothing after host and port, found {url!r}")
    return scheme, host, port or (PORT_TLS if scheme == "mqtts" else PORT_PLAIN)


def _context(settings: Mapping[str, Any]) -> ssl.SSLContext:
    ca, cert, key = (settings.get(name) or None for name in ("ca", "cert", "key"))
    if (cert is None) != (key is None):
        raise SettingsProblem("'cert' and 'key' go together: the client certificate and its key")
    at = "ca"
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert is not None:
            at = "cert"
            # An encrypted key would make OpenSSL ask on a terminal that is not there.
            context.load_cert_chain(str(cert), str(key), password=_no_password)
    except (OSError, ValueError) as e:
        path = ca if at == "ca" else f"{cert}, {key}"
        reason = getattr(e, "strerror", None) or getattr(e, "reason", None) or type(e).__name__
        raise SettingsProblem(f"{at} {path}: {reason}; expected PEM files") from None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    return context


def _no_password() -> bytes:
    raise ValueError("the key is encrypted")


def _password(path: Path) -> str:
    try:
        with path.open("rb") as f:
            return f.read(PASSWORD_BYTES_MAX).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as e:
        reason = getattr(e, "strerror", None) or "not text"
        raise SettingsProblem(f"password_file {path}: {reason}") from None
