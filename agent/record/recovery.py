"""Opening a file of the journal whatever state it is in: whole, damaged, absent, not writable.

A damaged file is set aside under another name and kept for whoever wants to look; a new one is
begun, and what the old one held is declared lost by the epoch that opens.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from agent.record.store import Store, read_only_survey, sync_directory
from agent.record.survey import ForeignFile, Survey, is_damage
from config.limits import DAMAGED_FILES_KEPT


@dataclass(frozen=True, slots=True)
class Opening:
    """What opening a file came to.

    damage: why the file was set aside, "" when it was not; then `survey` is of the new file and
    `salvaged` what could still be read of the old one. error: why the disk cannot be written
    now, "" when it can; then `survey` is what could be read, `readable` whether anything could.
    tail_lost: why batches at the end of the newest epoch are gone that had been confirmed.
    """

    survey: Survey
    damage: str = ""
    salvaged: Survey = field(default_factory=Survey)
    error: str = ""
    readable: bool = True
    tail_lost: str = ""

    @property
    def trouble(self) -> str:
        """What a person has to know of this file, "" for nothing."""
        if self.damage:
            return f"was damaged and set aside: {self.damage}"
        return f"is damaged: {self.tail_lost}" if self.tail_lost else ""


def marker_of(path: Path) -> Path:
    """The file that a running record leaves when it meets damage: the next start sets aside."""
    return path.with_name(path.name + ".is-damaged")


def open_store(store: Store) -> Opening:
    """Open a store; never raises for a bad file or a bad disk."""
    marker = marker_of(store.path)
    ours = True
    try:
        if marker.exists():
            return _set_aside(store, "found damaged while it was in use")
        survey = store.open()
        return Opening(survey, tail_lost=store.tail_lost)
    except (sqlite3.Error, OSError) as e:
        if not is_damage(e):
            return _not_writable(store, e)
        reason = str(e)
    except Exception as e:
        if not is_damage(e):
            raise
        reason, ours = str(e), not isinstance(e, ForeignFile)
    try:
        return _set_aside(store, reason, ours=ours)
    except (sqlite3.Error, OSError) as e:
        return _not_writable(store, e)


def _set_aside(store: Store, reason: str, *, ours: bool = True) -> Opening:
    store.close()
    salvaged = Survey()
    with contextlib.suppress(Exception):  # whatever the damage raises: nothing is salvaged then
        salvaged = read_only_survey(store.path) if ours else salvaged
    path = store.path
    kept = [path.with_name(f"{path.name}.damaged-{n}") for n in range(1, DAMAGED_FILES_KEPT + 1)]
    free = [target for target in kept if not target.exists()]
    target = free[0] if free else min(kept, key=lambda file: file.stat().st_mtime_ns)
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(target.with_name(target.name + suffix))
    survey = store.open()
    marker_of(path).unlink(missing_ok=True)
    sync_directory(path.parent)  # or the next start sets the new file aside
    return Opening(survey, damage=f"{reason}; kept as {target.name}", salvaged=salvaged)


def _not_writable(store: Store, error: Exception) -> Opening:
    try:
        survey = read_only_survey(store.path)
    except Exception:  # noqa: BLE001 -- no disk, no file, no journal: all the same here
        return Opening(Survey(), error=str(error), readable=False)
    return Opening(survey, error=str(error))
