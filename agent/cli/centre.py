"""`embergate simulate-centre`: a simulated monitoring centre, to try a courier against."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from typing import Annotated

import typer


class Answer(StrEnum):
    """What it does with what it is sent."""

    CONFIRM = "confirm"
    DENY = "deny"
    SILENT = "silent"


Port = Annotated[int, typer.Option(min=1, max=65_535, help="TCP and UDP, on 127.0.0.1")]
Address = Annotated[int, typer.Option(min=0, help="the centre's own address")]
Mode = Annotated[Answer, typer.Option(help="what it does with what it is sent")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON line a frame")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate-centre")(simulate_centre)


def simulate_centre(
    port: Port = 5200,
    address: Address = 88_888,
    answer: Mode = Answer.CONFIRM,
    *,
    as_json: AsJson = False,
) -> None:
    """Play a monitoring centre of GB/T 26875.3 and show what arrives, until interrupted."""
    try:
        asyncio.run(_serve(port, address, answer, as_json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except OSError as e:
        typer.echo(f"port {port}: {e.strerror or e}", err=True)
        raise typer.Exit(1) from None


async def _serve(port: int, address: int, answer: Answer, as_json: bool) -> None:
    from drivers.panel.gb26875 import Frame  # noqa: PLC0415 -- only for this command
    from drivers.panel.gb26875_units import UnitError, decode_unit  # noqa: PLC0415 -- as above
    from drivers.simulator.centre import Centre  # noqa: PLC0415 -- as above

    def tell(frame: Frame) -> None:
        try:
            objects = [repr(o) for o in decode_unit(frame.data).objects] if frame.data else []
        except UnitError as e:
            objects = [f"unreadable: {e}"]
        if as_json:
            typer.echo(json.dumps({"serial": frame.serial, "source": frame.source,
                                   "command": frame.command, "objects": objects}))  # fmt: skip
        else:
            typer.echo(f"{frame.source} #{frame.serial} command {frame.command}: "
                       f"{'; '.join(objects) or 'heartbeat'}")  # fmt: skip

    centre = Centre(address, mode=answer.value, tell=tell)
    await centre.start(port=port)
    try:
        await asyncio.Event().wait()
    finally:
        centre.stop()
