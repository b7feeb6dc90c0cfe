"""Every message exists in both languages, says the same things, and can be filled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import messages
from config.problems import Problem, Span, closest, path_text, render

_HOLE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_ID = re.compile(r'"([a-z_]+\.[a-z_0-9]+)"')
HERE = Path(messages.__file__).parent
SOURCES = [p for p in HERE.glob("*.py") if not p.name.endswith("messages.py")]


@pytest.mark.parametrize("table", ["TEXTS", "HINTS"])
def test_both_languages_have_the_same_placeholders(table: str) -> None:
    for message_id, (english, chinese) in getattr(messages, table).items():
        assert set(_HOLE.findall(english)) == set(_HOLE.findall(chinese)), message_id
        assert english.isascii()
        assert not chinese.isascii() or chinese == english


def test_every_message_is_used_and_every_used_one_exists() -> None:
    text = "".join(p.read_text() for p in SOURCES)
    text += (Path(messages.__file__).parents[1] / "agent" / "compile.py").read_text()
    plain = set(re.findall(r'"([a-z_0-9]+(?:\.[a-z_0-9]+)?)"', text))
    assert not set(messages.TEXTS) - plain
    families = {m.split(".")[0] for m in (*messages.TEXTS, *messages.HINTS) if "." in m}
    said = {m for m in _ID.findall(text) if m.split(".")[0] in families}
    assert not said - set(messages.TEXTS) - set(messages.HINTS) - {"device.point"}
    hints = {h for h in messages.HINTS if not h.startswith("need.")}
    assert not hints - plain
    assert not set(re.findall(r'"(need\.\w+)"', text)) - set(messages.HINTS)


def test_the_house_format() -> None:
    span = Span("site.yaml", 41, 14, 7, "    sounds: [stair_c]")
    args = {"noun": "siren", "value": "stair_c", "near": "stair_b", "line": "33"}
    problem = Problem("ref.unknown", span, ("effects", 0, "sounds", 0), "near_line", args)
    assert render([problem]) == (
        "site.yaml:41:14  effects[0].sounds[0]: no siren is called 'stair_c'\n"
        "    41 |     sounds: [stair_c]\n"
        "       |              ^^^^^^^   did you mean 'stair_b' (line 33)?\n"
    )


def test_a_terminal_gets_no_control_characters() -> None:
    span = Span("site.yaml", 1, 1, 3, "\x1b[2Ja\tb")
    problem = Problem("word.unknown", span, ("a\x1b",), "", {"value": "\x1b[31m\u202e"})
    text = render([problem])
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_wide_character_takes_two_cells() -> None:
    span = Span("site.yaml", 1, 4, 2, "一二三四五")
    problem = Problem("list.empty", span)
    assert render([problem]).split("\n")[2] == "       | " + " " * 6 + "^" * 4


@pytest.mark.parametrize(
    ("word", "expected"), [("stair_c", "stair_b"), ("STAIR_B", "stair_b"), ("zzz", None)]
)
def test_closest(word: str, expected: str | None) -> None:
    assert closest(word, ["stair_b", "roof"]) == expected


def test_path_text() -> None:
    assert path_text(("effects", 0, "sound", 1)) == "effects[0].sound[1]"
