"""The window: a few hints for each slot of a pool are in the broker, and what enters next is the ledger's choice."""

from __future__ import annotations

import msgspec

from docfleet.dispatch.pace import drain_rate, window_size
from docfleet.errors import BrokerUnavailable
from docfleet.ledger import Ledger
from docfleet.queues.hints import Hints


class PoolState(msgspec.Struct):
    """What the dispatcher remembers of one pool; forgetting it costs nothing."""

    pool: str
    size: int = 0
    outstanding: int = 0
    """Hints that nobody had claimed when it was last looked at, and those sent since."""
    drained: float = 0.0
    """Hints claimed per second, of late."""
    looked_at: float | None = None


def fill(ledger: Ledger, hints: Hints, state: PoolState, slots: int, per_slot: float, now: float) -> int:
    """Brings the pool's window to its size; how many hints were sent. `now`: seconds of a steady clock.

    Hints leave before the ledger knows that they did: a crash in between sends them twice, and never not at all.
    Raises `BrokerUnavailable` after what was sent until then is noted.
    """
    state.size = window_size(slots, per_slot)
    outstanding = ledger.count_hinted(state.pool)
    if state.looked_at is not None:
        drained = max(0, state.outstanding - outstanding)
        state.drained = drain_rate(state.drained, drained, now - state.looked_at)
    state.looked_at, state.outstanding = now, outstanding
    if outstanding >= state.size:
        return 0
    sent: list[int] = []
    failure: BrokerUnavailable | None = None
    for waiting in ledger.window(state.pool, state.size - outstanding):
        try:
            hints.publish(state.pool, waiting.urgency, waiting.slice_id)
        except BrokerUnavailable as error:
            failure = error
            break
        sent.append(waiting.slice_id)
    if sent:
        ledger.mark_dispatched(sent)
        state.outstanding += len(sent)
    if failure is not None:
        raise failure
    return len(sent)
