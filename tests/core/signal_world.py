"""The small building of core_world, with lamps, keys and a centre of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core_world import CONTACT, EFFECTS, World, plan_of

from agent.core.cycle import cycle
from agent.core.types import ClockState, Command, Delivery, DutyCheck, Inputs, Now, Verb
from config.limits import MS, S
from config.plan import Courier, Input, Output, Plan, SelfTest
from drivers.reading import InputLevel, ReadBack

CHIP = "/dev/gpiochip0"
SIREN_A, SIREN_B, RELAY = 0, 1, 2
MEANT = ("sending", "sent", "failed", "fire", "fault", "mains", "standby", "disabled", "test",
         "duty")  # fmt: skip
LAMP = {name: 3 + k for k, name in enumerate(MEANT)}
BUZZER, TROUBLE = 3 + len(MEANT), 4 + len(MEANT)
KEYS = ("acknowledge", "silence", "reset", "duty", "manual")
KEY = {name: k for k, name in enumerate(KEYS)}
MAINS, BATTERY, DOOR = 5, 6, 7


def signal_plan(tests: SelfTest | None = None) -> Plan:
    """Sirens and a relay of the matrix, a lamp a meaning, a buzzer, a fault output; all inputs."""
    plan = plan_of()

    def line(name: str, kind: str, *means: str) -> Output:
        return Output(name, -1, 0, S, kind, CHIP, "push-pull", means=means)

    outputs = (
        *plan.outputs,
        Output("relay", 3, 2, kind="relay"),
        *(line(f"lamp {name}", "lamp", name) for name in MEANT),
        line("buzzer", "buzzer", "fire", "fault", "duty"),
        line("trouble", "fault", "fault"),
    )
    inputs = (
        *(Input(name, name, CHIP, k, debounce_ns=50 * MS) for k, name in enumerate(KEYS)),
        Input("mains", "mains", CHIP, 20, debounce_ns=50 * MS),
        Input("battery", "battery", CHIP, 21, debounce_ns=50 * MS),
        Input("door", "tamper", "", CONTACT, debounce_ns=50 * MS),
    )
    effects = tuple(e for e in EFFECTS if e.ref != CONTACT or e.cause != "point")
    return replace(
        plan, outputs=outputs, inputs=inputs, effects=effects, self_tests=(tests,) if tests else (),
        couriers=(Courier("city", "gb26875"), Courier("platform", "mqtt")),
    )  # fmt: skip


class SignalWorld(World):
    """Adds keys, the record's word, and outputs whose read-backs follow them unless stuck."""

    def __init__(self, tests: SelfTest | None = None, **more: Any) -> None:
        super().__init__(signal_plan(tests), **more)
        self.stuck: dict[int, bool] = {}
        self.kept: dict[int, bool] = {}
        self.clock = ClockState.SYNCHRONISED
        self.wall_ns = 0
        self.again: list[int] = []

    def now(self) -> Now:
        return Now(self.ns, self.wall_ns + self.ns, self.clock)

    def run(self, **inputs: Any) -> Any:
        outcome = cycle(self.state, Inputs(**inputs), self.now())
        self.state = outcome.state
        self.last = outcome
        self.records += outcome.records
        for order in outcome.orders:
            if order.again:
                self.again.append(order.output)
                continue
            if order.kept:
                self.kept[order.output] = order.on
            if order.on:
                self.on[order.output] = order.pattern
            else:
                self.on.pop(order.output, None)
        if outcome.alarm_state is not None:
            self.saved = outcome.alarm_state
        return list(outcome.records)

    def reads(self, written: bool = True) -> None:
        """Every output is read back, as it is."""
        self.ns += 10 * MS
        backs = [
            ReadBack(k, self.ns, self.stuck.get(k, k in self.on), written)
            for k in range(len(self.plan.outputs))
        ]
        self.run(read_backs=tuple(backs))

    def level(self, k: int, on: bool | None, wait_ns: int = 100 * MS) -> list[Any]:
        """An input changes, and a little later there is a cycle."""
        self.ns += MS
        out = self.run(levels=(InputLevel(k, self.ns, on),))
        self.ns += wait_ns
        return list(out) + list(self.run())

    def press(self, name: str) -> list[Any]:
        """A key, pressed and released; it was seen released before."""
        k = KEY[name]
        if self.state.signals.panel.contacts[k].on is None:
            self.level(k, False)
        return self.level(k, True) + self.level(k, False)

    def lit(self) -> set[str]:
        return {name for name, k in LAMP.items() if k in self.on}

    def delivery(self, courier: str, sealed: int, waiting: int) -> None:
        self.ns += MS
        self.run(deliveries=(Delivery(courier, sealed, waiting, True),))

    def asked(self, courier: str = "city", *, asked: bool = True) -> None:
        self.ns += MS
        self.run(duty_checks=(DutyCheck(courier, asked, "who is there?"),))

    def verb(self, verb: Verb, **more: Any) -> list[Any]:
        self.ns += MS
        return list(self.run(commands=(Command(verb, "eve", "test", **more),)))

    def wait(self, seconds: float) -> None:
        """Time passes, with samples and read-backs, so that nothing falls silent."""
        for _ in range(int(seconds)):
            self.reads()
            self.quiet(1)
