"""A whole evaluation: every recording of a folder, sweeps, and a second site file beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agent.evaluate import compare, score
from agent.evaluate.folder import Listed, Replayable
from agent.evaluate.replay import Replay
from agent.evaluate.series import Series
from agent.evaluate.watch import Setting, watch
from config.sweep import Sweep

VERSION = 2
_DIGITS = 9


class Told(Protocol):
    """Who is told how far it is."""

    def begin(self, text: str) -> None:
        """A recording is replayed now."""

    def rows(self, count: int) -> None:
        """So many rows were taken."""

    def done(self) -> None:
        """The recording is done."""


@dataclass(frozen=True, slots=True)
class Result:
    """document: all figures, ready for JSON. series: name of a recording -> its course."""

    document: dict[str, Any]
    series: dict[str, Series]


def evaluate(
    data: str,
    listed: Sequence[Listed | Replayable],
    setting: Setting,
    kernel: Callable[..., int],
    told: Told,
    *,
    sweeps: Sequence[Sweep] = (),
    against: Setting | None = None,
) -> Result:
    """Replay everything. Raises BadRecording. The same input gives the same document."""
    recordings, series = _replay_all(listed, setting, kernel, told)
    document: dict[str, Any] = {
        "version": VERSION,
        "data": data,
        "site": _identity(setting),
        "recordings": recordings,
        "classes": score.classes_of(recordings),
        "goals": score.judge(setting.evaluation.goals, recordings),
        "sweeps": [],
    }
    for sweep in sweeps:
        rows = []
        for values in sweep.combinations():
            changes = tuple(zip(sweep.parameters, values, strict=True))
            words = " ".join(f"{name}={value:g}" for name, value in changes)
            changed = replace(setting, changes=changes)
            found, _ = _replay_all(listed, changed, kernel, told, f"{words}: ")
            rows.append({"values": list(values), "classes": score.classes_of(found)})
        document["sweeps"].append({"parameters": list(sweep.parameters), "rows": rows})
    if against is not None:
        found, _ = _replay_all(listed, against, kernel, told, f"{against.name}: ")
        differences = compare.differences(recordings, found)
        document["against"] = {
            "site": _identity(against),
            "recordings": found,
            "classes": score.classes_of(found),
            "goals": score.judge(setting.evaluation.goals, found),
            "differences": differences,
            "differences_of_classes": compare.differences_of_classes(differences),
        }
    return Result(_rounded(document), series)


def runs(sweeps: Sequence[Sweep], *, against: bool) -> int:
    """How many times the folder is replayed."""
    return 1 + sum(len(s) for s in sweeps) + int(against)


def as_text(document: dict[str, Any]) -> str:
    """The JSON of a report: keys as they come, one value a line, nothing of time or machine."""
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _replay_all(
    listed: Sequence[Listed | Replayable],
    setting: Setting,
    kernel: Callable[..., int],
    told: Told,
    prefix: str = "",
) -> tuple[list[dict[str, Any]], dict[str, Series]]:
    recordings: list[dict[str, Any]] = []
    series: dict[str, Series] = {}
    for one in listed:
        told.begin(f"{prefix}{one.name}")
        source = one.open()
        watched = watch(setting, source)
        replay = Replay(watched, source, one.truth, setting.evaluation.reset_ns, kernel)
        done = replay.run(told.rows)
        recordings.append(score.figures_of(source, one.truth, watched, done))
        if done.series is not None:
            series[one.name] = done.series
        told.done()
    return recordings, series


def _identity(setting: Setting) -> dict[str, str]:
    site = setting.file.site
    return {
        "file": setting.name,
        "sha256": hashlib.sha256(setting.source).hexdigest(),
        "id": site.id,
        "name": site.name,
        "region": site.region,
    }


def _rounded(value: Any) -> Any:
    """Numbers as they are said: no trace of how a sum was ordered."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return value
