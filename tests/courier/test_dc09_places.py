"""One zone number is one place, and the installer hears of the points that have none."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.cli import check
from agent.compile import check_file
from agent.courier.dc09 import places_of
from agent.courier.dc09_book import ZONE_MAX
from agent.courier.dc09_frame import Format
from config.ledger import HEADER, ledger_path
from config.plan import encode_plan

SITE = """
site: {id: dock, name: Dock}
links:
  control: {kind: tcp, host: 192.0.2.10}
devices:
  relays: {link: control, unit: 9, profile: relay-8}
  hall:
    link: control
    unit: 3
    poll: 1s
    points:
      a: {register: input 0, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}
      b: {register: input 1, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}
      c: {register: input 2, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}
zones:
  room: {points: [hall.a, hall.b, hall.c], alarm: any}
sirens:
  stair: {device: relays, coil: 0}
effects:
  - {when: {zone: room, state: fire}, sound: [stair]}
couriers:
  arc: {kind: dc09, receivers: [{host: 192.0.2.30, port: 12000}], account: "1234",
        format: adm-cid, zones: {hall.a: 2, room: 100}}
"""


def told(directory: Path, ids: tuple[int, int, int], *options: str) -> str:
    site = directory / "site.yaml"
    site.write_text(SITE)
    lines = [
        f"{n}\thall.{p}\tcontrol/3/input {k}"
        for k, (n, p) in enumerate(zip(ids, "abc", strict=True))
    ]
    ledger_path(site).write_text("\n".join([HEADER, *lines, ""]))
    app = typer.Typer()
    check.register(app)
    app.callback()(lambda: None)
    done = CliRunner().invoke(app, ["check", str(site), *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_taken_and_too_large_ids_are_no_zone_and_are_named_to_the_installer(tmp_path: Path) -> None:
    text = told(tmp_path, (1, 2, 1000))
    assert (
        "courier arc: 2 points are told with zone 0, which is no place: hall.b, hall.c; "
        "give each a number of its own in couriers.arc.zones"
    ) in text
    found: dict[str, Any] = json.loads(told(tmp_path, (1, 2, 1000), "--json"))
    assert found["zones_lacking"] == {"arc": ["hall.b", "hall.c"]}
    assert "zone 0" not in told(tmp_path, (1, 3, 999))


def test_the_same_ids_are_zones_where_more_digits_can_be_said(tmp_path: Path) -> None:
    told(tmp_path, (1, 2, 1000))
    plan = check_file(tmp_path / "site.yaml").plan
    assert plan is not None
    for form, third in ((Format.ADM_CID, 0), (Format.SIA_DCS, 1000)):
        places = places_of(encode_plan(plan), {"hall.a": 2, "room": 100}, ZONE_MAX[form])
        assert [places[f"point/{i}"].zone for i in (1, 2, 1000)] == [2, 0, third]
        assert places["zone/room"].zone == 100


@given(
    st.dictionaries(st.sampled_from(["hall.a", "hall.b", "hall.c", "room"]), st.integers(0, 12)),
    st.integers(0, 12),
)
def test_no_number_ever_means_two_places(zones: dict[str, int], most: int) -> None:
    given_ = {name: n for name, n in zones.items() if list(zones.values()).count(n) == 1}
    places = places_of(PLAN, given_, most)
    numbers = [p.zone for p in places.values() if p.zone]
    assert len(numbers) == len(set(numbers))
    assert all(n <= most for key, p in places.items() if (n := p.zone) and p.name not in given_)


def _plan() -> bytes:

    with tempfile.TemporaryDirectory() as name:
        site = Path(name) / "site.yaml"
        site.write_text(SITE)
        plan = check_file(site).plan
    assert plan is not None
    return encode_plan(plan)


PLAN = _plan()
