"""`embergate pin`: the hash of a PIN for the section `people` of a site file."""

from __future__ import annotations

import os
import sys

import typer

from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.words import say
from config import pin
from config.limits import PIN_CHARS_MAX, PIN_DIGITS_MIN

MOST_ALIKE = 2  # different characters; 111111 and 121212 are the first that anybody tries


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pin")(make)


def make(lang: LangOption = BY_LOCALE) -> None:
    """Ask for a PIN twice and print its hash for the site file. The PIN itself is kept nowhere."""
    language = tongue(lang)
    digits = ask_pin(language)
    if len(digits) < PIN_DIGITS_MIN or len(digits) > PIN_CHARS_MAX:
        typer.echo(say("pin.length", language, least=PIN_DIGITS_MIN, most=PIN_CHARS_MAX), err=True)
        raise typer.Exit(1)
    if len(set(digits)) <= MOST_ALIKE or digits in "01234567890" or digits in "09876543210":
        typer.echo(say("pin.simple", language), err=True)
        raise typer.Exit(1)
    if sys.stdin.isatty() and ask_pin(language, again=True) != digits:
        typer.echo(say("pin.differ", language), err=True)
        raise typer.Exit(1)
    typer.echo(f'pin: "{pin.make(digits, os.urandom(pin.SALT_BYTES)).text()}"')


def ask_pin(language: str, *, again: bool = False) -> str:
    """A PIN from the terminal without echo, or the first line of what is piped in.

    Never an argument or a variable: other users of the machine can read those.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline(PIN_CHARS_MAX + 2).rstrip("\r\n")
    text = say("pin.again" if again else "pin.ask", language)
    answer: str = typer.prompt(text, hide_input=True, err=True)
    return answer
