"""What has a topic: the gateway, zones, points, outputs, lines, panels, couriers. Pure.

A thing is named kind/name; a point by its stable id, everything else by the name in the site file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.opendata import bodies
from agent.opendata.bodies import Body
from agent.opendata.homeassistant import Entity, entities, point_entities
from agent.opendata.known import Known
from agent.opendata.picture import Picture
from config.words import Flag, Mode, Quality

_LOUD = int(Flag.FIRE | Flag.PREALARM)


class Things:
    """Of one site, with the bodies that they have in a picture."""

    def __init__(self, known: Known, picture: Picture, couriers: tuple[str, ...]) -> None:
        self._known = known
        self._mains: Mapping[str, int] = known.settings.get("points", {})
        at = {name: k for k, name in enumerate(known.points)}
        self.points = {f"point/{known.ids[at[name]]}": at[name] for name in self._mains}
        self.thing_of = {k: thing for thing, k in self.points.items()}
        zones = picture.zone_names if known.settings.get("zones") else ()
        self.zones = {f"zone/{name}": k for k, name in enumerate(zones)}
        self._rows: dict[str, Body] = {}
        self._told: dict[int, tuple[int, int]] = {}  # point -> flags and quality as told last
        self._couriers = couriers
        self._site = (known.site, known.site_name)
        self.take(picture)
        self.take_couriers([])

    def names(self) -> Iterator[str]:
        """Every thing; fires are found first by whoever asks `loud`."""
        yield from self._rows
        yield from self.zones
        yield from self.points

    def loud(self, thing: str, picture: Picture) -> bool:
        """Whether it goes before everything else."""
        if thing in self.points:
            return bool(picture.flags[self.points[thing]] & _LOUD)
        if thing in self.zones:
            return bool(picture.zone_flags[self.zones[thing]] & _LOUD)
        return thing == "gateway"

    def take(self, picture: Picture) -> list[str]:
        """A new picture: the things beyond points and zones that are other than before."""
        rows = {"gateway": bodies.gateway(picture, *self._site)}
        rows |= {f"output/{row['name']}": bodies.output(row) for row in picture.outputs}
        rows |= {f"panel/{row['name']}": bodies.panel(row) for row in picture.panels}
        rows |= {f"line/{name}": {"name": name, "up": bool(up)} for name, up in picture.lines}
        return self._put(rows)

    def take_couriers(self, rows: list[dict[str, Any]]) -> list[str]:
        """What the record says of its couriers; those that it does not name are not known."""
        said = {row.get("name"): row for row in rows}
        return self._put(
            {
                f"courier/{name}": bodies.courier(said.get(name, {"name": name}))
                for name in self._couriers
            }
        )

    def _put(self, rows: dict[str, Body]) -> list[str]:
        moved = [thing for thing, body in rows.items() if self._rows.get(thing) != body]
        self._rows.update(rows)
        return moved

    def urgent(self, k: int, picture: Picture) -> bool:
        """Whether more than the value of a point moved."""
        now = (picture.flags[k], picture.qualities[k])
        return self._told.get(k, (0, int(Quality.NOT_READY))) != now

    def body(self, thing: str, picture: Picture) -> Body:
        """What is told of a thing now."""
        if thing in self.points:
            k, known = self.points[thing], self._known
            self._told[k] = (picture.flags[k], picture.qualities[k])
            main = Flag(self._mains[known.points[k]])
            return bodies.point(picture, k, known.ids[k], known.kinds[k], known.modes[k], main)
        if thing in self.zones:
            return bodies.zone(picture, self.zones[thing])
        return self._rows[thing]

    def entities(self, thing: str, picture: Picture) -> list[Entity]:
        """What Home Assistant shows of a thing."""
        if thing in self.points:
            k, known = self.points[thing], self._known
            main = Flag(self._mains[known.points[k]])
            number = known.modes[k] != Mode.STATE
            return list(point_entities(known.kinds[k], picture.units[k], main, number=number))
        what = thing.partition("/")[0]
        if what == "output" and self._rows[thing]["kind"] == "siren":
            what = "siren"
        return list(entities(what))

    def title(self, thing: str) -> str:
        """Its name, as people know it."""
        if thing in self.points:
            return self._known.points[self.points[thing]]
        return thing.partition("/")[2]
