"""The units as the service manager's own tools see them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
SERVICES = (
    "embergate-field.service", "embergate-record.service", "embergate-courier@.service",
    "embergate-opendata@.service",
)  # fmt: skip
COMMAND = "/opt/embergate/venv/bin/embergate"


def directives(name: str) -> dict[str, list[str]]:
    """All settings of a unit file: a setting may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exposure(path: Path) -> float:
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", str(path))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("embergate-field.service", 1.5),
        ("embergate-record.service", 0.5),
        ("embergate-courier@.service", 1.1),
        ("embergate-opendata@.service", 1.1),
    ],
)
def test_exposure(name: str, most: float) -> None:
    assert exposure(UNITS / name) <= most


def test_exposure_of_field_with_its_device_addresses(tmp_path: Path) -> None:
    """The drop-in that every site has must not break the promise."""
    shutil.copy(UNITS / "embergate-field.service", tmp_path)
    drop_ins = tmp_path / "embergate-field.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "50-field-addresses.conf.example", drop_ins / "50-field-addresses.conf")
    shutil.copy(UNITS / "60-cached-jit.conf.example", drop_ins / "60-cached-jit.conf")
    assert exposure(tmp_path / "embergate-field.service") <= 1.7


def test_verify_finds_nothing(tmp_path: Path) -> None:
    """The program is replaced by one that exists: the tool wants to see an executable."""
    paths = []
    for path in [*UNITS.glob("*.service"), *UNITS.glob("*.target")]:
        text = path.read_text(encoding="utf-8").replace(COMMAND, shutil.which("true") or "")
        copy = tmp_path / path.name.replace("@.", "@platform.")
        copy.write_text(text, encoding="utf-8")
        paths.append(str(copy))
    done = run("systemd-analyze", "verify", "--man=no", *paths)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SERVICES)
def test_life_and_death(name: str) -> None:
    unit = directives(name)
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["LimitCORE"] == ["0"], "a dump would hold keys and wear the card"
    assert unit["ExecStart"][0].startswith(COMMAND + " ")
    assert "-O" not in unit["ExecStart"][0].split()


@pytest.mark.parametrize("name", SERVICES[:2])
def test_back_within_two_seconds(name: str) -> None:
    unit = directives(name)
    assert unit["RestartSec"] == ["200ms"]
    assert unit["WatchdogSec"] == ["5"]
    assert unit["TimeoutAbortSec"] == ["1"]


def test_the_siren_waits_for_nobody() -> None:
    unit = directives("embergate-field.service")
    for key in ("After", "Wants", "Requires", "Requisite", "BindsTo", "RequiresMountsFor"):
        assert key not in unit, key
    for name in SERVICES:
        text = (UNITS / name).read_text(encoding="utf-8")
        assert "RequiresMountsFor" not in text, "a disk that is missing is a fault, not the end"
        assert "network-online" not in text
        assert "time-sync" not in text


def test_who_has_what() -> None:
    field, record, courier, opendata = map(directives, SERVICES)
    assert opendata["User"] == ["embergate-opendata"], "no role but to look"
    assert "-/etc/embergate/couriers" in opendata["InaccessiblePaths"][0]
    assert "LoadCredential" not in opendata
    assert "LoadCredential" not in field
    assert "LoadCredential" not in courier
    assert record["LoadCredential"] == ["device.key:/etc/embergate/keys/device.key"]
    assert record["PrivateNetwork"] == ["yes"]
    assert field["IPAddressDeny"] == ["any"]
    assert field["IPAddressAllow"] == ["localhost"]
    assert [u["PrivateDevices"] for u in (record, courier)] == [["yes"], ["yes"]]
    assert "ReadWritePaths" not in courier
    assert field["ReadWritePaths"] == ["/run/embergate"]
    # A server in a user namespace of its own would see every peer as nobody (SO_PEERCRED).
    assert "PrivateUsers" not in field
    assert "PrivateUsers" not in record


def test_field_opens_serial_lines_and_gpio_and_no_console() -> None:
    """A group is a whole major number, and the consoles share that of the on-board serial ports."""
    unit = directives("embergate-field.service")
    assert unit["DevicePolicy"] == ["closed"]
    ports = [f"/dev/char/4:{64 + n}" for n in range(8)]  # 4:0 to 4:63 are consoles
    groups = [f"char-{name}" for name in ("ttyUSB", "ttyACM", "ttyAMA", "gpiochip")]
    assert sorted(unit["DeviceAllow"]) == sorted(f"{name} rw" for name in [*groups, *ports])


