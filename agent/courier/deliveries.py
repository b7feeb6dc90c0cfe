"""What is on its way to a destination that signs nothing: batches, and the messages made of them.

A batch is delivered when everything that was made of it was confirmed, and all of its lane before
it. Only then the record is told, and only when the record has answered it is forgotten. Pure.
"""

from __future__ import annotations

from collections import OrderedDict

from agent.courier.window import BatchId
from config.limits import COURIER_SEEN_MAX

_Stream = tuple[bytes, str]


class Deliveries:
    """Batches by lane of an epoch, with how many of their messages are not confirmed yet."""

    def __init__(self) -> None:
        self._left: dict[_Stream, dict[int, int]] = {}
        self._seen: OrderedDict[tuple[bytes, int], None] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(batches) for batches in self._left.values())

    def offered(self, batch: BatchId) -> bool:
        """Whether this batch is new here; it then waits for `expects`."""
        batches = self._left.setdefault((batch.epoch, batch.lane), {})
        if batch.seq in batches:
            return False
        batches[batch.seq] = 0
        return True

    def is_new(self, session: bytes, seq: int) -> bool:
        """Whether an event was not seen before: a record that died may seal it a second time."""
        key = (session, seq)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > COURIER_SEEN_MAX:
            self._seen.popitem(last=False)
        return True

    def expects(self, batch: BatchId, messages: int) -> None:
        """So many messages were made of the batch."""
        self._left[batch.epoch, batch.lane][batch.seq] += messages

    def confirmed(self, batch: BatchId) -> None:
        """One message of the batch is done."""
        batches = self._left.get((batch.epoch, batch.lane), {})
        if batches.get(batch.seq, 0) > 0:
            batches[batch.seq] -= 1

    def ready(self) -> list[BatchId]:
        """Of each lane the last batch up to which everything is confirmed."""
        out = []
        for (epoch, lane), batches in self._left.items():
            last = None
            for seq in sorted(batches):
                if batches[seq]:
                    break
                last = seq
            if last is not None:
                out.append(BatchId(epoch, lane, last))
        return out

    def forget(self, batch: BatchId) -> None:
        """The record knows of everything up to this batch."""
        key = (batch.epoch, batch.lane)
        batches = self._left.get(key, {})
        for seq in [n for n in batches if n <= batch.seq and not batches[n]]:
            del batches[seq]
        if not batches:
            self._left.pop(key, None)
