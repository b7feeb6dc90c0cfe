"""What problems say, in English and in Chinese: {id: (English, Chinese)}.

TEXTS say what was expected and found, HINTS what to do. Placeholders are the same in both
languages (the tests compare them); {noun} and {found} are looked up in NOUNS.
"""

from __future__ import annotations

from config import (
    alarm_messages,
    centre_messages,
    effect_messages,
    opendata_messages,
    signal_messages,
    text_messages,
)

Pair = tuple[str, str]

NOUNS: dict[str, Pair] = {
    "a baud rate": ("a baud rate", "波特率"),
    "a dialect": ("the name of a panel dialect", "控制器协议名"),
    "a pattern": ("a pattern", "匹配模式"),
    "a class": ("a class", "类别"),
    "a device": ("the name of a device", "设备名"),
    "a kind": ("a kind of point", "点位种类"),
    "a link": ("the name of a link", "线路名"),
    "a list": ("a list", "列表"),
    "a map": ("a map (key: value)", "映射（键: 值）"),
    "a name": ("a name", "名称"),
    "a number": ("a number", "数字"),
    "a pair": ("a list of two quantities", "两个带单位数值的列表"),
    "a parity": ("a parity", "校验方式"),
    "a path": ("a path", "路径"),
    "a PIN's hash": ("the hash of a PIN", "PIN 的散列值"),
    "a point": ("the name of a point", "点位名"),
    "a profile": ("the name of a profile", "设备模板名"),
    "a quantity": ("a number with its unit", "带单位的数值"),
    "a register": ("a register", "寄存器"),
    "a serial port": ("a serial port", "串口"),
    "a siren": ("the name of a siren", "警报器名"),
    "a state": ("a state", "状态"),
    "a text": ("a text", "文字"),
    "a type": ("a type", "数据类型"),
    "a unit": ("a unit", "单位"),
    "a url": ("a url", "网址"),
    "a whole number": ("a whole number", "整数"),
    "a word": ("a word", "词"),
    "an IP address": ("an IP address", "IP 地址"),
    "an alarm rule": ("an alarm rule", "报警规则"),
    "nothing": ("nothing", "空值"),
    "sweep values": ("values like 50,54,57 or 50:60:2", "50,54,57 或 50:60:2 形式的数值"),
    "siren": ("siren", "警报器"),
    "device": ("device", "设备"),
    "link": ("link", "线路"),
    "zone": ("zone", "分区"),
    "point": ("point", "点位"),
}

