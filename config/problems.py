"""One Problem, one renderer: what was expected, what was found, where, what to do.

A problem is data (message id and arguments), so that it can be read in English and in Chinese and
by a machine. Nothing is ever corrected silently, and there are no warnings.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from config.limits import (
    PROBLEM_LINE_CHARS_MAX,
    PROBLEM_TEXT_CHARS_MAX,
    PROBLEMS_MAX,
    SUGGESTIONS_MAX,
)
from config.messages import HINTS, NOUNS, TEXTS

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: systemd's RestartPreventExitStatus
LANGUAGES = ("en", "zh")

Path = tuple[str | int, ...]
"""Where in the document: keys and list positions from the root."""


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a file. Lines and columns count from 1; line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0
    width: int = 1  # characters under the caret
    source: str = ""  # the text of that line


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be changed before the site can run.

    id: key into messages.TEXTS; hint: key into messages.HINTS, or "" for none.
    args: fill the templates; the value under "noun" is translated.
    also, last: how many more of what one line stands for have just this, and the last of them.
    """

    id: str
    span: Span
    path: Path = ()
    hint: str = ""
    args: dict[str, str] = field(default_factory=dict)
    also: int = 0
    last: Path = ()

    def text(self, language: str = "en") -> str:
        """What was expected and what was found."""
        return _fill(TEXTS[self.id], language, self.args)

    def advice(self, language: str = "en") -> str:
        """What to do about it; "" when the text says it all."""
        return _fill(HINTS[self.hint], language, self.args) if self.hint else ""


class Problems:
    """The problems of one pass, in the order of the file, bounded by PROBLEMS_MAX."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.left_off = 0
        self._folded = 0
        self._places: dict[tuple[Any, ...], int] = {}
        self._suggestions = 0

    def __len__(self) -> int:
        return len(self.found) + self._folded

    def add(self, problem: Problem) -> None:
        """Keep a problem; count it only, once there are PROBLEMS_MAX.

        One line can stand for many points: what is wrong with all of them is one problem.
        """
        same = (problem.id, problem.span, problem.hint, *sorted(problem.args.items()))
        at = self._places.get(same)
        if at is not None:
            self._folded += 1
            first = self.found[at]
            self.found[at] = replace(first, also=first.also + 1, last=problem.path)
        elif len(self.found) < PROBLEMS_MAX:
            self._places[same] = len(self.found)
            self.found.append(problem)
        else:
            self.left_off += 1

    def suggest(self, word: str, known: Sequence[str]) -> str | None:
        """The known word that `word` most likely meant. Bounded: a file of noise stays fast."""
        if self._suggestions >= SUGGESTIONS_MAX:
            return None
        self._suggestions += 1
        return closest(word, known)

    def in_order(self) -> tuple[Problem, ...]:
        """By file, line, column."""
        return tuple(
            sorted(self.found, key=lambda p: (p.span.file, p.span.line, p.span.column, p.id))
        )


def closest(word: str, known: Sequence[str]) -> str | None:
    """The entry of `known` that `word` most likely meant, or None."""
    folded = {k.casefold(): k for k in known}
    same = folded.get(word.casefold())
    if same is not None:
        return same
    near = get_close_matches(word[:64].casefold(), list(folded), n=1, cutoff=0.66)
    return folded[near[0]] if near else None


def path_text(path: Path) -> str:
    """`("effects", 0, "sound", 1)` as `effects[0].sound[1]`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += f".{part}" if out else part
    return out


def render(problems: Sequence[Problem], language: str = "en", left_off: int = 0) -> str:
    """All problems in the house format, one to three lines each; "" for none."""
    lines: list[str] = []
    for p in problems:
        lines += _render_one(p, language)
    if left_off:
        lines.append(_fill(TEXTS["problems.more"], language, {"count": str(left_off)}))
    return "".join(f"{line}\n" for line in lines)


def as_json(problem: Problem) -> dict[str, Any]:
    """A problem for `--json`: place, message id, arguments, both languages."""
    return {
        "id": problem.id,
        "file": problem.span.file,
        "line": problem.span.line,
        "column": problem.span.column,
        "width": problem.span.width,
        "path": path_text(problem.path),
        "text": {lang: problem.text(lang) for lang in LANGUAGES},
        "hint": {lang: problem.advice(lang) for lang in LANGUAGES},
        "args": dict(problem.args),
        "also": problem.also,
    }


def _fill(template: tuple[str, str], language: str, args: dict[str, str]) -> str:
    index = LANGUAGES.index(language)
    for key in ("noun", "found"):
        if args.get(key) in NOUNS:
            args = {**args, key: NOUNS[args[key]][index]}
    return template[index].format_map({k: _printable(v) for k, v in args.items()})


def _printable(text: str) -> str:
    """Site files are foreign text: no control characters reach a terminal, no endless lines."""
    clean = "".join(c if c.isprintable() else "�" for c in text[:PROBLEM_TEXT_CHARS_MAX])
    return clean + ("…" if len(text) > PROBLEM_TEXT_CHARS_MAX else "")


def _render_one(p: Problem, language: str) -> list[str]:
    text, advice, s = p.text(language), p.advice(language), p.span
    where = path_text(p.path)
    head = f"{where}: {text}" if where else text
    if p.also:
        args = {"count": str(p.also), "last": path_text(p.last)}
        head += _fill(TEXTS["problems.same"], language, args)
    if not s.line:
        return [f"{s.file}: {head}" + (f"; {advice}" if advice else "")]
    before, under = _columns(s)
    caret = f"       | {' ' * before}{'^' * under}"
    return [
        f"{s.file}:{s.line}:{s.column}  {_printable_path(head)}",
        f"{s.line:>6} | {_shown(s.source)}",
        f"{caret}   {advice}" if advice else caret,
    ]


def _printable_path(head: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in head)


def _shown(source: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in source[:PROBLEM_LINE_CHARS_MAX])
    return text + ("…" if len(source) > PROBLEM_LINE_CHARS_MAX else "")


def _columns(s: Span) -> tuple[int, int]:
    """Terminal cells before and under the caret: a Chinese character takes two."""
    start = min(s.column - 1, PROBLEM_LINE_CHARS_MAX)
    end = min(start + max(1, s.width), max(start + 1, len(s.source)), PROBLEM_LINE_CHARS_MAX + 1)
    shown = _shown(s.source)
    return _cells(shown[:start]), max(1, _cells(shown[start:end]))


def _cells(text: str) -> int:
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
