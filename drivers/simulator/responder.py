"""A line's units as a function: request in, reply out. No sockets, no waiting.

Requests are decoded and replies built by pymodbus' framers and PDUs: the gateway has a codec of
its own, and the two must not share a misunderstanding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsResponse,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterResponse,
)

from config.limits import MODBUS_ADU_TCP_BYTES_MAX, MS
from drivers.simulator.faults import SPOILING, FaultKind, Faults, Reply
from drivers.simulator.registers import COILS, HOLDING, Registers

# Exception codes (Modbus Application Protocol V1.1b3, clause 7)
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
GATEWAY_NO_RESPONSE = 11

_READS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsResponse,
    2: ReadDiscreteInputsResponse,
    3: ReadHoldingRegistersResponse,
    4: ReadInputRegistersResponse,
}
_WRITES: dict[int, type[ModbusPDU]] = {
    5: WriteSingleCoilResponse,
    6: WriteSingleRegisterResponse,
    15: WriteMultipleCoilsResponse,
    16: WriteMultipleRegistersResponse,
}
_SUPPORTED = _READS.keys() | _WRITES.keys()


@dataclass(frozen=True, slots=True)
class Request:
    """One framed request. `used` bytes of the buffer are spent."""

    used: int
    unit: int
    transaction: int
    pdu: bytes


@dataclass(frozen=True, slots=True)
class Garbage:
    """The bytes are no Modbus request: TCP closes the connection, RTU drops them."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes out, and when. `read_back` are the coils whose state it tells for the first time
    since a write, as (device, coil, on); told only when the reply is a good one."""

    data: bytes = b""
    delay_ns: int = 0
    hang_up: bool = False
    read_back: tuple[tuple[int, int, bool], ...] = ()


CoilHook = Callable[[int, int, bool, int], None]
"""Called with (device, coil, on, mono_ns)."""


class Responder:
    """All units of one line. `units` maps a unit address to an index of the plan's devices."""

    def __init__(
        self,
        *,
        rtu: bool,
        units: Mapping[int, int],
        registers: Registers,
        faults: Faults,
        on_write: CoilHook,
        mono_ns: Callable[[], int],
    ) -> None:
        self.rtu = rtu
        self.units = dict(units)
        self._registers = registers
        self._faults = faults
        self._on_write = on_write
        self._mono_ns = mono_ns
        self._decoder = DecodePDU(True)
        self._framer = FramerRTU(self._decoder) if rtu else FramerSocket(self._decoder)
        self._untold: set[tuple[int, int]] = set()
        self.asked: Counter[int] = Counter()  # requests by function code, whoever was meant

    def decode(self, data: bytes) -> Request | Garbage | None:
        """The first request in `data`; None when its end has not come yet."""
        if not self.rtu and len(data) >= 6:
            length = int.from_bytes(data[4:6], "big")
            # MODBUS Messaging on TCP/IP V1.0b, 3.1.3: protocol 0, unit and PDU of 1 to 253 bytes
            if data[2:4] != b"\0\0" or not 2 <= length <= MODBUS_ADU_TCP_BYTES_MAX - 6:
                return Garbage()
            data = data[: 6 + length]  # pipelined requests are taken one by one
        used, unit, transaction, pdu = self._framer.decode(data)
        if used and not pdu:
            return Garbage()
        return Request(used, unit, transaction, pdu) if used else None

    def respond(self, request: Request) -> Delivery | None:
        """Act on a request. None: silence."""
        self.asked[request.pdu[0]] += 1
        device = self.units.get(request.unit)
        if device is None:
            return self._stranger(request)
        strike = self._faults.strike(device)
        if FaultKind.HANG_UP in strike:
            return Delivery(hang_up=True)
        if FaultKind.SILENCE in strike:
            return None
        coils: tuple[tuple[int, int, bool], ...] = ()
        if FaultKind.EXCEPTION in strike:
            code = strike[FaultKind.EXCEPTION].code
            answer: ModbusPDU = ExceptionResponse(request.pdu[0], code)
        else:
            answer, coils = self._act(device, request.pdu)
        if FaultKind.LOST in strike:
            return None
        reply = Reply(_encoded(answer), request.unit, request.transaction)
        data = self._faults.spoil(strike, reply, self._frame)
        late = strike.get(FaultKind.LATE)
        delay_ns = round(late.delay_ms * MS) if late else 0
        if SPOILING & strike.keys() or self._faults.holds(device, FaultKind.FROZEN):
            coils = ()
        self._untold.difference_update((d, c) for d, c, _on in coils)
        return Delivery(data, delay_ns, read_back=coils)

    def _stranger(self, request: Request) -> Delivery | None:
        """A unit that is not here: a gateway says so (TCP), a bus stays silent. 0 is for all."""
        if self.rtu:
            if request.unit == 0 and request.pdu[0] in _WRITES:
                for device in self.units.values():
                    self._act(device, request.pdu)
            return None
        answer = ExceptionResponse(request.pdu[0], GATEWAY_NO_RESPONSE)
        return Delivery(self._frame(Reply(_encoded(answer), request.unit, request.transaction)))

    def _frame(self, reply: Reply) -> bytes:
        return self._framer.encode(reply.pdu, reply.unit, reply.transaction)

    def _act(self, device: int, pdu: bytes) -> tuple[ModbusPDU, tuple[tuple[int, int, bool], ...]]:
        """Do what the PDU asks: its answer, and the written coils that the answer tells."""
        function = pdu[0]
        if function not in _SUPPORTED:
            return ExceptionResponse(function, ILLEGAL_FUNCTION), ()
        asked = self._decoder.decode(pdu)
        if asked is None or not _well_formed(asked, pdu):
            return ExceptionResponse(function, ILLEGAL_VALUE), ()
        if function in _READS:
            return self._read(device, asked)
        return self._write(device, asked), ()

    def _read(
        self, device: int, asked: ModbusPDU
    ) -> tuple[ModbusPDU, tuple[tuple[int, int, bool], ...]]:
        function = asked.function_code
        words = self._registers.read(device, function, asked.address, asked.count)
        if words is None:
            return ExceptionResponse(function, ILLEGAL_ADDRESS), ()
        values = words.tolist()
        if function > 2:
            return _READS[function](registers=values), ()
        told: tuple[tuple[int, int, bool], ...] = ()
        if function == COILS and self._untold:
            end = asked.address + asked.count
            told = tuple(
                (d, c, bool(values[c - asked.address]))
                for d, c in sorted(self._untold)
                if d == device and asked.address <= c < end
            )
        return _READS[function](bits=[bool(v) for v in values]), told

    def _write(self, device: int, asked: ModbusPDU) -> ModbusPDU:
        function = asked.function_code
        bits = function in (5, 15)
        values = [int(b) for b in asked.bits] if bits else [int(r) for r in asked.registers]
        table = COILS if bits else HOLDING
        if not self._registers.write(device, table, asked.address, values):
            return ExceptionResponse(function, ILLEGAL_ADDRESS)
        if bits:
            now_ns = self._mono_ns()
            for coil, on in enumerate(values, asked.address):
                self._untold.add((device, coil))
                self._on_write(device, coil, bool(on), now_ns)
        return _WRITES[function](
            address=asked.address,
            count=asked.count,
            bits=[bool(v) for v in values],
            registers=values,
        )


def _encoded(answer: ModbusPDU) -> bytes:
    return bytes([answer.function_code]) + answer.encode()


def _well_formed(asked: ModbusPDU, pdu: bytes) -> bool:
    """What pymodbus' decoder lets through and a device does not (V1.1b3, 6.5, 6.11, 6.12)."""
    function = pdu[0]
    if function == 5:
        return len(pdu) == 5 and pdu[3:5] in (b"\xff\x00", b"\x00\x00")
    if function == 15:
        return (
            asked.count <= 0x07B0
            and len(asked.bits) == asked.count
            and len(pdu) == 6 + (asked.count + 7) // 8 == 6 + pdu[5]
        )
    if function == 16:
        return 1 <= asked.count <= 0x7B and len(pdu) == 6 + asked.count * 2 == 6 + pdu[5]
    return len(pdu) == 5
