"""What the documents show is what the product takes: site files, commands, paths, limits."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from project_tree import ROOT, name, python_files
from test_project import commands, documents

from agent.cli import main as cli
from agent.compile import check_file
from agent.evaluate.watch import read_setting
from config.pin import make
from config.problems import Problems

AROUND = Path(__file__).with_name("around.yaml")
NOT_OURS = ("scrape_configs",)
"""First words of examples that are for other programs."""
NOT_IN_THE_CODE = {"SITE_ID", "PR_SET_MDWE"}  # what the reader fills in; the kernel's own
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(path: Path) -> list[tuple[str, str]]:
    """(language, text) of what a document shows as code."""
    return _BLOCK.findall(path.read_text(encoding="utf-8"))


# --- site files -----------------------------------------------------------------------------

EXAMPLES = [
    pytest.param(f"{path.stem}-{number}", text, id=f"{path.stem}-{number}")
    for path in documents()
    for number, (language, text) in enumerate(blocks(path))
    if language == "yaml" and not text.startswith(NOT_OURS)
]


def merged(base: yaml.Node, more: yaml.Node) -> yaml.Node:
    """Mappings joined key by key, lists one after the other; of two words the second."""
    if isinstance(base, yaml.MappingNode) and isinstance(more, yaml.MappingNode):
        pairs = {key.value: (key, value) for key, value in base.value}
        for key, value in more.value:
            old = pairs.get(key.value)
            pairs[key.value] = (key, value if old is None else merged(old[1], value))
        return yaml.MappingNode(base.tag, list(pairs.values()))
    if isinstance(base, yaml.SequenceNode) and isinstance(more, yaml.SequenceNode):
        return yaml.SequenceNode(base.tag, [*base.value, *more.value])
    return more


def composed(text: str) -> yaml.Node:
    """The nodes of a text that is not empty."""
    node = yaml.compose(text)
    assert node is not None
    return node


def part(of: yaml.Node, key: str) -> yaml.Node:
    """What a mapping has under a key, else nothing."""
    assert isinstance(of, yaml.MappingNode)
    found = [value for k, value in of.value if k.value == key]
    return found[0] if found else yaml.MappingNode(of.tag, [])


@pytest.mark.parametrize(("example", "text"), EXAMPLES)
def test_an_example_is_a_part_of_a_site_file(example: str, text: str, tmp_path: Path) -> None:
    """In a site that has the links, devices and zones which the example takes for granted."""
    around = composed(AROUND.read_text(encoding="utf-8"))
    whole = part(around, "all")
    for key in (example.rpartition("-")[0], example):
        whole = merged(whole, part(around, key))
    shown = composed(text.replace("scrypt$14$8$5$...", make("7391-2846", bytes(16)).text()))
    whole = merged(whole, shown)
    site = tmp_path / "site.yaml"
    site.write_text(yaml.serialize(whole, allow_unicode=True, width=10_000), encoding="utf-8")
    if "evaluate:" in text:
        problems = Problems()
        read_setting(site, problems)
        found = problems.in_order()
    else:
        found = check_file(site).problems
    assert [p.text() for p in found] == [], site.read_text(encoding="utf-8")


def test_there_is_something_to_check() -> None:
    assert len(EXAMPLES) >= 15
    assert sum(len(command_lines(path)) for path in documents()) >= 80


# --- commands -------------------------------------------------------------------------------

known_commands = functools.cache(commands)
_COMMAND = re.compile(r"(?:^|[\s`(/])(embergate(?:-fw)? [a-z][^`\n]*)")


def command_lines(path: Path) -> list[list[str]]:
    """Every command line that a document shows, in words; what a shell does with it left out."""
    shown = [text for language, text in blocks(path) if language == ""]
    outside = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    shown += re.findall(r"`([^`]+)`", outside)
    lines = "\n".join(shown).replace("\\\n", " ").split("\n")
    found = []
    for line in lines:
        match = _COMMAND.search(f" {line}")
        if match:
            words = shlex.split(match[1], comments=True, posix=True)
            stop = [n for n, word in enumerate(words) if word in ("|", ">", "&&", ";")]
            found.append(words[: min(stop, default=len(words))])
    return found


def parsers(words: list[str]) -> tuple[set[str], str]:
    """The options of what these words call, and the first word that calls nothing, else ''."""
    known = known_commands()
    if words[0] == "embergate-fw" or words[1] in cli._PROCESSES:
        module = "firmware_tools.main" if words[0] == "embergate-fw" else cli._PROCESSES[words[1]]
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        options = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', source))
        there = words[1] in cli._PROCESSES or f'"{words[1]}"' in source
        return options | {"--help"}, "" if there else words[1]
    command: object = known.get(words[1])
    if command is None:
        return set(), words[1]
    for word in words[2:]:
        group = getattr(command, "commands", None)
        if group is None:
            break
        if word not in group:
            return set(), word
        command = group[word]
    params = getattr(command, "params", [])
    return {o for p in params for o in (*p.opts, *p.secondary_opts)} | {"--help"}, ""


@pytest.mark.parametrize("path", documents(), ids=name)
def test_commands_are_there_with_their_options(path: Path) -> None:
    for words in command_lines(path):
        options, strange = parsers(words)
        assert not strange, " ".join(words)
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= options, " ".join(words)


# --- paths and limits -----------------------------------------------------------------------


def test_paths_are_there() -> None:
    folders = "agent|config|docs|drivers|firmware_tools|scripts|systemd|tests"
    path_like = re.compile(rf"(?<![\w./-])((?:{folders})/[\w./-]*\w/?)")
    for path in documents():
        for found in set(path_like.findall(path.read_text(encoding="utf-8"))):
            there = (ROOT / found).exists() or (path.parent / found).exists()
            assert there, f"{name(path)}: {found}"


def test_limits_and_names_in_capitals_are_in_the_code() -> None:
    code = "\n".join(
        p.read_text(encoding="utf-8") for p in python_files("agent", "drivers", "config")
    )
    code += "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "systemd").iterdir())
    known = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", code))
    for path in documents():
        text = path.read_text(encoding="utf-8")
        used = set(re.findall(r"\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+\b", text))
        assert used <= known | NOT_IN_THE_CODE, name(path)
