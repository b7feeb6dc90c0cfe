"""Time on a line: how much of it the polls take, and how long a siren order may wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from config.limits import S
from config.plan import Line, Plan, Poll
from config.words import LineKind

_REQUEST_BYTES = 8  # a read, and a write of one coil (Modbus V1.1b3, 6.1 to 6.5)
_REPLY_FIXED_BYTES = 5
_FAST_SILENCE_NS = 1_750_000  # above 19,200 baud the silence is fixed (serial line V1.02, 2.5.1.1)


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one line.

    share: of the line's time, the least that its polls and read-backs can take; above 1 they
    cannot all be done. siren_ns: from a decision to the end of the coil's write request, at most,
    when the transaction in flight is one that is never answered.
    """

    share: float
    siren_ns: int


def budgets(plan: Plan) -> tuple[Budget, ...]:
    """One for each line of the plan. TCP takes no time of its own here."""
    return tuple(_budget(plan, i, line) for i, line in enumerate(plan.lines))


def _budget(plan: Plan, index: int, line: Line) -> Budget:
    if line.kind == LineKind.SERIAL:
        return Budget(0.0, 0)  # a panel's own port: nothing is polled there
    on_line = [i for i, d in enumerate(plan.devices) if d.line == index]
    taken = sum(
        transaction_ns(line, _reply_bytes(p)) / p.interval_ns
        for p in plan.polls
        if p.device in on_line
    )
    outputs = [o for o in plan.outputs if o.device in on_line]
    taken += sum(transaction_ns(line, _REPLY_FIXED_BYTES + 1) / o.readback_ns for o in outputs)
    request = _frame_ns(line, _REQUEST_BYTES)
    in_flight = request + line.reply_timeout_ns + line.turnaround_ns
    return Budget(taken, in_flight + request + line.turnaround_ns)


def transaction_ns(line: Line, reply_bytes: int) -> int:
    """A request and its reply, each with the silence before it; an instantly answering unit."""
    return _frame_ns(line, _REQUEST_BYTES) + _frame_ns(line, reply_bytes) + line.turnaround_ns


def _reply_bytes(poll: Poll) -> int:
    data = (poll.count + 7) // 8 if poll.function in (1, 2) else 2 * poll.count
    return _REPLY_FIXED_BYTES + data


def _frame_ns(line: Line, size: int) -> int:
    if line.kind != LineKind.RS485:
        return 0
    bits = 1 + 8 + (line.parity != "N") + line.stop_bits
    character = bits * S // line.baud
    silence = _FAST_SILENCE_NS if line.baud > 19_200 else 7 * character // 2
    return size * character + silence
