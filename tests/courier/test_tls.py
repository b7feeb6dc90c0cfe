"""TLS against a real mosquitto with certificates of the test's own making."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from authorities import LOOPBACK, Authority
from brokers import Mosquitto
from cryptography import x509

from agent.courier.broker import address
from agent.courier.mqtt import V5, Dial, LinkError, Listener, connect

LISTENER = Listener(lambda *_: None, lambda *_: None, lambda: None, lambda _: None)


@dataclass
class Case:
    directory: Path
    ours: Authority
    foreign: Authority


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    directory = tmp_path_factory.mktemp("tls")
    for parent in (directory, *directory.parents):
        if parent.owner() == directory.owner() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    return Case(directory, Authority(directory, "ours"), Authority(directory, "foreign"))


def attempt(case: Case, files: tuple[Path, Path], *lines: str, **settings: Any) -> str:
    """Connect once to a broker that shows these files; "" or why not."""

    async def once() -> str:
        broker = Mosquitto(
            case.directory, f"cafile {case.ours.path}", f"certfile {files[0]}",
            f"keyfile {files[1]}", *lines,
        )  # fmt: skip
        await broker.start()
        try:
            url = f"mqtts://{settings.pop('host', '127.0.0.1')}:{broker.port}"
            given = {"url": url, "ca": str(case.ours.path), **settings}
            dial = Dial(address(given), "embergate-g-test", ("t",), 4_096)
            try:
                link = await connect(dial, LISTENER)
            except LinkError as e:
                return str(e)
            assert link.version == V5
            link.close()
            await link.gone()
            return ""
        finally:
            broker.stop()

    return asyncio.run(once())


def test_a_broker_of_the_named_authority_is_believed(case: Case) -> None:
    assert attempt(case, case.ours.issue("good", LOOPBACK)) == ""


def test_tls_1_2_is_enough_and_1_1_is_not_offered(case: Case) -> None:
    files = case.ours.issue("tls12", LOOPBACK)
    assert attempt(case, files, "tls_version tlsv1.2") == ""


def test_another_authority_is_refused(case: Case) -> None:
    why = attempt(case, case.foreign.issue("bad-ca", LOOPBACK))
    assert "not to be trusted" in why
    why = attempt(case, case.ours.issue("good", LOOPBACK), ca=str(case.foreign.path))
    assert "not to be trusted" in why


def test_without_a_named_authority_the_systems_are_asked(case: Case) -> None:
    assert "not to be trusted" in attempt(case, case.ours.issue("good", LOOPBACK), ca="")


def test_an_expired_certificate_is_refused(case: Case) -> None:
    assert "expired" in attempt(case, case.ours.issue("old", LOOPBACK, days=(-20, -10)))


def test_a_certificate_of_tomorrow_is_refused(case: Case) -> None:
    assert "not yet valid" in attempt(case, case.ours.issue("young", LOOPBACK, days=(1, 10)))


def test_another_host_is_refused(case: Case) -> None:
    why = attempt(case, case.ours.issue("other", x509.DNSName("broker.example")))
    assert "IP address mismatch" in why
    why = attempt(case, case.ours.issue("good", LOOPBACK), host="localhost")
    assert "Hostname mismatch" in why


def test_a_broker_in_plain_text_is_no_broker_for_mqtts(case: Case) -> None:
    async def once() -> str:
        broker = Mosquitto(case.directory)
        await broker.start()
        try:
            given = {"url": f"mqtts://127.0.0.1:{broker.port}", "ca": str(case.ours.path)}
            with pytest.raises(LinkError) as caught:
                await connect(Dial(address(given), "c", ("t",), 4_096), LISTENER)
            assert "New client connected" not in broker.log
            return str(caught.value)
        finally:
            broker.stop()

    assert asyncio.run(once())


def test_a_client_certificate_opens_a_broker_that_asks_for_one(case: Case) -> None:
    files = case.ours.issue("good", LOOPBACK)
    ask = ("require_certificate true", "use_identity_as_username true", "allow_anonymous false")
    cert, key = case.ours.issue("test-0417")
    assert attempt(case, files, *ask, cert=str(cert), key=str(key)) == ""
    assert attempt(case, files, *ask) != ""
    cert, key = case.foreign.issue("test-0417")
    assert attempt(case, files, *ask, cert=str(cert), key=str(key)) != ""
