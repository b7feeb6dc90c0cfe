"""`embergate courier NAME` of kind dc09: to an alarm receiving centre, over TCP or UDP.

SIA DC-09 with events in SIA DCS or Contact ID, plain or AES, to one receiver or two. Its
acknowledgements never let the record forget anything; they move this courier's own place.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.courier.broker import SettingsProblem
from agent.courier.dc09_book import ZONE_MAX, Book, Place
from agent.courier.dc09_frame import Account, Format, Keys
from agent.courier.dc09_session import Calls, Session, Settings
from agent.courier.post import Post
from agent.courier.sources import sources_of
from agent.courier.until_told import until_told
from agent.courier.window import BatchId
from agent.uplink.batch import Batch
from agent.uplink.events import EventRecord
from config.limits import DC09_KEY_FILE_BYTES_MAX
from config.plan import read_plan, section


@dataclass(frozen=True, slots=True)
class Task:
    """What this courier is to do, from the plan. key: of AES, b"" for none."""

    name: str
    gateway: str
    receivers: tuple[tuple[str, int], ...]
    settings: Settings
    key: bytes
    prealarm: bool
    places: Mapping[str, Place]


def read_task(plan: Path, name: str) -> Task:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    data = read_plan(plan)
    courier = next((c for c in section(data, "couriers") if c.name == name), None)
    if courier is None or courier.kind != "dc09":
        raise SettingsProblem(f"no courier of kind dc09 is called {name!r}")
    given: Mapping[str, Any] = courier.settings
    try:
        form = Format.ADM_CID if given["format"] == "adm-cid" else Format.SIA_DCS
        receivers = tuple((str(host), int(port)) for host, port in given["receivers"])
        return Task(
            name=name,
            gateway=str(section(data, "site_id")),
            receivers=receivers,
            settings=Settings(
                who=Account(given["account"], given["receiver"], given["line"]),
                form=form,
                receivers=len(receivers),
                stream=given["transport"] == "tcp",
                reply_ns=given["reply_ns"],
                tries=given["tries"],
                supervise_ns=given["supervise_ns"],
                text=given["text"],
            ),
            key=read_key(given["key_file"]) if given["key_file"] else b"",
            prealarm=given["prealarm"] == "near",
            places=places_of(data, given["zones"], ZONE_MAX[form]),
        )
    except KeyError as e:
        raise SettingsProblem(f"courier {name!r}: the plan lacks {e}; compile it again") from e


def read_key(path: str) -> bytes:
    """The AES key in a file: 32, 48 or 64 hexadecimal digits. Raises SettingsProblem."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(DC09_KEY_FILE_BYTES_MAX).decode("ascii").strip()
        key = bytes.fromhex(text)
    except OSError as e:
        raise SettingsProblem(f"{path}: the key cannot be read: {e.strerror}") from e
    except ValueError:
        key = b""
    if len(key) not in (16, 24, 32):
        raise SettingsProblem(
            f"{path}: expected 32, 48 or 64 hexadecimal digits, as the receiving centre gave them"
        )
    return key


def places_of(plan: bytes, zones: Mapping[str, int], most: int) -> dict[str, Place]:
    """Source of records -> place. Zones and sirens of the site are told only with a given number.

    A point has the one that is given, else its stable id where that can be said and is nobody
    else's; else 0, which is no zone: one number must never mean two places.
    """
    taken = set(zones.values())
    out = {}
    for s in sources_of(plan, zones):
        free = 0 if s.stable in taken or s.stable > most else s.stable
        out[s.key] = Place(free if s.number is None else s.number, s.name, s.kind)
    return out


async def run(task: Task, record_socket: Path) -> None:
    """Carry fire and events until SIGTERM or SIGINT."""
    courier = Courier(task, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await until_told(courier.run)


class Courier:
    """A session with the receiver whose turn it is."""

    def __init__(self, task: Task, record_socket: Path, rng: random.Random) -> None:
        self._post = Post(
            task.name, task.gateway, record_socket, rng, stream=task.settings.stream,
            place=lambda: task.receivers[self.session.receiver], take=self._take,
            prime=lambda _: None,
        )  # fmt: skip
        self._book = Book(task.places, prealarm=task.prealarm)
        self.session = self._post.session = Session(
            task.settings,
            Calls(
                send=self._post.send, drop=self._post.drop, confirmed=self._post.confirmed,
                event=lambda event, body: self._post.follower.event(event, **body),
                wall_ns=time.time_ns, padding=secrets.token_bytes,
            ),
            Keys(task.key) if task.key else None,
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await self._post.run(stop)

    def _take(self, batch_id: BatchId, batch: Batch, records: list[EventRecord]) -> int:  # noqa: ARG002 -- a follower's call
        events = self._book.take(records)
        for event in events:
            self.session.tell(event, batch_id)
        self.session.tick(time.monotonic_ns())
        return len(events)
