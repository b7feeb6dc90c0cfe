"""The trust list: what is believed, and that nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receiver.trust import TrustProblem, read_signer, read_trust
from firmware_tools.keys import add_to_trust, create_keys, trust_entry


def entry(directory: Path, gateway: str = "one") -> dict[str, Any]:
    return dict(trust_entry(create_keys(directory, "device"), gateway))


def test_what_the_key_tool_writes_is_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        add_to_trust(
            tmp_path / "trust.json", trust_entry(create_keys(tmp_path / name, "device"), name)
        )
    found = read_trust(tmp_path / "trust.json")
    assert found.gateways == {"one", "two"}
    assert len(found.trust) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "none"}, "algorithm 'ed25519'"),
        ({"algorithm": -8}, "algorithm 'ed25519'"),
        ({"kid": "00" * 8}, "'kid' is not that"),
        ({"kid": "zz"}, "hex"),
        ({"public": "AAAA"}, "'kid' is not that"),
        ({"public": 7}, "base64"),
        ({"gateway": "a/+"}, "gateway id"),
        ({"gateway": None}, "gateway id"),
    ],
)
def test_a_wrong_entry_is_named_by_its_place(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "trust.json"
    good = entry(tmp_path / "1")
    path.write_text(json.dumps({"version": 1, "keys": [good, {**good, **change}]}))
    with pytest.raises(TrustProblem, match=words) as caught:
        read_trust(path)
    assert "keys[1]" in str(caught.value)


def test_one_key_for_two_gateways_is_refused(tmp_path: Path) -> None:
    good = entry(tmp_path / "1")
    path = tmp_path / "trust.json"
    path.write_text(json.dumps({"version": 1, "keys": [good, {**good, "gateway": "two"}]}))
    with pytest.raises(TrustProblem, match="already"):
        read_trust(path)


@given(
    st.binary(max_size=100)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
        lambda v: json.dumps({"version": 1, "keys": v}).encode()
    )
)
def test_any_file_is_a_list_or_one_problem(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-trust.json"
    path.write_bytes(raw)
    try:
        found = len(read_trust(path).trust)
    except TrustProblem:
        found = 0
    assert found == 0


def test_the_platform_key_is_needed_and_never_quoted(tmp_path: Path) -> None:
    with pytest.raises(TrustProblem, match="platform-keys --out"):
        read_signer(tmp_path)
    public = create_keys(tmp_path, "platform")
    assert read_signer(tmp_path).public == public.raw
    pem = (tmp_path / "platform.key").read_text()
    (tmp_path / "platform.key").write_text(pem.replace("MC4", "MC5"))
    with pytest.raises(TrustProblem) as caught:
        read_signer(tmp_path)
    assert pem.splitlines()[1] not in str(caught.value)
