"""What problems of the cause-and-effect matrix say; see config.messages."""

from __future__ import annotations

NOUNS: dict[str, tuple[str, str]] = {
    "an output": ("the name of an output", "输出名"),
    "output": ("output", "输出"),
    "input": ("input", "输入"),
    "panel": ("panel", "控制器"),
}

TEXTS: dict[str, tuple[str, str]] = {
    "effect.cause": ("expected one cause", "应有且仅有一个触发源"),
    "effect.nothing": ("this row does nothing", "该行没有任何动作"),
    "effect.silence": (
        "this row has no siren that a silence could act on",
        "该行没有可被消音的警报器",
    ),
    "effect.depth": ("is nested more than {most} deep", "嵌套超过 {most} 层"),
    "effect.inputs": (
        "the rows have {count} inputs; at most {most} are possible",
        "各行共有 {count} 个输入，最多允许 {most} 个",
    ),
    "effect.never": (
        "'{value}' can never be in state {state}",
        "“{value}”永远不会处于 {state} 状态",
    ),
    "effect.needed": (
        "{needed} of these can never be there at once: there are {count}",
        "这里只有 {count} 个输入，不可能同时满足 {needed} 个",
    ),
    "effect.same_input": (
        "'{value}' is counted here already (line {line})",
        "“{value}”在此已计入（第 {line} 行）",
    ),
    "effect.kind": (
        "no point of kind '{value}' is there",
        "没有种类为“{value}”的点位",
    ),
    "effect.address": (
        "'{value}' tells no addresses: it is no panel on a link of its own",
        "“{value}”不报告地址：它不是独占线路的控制器",
    ),
    "effect.manual_waits": (
        "a manual call point never waits",
        "手动报警按钮不允许延时",
    ),
    "effect.twice": (
        "this cause sounds '{siren}' already (line {line})",
        "同一触发源已启动“{siren}”（第 {line} 行）",
    ),
    "effect.contrary": (
        "line {line} orders '{siren}' otherwise for this cause: {what}",
        "对同一触发源，第 {line} 行对“{siren}”的规定不同：{what}",
    ),
    "effect.shadowed": (
        "this never adds anything: line {line} sounds '{siren}' for it already",
        "该行不会有任何作用：第 {line} 行已为其启动“{siren}”",
    ),
    "siren.none": (
        "points can raise fire, but there is no siren to sound",
        "有点位可能报火警，但没有警报器",
    ),
    "siren.unused": ("nothing sounds this siren", "没有任何联动会启动该警报器"),
    "fire.silent": ("a fire here sounds nothing", "此处火警不会启动任何警报器"),
}

HINTS: dict[str, tuple[str, str]] = {
    "effect.cause": (
        "write one of zone, device, point, kind, input, any, all, at_least",
        "请写 zone、device、point、kind、input、any、all、at_least 之一",
    ),
    "effect.nothing": ("write sound, switch or message", "请写 sound、switch 或 message"),
    "effect.silence": ("write cause or reset", "请写 cause 或 reset"),
    "effect.needed": ("name more inputs, or ask for fewer", "请增加输入，或减少所需数量"),
    "effect.address": ("leave address out", "请去掉 address"),
    "effect.manual_waits": (
        "leave 'after' out, or write the row for other points",
        "请去掉 after，或将该行改为其他点位",
    ),
    "effect.contrary": ("keep one of the two", "请只保留其中之一"),
    "effect.shadowed": ("remove it, or change what differs", "请删除该行，或修改其不同之处"),
    "siren.unused": ("name it in an effect, or remove it", "请在 effects 中使用它，或将其删除"),
    "siren.none": ("add sirens and effects", "请添加 sirens 和 effects"),
    "fire.silent": (
        "add an effect for it, its zone or its device, with state: fire",
        "请为它、其分区或其设备添加 state: fire 的联动",
    ),
}
