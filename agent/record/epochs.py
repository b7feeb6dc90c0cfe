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


def known_epochs(events: Opening, telemetry: Opening) -> dict[int, EpochPlace]:
    """Every epoch of both files by its ordinal. The events' file has the signed batches that opened
    them: its word counts, and what is whole counts more than what was salvaged."""
    surveys = (telemetry.salvaged, events.salvaged, telemetry.survey, events.survey)
    return {epoch.ordinal: epoch for survey in surveys for epoch in survey.epochs}


def next_epoch(
    events: Opening, telemetry: Opening, hint: EpochPlace | None, software: str
) -> tuple[EpochPlace | None, EpochData]:
    """(the epoch before, what the new one says).

    hint: the epoch that was last opened in this boot, in case it never reached the disk.
    """
    known = known_epochs(events, telemetry)
    # Files that can be read and know of no epoch, when one was opened: not the files of before.
    replaced = hint is not None and not known and not events.error
    if hint is not None:
        known.setdefault(hint.ordinal, hint)
    before = known[max(known)] if known else None
    losses: list[Loss] = []
    missing = replaced
    if before is not None:
        orphans = [] if events.damage or events.error else _orphans(events, telemetry, known)
        if events.damage or replaced:
            losses.append(_gone(Lane.EPOCH, before, before.ordinal))
            losses += [_gone(lane, before, UINT_MAX) for lane in _EVENT_LANES]
        elif orphans:
            losses.append(_gone(Lane.EPOCH, orphans[-1], orphans[-1].ordinal))
            losses += [_never(lane, of) for of in orphans[-16:] for lane in _EVENT_LANES]
        else:
            losses += _never_stored(events, known)
        behind = not (telemetry.damage or telemetry.error) and _is_behind(events, telemetry)
        if telemetry.damage or replaced or behind:
            losses += [_gone(lane, before, UINT_MAX) for lane in _TELEMETRY_LANES]
        missing = replaced or behind or bool(orphans)
        losses += _tail(events, _EVENT_LANES, before) + _tail(telemetry, _TELEMETRY_LANES, before)
    heads = {**events.survey.heads, **telemetry.survey.heads}
    heads.pop(Lane.EPOCH, None)
    damaged = bool(events.trouble or telemetry.trouble) or missing
    reason = "damage" if damaged else "first" if before is None else "start"
    return before, EpochData(reason, heads, tuple(losses), software)


def _orphans(events: Opening, telemetry: Opening, known: dict[int, EpochPlace]) -> list[EpochPlace]:
    """Epochs without their own batch, when some have telemetry, which is stored only after it.

    The end of the events' file, or all of it, is gone: cut off, or another file in its place. What
    was missing before an epoch that is there was declared by that one.
    """
    opened = max((o for lane, o in events.survey.ranges if lane == Lane.EPOCH), default=-1)
    used = {ordinal for _, ordinal in telemetry.survey.ranges}
    if max(used, default=-1) <= opened:
        return []
    return [known[ordinal] for ordinal in sorted(known) if ordinal > opened]


def _is_behind(events: Opening, telemetry: Opening) -> bool:
    """Whether the telemetry's file lacks what the newest epoch names as its heads."""
    ordinals = {e.epoch: e.ordinal for e in events.survey.epochs}
    for lane in _TELEMETRY_LANES:
        head = events.survey.named.get(lane)
        if head is None:
            continue
        last = telemetry.survey.ranges.get((lane, ordinals.get(head.epoch, -1)), (0, -1))[1]
        if last < head.seq:
            return True
    return False


def _never(lane: str, of: EpochPlace) -> Loss:
    return Loss(LossReason.OVERRUN, lane, of.epoch, 0, UINT_MAX)


def _tail(opening: Opening, lanes: tuple[Lane, ...], before: EpochPlace) -> list[Loss]:
    """What was confirmed after the last batch that can be read, to an end that nobody knows."""
    if not opening.tail_lost:
        return []
    heads = opening.survey.heads
    out = []
    for lane in lanes:
        head = heads.get(lane)
        first = head.seq + 1 if head is not None and head.epoch == before.epoch else 0
        out.append(Loss(LossReason.OVERRUN, lane, before.epoch, first, UINT_MAX))
    return out


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
