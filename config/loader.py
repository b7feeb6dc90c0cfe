"""YAML 1.2 with places: bytes in, a tree of nodes with line and column out, or problems.

libyaml composes the nodes; nothing is constructed and no tag is resolved. What YAML 1.1 readers
take for something else (no, 22:30, 010, 1_000, dates) is refused with its fix, because the same
file will be read by other tools too. Anchors, aliases, tags and merge keys are refused: a site
file says each thing where it is.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

import yaml
from yaml._yaml import CParser

from config.limits import SITE_DEPTH_MAX, SITE_FILE_BYTES_MAX, SITE_NODES_MAX
from config.placeholders import matches
from config.problems import Path, Problem, Problems, Span

_TRAP_WORDS = frozenset(
    form for word in ("y", "n", "yes", "no", "on", "off")
    for form in (word, word.capitalize(), word.upper())
)  # fmt: skip
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?")
_BINARY = re.compile(r"[-+]?0b[01_]+")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:[Tt ].*)?")
_LEADS = frozenset("0123456789+-")


class _Stop(Exception):  # noqa: N818 -- leaves libyaml's composer, never this module
    def __init__(self, message_id: str, limit: int) -> None:
        super().__init__(message_id)
        self.message_id, self.limit = message_id, limit


class _Composer(CParser):
    """Composes nodes without resolving plain scalars; depth and size are bounded."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def resolve(self, _kind: object, _value: object, _implicit: object) -> str:
        return ""  # an explicit tag is all that ever fills node.tag

    def descend_resolver(self, _parent: object, _index: object) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > SITE_DEPTH_MAX:
            raise _Stop("yaml.depth", SITE_DEPTH_MAX)
        if self.nodes > SITE_NODES_MAX:
            raise _Stop("yaml.size", SITE_NODES_MAX)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class Document:
    """One file: its text and its tree. Places are looked up only when a problem needs one."""

    def __init__(self, file: str, text: str, root: yaml.Node | None = None) -> None:
        self.file = file
        self.text = text
        self.root = root
        self._lines: list[str] | None = None

    def span(self, node: yaml.Node) -> Span:
        """The place of a node; of a map or a list its first line."""
        start, end = node.start_mark, node.end_mark
        same_line = end.line == start.line
        width = end.column - start.column if same_line else len(self.line(start.line).rstrip())
        return self.at(start.line, start.column, width if same_line else width - start.column)

    def at(self, line: int, column: int, width: int = 1) -> Span:
        """A place by 0-based line and column."""
        return Span(self.file, line + 1, column + 1, max(1, width), self.line(line))

    def line(self, number: int) -> str:
        """The text of a 0-based line; "" past the end."""
        if self._lines is None:
            self._lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", self.text)
        return self._lines[number] if number < len(self._lines) else ""

    def find(self, path: Path, *, key: bool = False) -> yaml.Node | None:
        """The value (or the key, or nearest node above) at a path of keys and positions."""
        node, name = self.root, None
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pair = next((p for p in node.value if p[0].value == part), None) or next(
                    (p for p in node.value if matches(str(p[0].value), str(part))), None
                )
                if pair is None:
                    break
                name, node = pair
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                if part >= len(node.value):
                    break
                name, node = None, node.value[part]
            else:
                break
        return name if key and name is not None else node

    def place(self, path: Path, *, key: bool = False) -> Span:
        """The span at a path; the whole file when it has no such place."""
        node = self.find(path, key=key)
        return self.span(node) if node is not None else Span(self.file)


def read_bytes(path: FilePath, problems: Problems) -> bytes | None:
    """The bytes of a file of at most SITE_FILE_BYTES_MAX, or a problem."""
    try:
        with path.open("rb") as f:
            data = f.read(SITE_FILE_BYTES_MAX + 1)
    except OSError as e:
        reason = e.strerror or type(e).__name__
        problems.add(Problem("file.unreadable", Span(path.name), args={"reason": reason}))
        return None
    return data


def definition_file(
    name: str, home: FilePath, directory: FilePath | None, problems: Problems
) -> tuple[bytes, str] | None:
    """The bytes of a profile or dialect, and what problems call its file.

    One of those in `home`, which come with the product, or with `directory` the file `./name.yaml`
    there. None and a problem when it cannot be read.
    """
    if directory is None:
        path = home / f"{name}.yaml"
        return path.read_bytes(), f"{home.name}/{path.name}"
    data = read_bytes(directory / name, problems)
    return None if data is None else (data, name)


def load(data: bytes, file: str, problems: Problems) -> Document | None:
    """The tree of a YAML 1.2 file, or None and at least one problem. Never raises on any bytes."""
    before = len(problems)
    if len(data) > SITE_FILE_BYTES_MAX:
        problems.add(
            Problem("file.too_large", Span(file), args={"limit": str(SITE_FILE_BYTES_MAX)})
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start)
        start = data.rfind(b"\n", 0, e.start) + 1
        column = len(data[start : e.start].decode("utf-8", "replace"))
        source = data[start : start + 400].split(b"\n")[0].decode("utf-8", "replace")
        span = Span(file, line + 1, column + 1, 1, source)
        problems.add(Problem("file.encoding", span, hint="file.encoding"))
        return None
    document = Document(file, text)
    with paused_collection():
        document.root = _compose(document, problems)
        if document.root is not None:
            _inspect(document, problems)
    return document if len(problems) == before and document.root is not None else None


