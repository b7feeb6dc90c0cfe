"""Which points of a site open data tells of."""

from __future__ import annotations

from collections.abc import Sequence

from config.members import named_points
from config.model import MqttCourier, MqttJsonCourier, Point, PrometheusCourier, Site
from config.opendata_limits import OPENDATA_THINGS_MAX
from config.words import Flag, Mode

_MAIN = (
    *(Flag.FIRE, Flag.PREALARM, Flag.SUPERVISORY, Flag.ACTIVATED, Flag.FEEDBACK, Flag.FAULT),
    *(Flag.DISABLED, Flag.TEST, Flag.DELAY, Flag.MANUAL),
)


def chosen(site: Site, which: str | Sequence[str]) -> dict[str, Point]:
    """The points that `alarm`, `all`, `none` or names select, by "device.point".

    Names are right. Raises KeyError for one of an unknown device.
    """
    if which == "none":
        return {}
    members = [f"{d.name}.*" for d in site.devices] if isinstance(which, str) else which
    points = named_points(members, {d.name: d for d in site.devices})
    return {n: p for n, p in points if which != "alarm" or p.mode is not Mode.TELEMETRY}


def main_flag(point: Point) -> Flag:
    """The one state that says most of a point: fire, if it can raise it at all."""
    return next((flag for flag in _MAIN if point.can & flag), Flag.NONE)


def things(site: Site, courier: MqttJsonCourier) -> int:
    """How many topics of points, zones and outputs there are."""
    zones = len(site.zones) if courier.zones else 0
    return zones + len(chosen(site, courier.points)) + len(site.outputs)


def too_many(site: Site, courier: MqttJsonCourier) -> bool:
    """Whether that is more than a broker and a dashboard should get."""
    return things(site, courier) > OPENDATA_THINGS_MAX


def shared_broker(site: Site, courier: MqttJsonCourier) -> MqttCourier | None:
    """The courier that ships the signed record to the same broker; the port does not matter."""
    return next(
        (c for c in site.couriers if isinstance(c, MqttCourier) and c.host == courier.host), None
    )


def same_port(site: Site, courier: PrometheusCourier) -> PrometheusCourier | None:
    """An earlier one that serves the same address and port."""
    for other in site.couriers:
        if other is courier:
            return None
        if isinstance(other, PrometheusCourier) and (other.host, other.port) == (
            courier.host, courier.port
        ):  # fmt: skip
            return other
    return None
