"""What `embergate verify` finds, and why its input cannot be used, English and Chinese (see
told_words).

`{name}` stands for whatever is there: it stays. `{why}` is a text of the gateway itself and is
translated, too.
"""

from __future__ import annotations

from config.messages import Pair

TEXTS: tuple[Pair, ...] = (
    # input that cannot be used
    (
        "{path}: expected keys/device.pub beside it, found none; name the trust list or public key "
        "with --trust",
        "{path}：旁边应有 keys/device.pub，但没有；请用 --trust 指定信任列表或公钥",
    ),
    ("{path}: expected *.pub files, found none", "{path}：应有 *.pub 文件，但没有"),
    ("{path}: expected an Ed25519 public key in PEM", "{path}：应为 PEM 格式的 Ed25519 公钥"),
    (
        "{path}: expected a journal (record/events.db), found none",
        "{path}：应有记录文件（record/events.db），但没有",
    ),
    (
        "{path}: it is not a journal that can be read: {why}",
        "{path}：不是可读取的记录文件：{why}",
    ),
    (
        "{path}: larger than {most} bytes; verify it in parts",
        "{path}：超过 {most} 字节；请分批校验",
    ),
    (
        "{path}: {why}; 'embergate-fw public' writes one",
        "{path}：{why}；可用 embergate-fw public 生成",
    ),
    (
        "{path}: larger than {most} bytes: not a trust list",
        "{path}：超过 {most} 字节，不是信任列表",
    ),
    (
        "{path}: expected {form}; 'embergate-fw public DIR --gateway ID --into FILE' writes it",
        "{path}：应为 {form}；可用“embergate-fw public DIR --gateway ID --into FILE”生成",
    ),
    (
        "{path}: keys[{number}]: key {kid} speaks for {gateway} already",
        "{path}：keys[{number}]：密钥 {kid} 已属于 {gateway}",
    ),
    (
        "{path}: expected a map with gateway, kid, algorithm, public",
        "{path}：应为含 gateway、kid、algorithm、public 的映射",
    ),
    (
        "{path}: expected algorithm 'ed25519', found {found}",
        "{path}：algorithm 应为 ed25519，实为 {found}",
    ),
    ("{path}: expected a gateway id, found {found}", "{path}：应为网关标识，实为 {found}"),
    (
        "{path}: expected 'public' in base64 and 'kid' in hex",
        "{path}：public 应为 base64，kid 应为十六进制",
    ),
    (
        "{path}: 'kid' is not that of the public key: {found} bytes",
        "{path}：kid 与公钥不符：{found} 字节",
    ),
    # what is wrong with a file
    (
        "{path}: {lane} {number} of epoch {epoch}: {why}",
        "{path}：纪元 {epoch} 的 {lane} {number}：{why}",
    ),
    ("{path}: the file is damaged: {why}", "{path}：文件已损坏：{why}"),
    ("{path}: places cannot be read: {why}", "{path}：传输进度无法读取：{why}"),
    (
        "{path}: at byte {at}: {why}; the rest was not read",
        "{path}：第 {at} 字节：{why}；其余部分未读取",
    ),
    ("{path}: at byte {at}: {why}", "{path}：第 {at} 字节：{why}"),
    ("misplaced: holds {lane} {number}", "位置错误：内容为 {lane} {number}"),
    ("replayed: holds {lane} {number}", "重放：内容为 {lane} {number}"),
    ("foreign: batches of {name} in {most}'s journal", "外来：{most} 的记录中有 {name} 的批次"),
    (
        "after_end: {lane} of epoch {epoch}: a later epoch says that it ended at {end}, "
        "the journal has {last}",
        "结束后追加：纪元 {epoch} 的 {lane}：后一纪元声明止于 {end}，记录中却有 {last}",
    ),
    (
        "truncated: {lane} of epoch {epoch}: {courier} was acknowledged up to {number}, "
        "the journal ends at {last}: its tail is missing",
        "末尾被截断：纪元 {epoch} 的 {lane}：{courier} 已确认到 {number}，"
        "记录止于 {last}：末尾缺失",
    ),
    # what is wrong with a chain
    (
        "another batch with this number is held: cloned key, or a copied card",
        "已有另一个同编号的批次：密钥被复制，或存储卡被复制",
    ),
    ("this epoch was opened by another batch", "此纪元由另一个批次开启"),
    ("the epoch cannot be read: {why}", "纪元无法读取：{why}"),
    (
        "epoch {epoch} has the same ordinal: cloned or restored",
        "纪元 {epoch} 序号相同：存储卡被复制，或恢复了旧数据",
    ),
    ("it does not follow the epochs around it", "与前后纪元不衔接"),
    ("another batch with this number was seen", "出现过另一个同编号的批次"),
    ("{count} batches wait for number {number} already", "已有 {count} 个批次在等待编号 {number}"),
    ("its hash does not join its neighbour's", "其哈希与相邻批次不衔接"),
    ("the first of the lane does not point at its epoch", "该通道的第一个批次未指向其纪元"),
    (
        "its monotonic time is before that of the batch before it",
        "其单调时间早于前一批次",
    ),
    ("the batch that opened this epoch is missing", "缺少开启此纪元的批次"),
    ("{lane} ended at {end}; {missing} are missing", "{lane} 止于 {end}；缺少 {missing}"),
    ("a later epoch names another batch as the last one", "后一纪元声明的最后批次不是这一个"),
    (
        "{lane} {missing} are missing and nothing declares them lost",
        "{lane} 缺少 {missing}，且没有丢失声明",
    ),
    ("a heartbeat names another batch under this number", "心跳声明的同编号批次不是这一个"),
    (
        "the gateway has {lane} up to {number}; nothing after {last} arrives",
        "网关的 {lane} 已到 {number}；{last} 之后没有到达",
    ),
    ("dropped: {what}", "已丢弃：{what}"),
    ("evicted: {what}", "为腾出空间而删除：{what}"),
    ("damaged: {what}", "因损坏丢失：{what}"),
    # what is wrong with a signature
    ("signed, but it cannot be read: {why}", "签名有效，但无法读取：{why}"),
    ("unknown_key: {why}", "未知密钥：{why}"),
    ("forged: {why}", "签名错误：{why}"),
    ("foreign: {why}", "不属于此网关：{why}"),
    ("malformed: {why}", "格式错误：{why}"),
    ("too_large: {detail}", "过大（{detail}）"),
    ("wrong_type: {why}", "类型错误：{why}"),
    ("version: {detail}", "版本不符（{detail}）"),
    ("unknown_table: {detail}", "缺少所指的点表（{detail}）"),
    ("{size} bytes, at most {most}", "{size} 字节，最多 {most} 字节"),
    ("expected a COSE_Sign1 with tag 18", "应为带标签 18 的 COSE_Sign1"),
    (
        "expected [protected, {}, payload, signature]",
        "应为 [protected, {}, payload, signature]",
    ),
    (
        "expected a key id of 8 bytes in the protected header",
        "受保护头中应有 8 字节的密钥标识",
    ),
    (
        "expected EdDSA over {wanted}, found the header {found}",
        "应为对 {wanted} 的 EdDSA 签名，实为头 {found}",
    ),
    ("key {kid} is not in the trust list", "密钥 {kid} 不在信任列表中"),
    ("the signature is not by key {kid}", "签名不是由密钥 {kid} 作出"),
    (
        "key {kid} belongs to {gateway}, the batch says {said}",
        "密钥 {kid} 属于 {gateway}，批次声称 {said}",
    ),
    (
        "it counts its epochs from {ordinal} again and was at {newest}: an older copy of its "
        "record was put back, or its key is in two places",
        "纪元从 {ordinal} 重新计数，而此前已到 {newest}：恢复了旧的记录副本，或密钥存在于两处",
    ),
)
