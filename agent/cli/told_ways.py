"""What the record, the couriers and the operating system say, English and Chinese (see told_words).

`{name}` stands for whatever is there: it stays. `{why}` is a text of the gateway itself and
is translated, too.
"""

from __future__ import annotations

from config.messages import Pair

TEXTS: tuple[Pair, ...] = (
    # the record's files and disk
    (
        "{db}.db was damaged and set aside: {why}; kept as {file}",
        "{db}.db 已损坏，另存为 {file}：{why}",
    ),
    ("{db}.db was damaged and set aside: {why}", "{db}.db 已损坏，已另存：{why}"),
    ("{db}.db is damaged: {why}", "{db}.db 已损坏：{why}"),
    (
        "its last {lost} transactions cannot be read: the WAL is damaged",
        "最后 {lost} 笔写入无法读取：WAL 文件已损坏",
    ),
    ("found damaged while it was in use", "使用中发现损坏"),
    (
        "{db}.db: {detail}: the file is damaged and will be set aside",
        "{db}.db：文件已损坏，将另存（{detail}）",
    ),
    (
        "{db}.db can be used again; starting anew on its numbers",
        "{db}.db 恢复可用；按其编号重新启动",
    ),
    (
        "{db}.db: the disk does not answer; batches wait in memory",
        "{db}.db：磁盘无响应；数据暂存于内存",
    ),
    ("{db}.db does not open: the disk does not answer", "{db}.db 无法打开：磁盘无响应"),
    ("{db}.db does not answer", "{db}.db 无响应"),
    (
        "the disk is full: a reserve keeps events, telemetry is not kept; make room",
        "磁盘已满：事件写入预留空间，遥测数据不再保存；请清理磁盘",
    ),
    ("{db}.db: {why}", "{db}.db：{why}"),
    ("the store is not open", "文件未打开"),
    ("the record's disk has not answered yet", "记录的磁盘尚未响应"),
    (
        "{count} records or blocks of the field cannot be sealed",
        "现场进程的 {count} 条记录或数据块无法封存",
    ),
    (
        "no copy of the alarm state can be read: a fire from before the restart may be forgotten; "
        "check the building",
        "报警状态的所有副本均无法读取：重启前的火警可能已丢失；请到现场检查",
    ),
    ("the alarm state cannot be kept: {why}", "报警状态无法保存：{why}"),
    ("cannot be read; run 'embergate verify'", "无法读取；请运行 embergate verify"),
    ("the field process is of another boot", "现场进程属于另一次启动"),
    ("its rows are not those of a journal: {detail}", "其中的行不是日志的行（{detail}）"),
    ("{lane} {number} of epoch {epoch} is not a batch", "第 {epoch} 期 {lane} {number} 不是数据批"),
    (
        "a batch of {lane} belongs to epoch {epoch}, which the file lacks",
        "有一个 {lane} 数据批属于第 {epoch} 期，文件中没有该期",
    ),
    (
        "{lane} {number} of epoch {epoch} is in the index and not there",
        "第 {epoch} 期 {lane} {number} 在索引中但不存在",
    ),
    (
        "the batch of epoch {epoch} cannot be read: {detail}",
        "第 {epoch} 期的数据批无法读取（{detail}）",
    ),
    ("{path}: expected a WAL, found {mode}", "{path}：应为 WAL 模式，实为 {mode}"),
    (
        "{path}: expected schema {wanted}, found {found}",
        "{path}：应为结构版本 {wanted}，实为 {found}",
    ),
    (
        "{lane} {number}: of gateway {found}, this is {site}",
        "{lane} {number}：属于网关 {found}，本机是 {site}",
    ),
    ("{lane} {number}: no blob", "{lane} {number}：不是二进制数据"),
    (
        "SQLite {version} has the WAL-reset defect; one connection a file keeps clear of it",
        "SQLite {version} 存在 WAL 重置缺陷；每个文件只用一个连接即可避开",
    ),
    ("sealing for {site}", "正在为 {site} 封存记录"),
    ("batch {name} cannot be read: {detail}", "数据批 {name} 无法读取（{detail}）"),
    ("stopped", "已停止"),
    (
        "{path}: another field process works here and goes on; stop it first, or give this one a "
        "directory of its own",
        "{path}：已有现场进程在此运行；请先停止它，或另用一个目录",
    ),
    (
        "{path}: another record process works here and goes on; stop it first, or give this one a "
        "directory of its own",
        "{path}：已有记录进程在此运行；请先停止它，或另用一个目录",
    ),
    # keys and files
    (
        "{path}: expected an Ed25519 private key in PEM, found something else; 'embergate-fw keys' "
        "makes one",
        "{path}：应为 PEM 格式的 Ed25519 私钥；可用 embergate-fw keys 生成",
    ),
    (
        "{path}: expected the platform's Ed25519 public key in PEM",
        "{path}：应为 PEM 格式的平台 Ed25519 公钥",
    ),
    (
        "{path}: expected the command Ed25519 public key in PEM",
        "{path}：应为 PEM 格式的命令 Ed25519 公钥",
    ),
    (
        "{path}: expected {whose} Ed25519 public key in PEM",
        "{path}：应为 PEM 格式的 Ed25519 公钥（{whose}）",
    ),
    ("{path}: expected a file", "{path}：应为文件"),
    (
        "{path}: others may read it (mode {mode}); take that away with 'chmod 600 {same}' and "
        "consider making a new key",
        "{path}：其他用户可读（权限 {mode}）；请执行“chmod 600 {same}”，并考虑更换密钥",
    ),
    (
        "{path}: {why}; 'embergate-fw keys' makes keys",
        "{path}：{why}；可用 embergate-fw keys 生成密钥",
    ),
    ("{path}: larger than {most} bytes: not a key", "{path}：超过 {most} 字节，不是密钥"),
    ("{path}: the key cannot be read: {why}", "{path}：密钥无法读取：{why}"),
    (
        "{path}: expected 32, 48 or 64 hexadecimal digits, as the receiving centre gave them",
        "{path}：应为接警中心给出的 32、48 或 64 位十六进制数",
    ),
    (
        "{path}: {why}: no PIN is accepted; run 'sudo scripts/activate'",
        "{path}：{why}：不接受任何 PIN；请执行“sudo scripts/activate”",
    ),
    ("damaged", "已损坏"),
    ("of another plan", "属于另一份配置"),
    ("{what}: {why}; expected PEM files", "{what}：{why}；应为 PEM 文件"),
    ("{what}: not text", "{what}：不是文本"),
    ("not text", "不是文本"),
    # what a courier's settings lack
    (
        "courier {name}: the plan lacks {key}; compile it again",
        "传输目的地 {name}：配置缺少 {key}；请重新编译",
    ),
    (
        "courier {name}: expected kind mqtt, found {kind}",
        "传输目的地 {name}：类型应为 mqtt，实为 {kind}",
    ),
    (
        "no courier is called {name}; the plan has: {names}",
        "没有名为 {name} 的传输目的地；现有：{names}",
    ),
    (
        "no courier of kind dc09 is called {name}",
        "没有名为 {name} 且类型为 dc09 的传输目的地",
    ),
    (
        "no courier of kind gb26875 is called {name}",
        "没有名为 {name} 且类型为 gb26875 的传输目的地",
    ),
    (
        "expected a site id that a topic can carry, found {found}",
        "站点标识应能用于主题，实为 {found}",
    ),
    (
        "'insecure' goes with mqtt:// only; mqtts:// always verifies",
        "insecure 只能用于 mqtt://；mqtts:// 必须验证证书",
    ),
    (
        "mqtt://{host} sends everything in plain text; use mqtts://, or say 'insecure: true' for a "
        "broker on this machine",
        "mqtt://{host} 以明文传输；请用 mqtts://，若消息代理在本机则写 insecure: true",
    ),
    (
        "expected a url like mqtts://broker.example:8883, found {found}",
        "url 应如 mqtts://broker.example:8883，实为 {found}",
    ),
    (
        "a url carries no password; use username and password_file",
        "url 中不能有密码；请用 username 和 password_file",
    ),
    (
        "expected nothing after host and port, found {found}",
        "主机和端口之后不应有内容，实为 {found}",
    ),
    (
        "'cert' and 'key' go together: the client certificate and its key",
        "cert 与 key 须同时给出：客户端证书及其密钥",
    ),
    # commands of the platform
    ("this site takes no commands from there", "本站点不接受来自该处的命令"),
    ("no command key is pinned (keys/command.pub)", "没有固定命令公钥（keys/command.pub）"),
    ("no platform key is pinned (keys/platform.pub)", "没有固定平台公钥（keys/platform.pub）"),
    ("it is for {gateway}, this is {found}", "它发给 {gateway}，本机是 {found}"),
    ("it is for {gateway}", "它发给 {gateway}"),
    ("{order}: the site file does not allow it", "{order}：站点文件不允许"),
    ("number {number}; {last} was the last", "编号 {number}；上一个为 {last}"),
    ("the counter of commands cannot be kept now", "命令计数器目前无法保存"),
    (
        "the clock is unset: the nonce of the heartbeat is needed",
        "时钟未设置：需要心跳中的随机数",
    ),
    ("it was issued in the future", "签发时间在未来"),
    ("it has expired", "已过期"),
    ("it lives for too long", "有效期过长"),
    (
        "the counter was lost; issued too early to be told apart",
        "计数器已丢失；签发过早，无法判断是否重复",
    ),
    ("{order} {number} could not be done", "{order} {number} 未能执行"),
    ("there is no proposal {number}", "没有提议 {number}"),
    ("expected the number of a proposal", "应为提议的编号"),
    (
        "limit: expected 1 or more; oldest: expected true or false",
        "limit 应不小于 1；oldest 应为 true 或 false",
    ),
    ("lane: expected fire or event", "lane 应为 fire 或 event"),
    ("{key}: expected a whole number that is not negative", "{key}：应为非负整数"),
    # what happened to the record
    ("evicted", "旧记录已删除以腾出空间"),
    ("clock_established", "时钟已设置"),
    ("clock_stepped", "时钟被调整"),
    ("command", "平台命令"),
    ("proposal", "平台提议"),
    ("ack_refused", "平台的确认被拒绝"),
    ("command_refused", "平台的命令被拒绝"),
    ("duty_check", "中心查岗"),
    ("duty_missed", "查岗未应答"),
    ("duty_answered", "查岗已应答"),
    ("initialise", "中心要求初始化"),
    ("failover", "切换到备用接收机"),
    ("denied", "中心否认"),
    ("refused", "对端拒绝"),
    ("unreadable", "无法读取"),
    # duty checks
    (
        "the centre asks who is on duty: answer within {minutes} min",
        "监控中心查岗：请在 {minutes} 分钟内应答",
    ),
    (
        "the platform asks who is on duty: answer within {minutes} min",
        "平台查岗：请在 {minutes} 分钟内应答",
    ),
    # couriers and the record
    ("the courier process is not there", "传输进程未运行"),
    ("the courier process does not answer", "传输进程无应答"),
    ("has not come yet", "尚未连接"),
    ("no connection", "无连接"),
    ("not connected", "未连接"),
    ("not connected: {why}", "未连接：{why}"),
    ("not yet connected", "尚未连接"),
    ("connected", "已连接"),
    ("connected: {why}", "已连接：{why}"),
    ("the record closed its socket", "记录进程关闭了连接"),
    ("no record: {why}", "与记录进程无连接：{why}"),
    ("no answer", "无应答"),
    ("the record refused: {why}", "记录进程拒绝：{why}"),
    ("follows the record", "已跟随记录进程"),
    ("starts without knowing what happened before", "启动时无法得知此前发生的事"),
    (
        "expected the record of {site}, found {found}: both must run the same plan",
        "应为 {site} 的记录，实为 {found}：两者须使用同一配置",
    ),
    ("the plan has these couriers: {names}", "配置中的传输目的地：{names}"),
    # MQTT
    ("no acknowledgement from the platform for {seconds} s", "平台已 {seconds} 秒没有确认"),
    ("no acknowledgement from the platform", "平台没有确认"),
    ("the broker does not confirm what it is sent", "消息代理不确认收到的数据"),
    (
        "the broker has nobody who listens: the platform's receiver is away",
        "消息代理上无人接收：平台的接收程序不在线",
    ),
    (
        "the broker does not let this gateway read its acknowledgements: {why}",
        "消息代理不允许本网关读取平台的确认：{why}",
    ),
    (
        "the broker does not let this gateway read its commands: {why}",
        "消息代理不允许本网关读取平台的命令：{why}",
    ),
    ("the broker refuses batches: {why}", "消息代理拒收数据：{why}"),
    ("unspecified error", "未说明的错误"),
    ("implementation specific error", "代理自定义的错误"),
    (
        "not authorized: its access list must let this gateway write its up topics",
        "未授权：其访问控制表须允许本网关写入 up 主题",
    ),
    ("topic name invalid", "主题名无效"),
    ("quota exceeded", "超出配额"),
    ("payload format invalid", "负载格式无效"),
    (
        "a batch of {size} bytes exceeds the broker's maximum packet size of {most}",
        "一批 {size} 字节的数据超过消息代理的最大报文 {most} 字节",
    ),
    ("an acknowledgement was refused by the record: {code}", "记录进程拒绝了一个确认：{code}"),
    ("the record offered something that is no batch", "记录进程提供了不是数据批的内容"),
    ("the record offered a batch of {size} bytes", "记录进程提供了 {size} 字节的数据批"),
    ("the record offered batch {name}: {detail}", "记录进程提供了数据批 {name}：{detail}"),
    (
        "the broker's certificate is not to be trusted: {why}",
        "消息代理的证书不可信：{why}",
    ),
    ("the broker refused to subscribe: {why}", "消息代理拒绝订阅：{why}"),
    ("the broker refused: {why}", "消息代理拒绝连接：{why}"),
    ("the broker broke the protocol: {detail}", "消息代理违反协议：{detail}"),
    ("the broker closed the connection", "消息代理关闭了连接"),
    ("the broker does not read", "消息代理不接收数据"),
    ("the broker sent {detail}", "消息代理发来错误报文：{detail}"),
    ("the connection is closed", "连接已关闭"),
    ("the connection ended: {why}", "连接结束：{why}"),
    ("the connection ended", "连接结束"),
    ("no answer within {seconds} s", "{seconds} 秒内无应答"),
    ("no CONNACK within {seconds} s", "{seconds} 秒内未收到 CONNACK"),
    ("a second CONNACK", "收到第二个 CONNACK"),
    ("could not write", "无法写入"),
    ("could not publish: {detail}", "无法发布：{detail}"),
    # centres
    ("the other end closed the connection", "对端关闭了连接"),
    ("the connection takes no more", "连接不再接收数据"),
    ("no receiver answers", "所有接收机均无应答"),
    ("the receiver refuses a fire", "接收机拒收火警"),
    ("the receiver has not answered yet", "接收机尚未应答"),
    ("the receiver does not answer", "接收机无应答"),
    ("the receiver speaks something else", "接收机使用的协议不符"),
    ("on stand-by receiver {number}", "正在使用备用接收机 {number}"),
    ("changes the receiver", "正在切换接收机"),
    ("back to the main receiver", "恢复使用主接收机"),
    ("the centre does not confirm what it is sent", "中心不确认收到的数据"),
    ("the centre denies a fire", "中心否认火警"),
    ("the centre has not answered yet", "中心尚未应答"),
    ("the centre does not answer", "中心无应答"),
    ("what comes is no GB/T 26875.3", "收到的数据不符合 GB/T 26875.3"),
    # sockets of the gateway
    ("{socket}: {why}; is the process running?", "{socket}：{why}；该进程是否在运行？"),
    ("the connection is closed or its buffer is full", "连接已关闭，或其缓冲区已满"),
    ("the gateway closed the connection", "网关关闭了连接"),
    # the operating system
    ("Connection refused", "连接被拒绝"),
    ("Connection reset by peer", "连接被对端重置"),
    ("Connection timed out", "连接超时"),
    ("Software caused connection abort", "连接中止"),
    ("Broken pipe", "连接已断开"),
    ("No route to host", "没有到主机的路由"),
    ("Host is down", "主机不在线"),
    ("Network is unreachable", "网络不可达"),
    ("Network is down", "网络中断"),
    ("Cannot assign requested address", "本机没有该地址"),
    ("Address already in use", "地址已被占用"),
    ("Name or service not known", "域名无法解析"),
    ("Temporary failure in name resolution", "域名解析暂时失败"),
    ("No address associated with hostname", "域名没有对应的地址"),
    ("No such file or directory", "文件或目录不存在"),
    ("No such device", "设备不存在"),
    ("No such device or address", "设备或地址不存在"),
    ("Not a directory", "不是目录"),
    ("Is a directory", "是目录，不是文件"),
    ("Permission denied", "权限不足"),
    ("Operation not permitted", "操作不被允许"),
    ("Device or resource busy", "设备正被占用"),
    ("Input/output error", "读写错误"),
    ("No space left on device", "磁盘空间不足"),
    ("Disk quota exceeded", "超出磁盘配额"),
    ("Read-only file system", "文件系统只读"),
    ("Too many open files", "打开的文件过多"),
    ("Cannot allocate memory", "内存不足"),
    ("database or disk is full", "数据库或磁盘已满"),
    ("disk I/O error", "磁盘读写错误"),
    ("database disk image is malformed", "数据库文件已损坏"),
    ("file is not a database", "文件不是数据库"),
    ("unable to open database file", "无法打开数据库文件"),
    ("attempt to write a readonly database", "数据库只读"),
    ("database is locked", "数据库被占用"),
    ("certificate has expired", "证书已过期"),
    ("self-signed certificate", "自签名证书"),
    ("unable to get local issuer certificate", "找不到签发者证书"),
    # where: of what a line or a courier begins with, so last of all
    ("[Errno {number}] {why}", "{why}（错误码 {number}）"),
    ("mqtt://{host}: {why}", "mqtt://{host}：{why}"),
    ("mqtts://{host}: {why}", "mqtts://{host}：{why}"),
    ("{chip} line {line}: {why}", "{chip} 引脚 {line}：{why}"),
    ("/{path}: {why}", "/{path}：{why}"),
    ("{host}:{port}: {why}", "{host}:{port}：{why}"),
)
