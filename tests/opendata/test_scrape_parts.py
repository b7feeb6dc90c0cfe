"""The HTTP that a scrape needs, and the text format, as pure functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_exposition import Broken, parse

from agent.opendata.exposition import Exposition, labels, number
from agent.opendata.http import REASONS, BadRequest, Request, answer, parse_request
from agent.opendata.metrics import tell_record
from agent.opendata.point_metrics import metric_of
from config.opendata_limits import SCRAPE_HEADERS_MAX, SCRAPE_REQUEST_BYTES_MAX
from config.quantity import UNITS, convert

GOOD = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nAccept: */*\r\n\r\n"


def status(head: bytes) -> int:
    try:
        parse_request(head)
    except BadRequest as e:
        return e.status
    return 200


def test_what_is_a_request() -> None:
    assert parse_request(GOOD) == Request("GET", "/metrics")
    assert parse_request(b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n") == Request("HEAD", "/metrics")
    six = b"GET / HTTP/1.1\r\nhost:\t[::1]:9464 \r\nContent-Length: 0\r\n\r\n"
    assert parse_request(six) == Request("GET", "/")


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"", 400),
        (b"\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.0\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.0\n\n\r\n\r\n", 400),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 505),
        (b"GET http://127.0.0.1/metrics HTTP/1.0\r\n\r\n", 400),
        (b"GET /m\xc3\xa9 HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1 \r\n x: folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400),
        (b"POST /metrics HTTP/1.0\r\n\r\n", 405),
        (b"BREW /metrics HTTP/1.0\r\n\r\n", 501),
        (b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nx: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n" + b"x: y\r\n" * (SCRAPE_HEADERS_MAX + 1) + b"\r\n", 431),
        (b"GET /" + b"a" * SCRAPE_REQUEST_BYTES_MAX + b" HTTP/1.0\r\n\r\n", 431),
        (GOOD + b"GET /again HTTP/1.0\r\n\r\n", 400),
    ],
)
def test_what_is_none(head: bytes, wanted: int) -> None:
    assert status(head) == wanted


_PIECES = st.sampled_from(
    [b"GET", b"HEAD", b"POST", b" ", b"/metrics", b"?", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n",
     b"Host: 127.0.0.1", b"Host:", b":", b"Content-Length: 0", b"\r\n\r\n", b"\x00", b"\xff", b"\t"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=20).map(b"".join)))
def test_any_bytes_give_a_request_or_one_error(head: bytes) -> None:
    said = status(head)
    assert said in REASONS
    if said == 200:
        request = parse_request(head)
        assert request.method in ("GET", "HEAD")
        assert request.path.startswith("/")
        assert head.endswith(b"\r\n\r\n")


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_wrong_byte_never_reaches_another_host(at: int, byte: int) -> None:
    head = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    assert status(head) in REASONS


def test_answers_say_their_length_and_end() -> None:
    whole = answer(200, b"abc", "text/plain")
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 3\r\n" in whole
    assert b"Connection: close\r\n" in whole
    assert whole.endswith(b"\r\n\r\nabc")
    assert answer(200, b"abc", "text/plain", head=True) == whole[:-3]
    assert b"Allow: GET, HEAD\r\n" in answer(405, b"", "text/plain")


_NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(width=32), st.booleans())


@given(st.lists(st.tuples(st.text(max_size=30), _NUMBERS), max_size=5, unique_by=lambda x: x[0]))
def test_any_label_and_number_survive(rows: list[tuple[str, float]]) -> None:
    out = Exposition()
    out.gauge("first", "one \\ two\nthree", 1)
    out.add("second", "gauge", "about", ((labels({"a": t, "b": i}), v) for i, (t, v) in
                                         enumerate(rows)))  # fmt: skip
    if any("\r" in text for text, _ in rows):
        return  # legal in the format; the strict reader wants none in the whole text
    series = parse(out.data())
    for i, (text, value) in enumerate(rows):
        found = series["second", (("a", text), ("b", str(i)))]
        if math.isfinite(value):
            assert found == pytest.approx(float(value), rel=1e-8)
        else:
            assert str(found) == str(float(value))


def test_a_lone_surrogate_does_not_end_the_scrape() -> None:
    assert labels({"a": "x\ud800"}) == '{a="x?"}'


@pytest.mark.parametrize(
    "text",
    [
        b"a 1",
        b"a 1\n",
        b"# HELP a x\n# TYPE a gauge\na 1\na 1\n",
        b"# HELP a x\n# TYPE a counter\na 1\n",
        b'# HELP a x\n# TYPE a gauge\na{b="\xff"} 1\n',
        b"# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n",
        b"# HELP a x\n# TYPE a gauge\na one\n",
    ],
)
def test_the_strict_reader_is_strict(text: bytes) -> None:
    with pytest.raises((Broken, UnicodeDecodeError, IndexError, KeyError)):
        parse(text)


def test_every_unit_has_a_metric_whose_name_is_right() -> None:
    bases = {"celsius": "°C", "pascals": "Pa", "amperes": "A", "volts": "V", "meters": "m",
             "watts": "W", "cubic_meters": "m3", "ohms": "Ohm", "ppm": "ppm"}  # fmt: skip
    for unit in UNITS:
        suffix, factor, bias = metric_of(unit)
        assert suffix != "value" or unit == "1", unit
        if suffix in bases:
            assert 7.0 * factor + bias == pytest.approx(convert(7.0, unit, bases[suffix]))
    assert metric_of("m3/h")[1] * 3_600 == pytest.approx(1.0)
    assert metric_of("kWh")[1] == pytest.approx(3.6e6)
    assert metric_of("furlongs") == ("value", 1.0, 0.0)
    assert number(True) == "1"


def test_bytes_that_nobody_counts_are_left_out() -> None:
    out = Exposition()
    tell_record(out, {"ordinal": 1, "store": {"written_bytes": 0, "written_day_bytes": 0}})
    assert b"embergate_record_epoch 1\n" in out.data()
    assert b"written" not in out.data()
