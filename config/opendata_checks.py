"""Couriers of open data: points that there are, not too many, and a broker of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.model import MqttJsonCourier, PrometheusCourier
from config.opendata import same_port, shared_broker, things, too_many
from config.opendata_limits import OPENDATA_THINGS_MAX

if TYPE_CHECKING:
    from config.checks import Checks


def check_open_data(checks: Checks) -> None:
    """All of them."""
    for courier in checks.site.couriers:
        path = ("couriers", courier.name)
        if isinstance(courier, PrometheusCourier):
            other = same_port(checks.site, courier)
            if other is not None:
                line = checks.line(("couriers", other.name))
                checks.add("opendata.port_twice", (*path, "port"), other=other.name, line=line)
        if isinstance(courier, MqttJsonCourier):
            _mqtt_json(checks, courier)


def _mqtt_json(checks: Checks, courier: MqttJsonCourier) -> None:
    path = ("couriers", courier.name)
    shared = shared_broker(checks.site, courier)
    if shared is not None and not courier.same_broker:
        line = checks.line(("couriers", shared.name))
        checks.add("opendata.same_broker", (*path, "url"), "opendata.same_broker",
                   other=shared.name, line=line)  # fmt: skip
    if not isinstance(courier.points, str):
        found = [
            checks.point_reference(text, (*path, "points", i))
            for i, text in enumerate(courier.points)
        ]
        if not all(found):
            return
    if too_many(checks.site, courier):
        count, most = str(things(checks.site, courier)), str(OPENDATA_THINGS_MAX)
        checks.add("opendata.many", path, "opendata.many", key=True, count=count, most=most)
