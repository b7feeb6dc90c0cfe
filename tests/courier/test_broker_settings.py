"""Settings of a connection: what is refused, and that verification has no switch."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from agent.courier.broker import SettingsProblem, address


def test_tls_always_verifies_certificate_and_name() -> None:
    found = address({"url": "mqtts://broker.example"})
    assert (found.host, found.port) == ("broker.example", 8883)
    assert found.tls is not None
    assert found.tls.verify_mode is ssl.CERT_REQUIRED
    assert found.tls.check_hostname
    assert found.tls.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "expected a url"),
        ({"url": "http://a"}, "expected a url"),
        ({"url": "mqtts://"}, "expected a url"),
        ({"url": "mqtts://a:99999"}, "expected a url"),
        ({"url": "mqtts://[::1"}, "expected a url"),
        ({"url": "mqtts://user:secret@a"}, "carries no password"),
        ({"url": "mqtts://a/path"}, "nothing after host and port"),
        ({"url": "mqtt://a"}, "plain text"),
        ({"url": "mqtt://a", "insecure": ""}, "plain text"),
        ({"url": "mqtts://a", "insecure": True}, "always verifies"),
        ({"url": "mqtts://a", "ca": "/nowhere/ca.pem"}, "ca /nowhere/ca.pem: No such file"),
        ({"url": "mqtts://a", "cert": "c.pem"}, "go together"),
        ({"url": "mqtts://a", "cert": "/n/c", "key": "/n/k"}, "cert /n/c, /n/k"),
        ({"url": "mqtts://a", "password_file": "/nowhere/p"}, "password_file /nowhere/p"),
    ],
)
def test_what_cannot_be_used_is_said(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsProblem, match=words) as caught:
        address(settings)
    assert "secret" not in str(caught.value)


def test_plain_text_only_where_the_site_says_so() -> None:
    found = address(
        {"url": "mqtt://127.0.0.1", "insecure": "trusted-network", "ca": "", "cert": ""}
    )
    assert (found.port, found.tls) == (1883, None)


def test_a_password_comes_from_a_file_and_stays_out_of_sight(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("hunter2\n")
    found = address({"url": "mqtts://a", "username": "u", "password_file": str(tmp_path / "p")})
    assert (found.username, found.password) == ("u", "hunter2")
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(found)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(SettingsProblem, match="expected PEM"):
        address({"url": "mqtts://a", "ca": str(tmp_path / "ca.pem")})
