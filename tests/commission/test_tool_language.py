"""The tools speak English or Chinese, by --lang or the locale; and what registers say as text."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from string import Formatter

import pytest
import typer
from commission_world import command, plan_of, serial_site, served
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import desk_words, line_words
from agent.cli.language import BY_LOCALE, tongue
from agent.commission.lines import ToolError
from agent.commission.point_table import Target, fragment
from agent.commission.probe import texts
from config.messages import Pair
from config.profiles import DIRECTORY

FAST = ("--wait", "60ms", "--pause", "1ms", "--listen", "50ms", "--bauds", "9600")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
    ],
)
def test_the_locale_decides_unless_told(environ: dict[str, str], expected: str) -> None:
    assert tongue(BY_LOCALE, environ) == expected
    assert tongue("en", environ) == "en"
    with pytest.raises(typer.BadParameter):
        tongue("de", environ)


@pytest.mark.parametrize("table", [line_words.TEXTS, desk_words.TEXTS])
def test_both_languages_have_the_same_placeholders(table: dict[str, Pair]) -> None:
    for key, pair in table.items():
        english, chinese = (
            {field for _, field, _, _ in Formatter().parse(text) if field} for text in pair
        )
        assert english == chinese, key


def test_what_an_installer_reads_first_is_in_chinese(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text((DIRECTORY.parent / "examples" / "heping-tower.yaml").read_text())
    state = str(tmp_path / "state")
    own = str(tmp_path / "own.yaml")
    for args, status, said in (
        (["plan", str(site)], 0, "请与站点文件一同保存"),
        (["run", str(site), "--state", state], 1, "应有本机密钥，实际没有"),
        (["status", "--run", state], 1, "该进程是否在运行？"),
        (["profile", "list"], 0, "设备模板"),
        (["profile", "show", "sensepoint-xcl"], 0, "心跳：holding 107 须在 15s 内变化"),
        (["profile", "show", "sensepoint-xc"], 78, "是否指“sensepoint-xcl”？"),
        (["profile", "new", own], 0, "请编辑，然后运行"),
        (["profile", "test", own], 0, "全部符合"),
    ):
        found = command(*args, "--lang", "zh")
        assert (found[0], said in found[1]) == (status, True), found


def test_problems_of_lines_and_tables_in_chinese() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        status, text = command("listen", f"{name}/none", "--lang", "zh")
        assert (status, "端口不存在（适配器是否已插好？）" in text) == (1, True), text
        status, text = command("listen", "/dev/null", "--baud", "9601", "--lang", "zh")
        assert (status, "应为 1200" in text) == (2, True), text
        status, text = command("probe", "tcp:127.0.0.1:1", "1", "input", "0", "--lang", "zh")
        assert (status, "连接失败" in text) == (1, True), text
    rows = [["名称", "地址", "类型"], ["a", "7", "感温"], ["b", "30001", "什么"]]
    with pytest.raises(ToolError) as told:
        fragment(rows, Target("panel", "bus", 1, "1s", None))
    assert told.value.text("zh").split("\n")[0] == (
        "第 2 行：地址“7”既不是寄存器，也不是设备模板中的点位"
    )
    assert "第 3 行：类型“什么”未知" in told.value.zh
    assert str(told.value).startswith("row 2: the address '7'")


def test_commands_in_chinese() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        site, port = serial_site(Path(name))
        with served(plan_of(site)):
            status, text = command("scan", port, "--units", "3-3", *FAST, "--lang", "zh")
            assert (status, "9600 8N1：从站 3 有应答" in text) == (0, True), text
            status, text = command("probe", port, "3", "holding", "0", "2", "--lang", "zh")
            assert (status, "寄存器" in text) == (0, True), text
            args = ("write-coil", port, "9", "2", "on", "--lang", "zh")
            status, text = command(*args)
            assert (status, "确认现场人员知晓后" in text) == (1, True), text
            status, text = command("watch", str(site), "sensor", "--for", "1s", "--lang", "zh")
            assert (status, "时效" in text, "正常" in text) == (0, True, True), text
        status, text = command("listen", "tcp:127.0.0.1:502", "--for", "1s", "--lang", "zh")
        assert (status, "听不到其他主站" in text) == (1, True), text


def _words(data: bytes, order: str = ">") -> list[int | None]:
    data += b"\0" * (len(data) % 2)
    return list(struct.unpack(f"{order}{len(data) // 2}H", data))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"RCMB300", "ascii"),
        ("泵房 3".encode(), "utf-8"),
        ("泵房 3".encode("gb18030"), "gb18030"),
        (b"RCMB300 \0\xde\xad\xbe\xef", "ascii"),
    ],
)
@pytest.mark.parametrize(("order", "name"), [(">", "AB"), ("<", "BA")])
def test_a_range_as_text(data: bytes, encoding: str, order: str, name: str) -> None:
    found = [t for t in texts(_words(data, order)) if t.order == name]
    expected = data.partition(b"\0")[0].rstrip().decode(encoding)
    assert [(t.encoding, t.text) for t in found] == [(encoding, expected)]


@given(st.lists(st.one_of(st.none(), st.integers(0, 65_535)), max_size=40))
def test_any_registers_as_text(words: list[int | None]) -> None:
    for text in texts(words):
        assert text.text.isprintable()
