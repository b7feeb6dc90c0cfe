"""Commands of a platform, obeyed only as far as the site allows, each once, and put on record.

A courier brings the bytes and knows nothing of them. The counter is durable before anything is
done, so that a command is never carried out twice, also not by a record that died in between. While
the clock is unset nobody can tell whether a command has expired: then it must carry the nonce of
our latest heartbeat, which is used once. What is refused is put on record, counted by reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent.core.types import ClockState, Now
from agent.ipc import Refused
from agent.record.survey import Place
from agent.uplink.command import NONCE_BYTES, Order, PlatformCommand, open_command
from agent.uplink.cose import Trust
from agent.uplink.errors import UplinkError
from config.limits import COMMAND_EARLY_NS_MAX, COMMAND_LIFE_NS_MAX

_LANE = "command"
"""Of the place that keeps the counter: no courier, no lane of batches."""


class Hands(Protocol):
    """What the record can do for a command."""

    async def keep_place(self, place: Place) -> bool:
        """Make a place durable; False when the disk does not let it."""

    def put_on_record(self, body: Mapping[str, Any]) -> None:
        """An event of the record itself."""

    def acknowledge(self, who: str) -> bool:
        """Have the field process acknowledge; False when it is not there."""

    def ask_duty(self, courier: str, minutes: int) -> bool:
        """Have somebody on the site answer; False when the field process is not there."""

    def resend(self, courier: str, args: Mapping[str, Any]) -> str:
        """Send batches again; "" or why not."""

    async def propose(self, number: int, proposal: dict[str, Any]) -> bool:
        """Keep a proposal for somebody on the site; False when the disk does not let it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose commands, for whom, and which. allowed: courier -> orders that it may bring."""

    gateway: str
    trust: Trust
    allowed: Mapping[str, Iterable[str]]
    chance: Callable[[int], bytes]


class Orders:
    """The gate, the counter and the nonce.

    forgot: the file that kept the counter is gone or cannot be read. Then whatever was issued
    before this record began counts as carried out, because nobody can tell any more.
    """

    def __init__(
        self, rules: Rules, hands: Hands, places: Iterable[Place], now: Callable[[], Now], *,
        forgot: bool = False,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._hands = hands
        self._now = now
        self._last = max((p[3] for p in places if p[1] == _LANE), default=-1)
        self._nonce = rules.chance(NONCE_BYTES)
        self._began_ns = now().mono_ns
        self._forgot = forgot
        self._one = asyncio.Lock()

    @property
    def nonce(self) -> bytes:
        """For the heartbeat; b"" while the clock is good, or where nothing is obeyed."""
        taken = len(self._rules.trust) and any(tuple(v) for v in self._rules.allowed.values())
        return self._nonce if taken and self._now().clock is ClockState.UNSET else b""

    async def take(self, message: bytes, courier: str) -> dict[str, Any]:
        """Carry out one command: its outcome. Raises Refused.

        Codes: "disabled" (the site takes none from here), "no_command_key", those of
        open_command(), "foreign", "not_allowed", "nonce", "early", "expired", "life", "replayed",
        "disk" (the counter could not be kept), "no_field", "busy", "not_held".
        """
        allowed = tuple(self._rules.allowed.get(courier, ()))
        if not allowed:
            raise Refused("disabled", "this site takes no commands from there")
        if not len(self._rules.trust):
            raise Refused("no_command_key", "no command key is pinned (keys/command.pub)")
        try:
            command, kid = open_command(message, self._rules.trust)
        except UplinkError as e:
            raise Refused(e.code, e.text) from None
        if command.gateway != self._rules.gateway:
            raise Refused("foreign", f"it is for {command.gateway!r}")
        if command.order not in allowed:
            raise Refused("not_allowed", f"{command.order}: the site file does not allow it")
        async with self._one:
            self._in_time(command)
            if command.number <= self._last:
                raise Refused("replayed", f"number {command.number}; {self._last} was the last")
            self._last = command.number
            if not await self._hands.keep_place(("", _LANE, 0, command.number)):
                raise Refused("disk", "the counter of commands cannot be kept now")
            return await self._done(command, kid.hex(), courier)

    def _in_time(self, command: PlatformCommand) -> None:
        now = self._now()
        if now.clock is ClockState.UNSET:
            if command.nonce != self._nonce:
                raise Refused("nonce", "the clock is unset: the nonce of the heartbeat is needed")
            self._nonce = self._rules.chance(NONCE_BYTES)
            return
        if command.issued_ns > now.wall_ns + COMMAND_EARLY_NS_MAX:
            raise Refused("early", "it was issued in the future")
        if command.expires_ns <= now.wall_ns:
            raise Refused("expired", "it has expired")
        if command.expires_ns - command.issued_ns > COMMAND_LIFE_NS_MAX:
            raise Refused("life", "it lives for too long")
        began_wall_ns = now.wall_ns - (now.mono_ns - self._began_ns)
        if self._forgot and command.issued_ns <= began_wall_ns + COMMAND_EARLY_NS_MAX:
            raise Refused("replayed", "the counter was lost; issued too early to be told apart")

    async def _done(self, command: PlatformCommand, kid: str, courier: str) -> dict[str, Any]:
        """Carry it out, and put the outcome on record."""
        now = self._now()
        who = f"platform {kid}"
        refused = None
        body: dict[str, Any] = {
            "event": "command", "order": str(command.order), "number": command.number,
            "courier": courier, "key": kid,
        }  # fmt: skip
        if command.order is Order.ACKNOWLEDGE:
            refused = None if self._hands.acknowledge(who) else "no_field"
        elif command.order is Order.DUTY:
            asked = self._hands.ask_duty(courier, command.args["minutes"])
            refused = None if asked else "no_field"
        elif command.order is Order.TIME:
            body |= {"clock": int(now.clock), "skew_ms": (command.issued_ns - now.wall_ns) // 10**6}
        elif command.order is Order.RESEND:
            refused = self._hands.resend(courier, command.args) or None
            body |= {k: command.args[k] for k in ("lane", "first", "last")}
        else:
            assert command.order is Order.PROPOSE
            proposal = {**command.args, "wall_ns": now.wall_ns, "key": kid}
            kept = await self._hands.propose(command.number, proposal)
            refused = None if kept else "disk"
            body |= {k: command.args[k] for k in ("kind", "title", "hash")}
        body["outcome"] = refused or "done"
        self._hands.put_on_record(body)
        if refused:
            raise Refused(refused, f"{command.order} {command.number} could not be done")
        return {"number": command.number}
