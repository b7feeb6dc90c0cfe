"""`embergate courier NAME`: one process for one destination. No devices, keys of the record, files.

Either side may go and come: the record is asked again at a bounded pace, the broker with jitter.
The window in between forgets nothing that the record has not believed to be acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import logging
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.courier.backoff import Backoff
from agent.courier.broker import SettingsProblem, address
from agent.courier.mqtt import Dial, Dialer, Link, LinkError, Listener, Will
from agent.courier.relay import Relay, ack_topic, command_topic, up_topic
from agent.courier.until_told import until_told
from agent.ipc import Client, IpcError, Refused
from agent.journal import log_to_journal
from agent.notify import Notifier
from config.limits import (
    COMMAND_BYTES_MAX,
    COURIER_RECONNECT_NS_MAX,
    COURIER_RECONNECT_NS_MIN,
    COURIER_TICK_NS,
    MQTT_ACK_BYTES_MAX,
    RECONNECT_WAIT_NS_MAX,
    RECONNECT_WAIT_NS_MIN,
    RECORD_FOLLOW_WAIT_NS,
    S,
)
from config.plan import PlanError, read_plan, section

EX_CONFIG = 78
OTHER_KINDS = {
    "gb26875": "agent.courier.gb26875",
    "dc09": "agent.courier.dc09",
    "mqtt-json": "agent.opendata.mqtt_json",
    "prometheus": "agent.opendata.prometheus",
}
_FLUSH_S = 1.0
_COMMAND_PACKET_BYTES_MAX = COMMAND_BYTES_MAX + 1_024
_ACK_PACKET_BYTES_MAX = 4 * MQTT_ACK_BYTES_MAX  # an acknowledgement with topic and properties

log = logging.getLogger("embergate.courier")


@dataclass(frozen=True, slots=True)
class Task:
    """What this courier is to do, from the plan."""

    name: str
    gateway: str
    settings: Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; the exit status."""
    parser = argparse.ArgumentParser(prog="embergate courier", description=__doc__)
    parser.add_argument("name", help="the courier's name in the site file")
    parser.add_argument("--plan", type=Path, required=True, help="the compiled plan")
    parser.add_argument("--run", type=Path, required=True, help="directory of the sockets")
    args = parser.parse_args(argv)
    log_to_journal()
    try:
        kind = read_kind(args.plan, args.name)
        if kind in OTHER_KINDS:  # each with what it needs, and nothing of MQTT or TLS
            other = importlib.import_module(OTHER_KINDS[kind])
            asyncio.run(other.run(other.read_task(args.plan, args.name), args.run / "record.sock"))
            return 0
        task = read_task(args.plan, args.name)
    except (PlanError, SettingsProblem) as e:
        log.error("%s", e, extra={"source": "plan"})
        return EX_CONFIG
    asyncio.run(run(task, args.run / "record.sock"))
    return 0


def read_kind(plan: Path, name: str) -> str:
    """The kind of a courier, "" when the plan has none of that name. Raises PlanError."""
    couriers = section(read_plan(plan), "couriers")
    return next((str(c.kind) for c in couriers if c.name == name), "")


def read_task(plan: Path, name: str) -> Task:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    data = read_plan(plan)
    couriers = {c.name: c for c in section(data, "couriers")}
    if name not in couriers:
        known = ", ".join(sorted(couriers)) or "none"
        raise SettingsProblem(f"no courier is called {name!r}; the plan has: {known}")
    courier = couriers[name]
    if courier.kind != "mqtt":
        raise SettingsProblem(f"courier {name!r}: expected kind mqtt, found {courier.kind!r}")
    gateway = str(section(data, "site_id"))
    if not gateway or any(c in gateway for c in "/+#\0"):
        raise SettingsProblem(f"expected a site id that a topic can carry, found {gateway!r}")
    return Task(name, gateway, courier.settings)


