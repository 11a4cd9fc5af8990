"""What the dispatcher works with, handed in by whoever starts it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docfleet.dispatch.chores import Chore
from docfleet.dispatch.leader import Leader
from docfleet.dispatch.waking import Waking
from docfleet.ledger import Ledger
from docfleet.ledger.desk import Desk
from docfleet.store.base import Store

if TYPE_CHECKING:
    from docfleet.queues.hints import Hints


@dataclass(frozen=True)
class DispatchOptions:
    """How the dispatcher behaves. Times in seconds unless the name says otherwise."""

    tick_seconds: float = 0.5
    window_per_slot: float = 2.5
    stuck_seconds: float = 300.0
    orphan_hours: float = 24.0
    idempotency_hours: float = 24.0
    repair: bool = True
    """Off: no hint is sent twice and no lease expires; only to prove that the auditor notices."""
    orphan_sweep_hours: float = 6.0
    """How often the whole store is looked through."""
    first_sweep_seconds: float = 60.0
    """The first look through the store comes this long after the start."""


def _nothing() -> None: ...


def _drop(gauges: dict[str, float]) -> None: ...


@dataclass(frozen=True)
class DispatchParts:
    """`hints` is None where there is no broker: then workers ask the ledger, and only house is kept here."""

    ledger: Ledger
    desk: Desk
    store: Store
    hints: Hints | None
    leader: Leader
    waking: Waking
    options: DispatchOptions = field(default_factory=DispatchOptions)
    alive: Callable[[], None] = _nothing
    """Called with every tick: whoever watches this process knows that it moves."""
    count_use: Callable[[], object] = _nothing
    """Counts up what was used of workers and storage; called every few minutes."""
    show: Callable[[dict[str, float]], None] = _drop
    """Takes the gauges of `alarm.gauges`, every few seconds."""
    beside: Sequence[Chore] = ()
    """Further chores of whoever leads, done in a thread of their own: they may take seconds."""
    apart: Sequence[Chore] = ()
    """As `beside`, in a thread of their own again: they may take minutes."""
    begin: Callable[[], None] = _nothing
    """Called when this process begins to lead."""
    leading: threading.Event = field(default_factory=threading.Event)
    """Set while this process leads."""
