"""Whether a dialect means what its examples say: every one through the rules that run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.compile import panel_row
from config.dialects import Dialect, Example
from config.words import FLAG_WORDS, PanelAction, PanelProtocol
from drivers.panel.rules import Rules
from drivers.panel.talk import Said
from drivers.reading import PanelKind

_STATES = {PanelKind.STATE: "", PanelKind.CLEAR_ALL: PanelAction.CLEARS_ALL}
_BARE = {
    PanelKind.SILENCE: PanelAction.SILENCES,
    PanelKind.SOUND: PanelAction.SOUNDS,
    PanelKind.NOTE: PanelAction.NOTES,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """An example that is understood otherwise."""

    says: str
    expected: str
    found: str


def prove_dialect(dialect: Dialect) -> list[Difference]:
    """What the examples of a dialect say and the rules do not."""
    rules = Rules(panel_row(0, dialect.port()))
    out = []
    for example in dialect.examples:
        said = _of(rules, dialect, example.says)
        found = _meaning(said, rules.understood)
        if example.address is not None:
            found += f" at '{said.address if said is not None else ''}'"
        if found != _expected(example):
            out.append(Difference(example.says, _expected(example), found))
    return out


def _of(rules: Rules, dialect: Dialect, says: str) -> Said | None:
    if dialect.protocol is PanelProtocol.ID3000:
        return rules.of_code(int(says) if says.isdecimal() else -1, "", "")
    return rules.of_text(says)


def _expected(example: Example) -> str:
    text = _words(example.action, int(example.flags))
    return text if example.address is None else f"{text} at '{example.address}'"


def _meaning(said: Said | None, understood: bool) -> str:
    if said is None:
        return str(PanelAction.IGNORES)
    if not understood:
        return "no rule for it"
    if said.kind in _BARE:
        return str(_BARE[said.kind])
    action = PanelAction.CLEARS if said.clears else PanelAction.SETS
    return _words(PanelAction(_STATES[said.kind] or action), said.flags)


def _words(action: PanelAction, flags: int) -> str:
    names = [word for word, flag in FLAG_WORDS.items() if flags & flag]
    return f"{action} {' and '.join(names)}".strip()
