"""Hints that were lost are sent again: all at once when Redis has lost its memory, one by one otherwise.

Celery on Redis loses a message now and then whatever its settings. Sending every hint again that is old would let the
lists grow without bound while no worker runs; so a hint counts as lost only where a list is shorter than the hints
that nobody has claimed, and stays so.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from docfleet.domain.urgency import Urgency, queue_name
from docfleet.ledger import Ledger
from docfleet.telemetry import logger

if TYPE_CHECKING:
    from docfleet.queues.hints import Hints


_log = logger(__name__)
PATIENCE_SECONDS = 2.0
"""A hint that a worker has just taken is in no list and not yet claimed: a shortage has to last this long."""
MOST_AT_ONCE = 1000


class Lost(msgspec.Struct, frozen=True):
    pool: str
    urgency: Urgency
    slice_id: int


class Shortage(msgspec.Struct, frozen=True):
    """The shortage of one queue: the fewest hints missing since it began."""

    since: float
    missing: int


def restore_epoch(ledger: Ledger, hints: Hints) -> bool:
    """When Redis does not know us: every hint is forgotten, so that the windows are filled anew; whether it was so."""
    if hints.epoch() is not None:
        return False
    forgotten = ledger.forget_hints(None)
    hints.set_epoch(uuid.uuid4().hex)
    _log.warning("broker_epoch_renewed", hints_forgotten=forgotten)
    return True


def shortages(
    before: Mapping[str, Shortage], hinted: Mapping[str, int], lengths: Mapping[str, int], now: float
) -> dict[str, Shortage]:
    """Per queue name: how many hints nobody has claimed are in no list, and since when. Pure."""
    found = {}
    for queue, count in hinted.items():
        missing = count - lengths.get(queue, 0)
        if missing > 0:
            last = before.get(queue)
            found[queue] = Shortage(last.since, min(last.missing, missing)) if last else Shortage(now, missing)
    return found


def lost_hints(
    pool: str,
    hinted: Sequence[tuple[int, Urgency]],
    found: Mapping[str, Shortage],
    now: float,
) -> list[Lost]:
    """Which hints to send again: the oldest of each queue that has been short for `PATIENCE_SECONDS`. Pure.

    `hinted`: the oldest first. Those at hand may not be the very ones that were lost; the lists are then as long as
    they should be, and what is still missing shows once they have been worked off.
    """
    left = {
        queue: min(shortage.missing, MOST_AT_ONCE)
        for queue, shortage in found.items()
        if now - shortage.since >= PATIENCE_SECONDS
    }
    lost = []
    for slice_id, urgency in hinted:
        queue = queue_name(pool, urgency)
        if left.get(queue, 0) > 0:
            left[queue] -= 1
            lost.append(Lost(pool, urgency, slice_id))
    return lost


class Repair:
    """Looks after the lists of the pools; call `look` about once a second."""

    def __init__(self, ledger: Ledger, hints: Hints) -> None:
        self._ledger = ledger
        self._hints = hints
        self._found: dict[str, dict[str, Shortage]] = {}

    def look(self, pool: str, now: float) -> int:
        """How many hints were sent again. Raises `BrokerUnavailable`."""
        hinted = [(slice_id, Urgency(urgency)) for slice_id, urgency in self._ledger.hinted(pool, MOST_AT_ONCE)]
        if not hinted:
            self._found.pop(pool, None)
            return 0
        counts: dict[str, int] = defaultdict(int)
        for _, urgency in hinted:
            counts[queue_name(pool, urgency)] += 1
        lengths = self._hints.length(pool)
        found = shortages(self._found.get(pool, {}), counts, lengths, now)
        lost = lost_hints(pool, hinted, found, now)
        for one in lost:
            self._hints.publish(one.pool, one.urgency, one.slice_id)
        if lost:
            # noted as sent now, so that the next look takes others for the oldest
            self._ledger.mark_dispatched([one.slice_id for one in lost])
            _log.warning("hints_sent_again", pool=pool, hints=len(lost))
        sent = {queue_name(one.pool, one.urgency) for one in lost}
        self._found[pool] = {queue: shortage for queue, shortage in found.items() if queue not in sent}
        return len(lost)
