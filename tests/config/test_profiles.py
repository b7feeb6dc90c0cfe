"""Profiles: every one against the simulator through the bus master, and none writes to a panel."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import check, profile
from agent.commission.prove import Proof, prove
from agent.compile import check_file
from config.limits import S
from config.plan import decode_plan, encode_plan
from config.problems import EXIT_CONFIG, Problems
from config.profiles import DIRECTORY, Profile, load_profile, parse_profile, profile_names
from config.rule_reader import RULE_KEYS
from drivers.simulator.registers import Registers

NAMES = profile_names()
GENERIC = "generic;"


def load(name: str) -> Profile:
    problems = Problems()
    found = load_profile(name, problems)
    assert found is not None, problems.found
    return found


def run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    profile.register(app)
    check.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_devices_that_are_promised() -> None:
    assert {
        "notifier-modbus-gw", "honeywell-clss", "siemens-nk8237", "faast", "sensepoint-xcl",
        "net-safety-flame", "vigirex-rhu", "rgu-100a", "bender-rcmb", "diel-mt200", "relay-8",
        "relay-16", "relay-32", "current-loop-4", "current-loop-8", "contact-input-8",
        "contact-input-16", "contact-input-32", "temperature-transmitter",
    } <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_profile_reads_as_its_rules_and_its_manual_say(name: str) -> None:
    profile_ = load(name)
    proof = asyncio.run(prove(profile_))
    assert proof.problems == ()
    assert proof.differences == []
    assert proof.steps or proof.coils
    # Nothing but reads went over the wire, and coil writes to a relay board.
    allowed = {1, 2, 3, 4} | ({5, 15} if profile_.coils else set())
    assert proof.functions
    assert set(proof.functions) <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_profile_can_switch_relays_only_where_there_is_nothing_else(name: str) -> None:
    """A device that reports a state of a panel has no coils that a site could name."""
    profile_ = load(name)
    if profile_.coils is not None:
        assert name.startswith("relay-")
        assert not profile_.points
        assert not profile_.families
    words = (DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")
    for line in words.splitlines():
        key = line.split("#")[0].strip(" -{").split(":")[0]
        assert not any(w in key for w in ("write", "command", "order", "silence", "reset")) or (
            key in ("word_order", "tripped_by_bus")
        ), line


@pytest.mark.parametrize("name", NAMES)
def test_profile_names_its_manual(name: str) -> None:
    profile_ = load(name)
    assert profile_.manual
    assert profile_.revision
    generic = profile_.manual.startswith(GENERIC)
    assert generic or len(profile_.examples) >= 5, "lines of the manual"


def test_heartbeat_and_timeouts_are_data() -> None:
    beat = load("sensepoint-xcl").heartbeat
    assert beat is not None
    assert (beat.function, beat.address, beat.within_ns) == (3, 107, 15_000_000_000)
    assert load("relay-8").output_timeout_ns == 0
    assert load("faast").output_timeout_ns is None


def proof_of(text: str, tmp_path: Path) -> Proof:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    found = load_profile("./own.yaml", problems, tmp_path)
    assert found is not None, [p.text() for p in problems.found]
    return asyncio.run(prove(found, tmp_path))


OWN = """\
profile: own
title: T
manual: M
revision: R
points:
  state:
    register: holding 0
    kind: state_word
    type: uint16
    cases: [{bit: 0, state: fire}]
    not_ready: [{value: 2}]
examples:
  - {point: state, words: [1], reads: READS}
