"""The `embergate` command. The three service processes start without the weight of the others."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

_PROCESSES = {
    "field": "agent.field.main",
    "record": "agent.record.main",
    "courier": "agent.courier.main",
}
_COMMANDS = (
    "check",
    "explain",
    "effects",
    "simulate",
    "run",
    "control",
    "orders",
    "pin",
    "log",
    "top",
    "command",
    "proposals",
    "receive",
    "received",
    "verify",
    "demo",
    "addresses",
    "evaluate",
    "centre",
    "profile",
    "line_tools",
    "watch",
    "table",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns or raises the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    # One thread each is plenty, and a pool of idle ones costs memory on a small machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if args and args[0] in _PROCESSES:
        module = importlib.import_module(_PROCESSES[args[0]])
        status: int = module.main(args[1:])
        return status
    return _commands(args)


def _commands(args: list[str]) -> int:
    import typer  # noqa: PLC0415 -- only here: the service processes must not pay for it

    app = typer.Typer(
        name="embergate",
        help="Fire gateway of a monitored building. It supplements a certified panel and never "
        "replaces one.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in _COMMANDS:
        importlib.import_module(f"agent.cli.{name}").register(app)
    for name in _PROCESSES:
        app.command(name, help=f"The {name} process; see 'embergate {name} --help'.")(_unreachable)
    app(args=args)
    return 0


def _unreachable() -> None:
    raise AssertionError("dispatched in main()")


if __name__ == "__main__":
    sys.exit(main())
