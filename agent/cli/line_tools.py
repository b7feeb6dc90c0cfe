"""`embergate scan`, `probe`, `listen`, `record-line`, `write-coil`: looking at a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.line_words import words
from agent.commission.lines import BAUDS, PARITIES, ToolError, parse_line, setting_text
from agent.commission.overhear import overhear
from agent.commission.probe import (
    Seen,
    as_signed,
    ascii_text,
    bcd,
    double,
    float_text,
    pairs,
    read_range,
    texts,
)
from agent.commission.scan import Found, ScanPlan, scan
from config import quantity
from config.desk_limits import (
    LINE_RECORDING_BYTES_MAX,
    LINE_RECORDING_CHUNKS_MAX,
    PROBE_REGISTERS_MAX,
    PROBE_WAIT_NS,
    SCAN_LISTEN_NS,
    SCAN_PAUSE_NS,
    SCAN_WAIT_NS,
    TOOL_TIME_NS_MAX,
)
from config.limits import MS, S
from config.plan import Line
from config.registers import TABLES, short_form
from drivers.link.stream import LinkError
from drivers.modbus.frame import read_query, write_coil_query
from drivers.modbus.line_file import Chunk, chunk_text, header_text
from drivers.modbus.listen import Exchange, Listener
from drivers.modbus.single import SingleAsker

T = TypeVar("T")
LineArgument = Annotated[
    str, typer.Argument(help="/dev/ttyUSB0, tcp:192.0.2.10:502 or rtu_tcp:192.0.2.10:4001")
]
Baud = Annotated[int, typer.Option(help="of a serial port")]
Parity = Annotated[str, typer.Option(help="none, even or odd")]
StopBits = Annotated[int, typer.Option("--stop-bits", min=1, max=2)]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable")]
ForTime = Annotated[str, typer.Option("--for", help="how long, e.g. 30s or 10min")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("scan")(scan_)
    app.command("probe")(probe)
    app.command("listen")(listen)
    app.command("record-line")(record_line)
    app.command("write-coil")(write_coil)


def finish(work: Coroutine[Any, Any, T], lang: str = "en") -> T:
    """Run it; exit 1 with a message when the line cannot be used."""
    try:
        return asyncio.run(work)
    except (ToolError, LinkError) as e:
        typer.echo(e.text(lang), err=True)
        raise typer.Exit(1) from e
    except KeyboardInterrupt as e:
        raise typer.Exit(130) from e


def line_of(text: str, baud: int, parity: str, stop_bits: int, lang: str = "en") -> Line:
    """The line, or exit 2."""
    try:
        return parse_line(text, baud=baud, parity=parity, stop_bits=stop_bits)
    except ToolError as e:
        raise typer.BadParameter(e.text(lang)) from e


def time_ns(text: str) -> int:
    """A time with its unit, or exit 2."""
    found = quantity.parse(text)
    if found is None or not quantity.compatible(found.unit, "s"):
        raise typer.BadParameter(f"expected a time with its unit, like 30s; found '{text}'")
    ns = round(quantity.convert(found.value, found.unit, "s") * S)
    if not MS <= ns <= TOOL_TIME_NS_MAX:
        raise typer.BadParameter(f"expected 1ms to {TOOL_TIME_NS_MAX // S}s; found '{text}'")
    return ns


def _units(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise typer.BadParameter(f"--units: expected 1-247 or 7; found '{text}'")
    low, high = int(first[:9]), int((last or first)[:9])
    if not 1 <= low <= high <= 247:
        raise typer.BadParameter(f"--units: expected 1 to 247, the lower first; found '{text}'")
    return list(range(low, high + 1))


def _numbers(text: str) -> list[int]:
    values = [int(t) if t.strip().isdecimal() else 0 for t in text.split(",")]
    if any(v not in BAUDS for v in values):
        known = ", ".join(str(b) for b in BAUDS)
        raise typer.BadParameter(f"--bauds: expected some of {known}; found '{text}'")
    return values


def scan_(
    line: LineArgument,
    *,
    units: Annotated[str, typer.Option(help="unit addresses to try")] = "1-247",
    bauds: Annotated[str, typer.Option(help="in this order")] = "9600,19200,4800,38400,115200",
    parities: Annotated[str, typer.Option(help="in this order")] = "none,even,odd",
    wait: Annotated[str, typer.Option(help="for each unit")] = f"{SCAN_WAIT_NS // MS}ms",
    pause: Annotated[str, typer.Option(help="between requests")] = f"{SCAN_PAUSE_NS // MS}ms",
    listen_for: Annotated[
        str, typer.Option("--listen", help="silence that is wanted first")
    ] = f"{SCAN_LISTEN_NS // S}s",
    every_setting: Annotated[
        bool, typer.Option("--all", help="go on after a setting at which units answered")
    ] = False,
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Find units: reads one register of each, at every setting. Refuses a line that is in use."""
    lang = tongue(lang)
    asked = parities.split(",")
    if any(w not in PARITIES for w in asked):
        raise typer.BadParameter(f"--parities: expected none, even, odd; found '{parities}'")
    where = line_of(line, 9600, "none", 1, lang)
    plan = ScanPlan(
        _numbers(bauds), [PARITIES[w] for w in asked], _units(units), time_ns(wait),
        time_ns(pause), time_ns(listen_for), every_setting,
    )  # fmt: skip
    total = len(plan.settings(where)) * len(plan.units)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words("scan.listening", lang), total=total)

        def step(setting: str, unit: int) -> None:
            bar.update(
                task, advance=1, description=words("scan.step", lang, setting=setting, unit=unit)
            )

        found = finish(scan(where, plan, step), lang)
    _show_found(found, as_json_, lang)


