"""From a site file and the columns of a recording to the plan that the core runs on.

The plan is compiled by the same code as a building's; only registers and outputs are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.compile import compile_plan
from agent.evaluate.messages import Place
from agent.evaluate.source import BadRecording, Source
from config import model, quantity
from config.checks import check_site
from config.evaluation import Evaluation, Reference
from config.ledger import Ledger, update
from config.limits import POLL_INTERVAL_NS_MAX, STALE_INTERVALS, STALE_NS_MIN
from config.loader import load, read_bytes
from config.members import named_points
from config.plan import PARAMS, Plan
from config.problems import Problems
from config.site_reader import SiteFile, read_for_recordings, read_site
from config.words import LineKind, Mode

_GLOB = frozenset("*?[")
_DEVICE = "recording"


@dataclass(frozen=True, slots=True)
class Setting:
    """A site file as the evaluation uses it. changes: (PARAMS column, value) of a sweep."""

    name: str
    source: bytes
    file: SiteFile
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def evaluation(self) -> Evaluation:
        """Its section `evaluate`."""
        return self.file.evaluation


@dataclass(frozen=True, slots=True)
class Watch:
    """A recording's columns as points. n wanted columns; arrays have one entry a column.

    in_zone: point index -> it belongs to a zone, and the zone speaks for it.
    reference: positions of columns and the level of each; or the column that is the truth itself.
    """

    plan: Plan
    wanted: tuple[str, ...]
    point: NDArray[np.int32]  # -1: not a point, only the reference reads it
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    rules: tuple[model.Rule | None, ...]
    in_zone: frozenset[str]
    reference_columns: NDArray[np.int32]
    reference_levels: NDArray[np.float64]
    label: int  # position of the reference column, -1: none
    alarm_points: int


def read_setting(path: Path, problems: Problems) -> Setting | None:
    """A site file, or a file of `site` and `evaluate` alone; None and at least one problem."""
    data = read_bytes(path, problems)
    document = load(data, path.name, problems) if data is not None else None
    if document is None or data is None:
        return None
    keys = {k.value for k, _ in getattr(document.root, "value", ()) if hasattr(k, "value")}
    if "evaluate" in keys and not keys & {"links", "devices"}:
        read = read_for_recordings(document, problems)
    else:
        read = read_site(document, problems, path.parent)
        if read is not None:
            check_site(read.site, document, problems)
    return Setting(path.name, data, read) if read is not None and not len(problems) else None


def watch(setting: Setting, source: Source) -> Watch:
    """The plan of one recording. Raises BadRecording when the columns are not what was named."""
    evaluation, site = setting.evaluation, setting.file.site
    own = {f"{d.name}.{p.name}": (d.name, p) for d in site.devices for p in d.points}
    _named_columns_are_there(evaluation, source)
    chosen: dict[str, tuple[str, model.Point, bool]] = {}  # column -> device, point, of the site
    for column in source.columns:
        match = next((c for c in evaluation.columns if fnmatchcase(column, c.pattern)), None)
        if match is not None and match.point is not None:
            chosen[column] = (_DEVICE, match.point, False)
        elif match is not None or column in own:
            chosen[column] = (*own[match.same_as if match is not None else column], True)
    if not chosen:
        listed = ", ".join(source.columns[:8])
        where = Place(source.name, 1)
        raise BadRecording(where, "column.none", site=setting.name, found=listed)
    wanted = list(chosen)
    label = -1
    if evaluation.reference.column:
        if evaluation.reference.column not in wanted:
            wanted.append(evaluation.reference.column)
        label = wanted.index(evaluation.reference.column)
    plan, index, zoned = _compile(setting, source, chosen, own)
    applied = [chosen.get(c) for c in wanted]
    spec = [None if a is None or a[2] or source.translated else a[1] for a in applied]
    columns, levels = _reference(evaluation.reference, wanted, chosen)
    return Watch(
        plan=plan,
        wanted=tuple(wanted),
        point=np.array([index.get(c, -1) for c in wanted], np.int32),
        scale=np.array([1.0 if p is None else p.scale for p in spec]),
        bias=np.array([0.0 if p is None else p.bias for p in spec]),
        rules=tuple(None if p is None else p.rule for p in spec),
        in_zone=zoned,
        reference_columns=columns,
        reference_levels=levels,
        label=label,
        alarm_points=sum(p.mode is not Mode.TELEMETRY for _, p, _ in chosen.values()),
    )


def _named_columns_are_there(evaluation: Evaluation, source: Source) -> None:
    """A column that is named in full must be there; a glob may match nothing in one recording."""
    named = [c.pattern for c in evaluation.columns] + list(evaluation.reference.points)
    if evaluation.reference.column:
        named.append(evaluation.reference.column)
    for name in named:
        if not _GLOB & set(name) and name not in source.columns:
            listed = ", ".join(source.columns[:8])
            raise BadRecording(Place(source.name, 1, name), "column.missing", found=listed)


def _compile(
    setting: Setting,
    source: Source,
    chosen: dict[str, tuple[str, model.Point, bool]],
    own: dict[str, tuple[str, model.Point]],
) -> tuple[Plan, dict[str, int], frozenset[str]]:
    """(plan, column -> point index, names of columns in a zone).

    Points go by numbers while the plan is made: a column may have a name that no point may have.
    """
    site = setting.file.site
    by_device: dict[str, list[model.Point]] = {}
    inner: dict[str, str] = {}
    for number, (column, (device, point, _)) in enumerate(chosen.items()):
        inner[column] = f"{device}.c{number}"
        update_ = {"name": f"c{number}", "address": 2 * number, "poll_ns": 0}
        update_["poll_ns"] = min(source.steps_ns[column], POLL_INTERVAL_NS_MAX)
        update_["params"] = _changed(point.params, setting.changes)
        by_device.setdefault(device, []).append(point.model_copy(update=update_))
    link = model.TcpLink(name="recording", kind=LineKind.TCP, host="127.0.0.1", port=502,
                         timeout_ns=1, turnaround_ns=0)  # fmt: skip
    devices = tuple(
        model.Device(name=name, where=(), link=link.name, unit=1, profile="", coils=None,
                     points=tuple(points))
        for name, points in by_device.items()
    )  # fmt: skip
    zones = _zones(setting, chosen, own, inner)
    whole = site.model_copy(
        update={"links": (link,), "devices": devices, "zones": zones, "sirens": (),
                "effects": (), "couriers": ()}
    )  # fmt: skip
    plan = compile_plan(whole, update(Ledger(), whole), bytes(32))
    outer = {name: column for column, name in inner.items()}
    names = tuple(outer[name] for name in plan.points.names)
    # Three of the column's own steps: a recording is not a poll, and has no 90 s to keep.
    stale = np.array([STALE_INTERVALS * source.steps_ns[name] for name in names], "<i8")
    stale = np.maximum(stale, STALE_NS_MIN)
    plan = replace(
        plan, points=replace(plan.points, names=names, stale_ns=stale.tobytes())
    )  # fmt: skip
    zoned = frozenset(names[k] for zone in plan.zones for k in zone.points)
    return plan, {name: k for k, name in enumerate(names)}, zoned


def _zones(
    setting: Setting,
    chosen: dict[str, tuple[str, model.Point, bool]],
    own: dict[str, tuple[str, model.Point]],
    inner: dict[str, str],
) -> tuple[model.Zone, ...]:
    """The site's zones with the points that were recorded, and those of the section."""
    site, evaluation = setting.file.site, setting.evaluation
    devices = {d.name: d for d in site.devices}
    recorded: dict[str, list[str]] = {}
    for column in chosen:
        match = next((c for c in evaluation.columns if fnmatchcase(column, c.pattern)), None)
        name = column if match is None else match.same_as
        if name in own:
            recorded.setdefault(name, []).append(column)
    out = []
    for zone in site.zones:
        points = [n for n, _ in named_points(zone.members, devices)]
        columns = [c for n in points for c in recorded.get(n, ())]
        out.append((zone, columns))
    for zone in evaluation.zones:
        columns = [c for c in chosen if any(fnmatchcase(c, m) for m in zone.members)]
        out.append((zone, columns))
    return tuple(
        zone.model_copy(update={"members": tuple(inner[c] for c in columns)})
        for zone, columns in out
        if columns
    )


def _changed(
    params: tuple[float, ...], changes: tuple[tuple[str, float], ...]
) -> tuple[float, ...]:
    """Parameters of a point under a sweep: only detectors that it has. A level takes its clear."""
    out = list(params)
    for column, value in changes:
        k = PARAMS.index(column)
        if np.isnan(out[k]):
            continue
        clear = f"{column.removesuffix('_level')}_clear"
        if column.endswith("_level") and clear in PARAMS:
            out[PARAMS.index(clear)] += value - out[k]
        out[k] = value
    return tuple(out)


def _reference(
    reference: Reference,
    wanted: Sequence[str],
    chosen: dict[str, tuple[str, model.Point, bool]],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Positions of the reference's columns, and its level in the unit of each."""
    columns: list[int] = []
    levels: list[float] = []
    for i, column in enumerate(wanted):
        if reference.column or column not in chosen:
            continue
        point = chosen[column][1]
        named = any(fnmatchcase(column, p) for p in reference.points)
        if not quantity.compatible(reference.unit, point.unit):
            continue
        if named or (not reference.points and point.kind == "heat"):
            columns.append(i)
            levels.append(quantity.convert(reference.level, reference.unit, point.unit))
    return np.array(columns, np.int32), np.array(levels)
