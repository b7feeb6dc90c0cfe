"""Whatever the gateway says to a guard has a Chinese form.

The sources of the gateway are read: every text with words in it is either in the tables of
agent.cli.told_words, or in the short list of what only developers and installers' tools see.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agent.cli import told_panel
from agent.cli.told_words import PAIRS, log_line, place, told
from config.desk_limits import TOLD_CHARS_MAX

ROOT = Path(__file__).parents[2]
ROOTS = (
    "agent/core", "agent/field", "agent/record", "agent/courier", "drivers",
    "agent/uplink/history.py", "agent/uplink/audit.py", "agent/uplink/cose.py",
    "agent/uplink/tails.py", "agent/cli/verify.py", "agent/receiver/trust.py",
)  # fmt: skip

# Why a guard never reads these texts, by module (or folder) and how the text begins.
NOT_FOR_GUARDS: Mapping[tuple[str, str], str] = {
    ("drivers/simulator", ""): "of the simulator, for who plays with it",
    ("agent/core/diagram.py", ""): "the page that docs/alarm-states.md is made of",
    ("agent/core/kernel_build.py", ""): "of the installation",
    ("agent/core/memory.py", ""): "how a file is damaged, behind a text that is told",
    ("agent/core/records.py", ""): "keys of the record, which platforms read",
    ("agent/record/acks.py", ""): "a courier's answer; the record keeps its code",
    ("agent/record/couriers.py", ""): "a courier's answer, of a courier that is not ours",
    ("agent/record/unsigned.py", ""): "a courier's answer, of a courier that is not ours",
    ("agent/record/messages.py", ""): "the answer to a field process that is not ours",
    ("agent/record/service.py", ""): "the answer to a field process that is not ours",
    ("agent/record/gather.py", ""): "the answer to a field process that is not ours",
    ("agent/courier/dc09_frame.py", ""): "why bytes are dropped, which are counted",
    ("agent/courier/reading.py", ""): "how a batch is damaged, behind a text that is told",
    ("agent/courier/wire.py", ""): "how the broker's bytes are wrong, behind a text that is told",
    ("drivers/modbus/line_file.py", ""): "of the tools of commissioning",
    ("drivers/panel/espa.py", ""): "why bytes are dropped, which are counted",
    ("drivers/panel/id3000.py", ""): "why bytes are dropped, which are counted",
    ("drivers/panel/text.py", ""): "why bytes are dropped, which are counted",
    (
        "drivers/panel/gb26875_units.py",
        "",
    ): "how a panel's data are wrong, behind a text that is told",
    ("agent/cli/verify.py", "state directory, journal"): "of --help, which is English",
    ("agent/cli/verify.py", "trust list, public key"): "of --help, which is English",
    ("agent/cli/verify.py", "for programs"): "of --help, which is English",
    ("agent/receiver/trust.py", "Q0Q: expected an Ed25519 key, found"): "of the platform's own key",
    ("agent/receiver/trust.py", "Q0Q: Q2Q; make it with"): "of the platform's own key",
    ("drivers/link/serial.py", "exclusively lock"): "compared with, not said",
}
_PROSE = re.compile(r"[A-Za-z]{2,}[,:;]? [a-z(]")
_NO_PROSE = re.compile(r"Q[0-9]+Q|embergate[-a-z]* [a-z]+")  # values, commands to type
_VALUE = re.compile(r"Q[0-9]+Q")
_RAISED_AT_DEVELOPERS = ("ValueError", "TypeError", "AssertionError", "LookupError")
_SQL = re.compile(r"\s*(SELECT|INSERT|DELETE|PRAGMA|BEGIN|CREATE)\b")


def _files(root: str) -> list[Path]:
    path = ROOT / root
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _developers(tree: ast.AST) -> Iterator[int]:
    """Ids of the nodes below which no text is for guards, whatever it says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)  # docstrings, of attributes too
        elif isinstance(node, ast.Assert) and node.msg is not None:
            yield id(node.msg)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if isinstance(node.exc.func, ast.Name) and node.exc.func.id in _RAISED_AT_DEVELOPERS:
                yield id(node.exc)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in ("add_argument", "ArgumentParser"):
                yield id(node)


def _texts(node: ast.AST, skipped: set[int]) -> Iterator[tuple[int, str]]:
    """Texts of a source as they can come out: `Q1Q`, `Q2Q` ... where values go in."""
    if id(node) in skipped:
        return
    if isinstance(node, ast.JoinedStr):
        yield (
            node.lineno,
            "".join(
                str(part.value) if isinstance(part, ast.Constant) else f"Q{i}Q"
                for i, part in enumerate(node.values)
            ),
        )
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, skipped)


def _said(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text("utf-8"))
    found = _texts(tree, set(_developers(tree)))
    return [(line, t) for line, t in found if _PROSE.search(t) and not _SQL.match(t)]