def _show_found(found: list[Found], as_json_: bool, lang: str) -> None:
    if as_json_:
        rows = [{"setting": f.setting, "unit": f.unit, "exception": f.exception,
                 "spoilt": f.spoilt} for f in found]  # fmt: skip
        print(json.dumps(rows))
        return
    for f in found:
        key = "spoilt" if f.spoilt else "exception" if f.exception else "answers"
        print(words(f"scan.{key}", lang, setting=f.setting, unit=f.unit, code=f.exception))
    if not found:
        print(words("scan.nobody", lang))


def probe(
    line: LineArgument,
    unit: Annotated[int, typer.Argument(min=0, max=255)],
    table: Annotated[str, typer.Argument(help="coil, discrete, input or holding")],
    first: Annotated[int, typer.Argument(min=0, max=65_535, help="from 0, as on the wire")],
    count: Annotated[int, typer.Argument(min=1, max=PROBE_REGISTERS_MAX)] = 10,
    *,
    baud: Baud = 9600,
    parity: Parity = "none",
    stop_bits: StopBits = 1,
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Read a range and show it in all plausible types and word orders at once."""
    if table not in TABLES:
        raise typer.BadParameter(f"expected one of {', '.join(TABLES)}; found '{table}'")
    if first + count > 65_536:
        raise typer.BadParameter(f"addresses end at 65535; {first} and {count} more do not fit")
    function = TABLES[table][0]
    lang = tongue(lang)
    where = line_of(line, baud, parity, stop_bits, lang)
    seen = finish(_probe(where, unit, function, first, count), lang)
    if as_json_:
        rows = [_probed(seen, k) for k in range(len(seen))]
        said = texts([s.word for s in seen]) if function >= 3 else []
        if said:  # of the whole range, told with its first address
            rows[0]["texts"] = [asdict(reading) for reading in said]
        print(json.dumps(rows, ensure_ascii=False))
    elif function < 3:
        for s in seen:
            print(f"{short_form(function, s.address)}: {s.why or s.word}")
    else:
        _probe_table(seen, function, lang)
    if all(s.word is None for s in seen):
        raise typer.Exit(1)


async def _probe(line: Line, unit: int, function: int, first: int, count: int) -> list[Seen]:
    asker = SingleAsker(line)
    try:
        await asker.open()
        return await read_range(asker, unit, function, first, count, PROBE_WAIT_NS)
    finally:
        asker.close()


def _probed(seen: list[Seen], k: int) -> dict[str, Any]:
    s = seen[k]
    if s.word is None:
        return {"address": s.address, "why": s.why}
    out: dict[str, Any] = {"address": s.address, "uint16": s.word, "int16": as_signed(s.word),
                           "hex": f"{s.word:04X}", "ascii": ascii_text(s.word),
                           "bcd": bcd(s.word)}  # fmt: skip
    following = seen[k + 1].word if k + 1 < len(seen) else None
    if following is not None:
        for r in pairs(s.word, following):
            out[r.order] = {"uint32": r.uint32, "int32": r.int32,
                            "float32": float_text(r.float32), "plausible": r.plausible}  # fmt: skip
    words = [x.word for x in seen[k : k + 4]]
    whole = [w for w in words if w is not None]
    if len(whole) == 4:
        out["float64"] = float_text(double(whole))
    return out


def _probe_table(seen: list[Seen], function: int, lang: str) -> None:
    names = [words(key, lang) for key in ("register", "bits", "text")]
    table = Table(names[0], "hex", "uint16", "int16", *names[1:], "bcd", box=None)
    for name in ("ABCD", "CDAB", "BADC", "DCBA"):
        table.add_column(f"uint32 {name}\nfloat32 {name}", justify="right")
    for k, s in enumerate(seen):
        place = short_form(function, s.address)
        if s.word is None:
            table.add_row(place, s.why)
            continue
        following = seen[k + 1].word if k + 1 < len(seen) else None
        wide = [
            f"{r.uint32}\n{float_text(r.float32)}{' ?' if not r.plausible else ''}"
            for r in (pairs(s.word, following) if following is not None else [])
        ]
        digits = bcd(s.word)
        table.add_row(place, f"{s.word:04X}", str(s.word), str(as_signed(s.word)),
                      f"{s.word:016b}", ascii_text(s.word),
                      "" if digits is None else str(digits), *wide)  # fmt: skip
    Console(width=None if Console().is_terminal else 200).print(table)
    for reading in texts([s.word for s in seen]):
        name = f"{reading.encoding}{'' if reading.order == 'AB' else ' ' + reading.order}"
        print(f"{words('probe.text', lang)} ({name}): {reading.text}")


# --- listening ----------------------------------------------------------------------------


def listen(
    line: LineArgument,
    *,
    baud: Baud = 9600,
    parity: Parity = "none",
    stop_bits: StopBits = 1,
    duration: ForTime = "60s",
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Decode a line that another master drives. Nothing is written to it."""
    lang = tongue(lang)
    where = line_of(line, baud, parity, stop_bits, lang)
    listener = Listener()
    unheard = 0

    def chunk(c: Chunk) -> None:
        for exchange in listener.feed(c.data, c.t_ns):
            _show_exchange(exchange, as_json_, lang)

    finish(overhear(where, chunk, time_ns(duration)), lang)
    for exchange in listener.finish():
        _show_exchange(exchange, as_json_, lang)
    unheard = listener.garbage_bytes
    if unheard:
        setting = setting_text(where)
        typer.echo(words("listen.garbage", lang, count=unheard, setting=setting), err=True)


def _show_exchange(e: Exchange, as_json_: bool, lang: str) -> None:
    if as_json_:
        row = {"t_ns": e.mono_ns, "unit": e.unit, "function": e.function, "address": e.address,
               "count": e.count, "answered": e.answered, "exception": e.exception,
               "data": e.data.hex(), "words": list(e.words),
               "round_trip_ns": e.round_trip_ns}  # fmt: skip
        print(json.dumps(row), flush=True)
        return
    what = e.data.hex(" ", 2) or words("done", lang)
    if e.exception:
        what = words("exception", lang, code=e.exception)
    if not e.answered:
        what = words("no_answer", lang)
    print(words("listen.row", lang, at=e.mono_ns / S, unit=e.unit, function=e.function,
                address=e.address, count=e.count, what=what), flush=True)  # fmt: skip


def record_line(
    line: LineArgument,
    file: Annotated[Path, typer.Argument(help="the file to make")],
    *,
    baud: Baud = 9600,
    parity: Parity = "none",
    stop_bits: StopBits = 1,
    duration: ForTime = "60s",
    lang: LangOption = BY_LOCALE,
) -> None:
    """Write down what passes on a line, with its times; 'simulate --replay' plays it."""
    lang = tongue(lang)
    where = line_of(line, baud, parity, stop_bits, lang)
    wait_ns = time_ns(duration)
    count = size = 0
    try:
        with file.open("x", encoding="utf-8") as f:
            f.write(header_text(where))

            def chunk(c: Chunk) -> None:
                nonlocal count, size
                text = chunk_text(c)
                if size + len(text) > LINE_RECORDING_BYTES_MAX // 2 or (
                    count >= LINE_RECORDING_CHUNKS_MAX - 1
                ):
                    return  # full: what is there stays usable
                count, size = count + 1, size + len(text)
                f.write(text)
                f.flush()

            finish(overhear(where, chunk, wait_ns), lang)
    except FileExistsError as e:
        typer.echo(words("file.there", lang, file=file), err=True)
        raise typer.Exit(1) from e
    except OSError as e:
        typer.echo(words("file.unwritable", lang, file=file, why=e.strerror), err=True)
        raise typer.Exit(1) from e
    print(words("record.chunks", lang, file=file, count=count))


