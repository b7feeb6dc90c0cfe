"""A dialect at work: from a panel's words to states. Pure."""

from __future__ import annotations

import re

from config.limits import PANEL_ADDRESS_CHARS_MAX, PANEL_TEXT_CHARS_MAX
from config.plan import Panel, PanelRule
from config.words import PanelAction, PanelProtocol
from drivers.panel.clock import PanelTime, find_time
from drivers.panel.talk import Said
from drivers.reading import PanelKind

_KINDS = {
    PanelAction.SETS: PanelKind.STATE,
    PanelAction.CLEARS: PanelKind.STATE,
    PanelAction.CLEARS_ALL: PanelKind.CLEAR_ALL,
    PanelAction.SILENCES: PanelKind.SILENCE,
    PanelAction.SOUNDS: PanelKind.SOUND,
    PanelAction.NOTES: PanelKind.NOTE,
}


class Rules:
    """The rules of one panel. `understood` is whether the last text had one."""

    def __init__(self, panel: Panel) -> None:
        coded = panel.protocol == PanelProtocol.ID3000
        self._codes = {int(r.pattern): r for r in reversed(panel.rules)} if coded else {}
        self._texts = [] if coded else [(_compiled(r.pattern), r) for r in panel.rules]
        self._address = _compiled(panel.address) if panel.address else None
        self._time = _compiled(panel.time) if panel.time else None
        self.understood = True

    def of_text(
        self, text: str, address: str = "", *, words: str | None = None, whole: bool = True
    ) -> Said | None:
        """What a text says; None when it is to be ignored. `address` unless the text has one.

        words: the part that says what happened, when it is known. Not `whole`: something of the
        text is missing or damaged, so it can raise a state and never clear one.
        """
        looked = text if words is None else words
        rule = next(
            (r for pattern, r in self._texts
             if (whole or r.action == PanelAction.SETS) and pattern.search(looked)), None
        )  # fmt: skip
        if self._address is not None and (match := self._address.search(text)) is not None:
            address = next((g for g in match.groups() if g), match[0])
        return self._said(rule, text, address, find_time(self._time, text))

    def of_code(
        self, code: int, text: str, address: str, time: PanelTime | None = None
    ) -> Said | None:
        """What an event code says."""
        return self._said(self._codes.get(code), text, address, time)

    def _said(
        self, rule: PanelRule | None, text: str, address: str, time: PanelTime | None
    ) -> Said | None:
        self.understood = rule is not None
        if rule is None:
            action, flags = PanelAction.NOTES, 0
        else:
            action, flags = PanelAction(rule.action), rule.flags
            address = rule.address or address
        if action is PanelAction.IGNORES:
            return None
        return Said(
            kind=_KINDS[action],
            flags=flags,
            clears=action in (PanelAction.CLEARS, PanelAction.CLEARS_ALL),
            address=address.strip()[:PANEL_ADDRESS_CHARS_MAX],
            text=text[:PANEL_TEXT_CHARS_MAX],
            time=time,
        )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def printable(text: str) -> str:
    """One line of printable characters, blanks run together."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
