"""What `embergate check` says of couriers to alarm receiving centres."""

from __future__ import annotations

from agent.cli.desk_words import say
from config.plan import Plan, encode_plan

_NAMED = 5


def points_without_zone(plan: Plan) -> dict[str, list[str]]:
    """Courier of SIA DC-09 -> points that it tells with zone 0 although nobody wrote 0."""
    couriers = [c for c in plan.couriers if c.kind == "dc09"]
    if not couriers:
        return {}
    from agent.courier.dc09 import places_of  # noqa: PLC0415 -- of sites that have such a courier
    from agent.courier.dc09_book import ZONE_MAX  # noqa: PLC0415 -- as above

    data = encode_plan(plan)
    out = {}
    for courier in couriers:
        zones = courier.settings["zones"]
        places = places_of(data, zones, ZONE_MAX[courier.settings["format"].upper()])
        out[courier.name] = [p.name for p in places.values() if not p.zone and p.name not in zones]
    return {name: points for name, points in out.items() if points}


def centre_lines(plan: Plan, lang: str) -> list[str]:
    """A line for each of those couriers, and what to do."""
    out = []
    for name, points in points_without_zone(plan).items():
        rest = len(points) - _NAMED
        out.append(
            say(
                "zones.none",
                lang,
                name=name,
                count=len(points),
                points=", ".join(points[:_NAMED]),
                more=say("zones.more", lang, rest=rest) if rest > 0 else "",
            )
        )
    return out
