"""Any bytes give a site or problems; places are where a person looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.checks import check_site
from config.limits import PROBLEMS_MAX, SITE_DEPTH_MAX
from config.loader import Document, load
from config.problems import LANGUAGES, Problem, Problems, as_json, render
from config.site_reader import SiteFile, read_site

SITES = Path(__file__).parents[1] / "sites"
SOURCES = sorted(p.read_bytes() for p in SITES.glob("*/site.yaml"))
WORDS = sorted({w for s in SOURCES for w in s.decode("utf-8", "replace").split()})


def run(data: bytes) -> tuple[SiteFile | None, Problems]:
    """All passes over the bytes of a site file."""
    problems = Problems()
    document = load(data, "site.yaml", problems)
    read = read_site(document, problems) if document is not None else None
    if read is not None and document is not None:
        check_site(read.site, document, problems)
    return read, problems


def judged(data: bytes) -> None:
    """A site, or problems that can be shown in every form."""
    read, problems = run(data)
    assert (read is not None) or len(problems)
    for problem in problems.in_order():
        assert problem.span.line <= data.count(b"\n") + data.count(b"\r") + 5 * len(data) + 1
        assert as_json(problem)["id"] == problem.id
    for language in LANGUAGES:
        text = render(problems.in_order(), language, problems.left_off)
        assert bool(text) == bool(len(problems))
        assert all(line.isprintable() for line in text.split("\n"))


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes(data: bytes) -> None:
    judged(data)


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text(text: str) -> None:
    judged(text.encode("utf-8", "surrogatepass"))


@st.composite
def changed_sites(draw: st.DrawFn) -> bytes:
    """A real site with some words replaced, removed or doubled."""
    text = draw(st.sampled_from(SOURCES)).decode("utf-8", "replace")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        put = draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=4)))
        text = text[:at] + put + text[at + length :]
    return text.encode("utf-8", "replace")


@given(changed_sites())
@settings(max_examples=300, deadline=None)
def test_any_changed_site(data: bytes) -> None:
    judged(data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["site", "links", "devices", "points", "zones", "sirens", "effects", "couriers", "a",
             "kind", "register", "id", "name", "link", "unit", "poll", "use", "profile", "when",
             "sound", "state", "zone", "device", "coil", "alarm", "url", "type", "cases", "bit"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@given(json_like)
@settings(max_examples=300, deadline=None)
def test_any_shape(value: object) -> None:
    """JSON is YAML: every shape of values under the words that the reader knows."""
    import json  # noqa: PLC0415 -- only here

    judged(json.dumps(value).encode())


def only(data: bytes) -> Problem:
    _, problems = run(data)
    (problem,) = problems.in_order()
    return problem


@pytest.mark.parametrize(
    ("data", "message_id", "line", "column"),
    [
        (b"\xef\xbb\xbfsite: {a: no}\n", "yaml.trap", 1, 11),
        (b"site: 'no'\r\nlinks: 1_0\r\n", "yaml.trap", 2, 8),
        (b"a: \x01\n", "yaml.character", 1, 4),
        (b"a: b\na: c\n", "yaml.duplicate", 2, 1),
        (b"? [a]\n: b\n", "yaml.key", 1, 3),
        (b"--- a\n--- b\n", "yaml.syntax", 2, 1),
        (b"\xff", "file.encoding", 1, 1),
        (b"a: *b\n", "yaml.syntax", 1, 4),
        (b"[" * 50_000, "yaml.depth", 0, 0),
        (b"- " * 50_000, "yaml.depth", 0, 0),
        (b"", "yaml.empty", 0, 0),
        (b"a: &x [*x]\n", "yaml.alias", 1, 4),
    ],
)
def test_where_a_problem_is(data: bytes, message_id: str, line: int, column: int) -> None:
    problem = only(data)
    assert (problem.id, problem.span.line, problem.span.column) == (message_id, line, column)


def test_aliases_do_not_multiply() -> None:
    lines = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)
    ]
    _, problems = run("\n".join(lines).encode())
    assert {p.id for p in problems.found} == {"yaml.alias"}


def test_depth_is_bounded_and_enough() -> None:
    deep = "a:\n" + "".join(f"{' ' * i}a:\n" for i in range(1, SITE_DEPTH_MAX - 2))
    problems = Problems()
    assert isinstance(load(deep.encode(), "x", problems), Document)


def test_problems_are_bounded_and_counted() -> None:
    rows = "".join(f"    p{i}: {{register: input {i}, kind: x}}\n" for i in range(PROBLEMS_MAX * 2))
    head = "site: {id: a, name: a}\nlinks: {}\ndevices:\n  d:\n   link: l\n   unit: 1\n   points:\n"
    _, problems = run((head + rows).encode())
    assert len(problems) == PROBLEMS_MAX
    assert problems.left_off == PROBLEMS_MAX
    assert "500 more problems" in render(problems.in_order(), "en", problems.left_off)


def test_what_is_wrong_with_all_points_of_one_line_is_one_problem() -> None:
    point = "{register: nowhere, kind: gas, type: bool}"
    rows = f"    gas_{{1-60}}: {point}\n    b: {point}\n"
    head = "site: {id: a, name: a}\nlinks: {}\ndevices:\n  d:\n   link: l\n   unit: 1\n   points:\n"
    _, problems = run((head + rows).encode())
    found = [p for p in problems.found if p.args.get("value") == "nowhere"]
    assert [(p.span.line, p.also) for p in found] == [(8, 59), (9, 0)]
    assert len(problems) >= len(problems.found) + 59  # that they are there is not forgotten
    english = render(problems.in_order(), "en")
    assert english.count("gas_1.register") == 1
    assert "(and 59 more of it, to devices.d.points.gas_60.register)" in english
    assert "（另有 59 处相同，至 devices.d.points.gas_60.register）" in render(found, "zh")


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N"])
def test_words_of_yaml_11(word: str) -> None:
    assert only(f"site: {word}\n".encode()).hint == "trap.word"


@pytest.mark.parametrize("word", ["22:30", "2024-01-31", "0b11", "010", "1_000", "+1_0.5"])
def test_numbers_of_yaml_11(word: str) -> None:
    assert only(f"site: {word}\n".encode()).id == "yaml.trap"
    _, problems = run(f"site: '{word}'\n".encode())
    assert {p.id for p in problems.found} & {"yaml.trap"} == set()