async def run(task: Task, record_socket: Path) -> None:
    """Carry batches until SIGTERM or SIGINT."""
    courier = Courier(task, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await until_told(courier.run)


class Courier:
    """The loops around a relay."""

    def __init__(self, task: Task, record_socket: Path, rng: random.Random) -> None:
        self._task = task
        self._record_socket = record_socket
        self._broker_backoff = Backoff(rng, COURIER_RECONNECT_NS_MIN, COURIER_RECONNECT_NS_MAX)
        self._record_backoff = Backoff(rng, RECONNECT_WAIT_NS_MIN, RECONNECT_WAIT_NS_MAX)
        self._relay = Relay(
            task.gateway,
            time.monotonic_ns,
            drop=self._drop,
            progress=self._broker_backoff.reset,
            resync=self._follow_anew,
        )
        self._dialer = Dialer(time.monotonic_ns)
        self._link: Link | None = None
        self._ended = asyncio.Event()
        self._tried = False  # before the first attempt ended there is nothing to tell
        self._told: tuple[bool, str] | None = None  # to the record
        self._logged: tuple[bool, str] | None = None
        self._record: Client | None = None
        self._record_trouble = ""
        self._notifier = Notifier()

    async def run(self, stop: asyncio.Event) -> None:
        """All loops until `stop`; a loop that fails is an error of ours and ends the process."""
        self._notifier.ready("started")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._serve_record()),
                group.create_task(self._serve_broker()),
                group.create_task(self._relay.forward_acks()),
                group.create_task(self._relay.forward_commands()),
                group.create_task(self._ticks()),
            ]
            await stop.wait()
            self._notifier.stopping()
            for task in tasks:
                task.cancel()
        if self._link is not None:
            self._link.publish_once(up_topic(self._task.gateway, "link"), b"offline", retain=True)
            self._link.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await self._link.gone()

    # --- the record ---

    async def _serve_record(self) -> None:
        while True:
            try:
                await self._follow()
                self._trouble("the record closed its socket")
            except (IpcError, TimeoutError) as e:
                self._trouble(f"no record: {e or 'no answer'}")
            except Refused as e:
                self._trouble(f"the record refused: {e.text}")
            finally:
                self._relay.record = None
                if self._record is not None:
                    self._record.close()
                    self._record = None
            await asyncio.sleep(self._record_backoff.next_ns() / S)

    async def _follow(self) -> None:
        self._record = client = await Client.connect(
            self._record_socket, self._relay.on_record_event
        )
        self._relay.window.followed()  # before the first offer can come
        reply = await client.call("follow", RECORD_FOLLOW_WAIT_NS, courier=self._task.name)
        if reply.get("gateway") != self._task.gateway:
            raise IpcError(
                f"expected the record of {self._task.gateway!r}, found {reply.get('gateway')!r}: "
                "both must run the same plan"
            )
        self._record_backoff.reset()
        self._relay.record = client
        self._told = None
        self._trouble("")
        self._tell()
        await client.closed.wait()

    def _follow_anew(self) -> None:
        if self._record is not None:
            self._record.close()

    def _trouble(self, text: str) -> None:
        if text != self._record_trouble:
            self._record_trouble = text
            log.info("%s", text or "follows the record")

    # --- the broker ---

    async def _serve_broker(self) -> None:
        while True:
            try:
                self._ended.clear()
                self._link = link = await self._connect()
            except (LinkError, SettingsProblem) as e:
                self._relay.link_down(f"{self._task.settings.get('url')}: {e}")
            else:
                link.publish_once(up_topic(self._task.gateway, "link"), b"online", retain=True)
                self._relay.link_up(link)
                self._tried = True
                self._tell()
                await self._ended.wait()
                self._link = None
            self._tried = True
            self._tell()
            await asyncio.sleep(self._broker_backoff.next_ns() / S)

    async def _connect(self) -> Link:
        gateway = self._task.gateway
        # A site that takes no commands does not even listen for them.
        commands = (command_topic(gateway),) if self._task.settings.get("commands") else ()
        dial = Dial(
            address=address(self._task.settings),  # each time: certificates get renewed
            client_id=f"embergate-{gateway}-{self._task.name}",
            topics=(),
            wanted=(ack_topic(gateway), *commands),
            packet_bytes_max=_COMMAND_PACKET_BYTES_MAX if commands else _ACK_PACKET_BYTES_MAX,
            will=Will(up_topic(gateway, "link"), b"offline"),
        )
        listener = Listener(
            message=self._relay.on_message,
            puback=self._relay.on_puback,
            room=self._relay.pump,
            ended=self._on_ended,
        )
        return await self._dialer.connect(dial, listener)

    def _on_ended(self, why: str) -> None:
        self._relay.link_down(why)
        self._ended.set()

    def _drop(self, why: str) -> None:
        if self._link is not None:
            self._link.close()
            self._on_ended(why)

    # --- time and words ---

    async def _ticks(self) -> None:
        while True:
            self._relay.tick()
            self._tell()
            self._notifier.watchdog()
            await asyncio.sleep(COURIER_TICK_NS / S)

    def _tell(self) -> None:
        state = self._relay.state()
        if state == self._told or not self._tried:
            return
        connected, text = state
        record = self._relay.record
        if record is not None and not record.send("courier_state", connected=connected, text=text):
            return  # its buffer is full: the next tick says it
        self._told = state
        if state == self._logged:
            return
        self._logged = state
        log.info("%s%s", "connected" if connected else "not connected", f": {text}" if text else "")
        self._notifier.status(text or "connected")


if __name__ == "__main__":
    sys.exit(main())
