"""A site of one device that has a profile, for its proof: text, problems, plan. Pure but for files.

What a profile leaves to the site (the kind of a channel, which way a contact is wired) is filled
in with something that the proof can test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from agent.compile import compile_plan
from config.checks import check_site
from config.desk_limits import PROFILE_PROOF_POINTS_MAX, PROFILE_PROOF_POLL_NS
from config.kinds import KINDS
from config.ledger import Ledger, update
from config.limits import OUTPUTS_MAX
from config.loader import load
from config.plan import Plan
from config.point_reader import Fields
from config.problems import Problem, Problems
from config.profiles import Profile
from config.site_reader import read_site
from config.words import Mode

_NOT_ASKED = ("siren.none", "siren.unused", "fire.silent")  # of a bench, which is no building


@dataclass(frozen=True, slots=True)
class Bench:
    """The plan of one device on one TCP line, or what is wrong with its profile."""

    plan: Plan | None
    problems: tuple[Problem, ...] = ()
    left_off: int = 0


def chosen_points(profile: Profile) -> list[str]:
    """All points, the corners of every family, and what the examples name. Bounded."""
    names = dict.fromkeys(profile.points)
    for family in profile.families:
        names.update(dict.fromkeys(family.corners()))
    names.update(dict.fromkeys(e.point for e in profile.examples))
    return list(names)[:PROFILE_PROOF_POINTS_MAX]


def bench(profile: Profile, directory: Path | None) -> Bench:
    """Compile the bench. `directory` is that of an installer's own profile."""
    problems = Problems()
    document = load(site_text(profile).encode(), "bench", problems)
    if document is None:
        return Bench(None, problems.in_order(), problems.left_off)
    read = read_site(document, problems, directory)
    if read is None or len(problems):
        return Bench(None, problems.in_order(), problems.left_off)
    check_site(read.site, document, problems)
    found = tuple(p for p in problems.in_order() if p.id not in _NOT_ASKED)
    if found:
        return Bench(None, found, problems.left_off)
    plan = compile_plan(read.site, update(Ledger(), read.site), bytes(32))
    lines = tuple(replace(line, tcp_port=0) for line in plan.lines)  # a free port
    polls = tuple(replace(poll, interval_ns=PROFILE_PROOF_POLL_NS) for poll in plan.polls)
    return Bench(replace(plan, lines=lines, polls=polls))


def site_text(profile: Profile) -> str:
    """site.yaml of the bench."""
    use: list[str] = []
    points: dict[str, dict[str, str]] = {}
    for name in chosen_points(profile):
        fields = profile.fields(name)
        missing = _missing(fields) if fields is not None else {}
        if missing:
            points[name] = missing
        else:
            use.append(name)
    device: dict[str, object] = {
        "link": "bus", "unit": 1, "profile": profile.name, "poll": "1s", "use": use,
        "points": points,
    }  # fmt: skip
    site: dict[str, object] = {
        "site": {"id": "bench", "name": "Bench"},
        "links": {"bus": {"kind": "tcp", "host": "127.0.0.1", "port": 502}},
        "devices": {"device": device},
    }
    coils = min(profile.coils or 0, OUTPUTS_MAX)
    if coils:
        site["sirens"] = {f"coil{k}": {"device": "device", "coil": k} for k in range(coils)}
    text: str = yaml.safe_dump(site, allow_unicode=True, sort_keys=False)
    return text


def _missing(fields: Fields) -> dict[str, str]:
    """What the site would have to say about a point, with something that can be tested."""
    out: dict[str, str] = {}
    word = fields["kind"].value if "kind" in fields else ""
    kind = KINDS.get(word)
    if not word or (kind is not None and kind.mode is not Mode.STATE and not _levels(fields, word)):
        out["kind"] = "measure"
        kind = KINDS["measure"]
    table = str(fields["register"].value)
    if "type" not in fields and "bit" not in fields and not _single(table):
        out["type"] = "uint16"
    if kind is None or kind.mode is not Mode.STATE:
        if "unit" not in fields:
            out["unit"] = "1"
        return out
    if (kind.states or kind.name == "manual") and "active" not in fields:
        out["active"] = "1"
    if kind.states and "state" not in fields:
        out["state"] = "supervisory"
    return out


def _single(register: str) -> bool:
    return register.startswith(("coil", "discrete")) or (register.isdigit() and register[0] in "01")


def _levels(fields: Fields, word: str) -> bool:
    """Whether the point's kind has all that it needs without a word of the site."""
    kind = KINDS[word]
    if kind.classes:
        return "class" in fields
    defaults = {c.removesuffix("_level") for c in kind.defaults}
    return not kind.needs or any(n in fields or n in defaults for n in kind.needs)
