"""Dialects: what the words of real panels mean, as data in config/dialects/*.yaml.

A dialect names its protocol, how an event is framed, and rules from patterns to states. It is
compiled into the plan; whatever runs in the building reads no YAML. An installer's own lie beside
the site file, as profiles do.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path as FilePath

import yaml

from config import model
from config.desk_limits import PROFILE_EXAMPLES_MAX
from config.limits import (
    DIALECT_RULES_MAX,
    PANEL_ADDRESS_CHARS_MAX,
    PANEL_RECORD_BYTES_MAX,
    PANEL_SILENCE_NS,
)
from config.loader import definition_file, load
from config.patterns import fault_of
from config.problems import Path, Problems
from config.shape import Keys, Reader
from config.words import FLAG_WORDS, Flag, PanelAction, PanelProtocol

DIRECTORY = FilePath(__file__).parent / "dialects"
_KEYS = Keys(
    ("dialect", "title", "manual", "revision", "protocol", "rules"),
    ("encoding", "record", "begin", "mark", "checksum", "address", "time", "on_reset", "examples"),
)
_WITH_FLAGS = (PanelAction.SETS, PanelAction.CLEARS, PanelAction.CLEARS_ALL)
_BARE = (PanelAction.SILENCES, PanelAction.SOUNDS, PanelAction.NOTES, PanelAction.IGNORES)
_RULE = Keys(("when",), (*_WITH_FLAGS, "does", "at", "reset"))
_EXAMPLE = Keys(("says",), (*_WITH_FLAGS, "does", "at"))
_SITE_RULE = Keys(("when",), (*_WITH_FLAGS, "does", "at"))
ON_RESET = ("clear", "keep")
_CODE = re.compile(r"[0-9]{1,3}")
_BYTES = re.compile(r"(?:[0-9a-fA-F]{2}){1,8}")


@dataclass(frozen=True, slots=True)
class Example:
    """A text (of ID3000: an event code) as a panel says it, and what it must mean.

    address: None when nothing is expected of it.
    """

    says: str
    action: PanelAction
    flags: Flag
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A panel's language. on_reset: whether the panel's own reset clears what it told."""

    name: str
    title: str
    manual: str
    revision: str
    source: bytes
    protocol: PanelProtocol
    encoding: str
    record: str
    begin: bytes
    mark: bytes
    checksum: str
    address: str
    time: str
    on_reset: str
    rules: tuple[model.PanelRule, ...]
    examples: tuple[Example, ...] = ()

    def port(
        self, own: tuple[model.PanelRule, ...] = (), on_reset: str = "", station: int = 2
    ) -> model.PanelPort:
        """The panel of a site: its own rules first; on_reset "" is the dialect's own."""
        return model.PanelPort(
            dialect=self.name, protocol=self.protocol, encoding=self.encoding,
            silence_ns=0 if self.protocol is PanelProtocol.TEXT else PANEL_SILENCE_NS,
            record=self.record, begin=self.begin, mark=self.mark, checksum=self.checksum,
            station=str(station), address=self.address, time=self.time,
            rules=rules_for(self, own, on_reset or self.on_reset),
        )  # fmt: skip


def dialect_names() -> tuple[str, ...]:
    """The dialects that exist."""
    return tuple(sorted(p.stem for p in DIRECTORY.glob("*.yaml")))


def load_dialect(
    name: str, problems: Problems, directory: FilePath | None = None
) -> Dialect | None:
    """A dialect of dialect_names(), or with `directory` the file `./name.yaml` there.

    None and problems when its file cannot be read.
    """
    file = definition_file(name, DIRECTORY, directory, problems)
    if file is None:
        return None
    data, shown = file
    document = load(data, shown, problems)
    if document is None or document.root is None:
        return None
    reader = Reader(document, problems)
    before = len(problems)
    found = reader.fields(document.root, (), _KEYS)
    if found is None:
        return None
    texts = {k: reader.text(found[k], (k,), most=300) or "" for k in _KEYS.all
             if k in found and k not in ("rules", "examples")}  # fmt: skip
    protocol = reader.choice(found["protocol"], ("protocol",), tuple(PanelProtocol))
    encoding = texts.get("encoding", "ascii")
    _choice(reader, found, "record", ("line", "blank"))
    _choice(reader, found, "checksum", ("crc16", "sum8"))
    _choice(reader, found, "on_reset", ON_RESET)
    for key in ("begin", "mark"):
        if key in texts and not _BYTES.fullmatch(texts[key]):
            reader.problem("word.unknown", found[key], (key,), value=texts[key])
    if not _is_codec(encoding):
        reader.problem("word.unknown", found["encoding"], ("encoding",), value=encoding)
    for key in ("address", "time"):
        if key in texts and (why := fault_of(texts[key])) is not None:
            reader.problem("pattern.form", found[key], (key,), value=texts[key], why=why)
    coded = protocol == PanelProtocol.ID3000
    rules = read_rules(reader, found["rules"], ("rules",), coded=coded, own=False)
    examples = _examples(reader, found)
    if len(problems) > before or rules is None or protocol is None:
        return None
    return Dialect(
        name, texts["title"], texts["manual"], texts["revision"], data, PanelProtocol(protocol),
        encoding, texts.get("record", "line"), bytes.fromhex(texts.get("begin", "")),
        bytes.fromhex(texts.get("mark", "")), texts.get("checksum", ""),
        texts.get("address", ""), texts.get("time", ""), texts.get("on_reset", "clear"), rules,
        examples,
    )  # fmt: skip


