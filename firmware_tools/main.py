"""The command `embergate-fw`: what is done to a device before and around the gateway's own work."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_tools.keys import KeyProblem, add_to_trust, create_keys, read_public, trust_entry

EXIT_OK = 0
EXIT_PROBLEM = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Without `argv` the process's own arguments."""
    args = _parser().parse_args(argv)
    try:
        if args.command == "keys":
            return _made(args.out, "device")
        if args.command == "platform-keys":
            return _made(args.out, "platform")
        if args.command == "command-keys":
            return _made(args.out, "command")
        return _public(args)
    except KeyProblem as e:
        sys.stderr.write(f"embergate-fw: {e}\n")
        return EXIT_PROBLEM


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="embergate-fw", description="Keys of a device.")
    commands = parser.add_subparsers(dest="command", required=True)
    keys = commands.add_parser("keys", help="make the device's signing key (Ed25519)")
    keys.add_argument("--out", type=Path, required=True, metavar="DIR")
    platform = commands.add_parser("platform-keys", help="make the platform's key, for a receiver")
    platform.add_argument("--out", type=Path, required=True, metavar="DIR")
    ordering = commands.add_parser("command-keys", help="make the key that signs commands")
    ordering.add_argument("--out", type=Path, required=True, metavar="DIR")
    public = commands.add_parser("public", help="print the entry for a receiver's trust list")
    public.add_argument("dir", type=Path, metavar="DIR", help="directory of keys, or a .pub file")
    public.add_argument("--gateway", required=True, metavar="ID", help="the site id")
    public.add_argument(
        "--into", type=Path, metavar="FILE", help="add it to this trust list (made when absent)"
    )
    return parser


def _made(out: Path, name: str) -> int:
    public = create_keys(out, name)
    _say(
        {
            "key": str(out / f"{name}.key"),
            "public": str(out / f"{name}.pub"),
            "kid": public.kid.hex(),
        }
    )
    return EXIT_OK


def _public(args: argparse.Namespace) -> int:
    entry = trust_entry(read_public(args.dir), args.gateway)
    if args.into is not None:
        add_to_trust(args.into, entry)
    _say(entry)
    return EXIT_OK


def _say(value: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
