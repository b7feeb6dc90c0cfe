"""`embergate status`, `points`, `acknowledge`, `silence`, `reset`: the verbs of the sockets."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agent.cli.run import default_run_dir
from agent.ipc import Client, IpcError, Message, Refused

RunDir = Annotated[
    Path | None,
    typer.Option("--run", help="directory of the sockets; default: the trial's here, else /run"),
]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(points)
    for verb, text in (
        ("acknowledge", "Somebody has seen it: the buzzer stops, the sirens sound on."),
        ("silence", "Sirens off; the alarm stays, and a new one sounds again."),
        ("reset", "Clear the alarms whose cause is gone. Anything that still burns stays."),
    ):
        app.command(verb, help=text)(_order(verb))


async def request(run_dir: Path, socket: str, verb: str, **args: Any) -> Message:
    """One request to a socket. Raises IpcError, Refused or TimeoutError."""
    client = await Client.connect(run_dir / socket)
    try:
        return await client.call(verb, **args)
    finally:
        client.close()


def ask(run_dir: Path, socket: str, verb: str, **args: Any) -> Message:
    """One request to a socket; exits with a clear message when it cannot be answered."""
    try:
        return asyncio.run(request(run_dir, socket, verb, **args))
    except Refused as e:
        typer.echo(f"refused ({e.code}): {e.text}", err=True)
        raise typer.Exit(1) from e
    except IpcError as e:
        typer.echo(f"{e}", err=True)
        raise typer.Exit(1) from e
    except TimeoutError as e:
        typer.echo(f"{run_dir / socket}: no answer in time; see the process's log", err=True)
        raise typer.Exit(1) from e


def status(run: RunDir = None, as_json: AsJson = False) -> None:
    """The big state, what is in alarm, lines, outputs, and what the record and couriers say."""
    run_dir = run or default_run_dir()
    field = ask(run_dir, "field.sock", "status")
    try:
        record: Message | None = asyncio.run(request(run_dir, "record.sock", "status"))
    except (IpcError, Refused, TimeoutError):
        record = None
    if as_json:
        typer.echo(json.dumps({**_plain(field), "record": _plain(record)}, ensure_ascii=False))
        return
    _print_status(Console(), field, record)


def _print_status(console: Console, field: Message, record: Message | None) -> None:
    state, gateway = field["status"], field["gateway"]
    flags = ", ".join(state["flags"]) or "normal"
    console.print(f"[bold]{state['name'] or state['site']}[/bold]: [bold]{flags.upper()}[/bold]")
    if state["first_alarm"]:
        console.print(f"first alarm: {state['first_alarm']['name']}; {state['alarms']} alarms")
    for fault in state["faults"]:
        console.print(f"fault: {fault['source']}: {fault['text']}")
    if state["zones"]:
        console.print(_table("zones", state["zones"]))
    if state["outputs"]:
        console.print(_table("outputs", [_output(o) for o in state["outputs"]]))
    if state["panels"]:
        rows = [_panel_row(panel) for panel in state["panels"]]
        console.print(_table("panels on ports of their own", rows))
    if state["active"]:
        console.print(_table("points in alarm or fault", state["active"]))
    lines = [
        {"line": line["name"], "up": "yes" if line["up"] else "NO", "units": len(line["units"])}
        for line in gateway["lines"]
    ]
    console.print(_table("lines", lines))
    console.print(
        f"{state['points']} points, kernel {gateway['kernel']}, {gateway['cycles']} cycles, "
        f"{gateway['events_waiting']} events not yet durable"
    )
    if record is None:
        console.print("[bold]the record process does not answer[/bold]; events wait in memory")
        return
    for source, text in record["faults"].items():
        console.print(f"record: {source}: {text}")
    if day := record["store"].get("written_day_bytes"):
        console.print(f"record: {day / 1e6:.1f} MB a day written to the disk")
    if record["couriers"]:
        console.print(_table("couriers", record["couriers"]))


def _output(output: Message) -> Message:
    said = {None: "never ordered", True: "on", False: "off"}
    read = {None: "not read", True: "on", False: "off"}
    return {
        "output": output["name"],
        "ordered": said[output["on"]],
        "reads": read[output["read_back"]],
        "pattern": output["pattern"],
        "fault": "YES" if output["fault"] else "",
    }


def _panel_row(panel: Message) -> Message:
    told = [f"{row['address'] or '-'}: {'+'.join(row['flags'])}" for row in panel["standing"]]
    return {
        "panel": panel["name"],
        "dialect": panel["dialect"],
        "link": "LOST" if panel["lost"] else "up",
        "watched": "supervised" if panel["supervised"] else "UNSUPERVISED: prints events only",
        "told": told,
    }


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    columns = list(rows[0])
    for column in columns:
        table.add_column(column)
    for row in rows:
        cell = [row.get(column, "") for column in columns]
        table.add_row(*(", ".join(c) if isinstance(c, list) else str(c) for c in cell))
    return table


def points(run: RunDir = None, first: int = 0, count: int = 100, as_json: AsJson = False) -> None:
    """Points with their values, qualities and states."""
    reply = ask(run or default_run_dir(), "field.sock", "points", first=first, count=count)
    if as_json:
        typer.echo(json.dumps(_plain(reply), ensure_ascii=False))
    elif reply["points"]:
        Console().print(_table(f"points {first} ... of {reply['total']}", reply["points"]))


def _order(verb: str) -> Any:
    def order(run: RunDir = None, as_json: AsJson = False) -> None:
        reply = ask(run or default_run_dir(), "field.sock", verb)
        flags = reply["status"]["flags"]
        if as_json:
            typer.echo(json.dumps(_plain(reply), ensure_ascii=False))
        else:
            typer.echo(f"{verb}: done; now {', '.join(flags) or 'normal'}")

    return order


def _plain(value: Any) -> Any:
    """CBOR values as JSON: bytes as hex, not-a-number as null (JSON has neither)."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if k not in ("n", "ok")}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
