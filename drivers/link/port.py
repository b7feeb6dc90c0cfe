"""Which device node a port of the plan is now.

A USB adapter that was unplugged may come back under another name. The site file can therefore name
it by what does not change: a link of /dev/serial/by-id (the adapter) or /dev/serial/by-path (the
socket), or `usb:SERIAL` and `path:PLACE`, parts of such names that fit exactly one of them.
"""

from __future__ import annotations

from pathlib import Path

from drivers.link.stream import LinkError

SERIAL_DIRECTORY = Path("/dev/serial")
_FOLDERS = {"usb": "by-id", "path": "by-path"}


def find_port(port: str, directory: Path | None = None) -> str:
    """The path to open now. Raises LinkError when none or several fit.

    directory: instead of SERIAL_DIRECTORY.
    """
    kind, separator, part = port.partition(":")
    if not separator or kind not in _FOLDERS:
        return port
    folder = (directory or SERIAL_DIRECTORY) / _FOLDERS[kind]
    try:
        names = sorted(p.name for p in folder.iterdir())
    except FileNotFoundError:
        names = []
    except OSError as e:
        raise LinkError(
            f"serial port {port}: {folder}: {e.strerror}", f"串口 {port}：{folder}：{e.strerror}"
        ) from e
    found = [name for name in names if part in name]
    if len(found) != 1:
        listed = ", ".join(found or names) or "none is plugged in"
        raise LinkError(
            f"serial port {port}: expected one name with '{part}' in {folder}, "
            f"found {len(found)}: {listed}",
            f"串口 {port}：{folder} 中应有且仅有一个名称含“{part}”，"
            f"实际 {len(found)} 个：{', '.join(found or names) or '未插入任何设备'}",
        )
    return str(folder / found[0])
