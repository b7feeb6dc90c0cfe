"""Envelope: our COSE_Sign1 verifies elsewhere, and nothing that was changed verifies here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import cwt
import pytest
import uplink_makers as b
from cwt.cose_key_interface import COSEKeyInterface
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplink import cbor
from agent.uplink.ack import Ack, open_ack, seal_ack
from agent.uplink.batch import (
    Batch,
    Loss,
    LossReason,
    decode_payload,
    hash_of,
    open_batch,
    seal,
)
from agent.uplink.cose import ACK_TYPE, BATCH_TYPE, Signer, Trust, TrustedKey, kid_of
from agent.uplink.errors import UplinkError
from agent.uplink.events import (
    EpochData,
    Head,
    decode_epoch,
    decode_events,
    encode_epoch,
    encode_events,
)

MESSAGE = seal(
    b.batch(table=b"t" * 32, losses=(Loss(LossReason.DROPPED, "telemetry/3", b"", 0, 40),)),
    b.DEVICE,
)


def refused(message: bytes, trust: Trust = b.TRUST) -> str:
    with pytest.raises(UplinkError) as caught:
        open_batch(message, trust)
    return caught.value.code


def test_round_trip_names_the_key_and_the_hash() -> None:
    made = b.batch(losses=(Loss(LossReason.OVERRUN, "event", b"epoch--0", 3, 9),))
    message = seal(made, b.DEVICE)
    opened = open_batch(message, b.TRUST)
    assert (opened.batch, opened.kid, opened.hash) == (made, b.DEVICE.kid, hash_of(message))
    assert seal(made, b.DEVICE) == message, "sealing again gives the same bytes"


def test_every_changed_byte_is_refused() -> None:
    for at in range(len(MESSAGE)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(MESSAGE)
            changed[at] ^= flip
            assert refused(bytes(changed)) in {"malformed", "forged", "unknown_key", "wrong_type"}


def test_every_shortening_and_lengthening_is_refused() -> None:
    for end in range(len(MESSAGE)):
        assert refused(MESSAGE[:end]) == "malformed"
    assert refused(MESSAGE + b"\x00") == "malformed"
    assert refused(b"\x00" * (1024 * 1024 + 1)) == "too_large"


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    refused(data)
    refused(b"\xd2\x84" + data)
    with pytest.raises(UplinkError):
        open_ack(data, b.TRUST)


def test_a_stranger_and_a_neighbour_are_refused() -> None:
    assert refused(seal(b.batch(), b.STRANGER)) == "unknown_key"
    neighbour = Trust([TrustedKey(b.DEVICE.public, "another-site")])
    assert refused(MESSAGE, neighbour) == "foreign"
    assert refused(seal(b.batch(gateway="another-site"), b.DEVICE)) == "foreign"


def test_the_kid_of_another_key_does_not_help() -> None:
    forged = bytearray(seal(b.batch(), b.STRANGER))
    at = bytes(forged).index(b.STRANGER.kid)
    forged[at : at + 8] = b.DEVICE.kid
    assert refused(bytes(forged)) == "forged"


def test_an_acknowledgement_is_no_batch_and_a_batch_no_acknowledgement() -> None:
    ack = seal_ack(Ack(b.GATEWAY, b"epoch--1", "fire", 7, bytes(32), b.WALL_NS), b.DEVICE)
    assert refused(ack) == "wrong_type"
    with pytest.raises(UplinkError) as caught:
        open_ack(MESSAGE[:900], b.TRUST)
    assert caught.value.code in {"malformed", "wrong_type"}


@pytest.mark.parametrize(
    "protected",
    [
        {1: -7, 3: BATCH_TYPE, 4: b.DEVICE.kid},  # another algorithm
        {1: -8, 4: b.DEVICE.kid},
        {1: -8, 2: [1], 3: BATCH_TYPE, 4: b.DEVICE.kid},  # a critical header
        {1: -8, 3: ACK_TYPE, 4: b.DEVICE.kid},
        {1: -8, 3: BATCH_TYPE},
        {},
    ],
)
def test_the_header_is_ours_or_refused_even_when_well_signed(protected: dict[int, Any]) -> None:
    header = cbor.encode(protected)
    payload = cbor.encode({})
    signature = b.DEVICE._private.sign(cbor2.dumps(["Signature1", header, b"", payload]))
    message = b"\xd2" + cbor2.dumps([header, {}, payload, signature])
    assert refused(message) in {"wrong_type", "malformed"}


def test_an_unprotected_header_is_refused() -> None:
    parts = cbor2.loads(MESSAGE).value
    parts[1] = {4: b"x"}
    assert refused(b"\xd2" + cbor2.dumps(parts)) == "malformed"


# --- an implementation of COSE that nobody here wrote ---------------------------------------------


def _cwt_key(signer: Signer) -> COSEKeyInterface:
    return cwt.COSEKey.new({1: 1, -1: 6, 3: -8, 2: signer.kid, -2: signer.public})


def test_cwt_verifies_our_batch_and_refuses_a_changed_one() -> None:
    payload = cwt.COSE.new().decode(MESSAGE, _cwt_key(b.DEVICE))
    assert decode_payload(payload) == open_batch(MESSAGE, b.TRUST).batch
    changed = bytearray(MESSAGE)
    changed[-70] ^= 1  # in the payload
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(bytes(changed), _cwt_key(b.DEVICE))
    with pytest.raises((cwt.VerifyError, ValueError)):
        cwt.COSE.new().decode(MESSAGE, _cwt_key(b.STRANGER))


def test_we_verify_what_cwt_signed() -> None:
    private = b.DEVICE._private.private_bytes_raw()
    key = cwt.COSEKey.new({1: 1, -1: 6, 3: -8, 2: b.DEVICE.kid, -2: b.DEVICE.public, -4: private})
    payload = cwt.COSE.new().decode(MESSAGE, _cwt_key(b.DEVICE))
    theirs = cwt.COSE.new().encode_and_sign(
        payload, key, protected={1: -8, 3: BATCH_TYPE, 4: b.DEVICE.kid}
    )
    assert theirs == MESSAGE


# --- payloads -------------------------------------------------------------------------------------


def _resigned(**changes: Any) -> bytes:
    """A batch with some payload keys set (None: taken out), signed well."""
    payload = cbor2.loads(cbor2.loads(MESSAGE).value[2])
    for name, value in changes.items():
        key = int(name[1:])
        if value is None:
            del payload[key]
        else:
            payload[key] = value
    return b.DEVICE.sign(BATCH_TYPE, cbor.encode(payload))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"k0": 2}, "version"),
        ({"k1": ""}, "malformed"),
        ({"k1": "x" * 65}, "malformed"),
        ({"k2": b"short"}, "malformed"),
        ({"k3": 5}, "malformed"),
        ({"k4": -1}, "malformed"),
        ({"k4": 2**63}, "malformed"),
        ({"k4": True}, "malformed"),
        ({"k5": b""}, "malformed"),
        ({"k6": bytes(15)}, "malformed"),
        ({"k7": 9_000_000_000}, "malformed"),  # first after last
        ({"k9": 1.5}, "malformed"),
        ({"k10": 3}, "malformed"),
        ({"k11": 256}, "malformed"),
        ({"k12": "text"}, "malformed"),
        ({"k12": None}, "malformed"),
        ({"k13": bytes(31)}, "malformed"),
        ({"k14": []}, "malformed"),
        ({"k14": [[9, "event", bytes(8), 0, 0]]}, "malformed"),
        ({"k14": [[0, "event", bytes(8), 0, 0]]}, "malformed"),
        ({"k14": [[1, "event", bytes(8), 1, 2]]}, "malformed"),
        ({"k14": [[3, "event", bytes(8), 3, 2]]}, "malformed"),
        ({"k14": [[4, "event", bytes(8), 0, 2]]}, "malformed"),
        ({"k14": [[1, "event", bytes(8), 0, 2]] * 257}, "malformed"),
        ({"k15": 0}, "malformed"),
    ],
)
def test_a_payload_that_the_contract_does_not_have_is_refused(
    changes: dict[str, Any], code: str
) -> None:
    assert refused(_resigned(**changes)) == code


def test_too_large_a_batch_is_not_sealed() -> None:
    with pytest.raises(UplinkError) as caught:
        seal(b.batch(data=bytes(1024 * 1024)), b.DEVICE)
    assert caught.value.code == "too_large"


def test_ack_round_trip_and_every_changed_byte() -> None:
    trust = Trust([TrustedKey(b.PLATFORM.public)])
    ack = Ack(b.GATEWAY, b"epoch--1", "telemetry", 123, bytes(range(32)), b.WALL_NS)
    message = seal_ack(ack, b.PLATFORM)
    assert open_ack(message, trust) == ack
    for at in range(len(message)):
        changed = bytearray(message)
        changed[at] ^= 1
        with pytest.raises(UplinkError):
            open_ack(bytes(changed), trust)
    with pytest.raises(UplinkError) as caught:
        open_ack(bytes(2000), trust)
    assert caught.value.code == "too_large"


# --- bodies ---------------------------------------------------------------------------------------


def test_events_round_trip() -> None:
    records = [b.event(n, text="火警", nested={"a": [1, 2.5, None, True]}) for n in range(5)]
    assert decode_events(encode_events(records)) == records


def test_epoch_round_trip() -> None:
    epoch = EpochData(
        "damage",
        {"fire": Head(b"epoch--0", 4, bytes(32))},
        (Loss(LossReason.DAMAGED, "event", b"epoch--0", 0, 2**63 - 1),),
        "embergate 0.1.0",
    )
    assert decode_epoch(encode_epoch(epoch)) == epoch


@settings(max_examples=300)
@given(st.binary(max_size=100) | st.recursive(
    st.integers() | st.binary(max_size=33) | st.text(max_size=5) | st.none(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.integers(0, 15), inner),
    max_leaves=30,
).map(lambda value: cbor2.dumps(value, canonical=True)))  # fmt: skip
def test_any_body_gives_records_or_one_error(data: bytes) -> None:
    for decoder in (decode_events, decode_epoch, decode_payload):
        try:
            decoder(data)
        except UplinkError as e:
            assert e.code in {"malformed", "version"}  # noqa: PT017 -- the code is what is tested


def test_a_signer_does_not_show_its_key() -> None:
    secret = b.DEVICE._private.private_bytes_raw()
    assert secret.hex() not in repr(b.DEVICE)
    assert repr(b.DEVICE) == f"Signer(kid={kid_of(b.DEVICE.public).hex()})"


def test_batches_compare_by_value() -> None:
    assert isinstance(replace(b.batch(), seq=4), Batch)
    assert b.batch() == b.batch()