TEXTS: dict[str, Pair] = {
    # files and YAML
    "file.unreadable": ("cannot be read: {reason}", "无法读取：{reason}"),
    "file.too_large": ("is larger than {limit} bytes", "超过 {limit} 字节"),
    "file.encoding": ("this line is not UTF-8 text", "此行不是 UTF-8 文本"),
    "yaml.syntax": ("this is not YAML: {reason}", "YAML 语法错误：{reason}"),
    "yaml.character": ("the character {code} is not allowed", "不允许的字符 {code}"),
    "yaml.depth": ("is nested more than {limit} deep", "嵌套超过 {limit} 层"),
    "yaml.size": ("has more than {limit} values", "值的数量超过 {limit}"),
    "yaml.empty": ("is empty", "文件为空"),
    "yaml.alias": ("anchors and aliases are not used here", "此处不使用锚点和别名"),
    "yaml.merge": ("merge keys are not used here", "此处不使用合并键"),
    "yaml.tag": ("the tag '{tag}' is not used here", "此处不使用标签“{tag}”"),
    "yaml.key": ("a key must be a word", "键必须是一个词"),
    "yaml.duplicate": ("the key '{key}' is there twice", "键“{key}”重复"),
    "yaml.trap": (
        "'{value}' without quotes means different things to different YAML readers",
        "不加引号的“{value}”在不同的 YAML 解析器中含义不同",
    ),
    "problems.more": ("... and {count} more problems", "……另有 {count} 个问题"),
    "problems.same": (" (and {count} more of it, to {last})", "（另有 {count} 处相同，至 {last}）"),
    # shapes and words
    "key.unknown": ("unknown key '{value}'", "未知的键“{value}”"),
    "key.missing": ("the key '{key}' is missing", "缺少键“{key}”"),
    "key.pair": ("'{key}' needs '{other}' beside it", "“{key}”需要同时给出“{other}”"),
    "key.not_for_kind": (
        "'{key}' does not apply to kind '{kind}'",
        "“{key}”不适用于种类“{kind}”",
    ),
    "shape.kind": ("expected {noun}, found {found}", "应为{noun}，实为{found}"),
    "shape.value": ("expected {noun}, found '{value}'", "应为{noun}，实为“{value}”"),
    "text.limits": (
        "expected at most {most} printable characters",
        "最多 {most} 个可打印字符",
    ),
    "list.empty": ("the list is empty", "列表为空"),
    "too_many": ("{count} are too many; at most {most}", "数量 {count} 超过上限 {most}"),
    "name.form": ("'{value}' cannot be a name", "“{value}”不能作为名称"),
    "id.form": ("'{value}' cannot be an identifier", "“{value}”不能作为标识"),
    "word.unknown": ("'{value}' is not known here", "此处没有“{value}”这个词"),
    "number.range": (
        "'{value}' lies outside {low} to {high}",
        "“{value}”超出 {low} 至 {high} 的范围",
    ),
    "pair.order": ("the first of the two must be the lower", "两个值中第一个应为较小者"),
    "unit.none": ("'{value}' has no unit", "“{value}”没有单位"),
    "unit.wrong": ("the unit '{value}' does not fit here", "单位“{value}”在此不适用"),
    "unit.of_kind": (
        "kind '{kind}' is not measured in '{value}'",
        "种类“{kind}”不以“{value}”为单位",
    ),
    "host.not_ip": ("'{value}' is not an IP address", "“{value}”不是 IP 地址"),
    "port.path": ("'{value}' is not the path of a serial port", "“{value}”不是串口路径"),
    "path.relative": (
        "'{value}' is not an absolute path, which starts with '/'",
        "“{value}”不是以“/”开头的绝对路径",
    ),
    # points
    "register.form": ("'{value}' is not a register", "“{value}”不是寄存器地址"),
    "register.end": (
        "a {type} takes two registers; this is the last one",
        "{type} 占两个寄存器，而这是最后一个",
    ),
    "register.beyond": (
        "a {type} takes {count} registers, and fewer are left",
        "{type} 占 {count} 个寄存器，后面不够",
    ),
    "bits.form": ("'{value}' is no range of bits", "“{value}”不是位的范围"),
    "bits.both": ("write either bit or bits", "bit 与 bits 只能写一个"),
    "type.not_a_word": (
        "kind '{kind}' reads a word of at most 32 bits; {type} is none",
        "种类“{kind}”读取最多 32 位的字，{type} 不是",
    ),
    "sentinels.type": ("a {type} has no sentinels", "{type} 不支持 sentinels"),
    "confirm.manual": (
        "a manual call point never waits for a second reading",
        "手动报警按钮不等待第二次读数",
    ),
    "heartbeat.own": (
        "a heartbeat is a register, not a single bit",
        "心跳应为寄存器，而不是单个位",
    ),
    "bit.of_bit": (
        "coils and discrete inputs are single bits already",
        "线圈和离散输入本身就是单个位",
    ),
    "word_order.narrow": ("a {type} is one word", "{type} 只有一个字"),
    "kind.needs_number": (
        "kind '{kind}' needs a number; a single bit has only 0 and 1",
        "种类“{kind}”需要数值，单个位只有 0 和 1",
    ),
    "kind.needs_word": ("kind '{kind}' needs a whole number", "种类“{kind}”需要整数类型"),
    "scale.zero": ("a scale of 0 makes every value the same", "比例为 0 会使所有值相同"),
    "width.sign": ("a width is larger than 0", "宽度必须大于 0"),
    "resolution.sign": ("a resolution is larger than 0", "分辨率必须大于 0"),
    "sentinels.float": (
        "a float32 marks a missing value by NaN, which is always refused",
        "float32 以 NaN 表示无效值，总会被拒绝",
    ),
    "level.missing": (
        "kind '{kind}' has no default for '{key}'",
        "种类“{kind}”的“{key}”没有默认值",
    ),
    "level.order": ("{low} must be below {high}", "{low} 必须低于 {high}"),
    "level.bound": (
        "'{key}' lies outside {low} to {high}",
        "“{key}”超出 {low} 至 {high} 的范围",
    ),
    "level.leakage": (
        "prealarm ({level}) must be at least twice the natural leakage, {least}",
        "预警值（{level}）至少应为自然泄漏电流的两倍，即 {least}",
    ),
    "poll.alarm": (
        "polled every {value}, but a lost alarm point must be a fault within 100 s",
        "轮询间隔为 {value}，但报警点位失联必须在 100 秒内报故障",
    ),
    "rule.test": ("a case needs one test", "每个条件需要一个判据"),
    "rule.never": ("can never match: it has bits outside the mask", "永远不会匹配：有掩码以外的位"),
    "rule.over": (
        "must be other bits than the mask, within 0xFF",
        "必须是掩码以外且不超过 0xFF 的位",
    ),
    "rule.size": ("has more than {limit} cases", "条件超过 {limit} 个"),
    "profile.family": ("this family of points is not consistent", "该点位族定义不一致"),
    "profile.path": (
        "'{value}' is neither a profile nor a file beside the site file",
        "“{value}”既不是设备模板，也不是与站点文件同目录的文件",
    ),
    "profile.none": ("there is no file '{value}'", "没有文件“{value}”"),
    # devices
    "device.no_points": ("this device has nothing to read or write", "该设备没有可读写的内容"),
    "use.no_profile": ("'use' takes points of a profile", "“use”用于选取设备模板中的点位"),
    "range.length": (
        "a range in braces does not fit the one in the name",
        "花括号中的范围与名称中的范围不一致",
    ),
    "from.no_profile": (
        "'from' takes a point of a profile",
        "“from”用于选取设备模板中的点位",
    ),
    "use.unknown": (
        "profile '{profile}' has no point '{value}'",
        "设备模板“{profile}”没有点位“{value}”",
    ),
    "use.range": ("'{value}' is not a range", "“{value}”不是有效范围"),
    "use.twice": ("'{value}' is named twice", "“{value}”重复"),
    # panels on ports of their own
    "pattern.form": ("'{value}' is no pattern here: {why}", "“{value}”不能作为匹配模式：{why}"),
    "panel.action": ("a rule does one thing", "每条规则只能有一个动作"),
    "panel.no_address": (
        "only ESPA 4.4.4 has station addresses",
        "只有 ESPA 4.4.4 有站地址",
    ),
    "panel.link": (
        "a panel cannot speak over link '{link}' of kind '{kind}'",
        "控制器不能使用种类为“{kind}”的线路“{link}”",
    ),
    "panel.port": (
        "port 502 belongs to Modbus; a panel has another",
        "端口 502 属于 Modbus；控制器使用其他端口",
    ),
    "panel.shared": (
        "link '{link}' belongs to panel '{other}' (line {line}); a panel shares it with nobody",
        "线路“{link}”已属于控制器“{other}”（第 {line} 行）；控制器独占其线路",
    ),
    "link.serial": (
        "link '{link}' is a panel's own port and carries no Modbus",
        "线路“{link}”是控制器专用串口，不能用于 Modbus",
    ),
    "siren.panel": (
        "'{value}' is a panel; nothing is ever switched there",
        "“{value}”是控制器；绝不向其下发控制",
    ),
    # zones and effects
    "alarm.form": ("'{value}' is not an alarm rule", "“{value}”不是报警规则"),
    # couriers
    "courier.not_built": ("kind '{value}' is not built yet", "种类“{value}”尚未实现"),
    "centre.slow": (
        "{tries} tries take {value}; a fire has to be there within {most}",
        "{tries} 次发送需要 {value}；火警须在 {most} 内送达",
    ),
    "offset.form": ("'{value}' is not an offset from UTC", "“{value}”不是有效的时区偏移"),
    "address.twice": ("'{other}' has this address already", "“{other}”已使用该地址"),
    "pin.form": ("expected the hash of a PIN", "此处应为 PIN 的散列值"),
    "url.form": ("'{value}' is not the url of a broker", "“{value}”不是消息服务器网址"),
    "url.secret": ("a url carries no password", "网址中不得包含密码"),
    "url.insecure": ("mqtt:// sends everything in plain text", "mqtt:// 以明文传输"),
    "insecure.tls": (
        "goes with mqtt:// only; mqtts:// is secure",
        "仅用于 mqtt://；mqtts:// 本身安全",
    ),
    "tls.plain": ("'{key}' goes with mqtts:// only", "“{key}”仅用于 mqtts://"),
    # cross-checks
    "ref.unknown": ("no {noun} is called '{value}'", "没有名为“{value}”的{noun}"),
    "link.twice": (
        "{value} is already link '{other}' (line {line}); a line has one master",
        "{value} 已用于线路“{other}”（第 {line} 行）；一条线路只能有一个主站",
    ),
    "unit.range": (
        "unit {value} cannot be addressed on a serial line; units are 1 to 247",
        "串行线路上不能使用从站地址 {value}；范围为 1 至 247",
    ),
    "unit.twice": (
        "unit {value} of link '{link}' is already device '{other}' (line {line})",
        "线路“{link}”的从站 {value} 已是设备“{other}”（第 {line} 行）",
    ),
    "point.overlap": (
        "'{name}': registers {mine} overlap '{other}' ({theirs}, line {line}); "
        "a {type} takes {count} registers",
        "“{name}”：寄存器 {mine} 与“{other}”（{theirs}，第 {line} 行）重叠；"
        "{type} 占 {count} 个寄存器",
    ),
    "point.bits": (
        "'{name}' and '{other}' (line {line}) share some bits of {mine}, and not all",
        "“{name}”与“{other}”（第 {line} 行）共用 {mine} 的部分位",
    ),
    "point.same": (
        "'{name}' reads the same place as '{other}' (line {line})",
        "“{name}”与“{other}”（第 {line} 行）读取同一位置",
    ),
    "zone.twice": ("'{value}' is in this zone twice", "“{value}”在该分区中重复"),
    "zone.cannot": (
        "'{value}' can raise no alarm; its kind is '{kind}'",
        "“{value}”不会产生报警；其种类为“{kind}”",
    ),
    "zone.needed": (
        "{needed} must alarm, but the zone has {count}",
        "需要 {needed} 个报警，但该分区只有 {count} 个点位",
    ),
    "bus.alarm_within": (
        "an alarm on this line may take {found} to be read, with one dead unit",
        "若有一台设备失联，该线路上的报警最长需 {found} 才能读到",
    ),
    "bus.siren_within": (
        "a siren order on this line may wait {found}, with one dead unit",
        "若有一台设备失联，该线路上的声光警报命令最长需等待 {found}",
    ),
    "bus.overload": (
        "the polls of this line take {share} of its time",
        "该线路的轮询占用其时间的 {share}",
    ),
    # the ledger of point ids
    "ledger.form": ("this is not a line of an id ledger", "这不是编号台账的有效行"),
    "ledger.twice": (
        "id {value} is there already (line {line})",
        "编号 {value} 已存在（第 {line} 行）",
    ),
    "ledger.size": ("has more than {limit} entries", "条目超过 {limit} 个"),
    "ledger.version": (
        "expected the first line '{expected}'",
        "第一行应为“{expected}”",
    ),
}

