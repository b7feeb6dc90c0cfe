"""Cross-checks of alarm management: groups of zones that there are, and days that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from config.limits import WALK_POINTS_MAX
from config.loader import Document
from config.model import Point, Site
from config.problems import Path, Problem, Problems

PointsOf = Callable[[str], Sequence[Point]]


def check_alarms(site: Site, document: Document, problems: Problems, points_of: PointsOf) -> None:
    """Add what is wrong. points_of: the points of a zone; nothing when that has a problem."""

    def add(message_id: str, path: Path, hint: str = "", **args: str) -> None:
        problems.add(Problem(message_id, document.place(path), path, hint, args))

    if not site.day:
        for zone in site.zones:
            if zone.acknowledge_ns:
                add("delay.no_day", ("zones", zone.name, "investigation"), "delay.no_day")
    zones = {z.name: z for z in site.zones}
    for group in site.test_groups:
        path: Path = ("test_groups", group.name)
        count = 0
        for i, name in enumerate(group.zones):
            if name in zones:
                count += len(points_of(name))
                continue
            near = problems.suggest(name, list(zones))
            if near is not None:
                line = str(document.place(("zones", near), key=True).line)
                add("ref.unknown", (*path, i), "near_line", noun="zone", value=name, near=near,
                    line=line)  # fmt: skip
            else:
                add("ref.unknown", (*path, i), "", noun="zone", value=name)
        if count > WALK_POINTS_MAX:
            most = str(WALK_POINTS_MAX)
            add("walk.many", path, "walk.many", count=str(count), most=most)
        if group.name in zones and group.zones != (group.name,):
            line = str(document.place(("zones", group.name), key=True).line)
            add("walk.zone", path, "", value=group.name, line=line)
