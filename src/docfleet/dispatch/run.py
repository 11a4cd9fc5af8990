"""The dispatcher's loops: a fast one that keeps work flowing, and a slow one that waits for the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from docfleet.dispatch.accounts import keep_accounts
from docfleet.dispatch.alarm import Alarm
from docfleet.dispatch.assemblies import finish_stranded
from docfleet.dispatch.chores import Chore, do_due
from docfleet.dispatch.leases import expire_leases
from docfleet.dispatch.pace import SHORTEST_PAUSE
from docfleet.dispatch.parts import DispatchParts
from docfleet.dispatch.purge import purge_attempts, purge_erased, purge_orphans
from docfleet.dispatch.repair import Repair, restore_epoch
from docfleet.dispatch.window import PoolState, fill
from docfleet.domain.urgency import HINTED_POOLS
from docfleet.errors import BrokerUnavailable
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import LOOK_DURATION, POOL_STUCK

if TYPE_CHECKING:
    from docfleet.queues.hints import Hints


_log = logger(__name__)
_STRANDED_SECONDS = 5.0
_REPAIR_SECONDS = 1.0
_ACCOUNTS_SECONDS = 1.0
_SLOTS_SECONDS = 2.0
_ALARM_SECONDS = 10.0
_ERASED_SECONDS = 10.0
_LOG_SECONDS = 60.0
_BESIDE_SECONDS = 0.5
_IDEMPOTENCY_SECONDS = 600.0
_USE_SECONDS = 300.0
_SPARED_SECONDS = 1.0
"""A broker that did not answer costs one wait of seconds, and not one for each thing that would be asked of it."""
_JOIN_SECONDS = 10.0
_RETURN_SECONDS = 4.0
"""After a database that was away, workers beat within a second and hand in what they kept within two."""
_SILENT_SECONDS = 30.0
"""A worker unseen for so long, while others are seen, has no slots any more."""


def run_dispatcher(parts: DispatchParts, stop: threading.Event) -> None:
    """Dispatches and keeps house until `stop` is set; never ends by itself, whatever fails.

    Does nothing but wait while another leads.
    """
    leading = parts.leading
    housekeeper = threading.Thread(target=_keep_house, args=(parts, leading, stop), name="housekeeping", daemon=True)
    beside = threading.Thread(target=_do_beside, args=(parts.beside, leading, stop), name="beside", daemon=True)
    apart = threading.Thread(target=_do_beside, args=(parts.apart, leading, stop), name="apart", daemon=True)
    for thread in (housekeeper, beside, apart):
        thread.start()
    dispatching = _Dispatching(parts)
    try:
        while not stop.is_set():
            if _follow_leader(parts, leading):
                dispatching.begin(time.monotonic())
                parts.begin()
            if leading.is_set():
                with metrics.timing(LOOK_DURATION):
                    do_due(dispatching.chores, time.monotonic)
            parts.alive()
            if parts.waking.wait(dispatching.pause() if leading.is_set() else parts.options.tick_seconds):
                # many who accept documents at once wake us once
                time.sleep(SHORTEST_PAUSE)
    finally:
        leading.clear()
        parts.leader.resign()
        parts.waking.close()
        stop.set()
        for thread in (housekeeper, beside, apart):
            thread.join(_JOIN_SECONDS)


def _follow_leader(parts: DispatchParts, leading: threading.Event) -> bool:
    """Whether this process leads from now on."""
    leads = parts.leader.leads()
    if leads and not leading.is_set():
        _log.info("dispatcher_leads")
        leading.set()
        return True
    if not leads and leading.is_set():
        _log.warning("dispatcher_leads_no_more")
        metrics.forget(POOL_STUCK)
        leading.clear()
    return False


class _Dispatching:
    """The chores of the fast loop. None of them waits for anything but the database and, for seconds, the broker."""

    def __init__(self, parts: DispatchParts) -> None:
        self._parts = parts
        self._pools = [PoolState(pool) for pool in HINTED_POOLS]
        self._broker_failed = False
        self._spared_until = 0.0
        options = parts.options
        self.chores: list[Chore] = []
        if options.repair:
            self.chores.append(Chore("leases", options.tick_seconds, lambda: expire_leases(parts.ledger)))
        if parts.hints is not None:
            self._add_hints(parts.hints, options.repair)
        self.chores.append(Chore("stranded", _STRANDED_SECONDS, lambda: finish_stranded(parts.ledger)))
        self.chores.append(Chore("accounts", _ACCOUNTS_SECONDS, lambda: keep_accounts(parts.ledger)))
        alarm = Alarm(parts.ledger, options.stuck_seconds)
        self.chores.append(Chore("alarm", _ALARM_SECONDS, lambda: parts.show(alarm.look(time.monotonic()))))

    def begin(self, now: float) -> None:
        """It leads from now on, perhaps since the database is back: who kept a result meanwhile may hand it in."""
        for chore in self.chores:
            if chore.name == "leases":
                chore.due_at = now + _RETURN_SECONDS

    def _add_hints(self, hints: Hints, repair: bool) -> None:
        self.chores.append(Chore("slots", _SLOTS_SECONDS, self._count_slots))
        if repair:
            watch = Repair(self._parts.ledger, hints)
            self._add_asking("epoch", self._parts.options.tick_seconds, lambda: self._restore_epoch(hints))
            self._add_asking(
                "repair", _REPAIR_SECONDS, lambda: [watch.look(pool, time.monotonic()) for pool in HINTED_POOLS]
            )
        self._add_asking("window", 0.0, lambda: self._fill(hints))

    def _add_asking(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        """A chore that asks the broker. While that is away, leases still expire in time and leadership is kept."""

        def ask() -> None:
            if time.monotonic() < self._spared_until:
                raise BrokerUnavailable("The broker did not answer a moment ago.")
            try:
                work()
            except BrokerUnavailable:
                self._spared_until = time.monotonic() + _SPARED_SECONDS
                raise

        self.chores.append(Chore(name, seconds, ask))

    def _restore_epoch(self, hints: Hints) -> None:
        if restore_epoch(self._parts.ledger, hints):
            for state in self._pools:
                state.look_at = 0.0
        self._broker_failed = False

    def _count_slots(self) -> None:
        workers = [worker for worker in self._parts.ledger.workers() if worker.ended_at is None]
        freshest = max((worker.seen_at for worker in workers), default=0.0)
        for state in self._pools:
            state.slots = sum(
                worker.slots
                for worker in workers
                if state.pool in worker.pool.split(",") and worker.seen_at > freshest - _SILENT_SECONDS
            )

    def _fill(self, hints: Hints) -> None:
        options = self._parts.options
        if self._broker_failed and options.repair:
            # a Redis that comes back empty is to be noticed before anything is added to it
            self._restore_epoch(hints)
        for state in self._pools:
            now = time.monotonic()
            try:
                fill(self._parts.ledger, hints, state, options.window_per_slot, options.tick_seconds, now)
            except BrokerUnavailable:
                self._broker_failed = True
                raise

    def pause(self) -> float:
        """Seconds until the next look, if nothing wakes us."""
        if self._parts.hints is None:
            return self._parts.options.tick_seconds
        return min(state.pause for state in self._pools)


def _do_beside(given: Sequence[Chore], leading: threading.Event, stop: threading.Event) -> None:
    chores = list(given)
    while chores and not stop.wait(_BESIDE_SECONDS):
        if leading.is_set():
            do_due(chores, time.monotonic)


def _keep_house(parts: DispatchParts, leading: threading.Event, stop: threading.Event) -> None:
    options = parts.options
    now = time.monotonic()

    def older_than() -> float:
        # the store's clock wrote the times; a day's grace covers any difference to this one
        return time.time() - options.orphan_hours * 3600

    def stopped() -> bool:
        return stop.is_set() or not leading.is_set()

    chores = [
        Chore("erased", _ERASED_SECONDS, lambda: purge_erased(parts.desk, parts.store, stopped)),
        Chore("log", _LOG_SECONDS, parts.desk.empty_log),
        Chore("use", _USE_SECONDS, parts.count_use),
        Chore("idempotency", _IDEMPOTENCY_SECONDS, lambda: parts.desk.prune_idempotency(options.idempotency_hours)),
        Chore(
            "orphans",
            options.orphan_sweep_hours * 3600,
            lambda: purge_orphans(parts.desk, parts.store, older_than(), stopped),
            due_at=now + options.first_sweep_seconds,
        ),
        Chore(
            "lost_attempts",
            options.orphan_sweep_hours * 3600,
            lambda: purge_attempts(parts.desk, parts.store, older_than(), stopped),
            due_at=now + options.first_sweep_seconds,
        ),
    ]
    while not stop.wait(1.0):
        if leading.is_set():
            do_due(chores, time.monotonic)
