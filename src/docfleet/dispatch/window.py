"""The window: a few hints for each slot of a pool are in the broker, and what enters next is the ledger's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from docfleet.dispatch.pace import ACTIVE_PAUSE, next_pause, window_size
from docfleet.errors import BrokerUnavailable
from docfleet.ledger import Ledger
from docfleet.ledger.service_values import Waiting
from docfleet.ledger.window import look
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import HINTS

if TYPE_CHECKING:
    from docfleet.queues.hints import Hints


_ACTIVE_SECONDS = 3.0


class PoolState(msgspec.Struct):
    """What the dispatcher remembers of one pool; forgetting it costs nothing. Seconds of a steady clock."""

    pool: str
    slots: int = 0
    """Of its workers that live."""
    outstanding: int = 0
    """Hints that nobody had claimed when it was last looked at, and those sent then."""
    pause: float = ACTIVE_PAUSE
    look_at: float = 0.0
    """No look before this helps: the window was full, and would not be emptier."""
    active_at: float = float("-inf")
    """When it last claimed or was sent something."""


def fill(ledger: Ledger, hints: Hints, state: PoolState, per_slot: float, tick_seconds: float, now: float) -> int:
    """Brings the pool's window to its size; how many hints were sent.

    Hints leave before the ledger knows that they did: a crash in between sends them twice, and never not at all.
    Raises `BrokerUnavailable`: none of them is noted then, and what was sent is sent again.
    """
    if now < state.look_at:
        return 0
    size = window_size(state.slots, per_slot)
    with ledger.reading() as session:
        left, waiting = look(session, state.pool, size)
    failure = _send(hints, state.pool, waiting)
    sent = [] if failure else [one.slice_id for one in waiting]
    if sent:
        ledger.mark_dispatched(sent)
        metrics.count(HINTS, len(sent), state.pool)
    if sent or left < state.outstanding:
        state.active_at = now
    state.outstanding = left + len(sent)
    is_full = state.outstanding >= size
    state.pause = next_pause(state.pause, left, size, is_full, now - state.active_at < _ACTIVE_SECONDS, tick_seconds)
    # a pool that has room is looked at as soon as something wakes the dispatcher
    state.look_at = now + state.pause if is_full else now
    if failure is not None:
        raise failure
    return len(sent)


def _send(hints: Hints, pool: str, chosen: Sequence[Waiting]) -> BrokerUnavailable | None:
    try:
        if chosen:
            hints.publish_all(pool, [(one.urgency, one.slice_id) for one in chosen])
    except BrokerUnavailable as error:
        return error
    return None