def test_the_users_are_those_that_the_sockets_know() -> None:
    known = (ROOT / "agent" / "ipc_roles.py").read_text(encoding="utf-8")
    declared = (UNITS / "embergate.sysusers.conf").read_text(encoding="utf-8")
    for name in SERVICES:
        user = directives(name)["User"][0]
        assert f'"{user}"' in known
        assert re.search(rf"^u {user} ", declared, re.M)
        for group in directives(name)["Group"] + directives(name).get("SupplementaryGroups", []):
            for word in group.split():
                assert re.search(rf"^g {word} ", declared, re.M), word
    for group in re.findall(r'"(embergate-(?:view|acknowledge|operate))"', known):
        assert re.search(rf"^g {group} ", declared, re.M), group


def test_sysusers_makes_them(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "sysusers.d"
    target.mkdir(parents=True)
    shutil.copy(UNITS / "embergate.sysusers.conf", target / "embergate.conf")
    done = run("systemd-sysusers", f"--root={tmp_path}")
    assert done.returncode == 0, done.stderr
    users = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8")
    assert {line.split(":")[0] for line in users.splitlines()} >= {
        "embergate-field",
        "embergate-record",
        "embergate-courier",
    }
    groups = {
        line.split(":")[0]: line.split(":")[3].split(",")
        for line in (tmp_path / "etc" / "group").read_text(encoding="utf-8").splitlines()
    }
    assert set(groups["embergate-run"]) == {"embergate-field", "embergate-record"}


def test_tmpfiles_lines() -> None:
    owners = re.findall(
        r"^[gu] (\S+)", (UNITS / "embergate.sysusers.conf").read_text(encoding="utf-8"), re.M
    )
    lines = (UNITS / "embergate.tmpfiles.conf").read_text(encoding="utf-8").splitlines()
    made = {}
    for line in lines:
        if line.startswith("#"):
            continue
        kind, path, mode, user, group, age = line.split()
        assert kind in ("d", "z")
        assert re.fullmatch(r"[0-7]{4}", mode)
        assert user in (*owners, "root")
        assert group in (*owners, "root")
        assert age == "-"
        made[path] = mode
    assert made["/etc/embergate/keys/device.key"] == "0600"
    assert made["/run/embergate"] == "1775", "sticky: no process removes another's socket"
    for name in SERVICES:
        for value in directives(name).get("ReadWritePaths", []):
            assert {path.removeprefix("-") for path in value.split()} <= set(made)


def test_udev_rules() -> None:
    text = (UNITS / "70-embergate.rules").read_text(encoding="utf-8").replace("\\\n", " ")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    operation = re.compile(r'[A-Z]+(\{[^}]+\})?(==|!=|=|\+=|:=)"[^"]*"')
    for rule in rules:
        for part in re.split(r",\s+", rule.strip().rstrip(",")):
            assert operation.fullmatch(part.strip()), part
    assert "latency_timer" in text
    assert 'GOTO="embergate_end"' in text
    assert 'LABEL="embergate_end"' in text


def test_catalogue_compiles_and_names_what_the_code_logs(tmp_path: Path) -> None:
    target = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    target.mkdir(parents=True)
    shutil.copy(UNITS / "embergate.catalog", target)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    done = run("journalctl", "--update-catalog", f"--root={tmp_path}")
    assert done.returncode == 0, done.stderr
    entries = run("journalctl", "--list-catalog", f"--root={tmp_path}").stdout.splitlines()
    text = (UNITS / "embergate.catalog").read_text(encoding="utf-8")
    ids = re.findall(r"^-- ([0-9a-f]{32})$", text, re.M)
    assert len(ids) == len(set(ids)) == len(entries)
    assert len(ids) > 0


def test_stage_lays_out_every_file(tmp_path: Path) -> None:
    done = run(str(ROOT / "scripts" / "install"), "--stage", str(tmp_path))
    assert done.returncode == 0, done.stderr
    laid = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert {f"etc/systemd/system/{name}" for name in SERVICES} <= laid
    assert "etc/udev/rules.d/70-embergate.rules" in laid
    documentation = directives("embergate-field.service")["Documentation"][0]
    assert documentation.removeprefix("file:/") in laid


def test_drop_in_examples_are_units() -> None:
    for path in UNITS.glob("*.conf.example"):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(path, encoding="utf-8")
        expected = ["Manager"] if "hardware-watchdog" in path.name else ["Service"]
        assert parser.sections() == expected, path