# --- writing ------------------------------------------------------------------------------


def write_coil(
    line: LineArgument,
    unit: Annotated[int, typer.Argument(min=1, max=247)],
    coil: Annotated[int, typer.Argument(min=0, max=65_535, help="from 0, as on the wire")],
    state: Annotated[str, typer.Argument(help="on or off")],
    *,
    really: Annotated[bool, typer.Option("--really", help="without it nothing is written")] = False,
    baud: Baud = 9600,
    parity: Parity = "none",
    stop_bits: StopBits = 1,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Switch one coil of a relay board, after a question, and read it back."""
    if state not in ("on", "off"):
        raise typer.BadParameter(f"expected on or off; found '{state}'")
    lang = tongue(lang)
    where = line_of(line, baud, parity, stop_bits, lang)
    text = words("write.what", lang, coil=coil, unit=unit, line=line, state=words(state, lang))
    if not really:
        typer.echo(f"{text}\n{words('write.really', lang)}", err=True)
        raise typer.Exit(1)
    if not typer.confirm(words("write.ask", lang, text=text)):
        typer.echo(words("write.not", lang), err=True)
        raise typer.Exit(1)
    print(finish(_write(where, unit, coil, state == "on", lang), lang))


async def _write(line: Line, unit: int, coil: int, on: bool, lang: str) -> str:
    asker = SingleAsker(line)
    place = {"unit": unit, "coil": coil}
    try:
        await asker.open()
        wrote = await asker.ask(write_coil_query(unit, coil, on), PROBE_WAIT_NS)
        if not wrote.answered or wrote.exception:
            key = "exception" if wrote.exception else "no_answer"
            why = words(key, lang, code=wrote.exception)
            raise ToolError(words("write.maybe", lang, why=why, **place))
        back = await asker.ask(read_query(unit, 1, coil, 1), PROBE_WAIT_NS)
        if back.payload is None:
            return words("write.blind", lang)
        is_on = bool(back.payload[0] & 1)
        state = words("on" if is_on else "off", lang)
        if is_on != on:
            raise ToolError(words("write.differs", lang, state=state, **place))
        return words("write.reads", lang, state=state)
    finally:
        asker.close()