def _examples(reader: Reader, found: dict[str, yaml.Node]) -> tuple[Example, ...]:
    path: Path = ("examples",)
    items = reader.items(found["examples"], path) or [] if "examples" in found else []
    if len(items) > PROFILE_EXAMPLES_MAX:
        reader.problem("too_many", found["examples"], path, "", count=str(len(items)),
                       most=str(PROFILE_EXAMPLES_MAX))  # fmt: skip
        return ()
    made = [_example(reader, node, here) for node, here in items]
    return tuple(e for e in made if e is not None)


def _example(reader: Reader, node: yaml.Node, path: Path) -> Example | None:
    found = reader.fields(node, path, _EXAMPLE)
    if found is None:
        return None
    says = reader.text(found["says"], (*path, "says"), "a text", PANEL_RECORD_BYTES_MAX)
    done = _action(reader, found, node, path)
    at = None
    if "at" in found:
        at = reader.text(found["at"], (*path, "at"), "a text", PANEL_ADDRESS_CHARS_MAX)
    return None if says is None or done is None else Example(says, *done, at)


def _is_codec(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def _choice(
    reader: Reader, found: dict[str, yaml.Node], key: str, words: tuple[str, ...]
) -> str | None:
    return reader.choice(found[key], (key,), words) if key in found else None


def read_rules(
    reader: Reader, node: yaml.Node, path: Path, *, coded: bool, own: bool
) -> tuple[model.PanelRule, ...] | None:
    """The rules of a dialect, or (`own`) those that a site puts before them; None and problems."""
    items = reader.items(node, path)
    if items is None:
        return None
    if len(items) > DIALECT_RULES_MAX:
        reader.problem("too_many", node, path, "", count=str(len(items)),
                       most=str(DIALECT_RULES_MAX))  # fmt: skip
        return None
    out: list[model.PanelRule] = []
    good = True
    for item, here in items:
        rules = _rule(reader, item, here, coded=coded, own=own)
        good = good and rules is not None
        out += rules or ()
    return tuple(out) if good else None


def _rule(
    reader: Reader, node: yaml.Node, path: Path, *, coded: bool, own: bool
) -> list[model.PanelRule] | None:
    found = reader.fields(node, path, _SITE_RULE if own else _RULE)
    if found is None:
        return None
    done = _action(reader, found, node, path)
    if done is None:
        return None
    action, flags = done
    at: str | None = ""
    if "at" in found:
        at = reader.text(found["at"], (*path, "at"), "a text", PANEL_ADDRESS_CHARS_MAX)
    patterns = _patterns(reader, found["when"], (*path, "when"), coded=coded)
    if at is None or not patterns:
        return None
    return [
        model.PanelRule(pattern=p, action=action, flags=flags, address=at,
                        reset="reset" in found)
        for p in patterns
    ]  # fmt: skip


def _action(
    reader: Reader, found: dict[str, yaml.Node], node: yaml.Node, path: Path
) -> tuple[PanelAction, Flag] | None:
    """What a rule does, or an example means; exactly one thing."""
    actions = [k for k in (*_WITH_FLAGS, "does") if k in found]
    if len(actions) != 1:
        reader.problem("panel.action", node, path, "panel.action")
        return None
    flags = Flag.NONE
    if actions[0] == "does":
        action = reader.choice(found["does"], (*path, "does"), _BARE)
    else:
        action = actions[0]
        items = reader.items(found[action], (*path, action))
        for word, here in items or ():
            flag = reader.choice(word, here, tuple(FLAG_WORDS), "a state")
            flags |= FLAG_WORDS.get(flag or "", Flag.NONE)
        if items == []:
            reader.problem("list.empty", found[action], (*path, action))
        if not flags:
            return None
    return None if action is None else (PanelAction(action), flags)


def _patterns(reader: Reader, node: yaml.Node, path: Path, *, coded: bool) -> list[str] | None:
    """One pattern or a list of them."""
    nodes = [(node, path)]
    if isinstance(node, yaml.SequenceNode):
        nodes = reader.items(node, path) or []
    out: list[str] = []
    for one, here in nodes:
        text = reader.text(one, here, "a pattern", 1_000)
        if text is None:
            return None
        why = fault_of(text)
        if coded:
            why = None if _CODE.fullmatch(text) else "an event code is a number of up to 3 digits"
        if why is not None:
            reader.problem("pattern.form", one, here, value=text, why=why)
            return None
        out.append(text)
    return out


def rules_for(
    dialect: Dialect, own: tuple[model.PanelRule, ...], on_reset: str
) -> tuple[model.PanelRule, ...]:
    """A site's rules before the dialect's; a reset that is to clear nothing becomes a note."""
    rules = own + dialect.rules
    if on_reset == "clear":
        return rules
    kept = {"action": PanelAction.NOTES, "flags": Flag.NONE}
    return tuple(r.model_copy(update=kept) if r.reset else r for r in rules)
