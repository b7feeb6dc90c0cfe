"""The sites that are measured."""

from __future__ import annotations

from pathlib import Path

HEATS = 120  # one change each: a point that jumps again and again is a chattering sensor;
# the contacts, which change as often as they are measured, have that rule switched off


def load_site(path: Path, ports: list[int], registers: int, broker_port: int) -> None:
    """One TCP device a port, `registers` heat points each, read every second."""
    lines = [
        "site: {id: bench-load, name: Bench, region: eu}",
        "links:",
        *(f"  l{i}: {{kind: tcp, host: 127.0.0.1, port: {p}}}" for i, p in enumerate(ports)),
        "devices:",
    ]
    for i in range(len(ports)):
        lines += [f"  d{i}:", f"    link: l{i}", "    unit: 1", "    poll: 1s", "    points:"]
        lines += [
            f"      p{n}: {{register: input {n}, type: int16, scale: 0.1, unit: °C, "
            "kind: heat, class: A1}"
            for n in range(registers)
        ]
    lines += [
        "  relays: {link: l0, unit: 9, profile: relay-8}",
        "zones:",
        f"  all: {{points: [{', '.join(f'd{i}.*' for i in range(len(ports)))}], alarm: any}}",
        "sirens:",
        "  stair: {device: relays, coil: 0}",
        "effects:",
        "  - {when: {zone: all, state: fire}, sound: [stair], pattern: evacuate}",
        "couriers:",
        f'  platform: {{kind: mqtt, url: "mqtt://127.0.0.1:{broker_port}", '
        "insecure: trusted-network}",
    ]
    path.write_text("\n".join(lines) + "\n")


def latency_site(path: Path, port: int, riser: Path, broker_port: int) -> None:
    """A contact, a heat point and a siren on TCP at 100 ms, and the same on a 9,600 baud line."""
    heats = "\n".join(
        f"      heat_{n}: {{register: input {n}, type: int16, scale: 0.1, unit: °C, kind: heat, "
        "class: A1}"
        for n in range(HEATS)
    )
    path.write_text(
        f"""
site: {{id: bench-latency, name: Bench, region: eu}}
links:
  control: {{kind: tcp, host: 127.0.0.1, port: {port}}}
  riser: {{kind: rs485, port: {riser}, baud: 9600, parity: none, timeout: 200ms}}
devices:
  inputs:
    link: control
    unit: 1
    poll: 100ms
    points:
      knock: {{register: discrete 0, kind: contact, state: fire, active: 1,
        chatter: none}}
{heats}
  relays: {{link: control, unit: 9, profile: relay-8}}
  line_inputs:
    link: riser
    unit: 1
    poll: 100ms
    points:
      knock: {{register: discrete 0, kind: contact, state: fire, active: 1,
        chatter: none}}
  line_relays: {{link: riser, unit: 9, profile: relay-8}}
zones:
  tcp: {{points: [inputs.*], alarm: any}}
  line: {{points: [line_inputs.knock], alarm: any}}
sirens:
  tcp_siren: {{device: relays, coil: 0}}
  line_siren: {{device: line_relays, coil: 0}}
effects:
  - {{when: {{zone: tcp, state: fire}}, sound: [tcp_siren], pattern: evacuate}}
  - {{when: {{zone: line, state: fire}}, sound: [line_siren], pattern: evacuate}}
couriers:
  platform: {{kind: mqtt, url: "mqtt://127.0.0.1:{broker_port}", insecure: trusted-network}}
"""
    )
