"""What the record tells the field process of the fire lane and of duty checks, when it changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from agent.record.offers import Courier
from agent.record.shelf import Shelf
from config.words import Lane

Message = dict[str, Any]


class Listener(Protocol):
    """The field process's end of the socket."""

    def send(self, message: Message) -> bool: ...


class Told:
    """Latest word on each destination, said once; all of it to a field process that comes."""

    def __init__(self) -> None:
        self.duty: dict[str, str] = {}  # courier -> the centre's question
        self._calls: dict[str, Message] = {}

    def calls(self, couriers: Iterable[Courier], shelf: Shelf, to: Iterable[Listener]) -> None:
        """Say how far the fire lane is. sealed: fire batches of this run."""
        listeners = list(to)
        ends = shelf.ends(Lane.FIRE, shelf.now)
        sealed = 0 if ends is None else ends[1] + 1
        for courier in couriers:
            message = {
                "e": "delivery",
                "courier": courier.name,
                "sealed": sealed,
                "waiting": courier.fires(),
                "connected": courier.connected,
            }
            if self._calls.get(courier.name) != message:
                self._calls[courier.name] = message
                _send(message, listeners)

    def ask(self, courier: str, text: str, to: Iterable[Listener]) -> None:
        """A centre asks who is on duty; without a text it does not any more."""
        if self.duty.get(courier, "") == text:
            return
        if text:
            self.duty[courier] = text
        else:
            del self.duty[courier]
        _send(_duty(courier, text), list(to))

    def again(self, to: Listener) -> None:
        """A field process came: it hears everything."""
        for message in self._calls.values():
            to.send(message)
        for courier, text in self.duty.items():
            to.send(_duty(courier, text))


def _duty(courier: str, text: str) -> Message:
    return {"e": "duty", "courier": courier, "asked": bool(text), "text": text}


def _send(message: Message, to: list[Listener]) -> None:
    for listener in to:
        listener.send(message)
