"""Ports by what does not change: the adapter's serial number, or the socket that it is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.link.direction import drives_direction
from drivers.link.port import find_port
from drivers.link.stream import LinkError


def _plugged(directory: Path, folder: str, *names: str) -> None:
    (directory / folder).mkdir(exist_ok=True)
    for name in names:
        (directory / folder / name).symlink_to("../../ttyUSB0")


def test_an_adapter_is_found_by_its_serial_number(tmp_path: Path) -> None:
    name = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    _plugged(tmp_path, "by-id", name, "usb-FTDI_FT232R_USB_UART_B1-if00-port0")
    assert find_port("usb:A50285BI", tmp_path) == str(tmp_path / "by-id" / name)


def test_an_adapter_is_found_by_its_socket(tmp_path: Path) -> None:
    _plugged(tmp_path, "by-path", "platform-xhci-usb-0:1.2:1.0-port0")
    found = find_port("path:usb-0:1.2:", tmp_path)
    assert found.endswith("by-path/platform-xhci-usb-0:1.2:1.0-port0")


def test_a_plain_path_is_what_it_is() -> None:
    assert find_port("/dev/ttyS0") == "/dev/ttyS0"


@pytest.mark.parametrize("part", ["C3", "FT232R"])
def test_none_or_several_are_told_with_what_is_there(tmp_path: Path, part: str) -> None:
    _plugged(tmp_path, "by-id", "usb-FT232R_A1-port0", "usb-FT232R_B1-port0")
    with pytest.raises(LinkError, match="FT232R_A1-port0, usb-FT232R_B1"):
        find_port(f"usb:{part}", tmp_path)


def test_nothing_plugged_in(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="none is plugged in"):
        find_port("usb:A1", tmp_path)


def test_a_port_without_rs485_says_so() -> None:
    master, slave = os.openpty()
    try:
        assert not drives_direction(slave)
    finally:
        os.close(master)
        os.close(slave)
