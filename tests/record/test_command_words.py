"""`embergate command` and `embergate proposals`: both languages, and what no gateway would take."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from test_platform_commands import COMMANDER, TRUST, site
from typer.testing import CliRunner
from world_record import GATEWAY, run

from agent.cli import command, proposals
from agent.cli.words import TEXTS
from agent.uplink.command import PROPOSALS, Order, open_command
from config.limits import DUTY_MINUTES_MAX

APP = typer.Typer()
APP.callback()(lambda: None)
command.register(APP)
proposals.register(APP)


def invoke(*words: str) -> tuple[int, str, bytes]:
    done = CliRunner().invoke(APP, list(words), env={"COLUMNS": "200"})
    return done.exit_code, done.output, done.stdout_bytes


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "command.key"
    path.touch(mode=0o600)
    path.write_bytes(COMMANDER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_what_is_asked_is_sealed(key: Path) -> None:
    code, _, out = invoke(
        "command", GATEWAY, "resend", "--key", str(key), "--epoch", "0011223344556677",
        "--lane", "event", "--first", "3", "--last", "9", "--nonce", "ab" * 16,
    )  # fmt: skip
    assert code == 0
    made, _ = open_command(out, TRUST)
    assert (made.order, made.gateway, made.nonce) == (Order.RESEND, GATEWAY, b"\xab" * 16)
    assert made.args == {"epoch": bytes.fromhex("0011223344556677"), "lane": "event", "first": 3,
                         "last": 9}  # fmt: skip


BAD = {
    "hex": (GATEWAY, "resend", "--epoch", "00112233"),
    "hex ": (GATEWAY, "time", "--nonce", "xyz"),
    "gateway": ("up/+", "time"),
    "file": (GATEWAY, "propose"),
    "wrong": (GATEWAY, "resend", "--epoch", "00" * 8, "--lane", "fire", "--first", "9"),
    "wrong ": (GATEWAY, "time", "--number", "-4"),
}


@pytest.mark.parametrize("lang", [0, 1])
@pytest.mark.parametrize("case", BAD)
def test_what_a_gateway_would_not_take_is_not_sent(key: Path, case: str, lang: int) -> None:
    words = ("command", *BAD[case], "--key", str(key), "--lang", ("en", "zh")[lang])
    code, text, _ = invoke(*words)
    assert code == 1
    said = max(re.split(r"{\w+}", TEXTS[f"command.{case.strip()}"][lang]), key=len)
    assert said in text


@pytest.mark.parametrize(
    "option", [("--minutes", "0"), ("--minutes", str(DUTY_MINUTES_MAX + 1)), ("--life-s", "601")]
)
def test_what_is_out_of_bounds_is_no_option(key: Path, option: tuple[str, str]) -> None:
    assert invoke("command", GATEWAY, "duty", "--key", str(key), *option)[0] == 2


def test_a_key_that_others_may_read_signs_nothing(key: Path) -> None:
    key.chmod(0o640)
    code, text, _ = invoke("command", GATEWAY, "time", "--key", str(key), "--lang", "zh")
    assert (code, "其他用户可读" in text) == (1, True), text


def test_proposals_are_shown_in_both_languages_and_are_no_markup(tmp_path: Path) -> None:
    """A title is a platform's own words: it closes no tag, and no terminal obeys it."""

    async def test() -> None:
        async with site() as s:
            run_dir = ("--run", str(s.world.run))

            async def ask(*words: str) -> tuple[int, str, bytes]:
                return await asyncio.to_thread(invoke, "proposals", *words, *run_dir)

            assert (await ask("--lang", "zh"))[1].strip() == "无提议"
            data, title = b"site: {}\n", "[/red] new [bold]\x1b[2J sirens"
            args = {"kind": "configuration", "title": title, "data": data,
                    "hash": hashlib.sha256(data).digest()}  # fmt: skip
            assert await s.ask(s.made(Order.PROPOSE, 5, args=args)) == "done"
            code, text, _ = await ask("--lang", "en")
            assert (code, "[/red] new [bold]" in text, "\x1b[2J" in text) == (0, True, False), text
            assert "configuration" in text
            code, text, _ = await ask("--lang", "zh")
            assert all(word in text for word in ("编号", "配置", "收到时间")), text
            file = tmp_path / "new.yaml"
            assert "9 字节" in (await ask("--save", "5", "--to", str(file), "--lang", "zh"))[1]
            assert file.read_bytes() == data
            assert (await ask("--save", "5", "--to", str(file)))[0] == 1, "it is there already"
            assert (await ask("--save", "5", "--accept", "5"))[0] == 2
            assert "已接受" in (await ask("--accept", "5", "--lang", "zh"))[1]
            assert "refused" in (await ask("--refuse", "5", "--lang", "en"))[1]
            assert (await ask("--refuse", "5"))[0] == 1, "it is forgotten"
        s.world.close()

    run(test)


def test_every_order_and_kind_has_its_words() -> None:
    wanted = {f"ask.{order}" for order in Order} | {f"kind.{kind}" for kind in PROPOSALS}
    assert wanted <= set(TEXTS)
