"""Buttons and supervision contacts: debounced, and a fault when stuck or lost. Pure.

A contact settles when its level stood for the debounce time; which level, its edges say, or its
samples. A button acts when it settles pressed, once. One that was pressed before we looked acts
only when it is the manual alarm: of all others nobody knows what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agent.core import kernels, records
from agent.core.image import Image
from agent.core.site import U4, Site
from agent.core.types import Command, Record, Verb
from config.limits import INPUT_STUCK_NS
from config.plan import Input
from config.words import SUPERVISION, Flag, InputRole, Quality
from drivers.reading import InputLevel

VERBS = {
    InputRole.ACKNOWLEDGE: Verb.ACKNOWLEDGE,
    InputRole.SILENCE: Verb.SILENCE,
    InputRole.RESET: Verb.RESET,
    InputRole.DUTY: Verb.DUTY,
    InputRole.MANUAL: Verb.MANUAL,
}
_ACTIVATED, _FAULT = int(Flag.ACTIVATED), int(Flag.FAULT)
_TROUBLE = {
    InputRole.MAINS: ("mains lost: the standby supply carries", "mains are back"),
    InputRole.BATTERY: ("the standby supply is in trouble", "the standby supply is well"),
    InputRole.TAMPER: ("the cabinet is open", "the cabinet is closed"),
}


@dataclass(slots=True)
class Contact:
    """One input. `on` is its settled level, None before there was one."""

    on: bool | None = None
    since_ns: int = 0
    raw: bool | None = None
    raw_ns: int = 0
    lost: bool = False
    stuck: bool = False


@dataclass(slots=True)
class Panel:
    """All inputs of the plan, in its order. flags: what rows of the matrix see of them: ACTIVATED,
    and FAULT of one that is lost, stuck, or tells a trouble."""

    contacts: list[Contact] = field(default_factory=list)
    flags: U4 = field(default_factory=lambda: np.zeros(0, np.uint32))


def new_panel(site: Site) -> Panel:
    """Nothing is known of any."""
    count = len(site.plan.inputs)
    return Panel([Contact() for _ in range(count)], np.zeros(count, np.uint32))


def step(
    panel: Panel, site: Site, image: Image, levels: tuple[InputLevel, ...], now_ns: int
) -> tuple[list[Command], list[Record]]:
    """What was pressed, and what became a fault or ended as one."""
    commands: list[Command] = []
    out: list[Record] = []
    for level in levels:
        _level(panel, site, level, commands, out)
    for k, (item, contact) in enumerate(zip(site.plan.inputs, panel.contacts, strict=True)):
        if not item.chip:
            level_ = _of_point(item, k, image, contact)
            if level_ is not None:
                _level(panel, site, level_, commands, out)
        _settle(item, contact, now_ns, commands, out)
        _stuck(item, contact, now_ns, out)
    return commands, out


def look(panel: Panel, site: Site) -> bool:
    """Bring the flags up to date; whether one changed."""
    now = [
        (_ACTIVATED if c.on else 0)
        | (_FAULT if c.lost or c.stuck or (c.on and item.role in SUPERVISION) else 0)
        for item, c in zip(site.plan.inputs, panel.contacts, strict=True)
    ]
    if now == panel.flags.tolist():
        return False
    panel.flags = np.array(now, np.uint32)
    return True


def _level(
    panel: Panel, site: Site, level: InputLevel, commands: list[Command], out: list[Record]
) -> None:
    item, contact = site.plan.inputs[level.input], panel.contacts[level.input]
    _settle(item, contact, level.mono_ns, commands, out)
    if level.on is None:
        if not contact.lost:
            contact.lost = True
            out.append(_fault(item, "lost", level.mono_ns, True, "the input cannot be read"))
        return
    if contact.lost:
        contact.lost = False
        out.append(_fault(item, "lost", level.mono_ns, False, "the input is read again"))
    if level.on != contact.raw:
        contact.raw, contact.raw_ns = level.on, level.mono_ns


def _of_point(item: Input, k: int, image: Image, contact: Contact) -> InputLevel | None:
    """What a device's contact says: None when there is nothing new."""
    point = item.number
    sampled_ns, quality = int(image.mono_ns[point]), int(image.quality[point])
    if quality in (Quality.STALE, Quality.BAD):
        return InputLevel(k, sampled_ns, None) if not contact.lost else None
    if sampled_ns == kernels.NEVER or quality != Quality.GOOD:
        return None
    on = bool(int(image.bits[point]) & kernels.FLAG_MASK) != item.inverted
    return InputLevel(k, sampled_ns, on) if on != contact.raw or contact.lost else None


def _settle(
    item: Input, contact: Contact, now_ns: int, commands: list[Command], out: list[Record]
) -> None:
    if contact.raw is None or contact.raw == contact.on:
        return
    if now_ns - contact.raw_ns < item.debounce_ns:
        return
    before, contact.on, contact.since_ns = contact.on, contact.raw, contact.raw_ns
    role = InputRole(item.role)
    if role in SUPERVISION:
        if contact.on or before is not None:
            text = _TROUBLE[role][0 if contact.on else 1]
            out.append(_fault(item, "", contact.since_ns, contact.on, text))
    elif contact.on and (before is False or role is InputRole.MANUAL):
        commands.append(Command(VERBS[role], f"input {item.name}", "input"))


def _stuck(item: Input, contact: Contact, now_ns: int, out: list[Record]) -> None:
    if item.role in SUPERVISION:
        return
    stuck = bool(contact.on) and now_ns - contact.since_ns > INPUT_STUCK_NS
    if stuck == contact.stuck:
        return
    contact.stuck = stuck
    text = "the button is pressed for too long" if stuck else "the button is released"
    out.append(_fault(item, "stuck", now_ns, stuck, text))


def _fault(item: Input, what: str, mono_ns: int, fault: bool, text: str) -> Record:
    source = f"input/{item.name}/{what}" if what else f"input/{item.name}"
    return records.fault_record(
        source, "input", mono_ns, fault=fault, text=text, name=item.name, role=item.role
    )


def trouble(panel: Panel, site: Site) -> list[tuple[str, str]]:
    """(source, text) of every fault that stands."""
    out = []
    for item, contact in zip(site.plan.inputs, panel.contacts, strict=True):
        if contact.lost:
            out.append((f"input/{item.name}", "cannot be read"))
        if contact.stuck:
            out.append((f"input/{item.name}", "is pressed for too long"))
        if contact.on and item.role in SUPERVISION:
            out.append((f"input/{item.name}", _TROUBLE[InputRole(item.role)][0]))
    return out


def mains(panel: Panel, site: Site) -> bool | None:
    """Whether the mains are there; None when no input tells."""
    for item, contact in zip(site.plan.inputs, panel.contacts, strict=True):
        if item.role == InputRole.MAINS and contact.on is not None:
            return not contact.on
    return None


def pressed(panel: Panel, site: Site, role: InputRole) -> bool:
    """Whether a button of this role is down, as far as is known."""
    pairs = zip(site.plan.inputs, panel.contacts, strict=True)
    return any(item.role == role and contact.on for item, contact in pairs)
