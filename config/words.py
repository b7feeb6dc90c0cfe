"""The words everyone shares: states of a point, lanes of the record, modes of a point.

The terms are those of fire alarm practice (EN 54-2, GB 4717). This module imports nothing of
the product, so that every process can afford it.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum


class Flag(IntFlag):
    """State of a point, zone or device: a set of independent flags, never one word.

    FIRE 火警, PREALARM 预警, SUPERVISORY 监管, FAULT 故障, DISABLED 屏蔽, TEST 测试,
    ACTIVATED 启动, FEEDBACK 反馈, DELAY 延时, MANUAL 手动. The order of the first six ranks
    display only.
    """

    NONE = 0
    FIRE = 1
    PREALARM = 2
    SUPERVISORY = 4
    FAULT = 8
    DISABLED = 16
    TEST = 32
    ACTIVATED = 64
    FEEDBACK = 128
    DELAY = 256
    MANUAL = 512


FLAG_WORDS: dict[str, Flag] = {
    "fire": Flag.FIRE,
    "prealarm": Flag.PREALARM,
    "supervisory": Flag.SUPERVISORY,
    "fault": Flag.FAULT,
    "disabled": Flag.DISABLED,
    "test": Flag.TEST,
    "activated": Flag.ACTIVATED,
    "feedback": Flag.FEEDBACK,
    "delay": Flag.DELAY,
    "manual": Flag.MANUAL,
}
"""The words of site.yaml, profiles and the record for each flag."""


class Mode(IntEnum):
    """What the value of a point is."""

    TELEMETRY = 0  # a number that is recorded and never alarms
    ANALOGUE = 1  # a number with absolute levels and trends
    STATE = 2  # the value is a set of Flag, translated from a device's word by its profile


class Quality(IntEnum):
    """Whether a value can be believed. Unknown is a value: none of these ever becomes 0."""

    GOOD = 0
    NOT_READY = 1  # no sample yet, or the device says warm-up
    STALE = 2  # no sample for longer than the point allows
    BAD = 3  # a sample that the sensor cannot produce: sentinel, wire break, out of range


class PanelProtocol(StrEnum):
    """How a panel on a port of its own frames what it says."""

    TEXT = "text"  # a printer or event-text port: one way
    ESPA = "espa"  # ESPA 4.4.4
    ID3000 = "id3000"  # Notifier ID3000 and Pearl
    GB26875 = "gb26875"  # GB/T 26875.3, as from a user information transmission device


class PanelAction(StrEnum):
    """What a word of a panel does."""

    SETS = "sets"
    CLEARS = "clears"
    CLEARS_ALL = "clears_all"  # at all addresses of the panel: reset, system normal
    SILENCES = "silences"  # its sounders, and those that we sound for it
    SOUNDS = "sounds"  # them again
    NOTES = "notes"  # goes to the record and does nothing
    IGNORES = "ignores"  # page heads and the like


class Lane(StrEnum):
    """Each lane of the record is its own hash chain. The set is open."""

    EPOCH = "epoch"
    TABLE = "table"
    FIRE = "fire"
    EVENT = "event"
    TELEMETRY = "telemetry"
    SUMMARY = "summary"


class Direction(StrEnum):
    """Who turns an RS-485 transceiver around."""

    AUTO = "auto"  # the driver where it can, else RTS around each frame
    DRIVER = "driver"
    RTS = "rts"
    NONE = "none"  # the adapter does so by itself


class OutputKind(StrEnum):
    """What hangs on an output."""

    SIREN = "siren"
    LAMP = "lamp"
    BUZZER = "buzzer"
    RELAY = "relay"  # driven by the matrix, like a siren
    FAULT = "fault"  # energised while all is well; released means fault


class Meaning(StrEnum):
    """What a lamp shows or a buzzer sounds of the gateway itself (GB 26875.1, GB 4717)."""

    SENDING = "sending"  # 正在传输
    SENT = "sent"  # 传输成功
    FAILED = "failed"  # 传输失败
    FIRE = "fire"  # 火警
    FAULT = "fault"  # 故障
    MAINS = "mains"  # 主电
    STANDBY = "standby"  # 备电
    DISABLED = "disabled"  # 屏蔽
    TEST = "test"  # 测试
    DUTY = "duty"  # 查岗


TONES = (Meaning.FIRE, Meaning.DUTY, Meaning.FAULT)
"""What a buzzer can sound, the most urgent first."""


class InputRole(StrEnum):
    """What a local input does."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    RESET = "reset"
    DUTY = "duty"  # the answer to a duty check
    MANUAL = "manual"  # the manual alarm
    MAINS = "mains"  # supervision: active is trouble
    BATTERY = "battery"
    TAMPER = "tamper"


SUPERVISION = (InputRole.MAINS, InputRole.BATTERY, InputRole.TAMPER)
"""Contacts that report trouble; all other roles are buttons."""


class LineKind(StrEnum):
    """How a line is reached."""

    TCP = "tcp"  # Modbus TCP, MBAP header
    TCP_LISTEN = "tcp_listen"  # a panel's device that connects to us
    RS485 = "rs485"  # Modbus RTU on a serial port
    RTU_TCP = "rtu_tcp"  # RTU frames through a serial server
    SERIAL = "serial"  # a panel's own port: bytes of its protocol, no Modbus


LEVELS = ("view", "acknowledge", "operate", "configure")
"""What people may do, each level with all before it: look; acknowledge, silence and answer; reset,
disable and test; lift the lock-out of a PIN."""
