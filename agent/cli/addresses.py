"""`embergate addresses`: what the service manager must know of a plan."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Annotated

import typer

from config.plan import Courier, Line, PlanError, read_plan, section
from config.words import OPEN_DATA_KINDS

EX_CONFIG = 78


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(addresses)


def device_addresses(lines: tuple[Line, ...]) -> tuple[list[str], list[str]]:
    """The addresses of the field devices, sorted, and the hosts that are names instead.

    A packet filter knows no names, and a gateway that asks a name server before it polls would
    depend on the network: such hosts are told to the installer and never resolved.
    """
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    names: set[str] = set()
    for line in lines:
        if not line.host or line.host == "localhost":
            continue
        try:
            found.add(ipaddress.ip_address(line.host))
        except ValueError:
            names.add(line.host)
    ordered = sorted(found, key=lambda a: (a.version, int(a)))
    return [str(a) for a in ordered], sorted(names)


def drop_in(hosts: list[str], plan: Path) -> str:
    """The drop-in that lets embergate-field.service reach these addresses and no others."""
    text = f"# Made by: embergate addresses --plan {plan}\n# Again after every change.\n[Service]\n"
    return text + "".join(f"IPAddressAllow={host}\n" for host in hosts)


def addresses(
    plan: Annotated[Path, typer.Option(help="the compiled plan")],
    couriers: Annotated[
        bool, typer.Option("--couriers", help="the names of the couriers instead, one a line")
    ] = False,
    open_data: Annotated[
        bool, typer.Option("--open-data", help="the names of the couriers that only show, instead")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="both, as JSON")] = False,
) -> None:
    """Print the systemd drop-in with the addresses of the field devices."""
    try:
        data = read_plan(plan)
        lines: tuple[Line, ...] = section(data, "lines")
        rows: tuple[Courier, ...] = section(data, "couriers")
    except PlanError as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(EX_CONFIG) from None
    hosts, names = device_addresses(lines)
    if names:
        typer.echo(
            f"{plan}: expected addresses of field devices, found names: {', '.join(names)}; "
            "write their addresses as 'host' in site.yaml and compile it again",
            err=True,
        )
        raise typer.Exit(EX_CONFIG)
    if as_json:
        found = {
            "field_addresses": hosts,
            "couriers": [c.name for c in rows if c.kind not in OPEN_DATA_KINDS],
            "open_data": [c.name for c in rows if c.kind in OPEN_DATA_KINDS],
        }
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif couriers or open_data:
        for courier in rows:
            if (courier.kind in OPEN_DATA_KINDS) == open_data:
                typer.echo(courier.name)
    else:
        typer.echo(drop_in(hosts, plan), nl=False)
