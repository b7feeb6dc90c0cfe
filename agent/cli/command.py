"""`embergate command`: a platform asks something of one gateway, signed with the command key."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.words import say
from agent.courier.broker import SettingsProblem, address
from agent.courier.mqtt import Dial, Dialer, LinkError, Listener
from agent.courier.relay import command_topic
from agent.uplink import check
from agent.uplink.batch import EPOCH_BYTES
from agent.uplink.command import (
    NONCE_BYTES,
    Order,
    PlatformCommand,
    open_command,
    seal_command,
)
from agent.uplink.cose import Signer, Trust, TrustedKey
from agent.uplink.errors import UplinkError
from config.limits import (
    COMMAND_LIFE_NS_MAX,
    DUTY_MINUTES_MAX,
    KEY_FILE_BYTES_MAX,
    PROPOSAL_BYTES_MAX,
    S,
)

_LOOPBACK = ("mqtt://127.0.0.1", "mqtt://[::1]", "mqtt://localhost")
_WAIT_S = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(command)


def command(
    gateway: Annotated[str, typer.Argument(help="site id of the gateway")],
    order: Annotated[Order, typer.Argument(help="what is asked")],
    key: Annotated[Path, typer.Option(help="the command key, an Ed25519 private key in PEM")],
    broker: Annotated[str, typer.Option(help="mqtts://HOST:PORT; without it: to standard output")]
    = "",
    minutes: Annotated[
        int, typer.Option(min=1, max=DUTY_MINUTES_MAX, help="duty: to answer within")
    ] = 10,
    kind: Annotated[str, typer.Option(help="propose: configuration or update")] = "configuration",
    title: Annotated[str, typer.Option(help="propose: what it is")] = "",
    file: Annotated[Path | None, typer.Option(help="propose: the file")] = None,
    epoch: Annotated[str, typer.Option(help="resend: 16 hexadecimal digits")] = "",
    lane: Annotated[str, typer.Option(help="resend: fire, event or another lane")] = "",
    first: Annotated[int, typer.Option(help="resend: from this number")] = 0,
    last: Annotated[int, typer.Option(help="resend: to this number")] = 0,
    number: Annotated[int, typer.Option(help="greater than every one before; default: now in ms")]
    = 0,
    life_s: Annotated[
        int, typer.Option(min=1, max=COMMAND_LIFE_NS_MAX // S, help="expires after so many seconds")
    ] = 120,
    nonce: Annotated[str, typer.Option(help="of its heartbeat, while its clock is unset")] = "",
    ca: Annotated[Path | None, typer.Option(help="authority of the broker's certificate")] = None,
    cert: Annotated[Path | None, typer.Option(help="our client certificate")] = None,
    cert_key: Annotated[Path | None, typer.Option(help="its key")] = None,
    insecure: Annotated[bool, typer.Option(help="allow mqtt:// beyond this machine")] = False,
    lang: LangOption = BY_LOCALE,
) -> None:  # fmt: skip
    """Ask something of a gateway. What became of it comes back in its event lane."""
    language = tongue(lang)
    try:
        if not check.GATEWAY.fullmatch(gateway):
            raise Unusable("gateway", value=gateway)
        wall_ns = time.time_ns()
        made = PlatformCommand(
            gateway, number or wall_ns // 1_000_000, order,
            _args(order, minutes, (kind, title, file), (epoch, lane, first, last)),
            wall_ns, wall_ns + life_s * S, _hex("--nonce", nonce, NONCE_BYTES) if nonce else b"",
        )  # fmt: skip
        message = _sealed(made, _signer(key))
        if not broker:
            sys.stdout.buffer.write(message)
            return
        settings: dict[str, Any] = {
            "url": broker, "ca": ca, "cert": cert, "key": cert_key,
            "insecure": insecure or broker.startswith(_LOOPBACK),
        }  # fmt: skip
        asyncio.run(_publish(settings, command_topic(gateway), message))
    except Unusable as e:
        _fail(say(f"command.{e.key}", language, **e.args_of), language)
    except TimeoutError:
        _fail(say("command.no_answer", language), language)
    except (SettingsProblem, LinkError, OSError) as e:
        _fail(str(e), language)
    what = say(f"ask.{order}", language)
    typer.echo(say("command.out", language, order=what, number=made.number))


class Unusable(Exception):  # noqa: N818 -- it reaches a person as a problem
    """What was given makes no command. `key` of the text that says why, with its places."""

    def __init__(self, key: str, **args: object) -> None:
        super().__init__(key)
        self.key = key
        self.args_of = args


def _fail(why: str, language: str) -> NoReturn:
    typer.echo(say("command.failed", language, why=why), err=True)
    raise typer.Exit(1)


def _sealed(made: PlatformCommand, signer: Signer) -> bytes:
    """The signed bytes, when a gateway would understand them."""
    try:
        message = seal_command(made, signer)
        open_command(message, Trust([TrustedKey(signer.public)]))
    except UplinkError as e:
        raise Unusable("wrong", code=e.code, text=e.text) from None
    return message


def _hex(option: str, text: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size:
        raise Unusable("hex", option=option, digits=2 * size, value=text)
    return value


def _args(
    order: Order,
    minutes: int,
    proposal: tuple[str, str, Path | None],
    wanted: tuple[str, str, int, int],
) -> dict[str, Any]:
    if order is Order.DUTY:
        return {"minutes": minutes}
    if order is Order.PROPOSE:
        kind, title, file = proposal
        if file is None:
            raise Unusable("file")
        data = file.read_bytes()
        if len(data) > PROPOSAL_BYTES_MAX:
            raise Unusable("large", path=file, most=PROPOSAL_BYTES_MAX)
        return {"kind": kind, "title": title or file.name, "data": data,
                "hash": hashlib.sha256(data).digest()}  # fmt: skip
    if order is Order.RESEND:
        epoch, lane, first, last = wanted
        name = _hex("--epoch", epoch, EPOCH_BYTES)
        return {"epoch": name, "lane": lane, "first": first, "last": last}
    return {}


def _signer(path: Path) -> Signer:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise Unusable("open", path=path)
        pem = file.read(KEY_FILE_BYTES_MAX)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Unusable("key", path=path)
    return Signer(key)


async def _publish(settings: dict[str, Any], topic: str, message: bytes) -> None:
    taken = asyncio.get_running_loop().create_future()

    def puback(_mid: int, reason: int) -> None:
        if not taken.done():
            taken.set_result(reason)

    def ended(why: str) -> None:
        if not taken.done():
            taken.set_exception(LinkError(why))

    listener = Listener(
        message=lambda _topic, _data: None, puback=puback, room=lambda: None, ended=ended
    )
    dial = Dial(
        address=address(settings), client_id=f"embergate-command-{os.getpid()}",
        topics=(f"embergate/1/{topic.split('/')[2]}/up/link",), packet_bytes_max=65_536, will=None,
    )  # fmt: skip
    async with asyncio.timeout(_WAIT_S):
        link = await Dialer(time.monotonic_ns).connect(dial, listener)
        link.publish(topic, message)
        reason = await taken
    link.close()
    if reason >= 0x80:
        raise Unusable("refused", code=f"{reason:#04x}")
