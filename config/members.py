"""What a name in a site file selects: `device.point`, `device.l1d1-20`, `device.*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.model import Device, Leaf, Point, Several, Site
from config.profiles import names_in


def named_points(members: Iterable[str], devices: Mapping[str, Device]) -> list[tuple[str, Point]]:
    """("device.point", point) of all that `device.point`, `device.l1d1-20` or `device.*` name.

    Once each, in their order. Raises KeyError for an unknown device.
    """
    out: dict[str, Point] = {}
    for text in members:
        device_name, _, rest = text.partition(".")
        device = devices[device_name]
        for point in members_of(device, rest, by_name(device))[0]:
            out.setdefault(f"{device_name}.{point.name}", point)
    return list(out.items())


def by_name(device: Device) -> dict[str, Point]:
    """The points of a device."""
    return {p.name: p for p in device.points}


def members_of(
    device: Device, rest: str, points: Mapping[str, Point]
) -> tuple[list[Point], str | None]:
    """The points that `*`, `l1d1-20` or a name selects, and the first name that is not there."""
    if rest == "*":
        return list(device.points), None
    if rest in points:
        return [points[rest]], None
    out: list[Point] = []
    for name in names_in(rest) or [rest]:
        if name not in points:
            return out, name
        out.append(points[name])
    return out, None


def leaf_points(leaf: Leaf, site: Site) -> list[tuple[str, Point]]:
    """The points behind one input of the matrix; of a panel's address, and of an input of the
    gateway, none. Names are right."""
    devices = {d.name: d for d in site.devices}
    if leaf.cause in ("address", "input"):
        return []
    if leaf.cause == "point":
        return named_points((leaf.ref,), devices)
    if leaf.cause == "device":
        return named_points((f"{leaf.ref}.*",), devices)
    if leaf.cause == "kind" and not leaf.within:
        among = named_points((f"{d.name}.*" for d in site.devices), devices)
    else:
        name = leaf.within if leaf.cause == "kind" else leaf.ref
        zone = next(z for z in site.zones if z.name == name)
        among = named_points(zone.members, devices)
    return [(n, p) for n, p in among if leaf.cause != "kind" or p.kind == leaf.ref]


def inputs_of(when: Leaf | Several) -> list[Leaf]:
    """Every input under a cause."""
    return (
        [when] if isinstance(when, Leaf) else [leaf for one in when.of for leaf in inputs_of(one)]
    )
