"""The client of a panel: owns its line, holds the conversation, yields events and line states.

Losing the link is a fault and clears nothing. A panel that speaks by itself (polls, status lines)
is lost when it is not heard for PANEL_SILENCE_NS, although the link is open; one that only prints
events cannot be watched, is shown as unsupervised, and a new link to it is said in the record,
because what it printed meanwhile is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from config.limits import (
    PANEL_SKEW_S,
    PANEL_TICK_NS,
    RECONNECT_WAIT_NS_MAX,
    RECONNECT_WAIT_NS_MIN,
    S,
)
from config.plan import Panel, Plan
from config.words import LineKind, PanelProtocol
from drivers.link.listen import ListenLink
from drivers.link.serial import SerialLink
from drivers.link.stream import Link, LinkError
from drivers.link.tcp import TcpLink
from drivers.panel.espa import EspaTalk
from drivers.panel.gb26875_talk import Gb26875Talk
from drivers.panel.id3000 import Id3000Talk
from drivers.panel.talk import Counters, Heard, Said, Talk
from drivers.panel.text import TextTalk
from drivers.reading import LineState, PanelEvent, PanelKind

_LINKS: Mapping[LineKind, Callable[..., Link]] = {
    LineKind.TCP: TcpLink,
    LineKind.TCP_LISTEN: ListenLink,
    LineKind.SERIAL: SerialLink,
}
_PRINT_AGAIN = (
    "the panel was not heard for a while: press its system reset, so that it prints again"
)


class Sink(Protocol):
    """Where a client delivers. Called by the event loop; must not block."""

    def panel(self, events: Sequence[PanelEvent]) -> None:
        """The panel told events; those that came together, in their order."""

    def line(self, state: LineState) -> None:
        """The panel was lost or is heard again."""


def make_talk(panel: Panel) -> Talk:
    """The conversation of the panel's protocol."""
    if panel.protocol == PanelProtocol.ESPA:
        return EspaTalk(panel)
    if panel.protocol == PanelProtocol.ID3000:
        return Id3000Talk(panel)
    if panel.protocol == PanelProtocol.GB26875:
        return Gb26875Talk(panel)
    assert panel.protocol == PanelProtocol.TEXT, panel.protocol
    return TextTalk(panel)


