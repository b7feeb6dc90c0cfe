"""The names of points and zones, from the field socket. They do not change while it runs."""

from __future__ import annotations

from typing import Any

from agent.ipc import Client, IpcError
from config.limits import FANOUT_PAGE, POINTS_MAX


async def all_names(
    client: Client, of: str, names: list[str], more: list[Any], states: list[bool] | None = None
) -> None:
    """All names of "points" or "zones"; more: their units, or how many must be in alarm;
    states: whether a point's value is a set of flags.

    Raises IpcError, Refused, TimeoutError.
    """
    while len(names) <= POINTS_MAX:
        page = await client.call("names", of=of, first=len(names), count=FANOUT_PAGE)
        names += page["names"]
        more += page["units" if of == "points" else "needed"]
        if states is not None:
            states += page["states"]
        if len(page["names"]) < FANOUT_PAGE:
            return
    raise IpcError(f"expected at most {POINTS_MAX} names of {of}")
