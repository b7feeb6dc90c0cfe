"""Open data beside the couriers that carry the record."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from agent.cli import addresses
from agent.compile import plan_file
from agent.ipc_roles import _USERS, Role
from agent.opendata.known import read_known
from agent.record.plan_table import site_of

SITE = Path(__file__).parents[1] / "sites" / "good_open_data" / "site.yaml"


def test_the_record_knows_nothing_of_it_and_it_has_a_unit_of_its_own(tmp_path: Path) -> None:
    site, plan = tmp_path / "site.yaml", tmp_path / "plan.cbor"
    site.write_bytes(SITE.read_bytes())
    assert not plan_file(site, plan).problems
    carried = site_of(plan.read_bytes())
    assert carried.couriers == ("platform",), "what it does not know holds nothing back"
    app = typer.Typer()
    addresses.register(app)
    for option, names in (
        ("--couriers", ["platform"]),
        ("--open-data", ["dashboard", "plain", "metrics", "metrics_six"]),
    ):
        result = CliRunner().invoke(app, ["--plan", str(plan), option])
        assert result.output.split() == names
    known = read_known(plan, "dashboard", "mqtt-json")
    assert known.carriers == ("platform",)
    assert set(known.settings["points"]) == {"pumps.room_heat", "pumps.room_humidity"}
    assert read_known(plan, "plain", "mqtt-json").settings["points"] == {}


def test_its_user_may_look_and_no_more() -> None:
    assert _USERS["embergate-opendata"] == Role.VIEW
