"""`embergate receive`: take batches from the broker, verify, keep, acknowledge; report, export."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.courier.broker import SettingsProblem, address
from agent.receiver.ingest import Note
from agent.receiver.report import report
from agent.receiver.service import Receiver
from agent.receiver.store import StoreFailed, StoreProblem, open_store
from agent.receiver.trust import TrustProblem, read_signer
from agent.uplink.errors import UplinkError
from config.words import Lane

_LOOPBACK = ("mqtt://127.0.0.1", "mqtt://[::1]", "mqtt://localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(receive)


def receive(
    db: Annotated[str, typer.Option(help="SQLite file of what is received, or postgresql://...")],
    broker: Annotated[str, typer.Option(help="mqtts://HOST:PORT")] = "",
    trust: Annotated[Path | None, typer.Option(help="trust list of the gateways' keys")] = None,
    keys: Annotated[Path | None, typer.Option(help="directory of platform.key")] = None,
    ca: Annotated[Path | None, typer.Option(help="authority of the broker's certificate")] = None,
    cert: Annotated[Path | None, typer.Option(help="our client certificate")] = None,
    key: Annotated[Path | None, typer.Option(help="its key")] = None,
    username: Annotated[str | None, typer.Option()] = None,
    password_file: Annotated[Path | None, typer.Option()] = None,
    insecure: Annotated[bool, typer.Option(help="allow mqtt:// beyond this machine")] = False,
    group: Annotated[
        str, typer.Option(help="share the work with other receivers of this name and database")
    ] = "",
    quiet: Annotated[bool, typer.Option(help="tell of fires and findings only")] = False,
    show: Annotated[
        bool, typer.Option("--report", "--once", help="print what is known and end")
    ] = False,
    gateway: Annotated[str | None, typer.Option(help="report of this gateway only")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Receive signed batches, verify them, keep them, and sign the acknowledgements."""
    try:
        if show:
            with contextlib.closing(open_store(db, read_only=True)) as store:
                _print_report(report(store, gateway), as_json)
            return
        if not broker or trust is None or keys is None:
            raise SettingsProblem("--broker, --trust and --keys are needed, or --report")
        settings: dict[str, Any] = {
            "url": broker, "ca": ca, "cert": cert, "key": key, "username": username,
            "password_file": password_file, "insecure": insecure or broker.startswith(_LOOPBACK),
        }  # fmt: skip
        address(settings)  # what cannot work at all is said at once
        signer = read_signer(keys)
        if any(c in group for c in "/+#"):
            raise SettingsProblem(
                f"expected a name without /, + and # for --group, found {group!r}"
            )
        tell = _tell_json if as_json else _tell_text
        with contextlib.closing(open_store(db)) as store:
            receiver = Receiver(
                settings, trust, signer, store, _only_news(tell) if quiet else tell, group
            )
            asyncio.run(_run(receiver))
    except (SettingsProblem, TrustProblem, StoreProblem, StoreFailed, UplinkError) as e:
        typer.echo(f"embergate receive: {e}", err=True)
        raise typer.Exit(1) from e


async def _run(receiver: Receiver) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    work = asyncio.ensure_future(receiver.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # asked for by the signal, and only there
        await work


# --- words ------------------------------------------------------------------------------------


def _only_news(tell: Callable[[Note], None]) -> Callable[[Note], None]:
    def told(note: Note) -> None:
        if note.what not in ("batch", "duplicate") or note.lane == Lane.FIRE:
            tell(note)

    return told


def _tell_json(note: Note) -> None:
    row = asdict(note)
    row["epoch"] = note.epoch.hex()
    row["events"] = [
        {"source": e.source, "what": e.what, "wall_ns": e.wall_ns, "body": dict(e.body)}
        for e in note.events
    ]
    print(json.dumps(row, ensure_ascii=False, default=_plain), flush=True)


def _tell_text(note: Note) -> None:
    if note.what == "duplicate":
        return
    where = f"{note.gateway or 'broker'} {note.lane} {note.seq}" if note.lane else note.gateway
    line = f"{_clock()} {where or 'broker'}: {note.what} {note.text}"
    print(_shown(line).rstrip(), flush=True)
    for event in note.events:
        line = f"    {_wall(event.wall_ns)} {event.source} {dict(event.body)}"
        print(_shown(line), flush=True)


def _print_report(known: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(known, ensure_ascii=False, indent=2))
        return
    table = Table("gateway", "lane", "epoch", "batches", "head", "acknowledged", "bytes")
    for gateway in known["gateways"]:
        for lane in gateway["lanes"]:
            whole = "-" if lane["acknowledged"] is None else str(lane["acknowledged"])
            table.add_row(
                *(Text(_shown(str(x))) for x in (
                    gateway["gateway"], lane["lane"], lane["epoch"], lane["batches"],
                    lane["head"], whole, lane["bytes"],
                ))
            )  # fmt: skip
    console = Console()
    console.print(table)
    counts = ", ".join(f"{known[k]} {k}" for k in ("batches", "events", "readings", "epochs"))
    console.print(counts)
    for kind in ("findings", "remarks"):
        for f in known[kind]:
            line = f"{kind[:-1]}: {f['gateway']} {f['lane']} {f['epoch']} {f['code']}: {f['text']}"
            console.print(_shown(line), markup=False, highlight=False)
    for name, codes in known["clones"].items():
        line = f"{name}: cloned key or card? {', '.join(codes)}"
        console.print(_shown(line), markup=False)
    if not known["findings"]:
        console.print("nothing is missing, forked or forged")


def _shown(text: str) -> str:
    """What a gateway or anybody at the broker says orders nothing of a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _clock() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S")


def _wall(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else repr(value)