@contextmanager
def paused_collection() -> Iterator[None]:
    """Composing makes a million acyclic objects; searching them for cycles is half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _compose(document: Document, problems: Problems) -> yaml.Node | None:
    try:
        composer = _Composer(document.text)
        root: yaml.Node | None = composer.get_single_node()
    except _Stop as e:
        problems.add(Problem(e.message_id, Span(document.file), args={"limit": str(e.limit)}))
        return None
    except yaml.reader.ReaderError as e:
        before = document.text[: e.position]
        line = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1)
        args = {"code": f"U+{ord(e.character):04X}"} if isinstance(e.character, str) else {
            "code": f"U+{e.character:04X}"}  # fmt: skip
        problems.add(Problem("yaml.character", document.at(line, column), args=args))
        return None
    except yaml.MarkedYAMLError as e:
        problems.add(_syntax(document, e))
        return None
    if root is None:
        problems.add(Problem("yaml.empty", Span(document.file), hint="yaml.empty"))
    return root


def _syntax(document: Document, e: yaml.MarkedYAMLError) -> Problem:
    mark = e.problem_mark or e.context_mark
    reason = str(e.problem or e.context or "syntax error")
    if mark is None:
        return Problem("yaml.syntax", Span(document.file), args={"reason": reason})
    hint, source = "", document.line(mark.line)
    if "\t" in source[: mark.column + 1]:
        hint = "yaml.tab"
    elif "mapping values are not allowed" in reason:
        hint = "yaml.colon"
    elif "another document" in reason:
        hint = "yaml.one_document"
    elif "expected ',' or" in reason or "expected node content" in reason:
        hint = "yaml.bracket"
    elif "alias" in reason:
        hint = "yaml.alias"
    return Problem("yaml.syntax", document.at(mark.line, mark.column), (), hint, {"reason": reason})


def _inspect(document: Document, problems: Problems) -> None:
    """One pass over all nodes: duplicate keys, traps, tags, aliases."""
    assert document.root is not None
    seen: set[int] = set()
    harmless: set[str] = set()
    stack: list[tuple[yaml.Node, Path]] = [(document.root, ())]
    while stack:
        node, path = stack.pop()
        if id(node) in seen:
            problems.add(Problem("yaml.alias", document.span(node), path, "yaml.alias"))
            continue
        seen.add(id(node))
        if node.tag:
            args = {"tag": node.tag.replace("tag:yaml.org,2002:", "!!")}
            problems.add(Problem("yaml.tag", document.span(node), path, "yaml.tag", args))
        if isinstance(node, yaml.ScalarNode):
            if node.style == "" and node.value not in harmless:
                trap = _trap(document, node, path)
                if trap is None:
                    harmless.add(node.value)
                else:
                    problems.add(trap)
        elif isinstance(node, yaml.SequenceNode):
            stack += [(item, (*path, i)) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            stack += _pairs(document, node, path, problems)


def _pairs(
    document: Document, node: yaml.MappingNode, path: Path, problems: Problems
) -> list[tuple[yaml.Node, Path]]:
    """The values of a map with their paths, its keys checked."""
    out: list[tuple[yaml.Node, Path]] = []
    first: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or (key.value == "" and key.style == ""):
            problems.add(Problem("yaml.key", document.span(key), path, "yaml.key"))
            continue
        name = key.value
        here = (*path, name)
        if name == "<<" and key.style == "":
            problems.add(Problem("yaml.merge", document.span(key), path, "yaml.alias"))
        elif name in first:
            args = {"key": name, "line": str(first[name].start_mark.line + 1)}
            problems.add(
                Problem("yaml.duplicate", document.span(key), here, "yaml.duplicate", args)
            )
        else:
            first[name] = key
        if key.style == "" and (trap := _trap(document, key, path)) is not None:
            problems.add(trap)
        out.append((value, here))
    return out


def _trap(document: Document, node: yaml.ScalarNode, path: Path) -> Problem | None:
    """A plain scalar that YAML 1.1 and 1.2 read differently, with its fix."""
    text = node.value
    if not text or text[0] not in _LEADS:
        if text not in _TRAP_WORDS:
            return None
        hint = "trap.word"
    elif _OCTAL.fullmatch(text):
        hint = "trap.octal"
    elif _SEXAGESIMAL.fullmatch(text):
        hint = "trap.quote"
    elif _UNDERSCORED.fullmatch(text):
        hint = "trap.plain"
    elif _BINARY.fullmatch(text) or _DATE.fullmatch(text):
        hint = "trap.quote"
    else:
        return None
    sign = "-" if text[0] == "-" else ""
    digits = text.lstrip("+-").replace("_", "").lstrip("0") or "0"
    args = {"value": text, "plain": sign + digits}
    return Problem("yaml.trap", document.span(node), path, hint, args)
