"""The field process's side of the record's socket: hand over, confirm, hand over again.

Nothing here is ever awaited by the cycle. When the record is gone or hangs, the outboxes keep
what they can within their bounds and this task tries again for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from agent.core.types import Command, Delivery, DutyCheck, Notice, Verb
from agent.field.outbox import EventOutbox, TelemetryOutbox
from agent.ipc import Client, IpcError, Refused
from config.limits import (
    DURABLE_WAITS_KEPT,
    RECORD_LOST_NS,
    RECORD_RETRY_NS,
    SUBMIT_UNSENT_BYTES_MAX,
    TELEMETRY_FLUSH_NS,
    TELEMETRY_MESSAGE_BYTES_MAX,
)

_LINK_TEXT = "the record process does not answer; events are kept in memory"


class Hearer(Protocol):
    """Who is told what the record says."""

    def recalled(self, alarm_state: bytes) -> None:
        """The alarm state that the record kept over a restart."""

    def notice(self, notice: Notice) -> None:
        """A fault, or its end, outside the field process."""

    def delivery(self, delivery: Delivery) -> None:
        """How far the fire lane is at one destination."""

    def command(self, command: Command) -> object:
        """A platform acknowledges."""

    def duty(self, check: DutyCheck) -> None:
        """A centre asks who is on duty."""


class RecordLink:
    """One connection to the record, remade for ever."""

    def __init__(
        self,
        path: Path,
        session: bytes,
        boot_id: bytes,
        hearer: Hearer,
        mono_ns: Callable[[], int],
    ) -> None:
        self.events = EventOutbox()
        self.telemetry = TelemetryOutbox()
        self._path = path
        self._session = session
        self._boot_id = boot_id
        self._hearer = hearer
        self._mono_ns = mono_ns
        self._client: Client | None = None
        self.durable_waits_ns: deque[int] = deque(maxlen=DURABLE_WAITS_KEPT)
        self._alarm_state: bytes | None = None
        self._state_changed = asyncio.Event()
        self._state_kept = asyncio.Event()  # the record has confirmed the latest
        self._state_kept.set()
        self._recalled = asyncio.Event()  # the record has told what was before the start
        self._disabled: list[str] | None = None  # couriers; None: not known yet
        self._lost_since_ns = mono_ns()
        self._lost_told = False

    @property
    def connected(self) -> bool:
        """Whether the record is there."""
        return self._client is not None

    @property
    def state_kept(self) -> bool:
        """Whether the record holds the latest alarm state."""
        return self._state_kept.is_set()

    def kick(self) -> None:
        """Submit what waits, now, without waiting for anything."""
        client = self._client
        while client is not None and client.unsent_bytes < SUBMIT_UNSENT_BYTES_MAX:
            rows = self.events.take()
            if not rows or not client.send("submit", events=rows):
                return

    def keep(self, alarm_state: bytes) -> None:
        """Have the record persist this alarm state; the latest stands."""
        self._alarm_state = alarm_state
        self._state_kept.clear()
        self._state_changed.set()

    def route(self, disabled: Collection[str]) -> None:
        """These couriers get no fire and no event for now."""
        names = sorted(disabled)
        if names != self._disabled:
            self._disabled = names
            self._say_routing()

    def _say_routing(self) -> None:
        if self._client is not None and self._disabled is not None:
            self._client.send("routing", disabled=self._disabled)

    async def settle(self, wait_ns: int) -> None:
        """Wait until the record holds the latest alarm state, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._state_kept.wait(), wait_ns / 1e9)

    async def recall(self, wait_ns: int) -> None:
        """Wait until the record has told what was before the start, but no longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._recalled.wait(), wait_ns / 1e9)

    async def run(self) -> None:
        """Connect, hand over, and connect again, until cancelled."""
        while True:
            with contextlib.suppress(IpcError, Refused, TimeoutError):
                await self._one_connection()
            self._disconnected()
            await asyncio.sleep(RECORD_RETRY_NS / 1e9)

    async def _one_connection(self) -> None:
        client = await Client.connect(self._path, self._on_event)
        try:
            hello = await client.call(
                "hello", session=self._session, boot=self._boot_id, fires=self.events.fires
            )
            self._hello(hello)
            self._client = client
            self._say_routing()
            self.kick()
            await self._until_closed(client)
        finally:
            client.close()

    async def _until_closed(self, client: Client) -> None:
        tasks = [
            asyncio.create_task(self._pump_telemetry(client)),
            asyncio.create_task(self._pump_alarm_state(client)),
            asyncio.create_task(client.closed.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what ended the pump; run() makes a new connection
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _hello(self, hello: dict[str, Any]) -> None:
        marks = hello.get("durable"), hello.get("telemetry_durable")
        if not all(isinstance(mark, int) and mark >= 0 for mark in marks):
            # No record, or one of another version: no reason for the sirens to end.
            raise IpcError("expected the record's hello, found another answer")
        self.events.resume(marks[0] or 0)
        self.telemetry.resume(marks[1] or 0)
        if not hello.get("recalling"):  # else the record's disk has not answered yet
            self._recall(hello.get("state"))
        if self._alarm_state is not None:
            self._state_changed.set()  # the new record may hold an older one
        if self._lost_told:
            self._hearer.notice(Notice("record.link", fault=False, text="the record is back"))
        self._lost_told = False

    def _recall(self, state: Any) -> None:
        if not self._recalled.is_set():  # nothing kept is an answer too: a held siren waits for it
            self._recalled.set()
            self._hearer.recalled(state if isinstance(state, bytes) else b"")
            self._state_changed.set()

    def _disconnected(self) -> None:
        now_ns = self._mono_ns()
        if self._client is not None:
            self._client = None
            self._lost_since_ns = now_ns
        if not self._lost_told and now_ns - self._lost_since_ns > RECORD_LOST_NS:
            self._lost_told = True
            self._hearer.notice(Notice("record.link", fault=True, text=_LINK_TEXT))

    def _confirmed(self, seq: int) -> None:
        oldest_ns = self.events.durable(seq)
        if oldest_ns is not None:
            self.durable_waits_ns.append(self._mono_ns() - oldest_ns)

    def _on_event(self, message: dict[str, Any]) -> None:
        match message.get("e"):
            case "durable":
                self._confirmed(int(message["seq"]))
                self.kick()
            case "telemetry_durable":
                self.telemetry.durable(int(message["seq"]))
            case "recalled":
                self._recall(message.get("state"))
            case "delivery":
                self._hearer.delivery(
                    Delivery(
                        str(message["courier"]),
                        int(message["sealed"]),
                        int(message["waiting"]),
                        bool(message["connected"]),
                    )
                )
            case "duty":
                self._hearer.duty(
                    DutyCheck(str(message["courier"]), bool(message["asked"]), str(message["text"]))
                )
            case "order" if message.get("verb") == Verb.ACKNOWLEDGE:  # nothing else, whoever asks
                self._hearer.command(
                    Command(Verb.ACKNOWLEDGE, who=str(message["who"]), source="platform")
                )
            case "notice":
                self._hearer.notice(
                    Notice(str(message["source"]), bool(message["fault"]), str(message["text"]))
                )

    async def _pump_telemetry(self, client: Client) -> None:
        while True:
            await asyncio.sleep(TELEMETRY_FLUSH_NS / 1e9)
            self.kick()
            while True:
                rows, dropped = self.telemetry.take(TELEMETRY_MESSAGE_BYTES_MAX)
                if not rows and not dropped:
                    break
                try:
                    await client.call("telemetry", blocks=rows, dropped=dropped)
                except BaseException:
                    self.telemetry.undeclared(dropped)
                    raise

    async def _pump_alarm_state(self, client: Client) -> None:
        while True:
            await self._state_changed.wait()
            self._state_changed.clear()
            state = self._alarm_state
            if state is None or not self._recalled.is_set():
                continue  # ours must not replace what the record's disk has yet to tell
            try:
                await client.call("alarm_state", state=state)
            except BaseException:
                self._state_changed.set()  # not confirmed: hand it over again
                raise
            if state is self._alarm_state:
                self._state_kept.set()
