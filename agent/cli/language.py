"""The language of a command: --lang, or else the locale."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from config.messages import Pair
from config.problems import LANGUAGES

STATES: dict[str, Pair] = {
    "fire": ("fire", "火警"),
    "prealarm": ("prealarm", "预警"),
    "supervisory": ("supervisory", "监管"),
    "fault": ("fault", "故障"),
    "disabled": ("disabled", "屏蔽"),
    "test": ("test", "测试"),
    "activated": ("activated", "启动"),
    "feedback": ("feedback", "反馈"),
}
"""The states by their words of the site file."""

LangOption = Annotated[str, typer.Option("--lang", help="en or zh; default: by locale")]
BY_LOCALE = ""


def tongue(lang: str, environ: Mapping[str, str] = os.environ) -> str:
    """`lang`, or for BY_LOCALE that of the locale (POSIX: LC_ALL, LC_MESSAGES, LANG), or exit 2."""
    if lang == BY_LOCALE:
        names = (environ.get(key, "") for key in ("LC_ALL", "LC_MESSAGES", "LANG"))
        return "zh" if next(filter(None, names), "").casefold().startswith("zh") else "en"
    if lang not in LANGUAGES:
        raise typer.BadParameter(f"'{lang}' is not one of: {', '.join(LANGUAGES)}")
    return lang


def said(texts: Mapping[str, Pair], key: str, lang: str, **args: object) -> str:
    """A text of a table in that language."""
    return texts[key][LANGUAGES.index(lang)].format(**args)