"""


def test_an_example_that_contradicts_the_rule_is_a_difference(tmp_path: Path) -> None:
    assert proof_of(OWN.replace("READS", "fire"), tmp_path).good
    proof = proof_of(OWN.replace("READS", "fault"), tmp_path)
    assert [(d.point, d.words, d.expected, d.found) for d in proof.differences] == [
        ("state", (1,), "fault", "fire")
    ]


def test_a_word_without_cases_is_never_a_number(tmp_path: Path) -> None:
    """1 is the number of FIRE: a state word that knows only its warm-up must not read as one."""
    text = OWN.replace("[{bit: 0, state: fire}]", "[]").replace("READS", "normal")
    assert proof_of(text, tmp_path).good


def test_new_show_test_and_use_of_an_own_profile(tmp_path: Path) -> None:
    file = tmp_path / "my-device.yaml"
    status, text = run("profile", "new", str(file), "--title", "Acme: 7", "--revision", "C")
    assert status == 0, text
    assert run("profile", "new", str(file))[0] == 1
    status, text = run("profile", "test", str(file))
    assert status == 0, text
    assert "all as expected" in text
    status, text = run("profile", "show", str(file))
    assert "Acme: 7" in text
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {id: a, name: A}\n"
        "links: {bus: {kind: tcp, host: 127.0.0.1}}\n"
        "devices:\n"
        "  mine: {link: bus, unit: 1, profile: ./my-device.yaml, poll: 1s, use: [temperature]}\n"
    )
    status, text = run("check", str(site))
    assert status == 0, text
    assert "mine.temperature: input 0 = 30001" in text
    digest = json.loads(run("check", str(site), "--json")[1])["digest"]
    file.write_text(file.read_text() + "# changed\n")
    assert json.loads(run("check", str(site), "--json")[1])["digest"] != digest


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("./none.yaml", "there is no file './none.yaml'"),
        ("../site.yaml", "neither a profile nor a file beside"),
        ("/etc/passwd", "neither a profile nor a file beside"),
        ("./a/../b.yaml", "neither a profile nor a file beside"),
        ("own.yaml", "write ./NAME.yaml"),
        ("./broken.yaml", "broken.yaml:2:1"),
    ],
)
def test_profile_path_problems(tmp_path: Path, word: str, said: str) -> None:
    (tmp_path / "broken.yaml").write_text("profile: [\n")
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {id: a, name: A}\nlinks: {bus: {kind: tcp, host: 127.0.0.1}}\n"
        f"devices:\n  d: {{link: bus, unit: 1, profile: {word}, poll: 1s}}\n"
    )
    status, text = run("check", str(site))
    assert status == EXIT_CONFIG
    assert said in text


def test_problems_of_a_profile_have_their_place() -> None:
    problems = Problems()
    text = OWN.replace(
        "point: state, words: [1], reads: READS", "point: stat, words: [99999], x: 1"
    )
    assert parse_profile("own", text.encode(), "own.yaml", problems) is None
    found = [(p.span.line, p.id) for p in problems.in_order()]
    assert found == [(13, "key.missing"), (13, "key.unknown")]
    problems = Problems()
    text = OWN.replace(
        "point: state, words: [1], reads: READS", "point: stat, words: [1], reads: fire"
    )
    assert parse_profile("own", text.encode(), "own.yaml", problems) is None
    assert [(p.span.line, p.id) for p in problems.in_order()] == [(13, "use.unknown")]


def test_show_list_and_unknown() -> None:
    status, text = run("profile", "list", "--json")
    assert status == 0
    listed = json.loads(text)
    assert [p["profile"] for p in listed] == list(NAMES)
    assert all(p["built_in"] and p["revision"] for p in listed)
    for name in NAMES:
        assert run("profile", "show", name)[0] == 0
    status, text = run("profile", "show", "relay-9")
    assert (status, "did you mean 'relay-" in text) == (EXIT_CONFIG, True)
    assert "cases" in RULE_KEYS


_SITE = """\
site: {id: demo, name: Demo}
links: {riser: {kind: rs485, port: /dev/ttyUSB0, baud: 9600, parity: none}}
devices:
  gas: {link: riser, unit: 1, profile: sensepoint-xcl, poll: 1s, use: [days_to_calibration]}
  old: {link: riser, unit: 2, profile: sensepoint-xcl, poll: 1s, use: [supply], heartbeat: none}
  own:
    {link: riser, unit: 3, profile: sensepoint-xcl, poll: 1s, use: [supply],
     heartbeat: {register: holding 7, within: 20s}}
  relays: {link: riser, unit: 9, profile: ./slow-relays.yaml}
sirens: {bell: {device: relays, coil: 0}}
effects: [{when: {device: gas, state: fault}, sound: [bell]}]
"""
_RELAYS = """\
profile: slow-relays
title: Relays that let go
manual: generic
revision: "1"
coils: 8
output_timeout: 30s
"""


def test_a_profiles_heartbeat_and_output_timeout_reach_the_plan(tmp_path: Path) -> None:
    (tmp_path / "slow-relays.yaml").write_text(_RELAYS)
    (tmp_path / "site.yaml").write_text(_SITE)
    checked = check_file(tmp_path / "site.yaml")
    assert checked.plan is not None, [p.text() for p in checked.problems]
    hearts = [d.heartbeat for d in checked.plan.devices]
    assert hearts == [(3, 107, 1, 15 * S), (), (3, 7, 1, 20 * S), ()]
    assert [d.output_timeout_ns for d in checked.plan.devices] == [0, 0, 0, 30 * S]
    assert decode_plan(encode_plan(checked.plan)) == checked.plan
    # A simulated detector lives as the real one does.
    registers = Registers(checked.plan)
    before = registers.read(0, 3, 107, 1)
    assert before is not None
    count = int(before[0])  # it is a view
    registers.beat(shared=False)
    after = registers.read(0, 3, 107, 1)
    assert after is not None
    assert int(after[0]) == count + 1