def _in_chinese(text: str) -> bool:
    """Whether no English is left; or the text is a part of one that is told as a whole."""
    text = text.replace("%s", "Q0Q").replace("%d", "Q0Q")
    for made in (text, text.replace("Q0Q", "reset")):  # what begins with a word of a small set
        chinese = told(made, "zh")
        if chinese != made and not _PROSE.search(_NO_PROSE.sub("", chinese)):
            return True
    if text in {**told_panel.WORDS, **told_panel.OPERATIONS, **told_panel.SORTS}:
        return True
    return any(
        _fits(english, [part for part in _VALUE.split(text) if part.strip()])
        for english, _ in PAIRS
    )


def _fits(english: str, parts: list[str]) -> bool:
    at = 0
    for part in parts:
        at = english.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _excused(place: str, text: str) -> bool:
    return any(place.startswith(at) and text.startswith(of) for at, of in NOT_FOR_GUARDS)


@pytest.mark.parametrize("root", ROOTS)
def test_every_text_of_the_sources_has_a_chinese_form(root: str) -> None:
    missing = [
        f"{place}:{line} {text!r}"
        for path in _files(root)
        for place in [path.relative_to(ROOT).as_posix()]
        for line, text in _said(path)
        if not _excused(place, text) and not _in_chinese(text)
    ]
    assert not missing, "give these a Chinese form in agent/cli/told_*.py:\n" + "\n".join(missing)


_NAME = re.compile(r"\{([a-z_]+)\}")


def test_every_excuse_is_needed() -> None:
    stale = [
        (at, of)
        for at, of in NOT_FOR_GUARDS
        if not any(
            text.startswith(of) and not _in_chinese(text)
            for path in _files(at)
            for _, text in _said(path)
        )
    ]
    assert not stale


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_chinese_form_is_found_and_keeps_every_value(english: str, chinese: str) -> None:
    # Names that are words of ours: they are names all the same.
    values = {name: f"down-{i}" for i, name in enumerate(_NAME.findall(english))}
    left_out = set(values) - set(_NAME.findall(chinese))
    assert left_out <= {"kinds", "rest"}  # what is said once already
    assert set(_NAME.findall(chinese)) <= set(values)
    text = _filled(english, values)
    bare = _NAME.sub("", english)  # without words: only what it is about would be translated
    stays = {text} if values and not any(c.isalpha() for c in bare) else set()
    assert told(text, "zh") in {_filled(chinese, values)} | stays


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _NAME.sub(lambda name: values[name[1]], template)


def test_texts_of_others_stay() -> None:
    for text in (
        "ZONE 3: LOOP 2: FIRE",
        "{name}",
        "%s %d",
        "",
        ":",
        "a: b",
        "三层走廊",
        "}{",
        "\n",
    ):
        assert told(text, "zh") == text


def test_values_with_braces_and_texts_of_ours_are_values() -> None:
    assert told("line {x} is up", "zh") == "线路 {x} 恢复"
    assert told("line down is up", "zh") == "线路 down 恢复"
    nested = "line a is down: " * 50 + "timeout"
    assert told(nested, "zh").startswith("线路 a 中断：")


def test_a_text_that_is_too_long_stays() -> None:
    text = "line a is down: " + "x" * TOLD_CHARS_MAX
    assert told(text, "zh") == text


def test_what_a_panel_reports_is_told_with_its_own_words_as_they_are() -> None:
    assert told("fire smoke detector 三层走廊 loop", "zh") == "感烟探测器火警 三层走廊 loop"
    assert told("ended type 77 x", "zh") == "类型 77恢复 x"
    assert told("duty answer by operator 3", "zh") == "查岗应答，操作员 3"


def test_a_log_line_says_which_process_and_what() -> None:
    line = "embergate.field: courier.city: 192.0.2.1:5200: Connection refused"
    assert log_line(line, "zh") == "现场进程：传输 city：192.0.2.1:5200：连接被拒绝"
    assert log_line("embergate.courier: not connected: a:1: timeout", "zh") == (
        "传输进程：未连接：a:1：应答超时"
    )
    away = "no record: a.sock: No such file or directory; is the process running?"
    told_away = "与记录进程无连接：a.sock：文件或目录不存在；该进程是否在运行？"
    assert log_line(f"embergate.courier: {away}", "zh") == f"传输进程：{told_away}"
    for other in ("Traceback (most recent call last):", "embergate.field", "", "x: timeout"):
        assert log_line(other, "zh") == other
    assert log_line(line, "en") == line


@pytest.mark.parametrize(
    ("source", "chinese"),
    [("line/riser/jam", "线路 riser"), ("courier.a.b", "传输 a.b"), ("record.disk", "记录磁盘"),
     ("gpio.gpiochip0", "引脚 gpiochip0"), ("some/thing", "some/thing"), ("line/", "line/")],
)  # fmt: skip
def test_where_something_comes_from_is_told_and_its_name_stays(source: str, chinese: str) -> None:
    assert place(source, "zh") == chinese
    assert place(source, "en") == source
