"""Faults of simulated devices, switchable while the building runs.

Each kind is a thing that happens on real lines. Kinds combine; each has its own probability, and
whether it strikes is drawn from one seeded source, so a seed names a bug.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from config.desk_limits import SIMULATOR_DELAY_NS_MAX, SIMULATOR_NOISE_BYTES_MAX
from config.limits import MS
from drivers.simulator.fields import SimulatorError


class FaultKind(StrEnum):
    """What goes wrong."""

    SILENCE = "silence"  # the unit is dead: it neither acts nor answers
    LOST = "lost"  # it acts, and its reply is lost
    LATE = "late"  # the reply leaves `delay_ms` later
    WRONG_UNIT = "wrong_unit"  # the reply carries the next unit's address
    CRC = "crc"  # RTU: the reply's check is wrong
    TRANSACTION = "transaction"  # TCP: the reply carries another transaction's id
    NOISE = "noise"  # `count` random bytes before the reply
    TRUNCATED = "truncated"  # the last `count` bytes of the reply are missing
    FROZEN = "frozen"  # reads answer what they answered when the fault began
    EXCEPTION = "exception"  # nothing is done, the answer is exception `code`
    REFUSE = "refuse"  # the whole line: TCP refuses connections, a serial port is gone
    HANG_UP = "hang_up"  # the connection closes, or the serial port is replugged, on a request


STANDING = frozenset({FaultKind.FROZEN, FaultKind.REFUSE})
"""These are states, not events of one reply: a probability makes no sense for them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one device. `device` is an index into the plan's devices."""

    device: int
    kind: FaultKind
    probability: float = 1.0
    delay_ms: float = 0.0
    count: int = 4
    code: int = 4  # server device failure (Modbus V1.1b3, clause 7)

    def __post_init__(self) -> None:
        if not 0.0 < self.probability <= 1.0:
            raise SimulatorError(f"expected a probability in (0, 1], found {self.probability}")
        if self.kind in STANDING and self.probability != 1.0:
            raise SimulatorError(f"'{self.kind}' is a state: it cannot have a probability")
        if not 0.0 <= self.delay_ms * MS <= SIMULATOR_DELAY_NS_MAX:
            raise SimulatorError(
                f"expected delay_ms from 0 to {SIMULATOR_DELAY_NS_MAX // MS}, found {self.delay_ms}"
            )
        if self.kind is FaultKind.LATE and self.delay_ms == 0:
            raise SimulatorError("a late reply needs delay_ms")
        if not 1 <= self.count <= SIMULATOR_NOISE_BYTES_MAX:
            raise SimulatorError(
                f"expected count from 1 to {SIMULATOR_NOISE_BYTES_MAX}, found {self.count}"
            )
        if not 1 <= self.code <= 0xFF:
            raise SimulatorError(f"expected an exception code from 1 to 255, found {self.code}")


Strike = dict[FaultKind, Fault]


class Faults:
    """The faults in force. `rng` decides about probabilities and noise."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._standing: dict[int, Strike] = {}

    def put(self, fault: Fault) -> None:
        """Put a fault in force; it replaces one of its kind on its device."""
        self._standing.setdefault(fault.device, {})[fault.kind] = fault

    def remove(self, device: int, kind: FaultKind) -> None:
        """End one fault, if it is in force."""
        self._standing.get(device, {}).pop(kind, None)

    def clear(self) -> None:
        """End all faults."""
        self._standing.clear()

    def holds(self, device: int, kind: FaultKind) -> bool:
        """Whether the device has this fault."""
        return kind in self._standing.get(device, {})

    def strike(self, device: int) -> Strike:
        """Which faults strike this request of the device."""
        faults = self._standing.get(device)
        if not faults:
            return {}
        return {
            kind: fault
            for kind, fault in faults.items()
            if fault.probability >= 1.0 or self._rng.random() < fault.probability
        }

    def spoil(self, strike: Strike, reply: Reply, frame: Framer) -> bytes:
        """The reply's bytes as the faults leave them. `frame` makes an ADU of a reply."""
        if not strike:
            return frame(reply)
        unit, transaction = reply.unit, reply.transaction
        if FaultKind.WRONG_UNIT in strike:
            unit = unit % 247 + 1
        if FaultKind.TRANSACTION in strike:
            transaction = (transaction + 0x5A5A) & 0xFFFF
        data = frame(Reply(reply.pdu, unit, transaction))
        if FaultKind.CRC in strike:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        if FaultKind.TRUNCATED in strike:
            data = data[: max(1, len(data) - strike[FaultKind.TRUNCATED].count)]
        if FaultKind.NOISE in strike:
            data = self._rng.randbytes(strike[FaultKind.NOISE].count) + data
        return data


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply before it is framed: function code and data, the unit, the transaction (TCP)."""

    pdu: bytes
    unit: int
    transaction: int


Framer = Callable[[Reply], bytes]
SPOILING = frozenset(
    {
        FaultKind.WRONG_UNIT,
        FaultKind.CRC,
        FaultKind.TRANSACTION,
        FaultKind.TRUNCATED,
        FaultKind.NOISE,
    }
)
"""No master has to take a reply with one of these for its own."""