class PanelClient:
    """Runs beside the bus masters, with what the runtime needs of one.

    up: the link is open and, where the panel speaks by itself, it does. last_attempt_ns: when the
    client last looked after its line; counters: empty, there are no units to ask.
    local_s: seconds since 1970 by the wall clock as people read it, None while it is not sure.
    """

    def __init__(
        self,
        plan: Plan,
        panel: Panel,
        sink: Sink,
        *,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        local_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.panel = panel
        self.up = False
        self.counters: Mapping[int, Any] = {}
        self.jams = 0  # a panel's own port has one talker
        self.last_attempt_ns = mono_ns()
        self._line_index = plan.devices[panel.device].line
        self._sink = sink
        self._mono_ns = mono_ns
        self._local_s = local_s
        self._talk = make_talk(panel)
        self._lost = asyncio.Event()
        self._why = ""
        self._told: bool | None = None  # what the sink was last told of the line
        self._alive_ns = mono_ns()  # last good frame
        self._skewed = False
        line = plan.lines[self._line_index]
        kind = _LINKS[LineKind(line.kind)]
        self._link: Link = kind(line, self._on_bytes, self._on_lost)

    @property
    def talk(self) -> Counters:
        """What came, counted."""
        return self._talk.counters

    def rewrite(self, output: int) -> None:
        """Nothing is ever written to a panel."""
        raise AssertionError(f"output {output} is on a panel's line")

    def order(self, output: int, on: bool) -> NoReturn:
        """A panel has no output of ours: `check` refuses a siren there."""
        raise AssertionError(f"output {output} ({on}) is on a panel's line")

    async def run(self) -> None:
        """Hold the link until cancelled."""
        wait_ns = RECONNECT_WAIT_NS_MIN
        try:
            while True:
                try:
                    await self._link.open()
                except LinkError as e:
                    self.last_attempt_ns = self._mono_ns()
                    self._tell(up=False, text=str(e))
                    await asyncio.sleep(wait_ns / S)
                    wait_ns = min(2 * wait_ns, RECONNECT_WAIT_NS_MAX)
                    continue
                wait_ns = RECONNECT_WAIT_NS_MIN
                await self._hold()
                self._tell(up=False, text=self._why)
                await asyncio.sleep(wait_ns / S)
        finally:
            self._link.close()

    async def _hold(self) -> None:
        """Until the open link is lost."""
        self._lost.clear()
        self._talk.restart()
        self._alive_ns = self._mono_ns()
        if not self.panel.silence_ns:
            self._heard_again()
        while not self._lost.is_set():
            self.look()
            try:
                async with asyncio.timeout(PANEL_TICK_NS / S):
                    await self._lost.wait()
            except TimeoutError:
                continue

    def look(self) -> None:
        """What time brings: half lines, polls that do not go on, a panel that fell silent."""
        now_ns = self.last_attempt_ns = self._mono_ns()
        self._do(self._talk.tick(now_ns), now_ns)
        silence_ns = self.panel.silence_ns
        if silence_ns and now_ns - self._alive_ns > silence_ns:
            seconds = silence_ns // S
            self._tell(up=False, text=f"the panel was not heard for {seconds} s; check its cable")

    # --- the link's voice -----------------------------------------------------------------------

    def _on_bytes(self, data: bytes) -> None:
        now_ns = self._mono_ns()
        frames = self._talk.counters.frames
        heard = self._talk.receive(data, now_ns)
        if self._talk.counters.frames > frames:
            self._alive_ns = now_ns
            self._heard_again()
        self._do(heard, now_ns)

    def _on_lost(self, text: str) -> None:
        self._why = text
        self._lost.set()

    def _do(self, heard: Heard, now_ns: int) -> None:
        if heard.replies:
            replies = heard.replies if self._talk.pipelined else heard.replies[-1:]
            self._link.write(b"".join(replies))
        events: list[PanelEvent] = []
        for said in heard.said:
            events.append(self._event(said, now_ns))
            events += self._clock_news(said, now_ns)
        if events:
            self._sink.panel(events)

    def _event(self, said: Said, now_ns: int) -> PanelEvent:
        return PanelEvent(
            device=self.panel.device,
            mono_ns=now_ns,
            flags=said.flags,
            address=said.address,
            text=said.text,
            clears=said.clears,
            kind=said.kind,
            panel_time=said.time.text if said.time is not None else "",
        )

    def _clock_news(self, said: Said, now_ns: int) -> list[PanelEvent]:
        """An event when the panel's clock went wrong, or is right again."""
        local_s = self._local_s()
        sent = said.sent or said.time
        if sent is None or local_s is None:
            return []
        skew_s = sent.skew_s(local_s)
        skewed = abs(skew_s) > PANEL_SKEW_S
        if skewed == self._skewed:
            return []
        self._skewed = skewed
        text = "the panel's clock is right"
        if skewed:
            way = "ahead of" if skew_s > 0 else "behind"
            text = f"the panel's clock is {abs(skew_s)} s {way} ours"
        told = PanelEvent(
            self.panel.device, now_ns, 0, "clock", text, kind=PanelKind.CLOCK,
            panel_time=sent.text, skew_s=skew_s if skewed else 0,
        )  # fmt: skip
        return [told]

    def _heard_again(self) -> None:
        lost = self._told is False
        self._tell(up=True)
        if lost and not self.panel.silence_ns:
            note = PanelEvent(
                self.panel.device, self._mono_ns(), 0, "", _PRINT_AGAIN, kind=PanelKind.NOTE
            )
            self._sink.panel([note])

    def _tell(self, *, up: bool, text: str = "") -> None:
        self.up = up
        if self._told is up:
            return
        self._told = up
        self._sink.line(LineState(self._line_index, self._mono_ns(), up, text))
