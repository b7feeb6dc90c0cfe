"""`embergate courier NAME` of kind mqtt-json: plain JSON at a broker, announced to Home Assistant.

Retained topics under PREFIX/SITE, states at once and values at most every so often. It subscribes
to its own list of what it announced and to Home Assistant's birth message, and to nothing else:
there is no topic on which it takes an order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agent.courier.backoff import Backoff
from agent.courier.broker import SettingsProblem, address
from agent.courier.mqtt import FAILED, Dial, Dialer, Link, LinkError, Listener, Will
from agent.courier.until_told import until_told
from agent.notify import Notifier
from agent.opendata import bodies
from agent.opendata.announced import Things as Announced
from agent.opendata.announced import gone, merged, read_list, write_list
from agent.opendata.homeassistant import Names
from agent.opendata.known import Known, read_known, status_of
from agent.opendata.outbox import LOUD, QUIET, SOON, TREE, Outbox
from agent.opendata.picture import Picture, Watch
from agent.opendata.things import Things
from config.limits import COURIER_RECONNECT_NS_MAX, COURIER_RECONNECT_NS_MIN, S
from config.opendata_limits import (
    OPENDATA_ASK_NS,
    OPENDATA_BIRTH_EVERY_NS,
    OPENDATA_BIRTH_NS_MAX,
    OPENDATA_BIRTH_NS_MIN,
    OPENDATA_LIST_BYTES_MAX,
    OPENDATA_LIST_WAIT_NS,
    OPENDATA_REFUSED_NS,
    OPENDATA_STALL_NS,
    OPENDATA_TICK_NS,
)

log = logging.getLogger("embergate.opendata")

_PACKET_BYTES_MAX = OPENDATA_LIST_BYTES_MAX + 1_024
_FLUSH_S = 1.0
_STATUS, _LIST = "status", "announced"  # topics beside the things


def read_task(plan: Path, name: str) -> Known:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    known = read_known(plan, name, "mqtt-json")
    if not known.site or any(c in known.site for c in "/+#\0"):
        raise SettingsProblem(f"expected a site id that a topic can carry, found {known.site!r}")
    return known


async def run(known: Known, record_socket: Path) -> None:
    """Publish until SIGTERM or SIGINT."""
    board = Board(known, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await until_told(board.run)


def _version() -> str:
    try:
        return version("embergate")
    except PackageNotFoundError:  # from a source tree
        return "source"


class Board:
    """The loops: a picture on one side, a broker on the other."""

    def __init__(self, known: Known, record_socket: Path, rng: random.Random) -> None:
        self._known = known
        self._rng = rng
        base = f"{known.settings['topic']}/{known.site}"
        prefix = str(known.settings.get("discovery", ""))
        self._names = Names(known.site, known.site_name, base, prefix, _version())
        self._every_ns: int = known.settings["every_ns"]
        self._record_socket = record_socket
        self._watch = Watch(
            record_socket.with_name("field.sock"), known.points, rng, self._on_picture
        )
        self._picture: Picture | None = None
        self._things: Things | None = None
        self._destinations: list[dict[str, Any]] = []  # as the record told last
        self._later: dict[int, None] = {}  # points whose value moved
        self._value_ns: dict[int, int] = {}  # when a value was told
        self._backoff = Backoff(rng, COURIER_RECONNECT_NS_MIN, COURIER_RECONNECT_NS_MAX)
        self._dialer = Dialer(time.monotonic_ns)
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._moved = asyncio.Event()
        self._out = Outbox()
        self._before: Announced | None = None  # what the broker's list says; None: not known
        self._before_prefix = prefix
        self._announced = False
        self._birth_ns = 0
        self._birth_at_ns = 0
        self._answer_ns = 0
        self._again_ns = 0  # when what was refused was tried again
        self._said = ""
        self._notifier = Notifier()

    async def run(self, stop: asyncio.Event) -> None:
        """All loops until `stop`; a loop that fails is an error of ours and ends the process."""
        self._notifier.ready("started")
        async with asyncio.TaskGroup() as group:
            loops = (self._watch.run(), self._serve(), self._ticks(), self._ask_record())
            tasks = [group.create_task(loop) for loop in loops]
            await stop.wait()
            self._notifier.stopping()
            for task in tasks:
                task.cancel()
        link = self._link
        if link is not None:
            link.publish(self._topic(_STATUS), b"offline", retain=True)
            link.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await link.gone()

    # --- the field and the record ---

    def _on_picture(self, picture: Picture | None) -> None:
        fresh = picture is not self._picture
        self._picture = picture
        if picture is None:
            self._moved.set()
            return
        if fresh or self._things is None:
            self._things = Things(self._known, picture, self._known.carriers)
            self._things.take_couriers(self._destinations)
            self._later.clear()
        else:
            self._note(picture, self._things)
        picture.forget_moves()
        self._moved.set()
        self._pump()

    def _note(self, picture: Picture, things: Things) -> None:
        now_ns = time.monotonic_ns()
        for thing in things.take(picture):
            self._state(thing, SOON)
        for thing, k in things.zones.items():
            if k in picture.zones_moved:
                self._state(thing, SOON)
        for k in picture.points_moved:
            if k in things.thing_of:
                if things.urgent(k, picture):
                    self._state(things.thing_of[k], SOON)
                else:
                    self._later[k] = None
        for k in list(self._later):
            if now_ns - self._value_ns.get(k, 0) >= self._every_ns:
                del self._later[k]
                self._value_ns[k] = now_ns
                self._state(things.thing_of[k], QUIET)

    async def _ask_record(self) -> None:
        while True:
            reply = await status_of(self._record_socket)
            self._destinations = (reply or {}).get("couriers", [])
            if self._things is not None:
                for thing in self._things.take_couriers(self._destinations):
                    self._state(thing, SOON)
            await asyncio.sleep(OPENDATA_ASK_NS / S)

    # --- what goes out ---

    def _topic(self, of: str) -> str:
        return f"{self._names.base}/{of}"

    def _state(self, thing: str, rank: int) -> None:
        if self._link is None or self._picture is None or self._things is None:
            return
        if rank == SOON and self._things.loud(thing, self._picture):
            rank = LOUD
        self._out.put(thing, rank, self._make_state)

    def _make_state(self, thing: str) -> tuple[str, bytes] | None:
        if self._picture is None or self._things is None:
            return None
        return self._topic(thing), bodies.encode(self._things.body(thing, self._picture))

    def _raw(self, topic: str, payload: bytes, rank: int = TREE) -> None:
        key = f"raw:{topic}"
        self._out.forget(key)
        self._out.put(key, rank, lambda _: (topic, payload))

    def _config(self, thing: str, entity_id: str) -> None:
        key = f"config:{thing}:{entity_id}"

        def make(_: str) -> tuple[str, bytes] | None:
            if self._picture is None or self._things is None:
                return None
            for entity in self._things.entities(thing, self._picture):
                if entity.id == entity_id:
                    body = self._names.config(thing, self._things.title(thing), entity)
                    return self._names.config_topic(thing, entity_id), bodies.encode(body)
            return None

        self._out.forget(key)
        self._out.put(key, TREE, make)

    def _pump(self) -> None:
        link = self._link
        if link is None or not link.is_up:
            return

        def send(topic: str, payload: bytes) -> int | None:
            return link.publish(topic, payload, retain=True) if link.writable else None

        if self._out.left() == 0:
            self._answer_ns = time.monotonic_ns()
        large = self._out.pump(send, link.receive_max, link.packet_max)
        if large:
            log.warning("%d messages are larger than this broker takes", large)

    # --- the broker ---

    async def _serve(self) -> None:
        while True:
            self._ended.clear()
            try:
                self._link = await self._connect()
            except (LinkError, SettingsProblem) as e:
                self._say(f"{self._known.settings.get('url')}: {e}")
            else:
                self._say("")
                self._answer_ns = self._birth_ns = time.monotonic_ns()
                self._announced, self._before = False, None
                await self._serve_link()
                self._link = None
                self._out.connection_lost()
            await asyncio.sleep(self._backoff.next_ns() / S)

    async def _serve_link(self) -> None:
        teller = asyncio.ensure_future(self._tell())
        teller.add_done_callback(lambda _: self._ended.set())
        try:
            await self._ended.wait()
        finally:
            teller.cancel()
        if teller.done() and not teller.cancelled():
            teller.result()  # it never ends but by an error of ours

    async def _connect(self) -> Link:
        topics = [self._topic(_LIST)]
        if self._names.prefix:
            topics.append(f"{self._names.prefix}/status")
        dial = Dial(
            address=address(self._known.settings),  # each time: certificates get renewed
            client_id=f"embergate-{self._known.site}-{self._known.name}",
            topics=tuple(topics),
            packet_bytes_max=_PACKET_BYTES_MAX,
            will=Will(self._topic(_STATUS), b"offline"),
        )
        listener = Listener(
            message=self._on_message, puback=self._on_puback, room=self._pump, ended=self._on_ended
        )
        return await self._dialer.connect(dial, listener)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == self._topic(_LIST) and self._before is None:
            found = read_list(payload)
            if found is None:
                log.warning("%s: no list of ours; what it named stays at the broker", topic)
                return
            self._before_prefix, self._before = found
            self._moved.set()
        elif payload == b"online" and topic == f"{self._names.prefix}/status":
            now_ns = time.monotonic_ns()
            if now_ns - self._birth_ns >= OPENDATA_BIRTH_EVERY_NS and not self._birth_at_ns:
                wait_ns = self._rng.randint(OPENDATA_BIRTH_NS_MIN, OPENDATA_BIRTH_NS_MAX)
                self._birth_at_ns = now_ns + wait_ns

    def _on_puback(self, mid: int, reason: int) -> None:
        self._answer_ns = time.monotonic_ns()
        self._backoff.reset()
        if self._out.acknowledged(mid, taken=reason < FAILED):
            if reason >= FAILED:
                self._say(f"the broker refuses what is published: 0x{reason:02x}")
            self._moved.set()
            self._pump()

    def _on_ended(self, why: str) -> None:
        self._say(why)
        self._ended.set()

    async def _tell(self) -> None:
        """One connection: states first, then that they are true, then what they are."""
        while True:
            await self._until(lambda: self._picture is not None)
            self._all_states()
            await self._until(lambda: self._picture is None or not self._out.left(LOUD, SOON))
            if self._picture is not None:
                self._raw(self._topic(_STATUS), b"online", LOUD)
                self._pump()
                if not self._announced:
                    await self._announce()
            await self._until(lambda: self._picture is None)
            self._raw(self._topic(_STATUS), b"offline", LOUD)
            self._pump()

    async def _announce(self) -> None:
        """The list of old and new, then each of them, then the list of the new ones."""
        if self._before is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OPENDATA_LIST_WAIT_NS / S):
                    await self._until(lambda: self._before is not None)
        before = self._before or {}
        now = self._all_entities()
        if now is None:
            return
        prefix = self._names.prefix
        things, pairs = gone(before, now)
        if self._before_prefix != prefix:
            pairs = [(thing, e) for thing, found in before.items() for e in sorted(found)]
        whole = write_list(self._before_prefix if pairs else prefix, merged(before, now))
        self._raw(self._topic(_LIST), whole)
        await self._drained()
        for thing, entity_id in pairs:
            if self._before_prefix:
                topic = self._names.config_topic(thing, entity_id, self._before_prefix)
                self._raw(topic, b"")
        for thing in things:
            self._raw(self._topic(thing), b"")
        self._all_configs(now)
        await self._drained()
        self._raw(self._topic(_LIST), write_list(prefix, now))
        self._before, self._before_prefix, self._announced = now, prefix, True
        if pairs or things:
            log.info(
                "took away %d topics and %d entities that are no more", len(things), len(pairs)
            )
        self._pump()

    def _all_entities(self) -> Announced | None:
        things, picture = self._things, self._picture
        if things is None or picture is None:
            return None
        shown = bool(self._names.prefix)
        return {
            thing: frozenset(e.id for e in things.entities(thing, picture) if shown)
            for thing in things.names()
        }

    def _all_states(self) -> None:
        assert self._things is not None
        for thing in self._things.names():
            self._out.forget(thing)
            self._state(thing, SOON)
        self._pump()

    def _all_configs(self, now: Announced) -> None:
        for thing, found in now.items():
            for entity_id in sorted(found):
                self._config(thing, entity_id)
        self._pump()

    async def _drained(self) -> None:
        await self._until(lambda: not self._out.left(TREE))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._moved.clear()
            await self._moved.wait()

    # --- time and words ---

    async def _ticks(self) -> None:
        while True:
            now_ns = time.monotonic_ns()
            self._out.tick()
            if now_ns - self._again_ns >= OPENDATA_REFUSED_NS:
                self._again_ns = now_ns
                self._out.again()
            self._pump()
            self._moved.set()
            if self._birth_at_ns and now_ns >= self._birth_at_ns:
                self._birth_at_ns, self._birth_ns = 0, now_ns
                self._born()
            link = self._link
            if link is not None and now_ns - self._answer_ns > OPENDATA_STALL_NS:
                link.close()
                self._on_ended("the broker acknowledges nothing")
            self._notifier.watchdog()
            await asyncio.sleep(OPENDATA_TICK_NS / S)

    def _born(self) -> None:
        """Home Assistant started: it is told everything again."""
        now = self._all_entities()
        if now is not None and self._announced:
            self._all_configs(now)
            self._all_states()

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            log.info("%s", text or "connected")
            self._notifier.status(text or "connected")
