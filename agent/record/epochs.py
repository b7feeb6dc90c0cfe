"""What a new epoch says of everything before it. Pure.

Every start opens an epoch, so that no number is ever used twice. It names the last durable batch
of each lane, and what is not there any more.
"""

from __future__ import annotations

from agent.record.recovery import Opening
from agent.record.sealer import EpochPlace
from agent.uplink.batch import Loss, LossReason
from agent.uplink.check import UINT_MAX
from agent.uplink.events import EpochData
from config.words import Lane

_EVENT_LANES = (Lane.TABLE, Lane.FIRE, Lane.EVENT)
_TELEMETRY_LANES = (Lane.TELEMETRY, Lane.SUMMARY)


def next_epoch(
    events: Opening, telemetry: Opening, hint: EpochPlace | None, software: str
) -> tuple[EpochPlace | None, EpochData]:
    """(the epoch before, what the new one says).

    hint: the epoch that was last opened in this boot, in case it never reached the disk.
    """
    known: dict[int, EpochPlace] = {}
    for opening in (events, telemetry):
        for survey in (opening.survey, opening.salvaged):
            known |= {e.ordinal: e for e in survey.epochs}
    # Files that can be read and know of no epoch, when one was opened: not the files of before.
    replaced = hint is not None and not known and not events.error
    if hint is not None:
        known.setdefault(hint.ordinal, hint)
    before = known[max(known)] if known else None
    losses: list[Loss] = []
    if before is not None:
        if events.damage or replaced:
            losses.append(_gone(Lane.EPOCH, before, before.ordinal))
            losses += [_gone(lane, before, UINT_MAX) for lane in _EVENT_LANES]
        else:
            losses += _never_stored(events, known)
        if telemetry.damage or replaced:
            losses += [_gone(lane, before, UINT_MAX) for lane in _TELEMETRY_LANES]
    heads = {**events.survey.heads, **telemetry.survey.heads}
    heads.pop(Lane.EPOCH, None)
    damaged = bool(events.damage or telemetry.damage) or replaced
    reason = "damage" if damaged else "first" if before is None else "start"
    return before, EpochData(reason, heads, tuple(losses), software)


def _gone(lane: str, before: EpochPlace, last: int) -> Loss:
    return Loss(LossReason.DAMAGED, lane, before.epoch, 0, last)


def _never_stored(events: Opening, known: dict[int, EpochPlace]) -> list[Loss]:
    """Epochs that were opened while the disk could not be written."""
    stored = [ordinal for lane, ordinal in events.survey.ranges if lane == Lane.EPOCH]
    newest = max(stored, default=-1)
    return [
        Loss(LossReason.OVERRUN, Lane.EPOCH, known[ordinal].epoch, ordinal, ordinal)
        for ordinal in sorted(known)[-16:]
        if ordinal > newest
    ]
