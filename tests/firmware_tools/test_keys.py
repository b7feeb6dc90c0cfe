"""Keys: modes, exclusivity, trust list, and that a secret goes nowhere but into its file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from firmware_tools.keys import (
    KeyProblem,
    add_to_trust,
    create_keys,
    read_public,
    trust_entry,
)
from firmware_tools.main import main


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_private_key_is_for_its_owner_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    out = tmp_path / "keys"
    out.mkdir()
    before = os.umask(umask)
    try:
        create_keys(out, "device")
    finally:
        os.umask(before)
    assert stat.S_IMODE((out / "device.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "device.pub").stat().st_mode) == 0o644
    assert sorted(p.name for p in out.iterdir()) == ["device.key", "device.pub"]


def test_the_two_halves_belong_together_and_kid_is_the_hash(tmp_path: Path) -> None:
    public = create_keys(tmp_path, "device")
    private = load_pem_private_key((tmp_path / "device.key").read_bytes(), None)
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert public.raw == raw
    assert read_public(tmp_path) == public
    assert read_public(tmp_path / "device.key") == public
    assert public.kid == hashlib.sha256(raw).digest()[:8]


@pytest.mark.parametrize("present", ["device.key", "device.pub"])
def test_nothing_is_overwritten(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("mine")
    with pytest.raises(KeyProblem, match="never overwritten"):
        create_keys(tmp_path, "device")
    assert (tmp_path / present).read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == [present]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "device.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyProblem):
        create_keys(tmp_path, "device")
    assert not (tmp_path / "elsewhere").exists()


def test_the_directory_is_made_for_the_owner_only(tmp_path: Path) -> None:
    create_keys(tmp_path / "a" / "keys", "platform")
    assert stat.S_IMODE((tmp_path / "a" / "keys").stat().st_mode) == 0o700


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_one_problem(data: bytes) -> None:
    import tempfile  # noqa: PLC0415 -- hypothesis runs this many times, tmp_path is made once

    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        path = Path(d) / "device.pub"
        path.write_bytes(data)
        with pytest.raises(KeyProblem):
            read_public(path)


def test_another_algorithm_is_named_as_the_problem(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "device.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyProblem, match="another algorithm"):
        read_public(path)


def test_a_damaged_private_key_is_not_quoted(tmp_path: Path) -> None:
    create_keys(tmp_path, "device")
    pem = (tmp_path / "device.key").read_text().splitlines()
    secret = pem[1][10:40]
    (tmp_path / "device.key").write_text("\n".join([pem[0], pem[1][3:], *pem[2:]]))
    with pytest.raises(KeyProblem) as caught:
        read_public(tmp_path / "device.key")
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_trust_entry_names_the_algorithm(tmp_path: Path) -> None:
    public = create_keys(tmp_path, "device")
    entry = trust_entry(public, "tj-heping-0417")
    assert entry == {
        "gateway": "tj-heping-0417",
        "kid": public.kid.hex(),
        "algorithm": "ed25519",
        "public": base64.b64encode(public.raw).decode(),
    }


@pytest.mark.parametrize("gateway", ["", "a/b", "+", "#", "x" * 65, "a b", "$SYS", "-a"])
def test_a_gateway_id_that_a_topic_cannot_carry_is_refused(tmp_path: Path, gateway: str) -> None:
    public = create_keys(tmp_path, "device")
    with pytest.raises(KeyProblem, match="site id"):
        trust_entry(public, gateway)


def test_trust_list_grows_once_per_key_and_refuses_a_clone(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    one = trust_entry(create_keys(tmp_path / "1", "device"), "one")
    two = trust_entry(create_keys(tmp_path / "2", "device"), "two")
    assert add_to_trust(trust, one)
    assert add_to_trust(trust, two)
    assert not add_to_trust(trust, one)
    assert json.loads(trust.read_text()) == {"version": 1, "keys": [one, two]}
    with pytest.raises(KeyProblem, match="belongs to gateway 'one'"):
        add_to_trust(trust, {**one, "gateway": "three"})
    assert json.loads(trust.read_text()) == {"version": 1, "keys": [one, two]}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "keys": []}', "\xff", "[" * 50])
def test_a_file_that_is_no_trust_list_stays_untouched(tmp_path: Path, text: str) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(text)
    entry = trust_entry(create_keys(tmp_path / "k", "device"), "one")
    with pytest.raises(KeyProblem, match="trust list"):
        add_to_trust(trust, entry)
    assert trust.read_text() == text


def test_command_makes_and_exports_without_showing_the_secret(tmp_path: Path) -> None:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "firmware_tools.main", *args],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    made = run("keys", "--out", str(tmp_path / "k"))
    assert made.returncode == 0, made.stderr
    kid = json.loads(made.stdout)["kid"]
    shown = run("public", str(tmp_path / "k"), "--gateway", "g1", "--into", str(tmp_path / "t"))
    assert json.loads(shown.stdout)["kid"] == kid
    assert json.loads((tmp_path / "t").read_text())["keys"] == [json.loads(shown.stdout)]
    again = run("keys", "--out", str(tmp_path / "k"))
    assert again.returncode == 1
    assert "never overwritten" in again.stderr
    secret = (tmp_path / "k" / "device.key").read_text().splitlines()[1]
    for done in (made, shown, again):
        assert secret not in done.stdout + done.stderr


def test_platform_keys_have_names_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["platform-keys", "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["platform.key", "platform.pub"]
    assert (
        json.loads(capsys.readouterr().out)["kid"]
        == read_public(tmp_path / "platform.pub").kid.hex()
    )


def test_a_directory_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyProblem, match="not made"):
        create_keys(tmp_path / "file" / "keys", "device")
