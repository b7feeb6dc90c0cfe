"""People with a PIN, checked here: off the loop, one at a time, and slower after each wrong try.

A PIN raises somebody who may look at the gateway to the level of a person for one order. Wrong
tries are remembered for the person and for the user id that tried, so that neither a new
connection nor another name starts again at nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent.ipc import Refused, Role
from config import pin
from config.limits import (
    PIN_CHARS_MAX,
    PIN_CHECKS_WAITING_MAX,
    PIN_LOCK_NS_MAX,
    PIN_LOCK_NS_MIN,
    PIN_TRIES_FREE,
    PIN_USERS_MAX,
    S,
)
from config.plan import Person

LEVEL_ROLES = {
    "view": Role.VIEW,
    "acknowledge": Role.VIEW | Role.ACKNOWLEDGE,
    "operate": Role.VIEW | Role.ACKNOWLEDGE | Role.OPERATE,
    "configure": Role.VIEW | Role.ACKNOWLEDGE | Role.OPERATE | Role.CONFIGURE,
}


@dataclass(slots=True)
class Tries:
    """Wrong tries in a row, and until when no other one is taken."""

    wrong: int = 0
    locked_ns: int = 0

    def failed(self, now_ns: int) -> None:
        """One more."""
        self.wrong += 1
        if self.wrong >= PIN_TRIES_FREE:
            doubled = PIN_LOCK_NS_MIN << min(self.wrong - PIN_TRIES_FREE, 32)
            self.locked_ns = now_ns + min(doubled, PIN_LOCK_NS_MAX)


class People:
    """The people of the plan, and who tried what."""

    def __init__(self, people: Sequence[Person], mono_ns: Callable[[], int]) -> None:
        self._people = {p.name: p for p in people}
        parsed = [(p.name, pin.parse(p.pin)) for p in people]
        self._hashes = {name: kept for name, kept in parsed if kept is not None}
        # A name that nobody has costs what the dearest PIN costs.
        self._nobody = max(
            self._hashes.values(), key=lambda kept: kept.parallel << kept.log2_n, default=None
        )
        self._mono_ns = mono_ns
        self._of_person: dict[str, Tries] = {}
        self._of_user: dict[int, Tries] = {}
        self._one = asyncio.Lock()
        self._waiting = 0
        self._thread: ThreadPoolExecutor | None = None

    def known(self, name: str) -> bool:
        """Whether the plan has this person."""
        return name in self._people

    async def level(self, name: object, digits: object, uid: int) -> Role:
        """The roles of a person whose PIN this is. Raises Refused.

        An unknown name costs the same time and gives the same answer as a wrong PIN, and while a
        person or a user is locked out the right PIN gives the same answer as a wrong one.
        """
        if type(name) is not str or type(digits) is not str or len(digits) > PIN_CHARS_MAX:
            raise Refused("malformed", "person and pin: expected two short texts")
        if self._nobody is None:
            raise Refused("no_people", "nobody has a PIN here: see 'people' in the site file")
        if self._waiting >= PIN_CHECKS_WAITING_MAX:
            raise Refused("busy", "other PINs are being checked; try again")
        self._waiting += 1
        try:
            async with self._one:
                self._must_not_be_locked(name, uid)
                fits = await self._check(name, digits)
                return self._judge(name, uid, fits=fits)
        finally:
            self._waiting -= 1

    def unlock(self, name: object) -> None:
        """Forget the wrong tries at a person's PIN, and those of all users. Raises Refused."""
        if type(name) is not str or name not in self._people:
            raise Refused("unknown_person", f"no person is called {name!r}")
        self._of_person.pop(name, None)
        self._of_user.clear()

    def told(self) -> list[dict[str, object]]:
        """For the status: who is locked out, and for how many more seconds."""
        now_ns = self._mono_ns()
        return [
            {"name": name, "seconds": -(-(tries.locked_ns - now_ns) // S)}
            for name, tries in self._of_person.items()
            if tries.locked_ns > now_ns
        ]

    def stop(self) -> None:
        """End the thread; a check under way is not waited for."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _check(self, name: str, digits: str) -> bool:
        """scrypt releases the interpreter, and its thread does not inherit our priority."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="pin")
        kept = self._hashes.get(name) or self._nobody
        assert kept is not None
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._thread, kept.fits, digits)
        return fits and name in self._hashes

    def _must_not_be_locked(self, name: str, uid: int) -> None:
        now_ns = self._mono_ns()
        until_ns = max(
            tries.locked_ns
            for tries in (self._of_person.get(name, Tries()), self._of_user.get(uid, Tries()))
        )
        if until_ns > now_ns:
            raise Refused(
                "locked", f"too many wrong PINs; try again in {-(-(until_ns - now_ns) // S)} s"
            )

    def _judge(self, name: str, uid: int, *, fits: bool) -> Role:
        if fits:
            self._of_person.pop(name, None)
            self._of_user.pop(uid, None)
            return LEVEL_ROLES[self._people[name].level]
        now_ns = self._mono_ns()
        if name in self._people:
            self._of_person.setdefault(name, Tries()).failed(now_ns)
        if uid not in self._of_user and len(self._of_user) >= PIN_USERS_MAX:
            self._of_user.pop(next(iter(self._of_user)))
        self._of_user.setdefault(uid, Tries()).failed(now_ns)
        raise Refused("wrong_pin", "no person has this name and this PIN")