HINTS: dict[str, Pair] = {
    "near": ("did you mean '{near}'?", "是否为“{near}”？"),
    "near_line": ("did you mean '{near}' (line {line})?", "是否为“{near}”（第 {line} 行）？"),
    "one_of": ("write one of: {known}", "可选：{known}"),
    "ref.none": ("there is none in this file", "本文件中没有定义"),
    "file.encoding": ("save the file as UTF-8", "请将文件保存为 UTF-8"),
    "yaml.tab": ("indent with spaces, not with tabs", "请用空格缩进，不要用制表符"),
    "yaml.colon": (
        "put a text that contains ': ' in quotes, or start a new line",
        "含有“: ”的文字请加引号，或另起一行",
    ),
    "yaml.one_document": (
        "a site is one document; remove '---'",
        "一个站点只有一个文档；请删除“---”",
    ),
    "yaml.bracket": ("a bracket or brace is not closed", "有括号未闭合"),
    "yaml.alias": ("write the value out where it is used", "请在使用处直接写出"),
    "yaml.empty": ("start with: site, links, devices", "请从 site、links、devices 开始"),
    "yaml.tag": ("remove the tag", "请删除标签"),
    "yaml.key": ("write a name before the colon", "请在冒号前写名称"),
    "yaml.duplicate": ("the first one is in line {line}", "第一个在第 {line} 行"),
    "trap.word": (
        "write true or false, or '{value}' in quotes",
        "请写 true 或 false，或给“{value}”加引号",
    ),
    "trap.octal": ("write {plain}, or '{value}' in quotes", "请写 {plain}，或给“{value}”加引号"),
    "trap.plain": ("write {plain}, or '{value}' in quotes", "请写 {plain}，或给“{value}”加引号"),
    "trap.quote": ("write '{value}' in quotes", "请给“{value}”加引号"),
    "name.form": (
        "letters, digits, _ and -, at most {most}; no spaces or dots",
        "可用文字、数字、_ 和 -，最多 {most} 个；不可用空格和点",
    ),
    "id.form": (
        "small letters a to z, digits, - and _, at most {most}",
        "可用小写字母、数字、- 和 _，最多 {most} 个",
    ),
    "unit.one": ("write '{one}'", "请写“{one}”"),
    "unit.two": ("write '{one}' or '{two}'", "请写“{one}”或“{two}”"),
    "unit.bare": ("write '{one}'; the point has no unit", "请写“{one}”；该点位没有单位"),
    "unit.known": ("units that fit: {known}", "可用单位：{known}"),
    "host.not_ip": (
        "write its address: a siren must not wait for a name server",
        "请写 IP 地址：警报器不能等待域名解析",
    ),
    "port.path": (
        "write a path like /dev/ttyUSB0, or usb:SERIAL of the adapter",
        "请写类似 /dev/ttyUSB0 的路径，或适配器的 usb:序列号",
    ),
    "pair": ("write [0kPa, 1600kPa]", "请写成 [0kPa, 1600kPa] 的形式"),
    "register.form": (
        "write 'input 0' or 30001, 'holding 12' or 40013, 'coil 3', 'discrete 4'",
        "请写“input 0”或 30001、“holding 12”或 40013、“coil 3”、“discrete 4”",
    ),
    "register.bare": (
        "name the table: 'input {value}' or 'holding {value}'",
        "请写明表：“input {value}”或“holding {value}”",
    ),
    "poll.alarm": ("write at most {most}", "最多写 {most}"),
    "bits.form": ("write the lowest and the highest, like 4-7", "请写最低位与最高位，例如 4-7"),
    "need.word": (
        "write one of: int16, uint16, int32, uint32",
        "可选：int16、uint16、int32、uint32",
    ),
    "sentinels.type": ("give range: what is outside is bad", "请用 range：范围之外即为无效"),
    "need.bit": ("say which bit of the register: bit: 0 to 15", "请写明寄存器的位：bit: 0 至 15"),
    "need.cases": (
        "say what the word means: cases: [{{bit: 0, state: fire}}]",
        "请说明该字的含义：cases: [{{bit: 0, state: fire}}]",
    ),
    "need.class": (
        "EN 54-5 class of the place: A1 (rooms), A2, or B (boiler rooms); "
        "suffix S where heat comes and goes, as in kitchens",
        "按 EN 54-5 选择：A1（一般房间）、A2 或 B（锅炉房）；温度常变处用 S",
    ),
    "need.state": ("what the contact tells, e.g. state: fire", "触点表示什么，例如 state: fire"),
    "need.active": (
        "1 when the contact is closed in alarm, 0 when it opens: look at the wiring",
        "报警时闭合写 1，断开写 0：请查看接线",
    ),
    "need.type": (
        "int16, uint16, int32, uint32, float32 and wider ones, or string for a text",
        "int16、uint16、int32、uint32、float32 等；文本为 string",
    ),
    "need.units": ("write one of: {known}", "可选：{known}"),
    "need.poll": (
        "how often, e.g. poll: 1s, here or at the device",
        "轮询间隔，例如 poll: 1s，写在此处或设备处",
    ),
    "need.baud": ("as set at the devices, e.g. baud: 9600", "与设备设置一致，例如 baud: 9600"),
    "need.parity": (
        "as set at the devices: none, even or odd",
        "与设备设置一致：none、even 或 odd",
    ),
    "need.alarm": ("write alarm: any, or alarm: 2 of n", "请写 alarm: any 或 alarm: 2 of n"),
    "need.register": ("write register: input 0, or 30001", "请写 register: input 0 或 30001"),
    "need.kind": ("what it measures, e.g. kind: heat", "测量什么，例如 kind: heat"),
    "need.unit": ("the unit address of the device on its link", "设备在线路上的从站地址"),
    "need.link_kind": ("rs485, tcp, rtu_tcp or serial", "rs485、tcp、rtu_tcp 或 serial"),
    "need.courier_kind": (
        "write kind: mqtt, gb26875, dc09, mqtt-json or prometheus",
        "请写 kind: mqtt、gb26875、dc09、mqtt-json 或 prometheus",
    ),
    "level.missing": (
        "write {first}: and a value in {unit}",
        "请写 {first}: 和以 {unit} 为单位的值",
    ),
    "level.bound": ("{source}", "{source}"),
    "rule.test": ("write bit, or value, or mask and equals", "请写 bit、value，或 mask 与 equals"),
    "device.no_points": (
        "give it points, or a profile with use",
        "请给出 points，或 profile 与 use",
    ),
    "profile.path": (
        "write ./NAME.yaml, in the directory of the site file",
        "请写 ./名称.yaml，放在站点文件所在目录",
    ),
    "range.length": (
        "one range in the name, as many numbers in every other: a_{{1-60}} and '{{101-160}}'",
        "名称中只用一个范围，其余范围的数量须相同，例如 a_{{1-60}} 与 '{{101-160}}'",
    ),
    "profile.none": (
        "'embergate profile new' starts one, beside the site file",
        "可用“embergate profile new”在站点文件旁新建",
    ),
    "use.no_profile": ("name the profile of the device", "请写明设备模板 profile"),
    "use.range": ("write the smaller number first, like l1d1-20", "请先写较小的数，例如 l1d1-20"),
    "alarm.form": ("write 'any' or '2 of n'", "请写“any”或“2 of n”"),
    "panel.action": (
        "write one of sets, clears, clears_all, does",
        "请写 sets、clears、clears_all、does 之一",
    ),
    "panel.link": (
        "use a link of kind serial or tcp",
        "请使用 serial 或 tcp 类型的线路",
    ),
    "panel.port": (
        "write the port of the panel or its serial server",
        "请写控制器或串口服务器的端口",
    ),
    "link.serial": ("write kind: rs485 for Modbus", "Modbus 请写 kind: rs485"),
    "siren.panel": ("wire the siren to a relay board", "请将警报器接到继电器模块"),
    "courier.not_built": ("what exists: {known}", "目前可用：{known}"),
    "centre.slow": (
        "shorten reply_timeout or lower resends",
        "请缩短 reply_timeout 或减少 resends",
    ),
    "offset.form": ("write '+08:00' in quotes", "请写“+08:00”并加引号"),
    "pin.form": (
        "run 'embergate pin' and copy the line that it prints; never write a PIN here",
        "请运行“embergate pin”并复制其输出；切勿在此写 PIN 本身",
    ),
    "url.form": ("write mqtts://broker.example:8883", "请写 mqtts://broker.example:8883 的形式"),
    "url.secret": ("use username and password_file", "请使用 username 和 password_file"),
    "url.insecure": (
        "write mqtts://, or 'insecure: {word}' for a broker on this machine or a closed network",
        "请写 mqtts://；若服务器在本机或封闭网络，请加“insecure: {word}”",
    ),
    "zone.needed": ("name more points, or ask for fewer", "请增加点位，或减少所需数量"),
    "bus.within": (
        "shorten timeout, poll fewer registers, or use another line",
        "请缩短 timeout、减少轮询的寄存器或分到另一条线路",
    ),
    "bus.overload": (
        "poll slower, raise the baud rate, or use another line",
        "请降低轮询频率、提高波特率或分到另一条线路",
    ),
    "ledger": (
        "restore the file from its last good copy; ids must not change",
        "请从最近的备份恢复该文件；编号不得改变",
    ),
}

for _more in (alarm_messages, effect_messages, signal_messages):
    NOUNS |= _more.NOUNS
_ALL = (
    alarm_messages,
    centre_messages,
    effect_messages,
    opendata_messages,
    signal_messages,
    text_messages,
)
for _module in _ALL:
    TEXTS |= _module.TEXTS
    HINTS |= _module.HINTS
