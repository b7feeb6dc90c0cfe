"""What status, top and the log tell people beside the alarms, in both languages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from control_world import PIN, ControlWorld, control_world
from test_guard_commands import command

from agent.cli.log_words import in_words
from agent.cli.standing import NAMES_MAX, some, span, standing
from agent.core import view
from agent.ipc import Role

NOBODY: dict[str, Any] = {
    "manual": None, "duty": [], "delay": None, "calls": [], "test": None, "tests": [],
    "disabled": [],
}  # fmt: skip


def lines(language: str = "en", **status: Any) -> list[str]:
    return [str(line) for line in standing({**NOBODY, **status}, language)]


def test_status_says_who_took_what_out_of_service_and_what_is_not_yet_tested() -> None:
    async def run() -> None:
        async with control_world(Role.VIEW) as world:
            await orders(world)

    async def orders(world: ControlWorld) -> None:
        why = ["--for", "8h", "--why", "welding", "--as", "li"]
        status, said = await command(world, "disable", "output/stair_b", *why, text=PIN + "\n")
        assert status == 0, said
        assert "for: 8 h 0 min" in said
        status, said = await command(world, "test", "hall", "--as", "li", text=PIN + "\n")
        assert status == 0, said
        shown = view.status(world.runtime.state, world.clock.now())
        told = lines("en", **{key: shown[key] for key in NOBODY})
        assert any(t.startswith("DISABLED output/stair_b, for 8 h") for t in told)
        assert any("by li: welding" in t for t in told)
        assert any(t.startswith("WALK TEST of zone/hall") or "0 of" in t for t in told), told
        assert any("not tested yet:" in t and "inputs.knock" in t for t in told)
        assert any("屏蔽 output/stair_b" in t and "操作人 li" in t for t in
                   lines("zh", **{key: shown[key] for key in NOBODY}))  # fmt: skip
        _, said = await command(world, "top", "--once", "--lang", "zh")
        assert "屏蔽 output/stair_b" in said

    asyncio.run(run())


def test_what_somebody_has_to_answer_stands_before_what_runs() -> None:
    told = lines(
        manual={"name": "input manual", "wall_ns": 1_790_000_000 * 10**9},
        duty=[{"name": "city", "text": "who is there?"}],
        delay={"name": "rooms.hall", "phase": "acknowledge", "left_s": 45},
        calls=[{"name": "city", "waiting": 2, "connected": False},
               {"name": "platform", "waiting": 0, "connected": True}],
        tests=[{"name": "stair", "test": "siren-test"}, {"name": "roof", "test": "silent"}],
    )  # fmt: skip
    assert [t.split(" ")[0] for t in told] == ["MANUAL", "DUTY", "INVESTIGATION", "the", "siren"]
    assert "acknowledge within 45 s" in told[2]
    assert "not yet acknowledged by city: 2 to go" in told[3]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (120, "120 s"), (121, "3 min"), (7_200, "120 min"), (28_799, "8 h 0 min")],
)
def test_how_long_is_never_told_too_short(seconds: int, said: str) -> None:
    assert span(seconds, "en") == said


def test_many_names_are_counted() -> None:
    names = [f"rooms.{k}" for k in range(NAMES_MAX + 3)]
    assert some(names, "en").endswith(f"rooms.{NAMES_MAX - 1} and 3 more")
    assert some(names[:2], "zh") == "rooms.0, rooms.1"


ORDER = {"verb": "enable", "who": "li", "source": "control socket, PIN, user guard"}


@pytest.mark.parametrize(
    ("what", "body", "english", "chinese"),
    [
        ("operator", {**ORDER, "target": "zone/a", "error": "zone/a is not disabled"},
         "enable; NOT CARRIED OUT: zone/a is not disabled; li; zone/a; "
         "from control socket, PIN, user guard",
         "解除屏蔽; 未执行：zone/a 未被屏蔽; li; zone/a; "
            "来自 控制接口，PIN，用户 guard"),
        ("operator", {"verb": "siren-test", "who": "root", "source": "control socket",
                      "refused": "there is a fire"},
         "siren test; NOT CARRIED OUT: there is a fire; root; from control socket",
         "警报器测试; 未执行：有火警; root; 来自 控制接口"),
        ("operator", {"verb": "reset", "who": "li", "source": "control socket, user x",
                      "refused": "wrong_pin", "count": 4},
         "REFUSED (wrong_pin): reset; li; from control socket, user x; 4 times",
         "被拒绝（wrong_pin）：复位; li; 来自 控制接口，用户 x; 4 次"),
        ("operator", {"verb": "reset", "who": "li", "source": "input", "cleared": 2, "refused": 1},
         "reset; cleared: 2; not cleared: 1; li; from input",
         "复位; 已清除：2 处; 未清除：1 处; li; 来自 按键"),
        ("point", {"name": "call", "from": 0, "to": 513, "value": 513.0, "says": 513},
         "normal → fire, manual", "正常 → 火警, 手动"),
        ("point", {"name": "call", "from": 513, "to": 1, "value": 0.0, "says": 0},
         "fire, manual → fire; the device says normal", "火警, 手动 → 火警; 设备报 正常"),
        ("point", {"name": "heat", "from": 0, "to": 1, "value": 64.0},
         "normal → fire; 64", "正常 → 火警; 64"),
        ("disablement", {"event": "begins", "who": "li", "why": "test"},
         "li; begins; test", "li; 开始; test"),
        ("disablement", {"event": "ends", "who": "li", "why": "test", "how": "a day passed"},
         "li; ends; test; a day passed", "li; 结束; test; 已满一天"),
        ("duty", {"name": "city", "state": "asked",
                  "text": "the centre asks who is on duty: answer within 10 min"},
         "asked; the centre asks who is on duty: answer within 10 min",
         "查岗; 监控中心查岗：请在 10 分钟内应答"),
        ("output", {"name": "stair", "on": True, "pattern": "evacuate"},
         "ordered on; evacuate", "指令 开; 疏散"),
        ("output", {"name": "stair", "on": False, "read_back": True}, "reads off", "回读 关"),
        ("output_test", {"name": "stair", "test": "siren-test", "passed": False, "cut": True,
                         "who": "li"},
         "siren test; NOT PASSED; cut short; li", "警报器测试; 未通过; 提前结束; li"),
    ],
)  # fmt: skip
def test_the_log_says_what_was_ordered_what_came_of_it_and_from_where(
    what: str, body: dict[str, Any], english: str, chinese: str
) -> None:
    assert in_words(what, body, "en") == english
    assert in_words(what, body, "zh") == chinese
