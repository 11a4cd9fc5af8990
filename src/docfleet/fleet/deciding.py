"""The one that decides: looks at the load of every pool and leaves in the ledger how many workers it is to have.

Runs where the dispatcher leads, in a thread of its own. What it remembers is written with each decision, so that the
next leader goes on where this one was. A load of a million slices takes longer to add up: it is looked at less often
then, at most a twentieth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from docfleet.domain.load import Caps, Outlook, PoolLoad
from docfleet.domain.scaling import Decision, ScalingMemory, ScalingPolicy
from docfleet.domain.urgency import Pool
from docfleet.fleet.outlook import Forecasts
from docfleet.fleet.probe import Arrivals, PoolTimes, pool_load, pool_times
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import HOUR, MINUTE
from docfleet.ledger.fleet_values import LoadSums
from docfleet.ledger.service_values import WorkerView
from docfleet.telemetry import logger

_log = logger(__name__)
MOST_OF_TIME = 0.05
"""Share of the time that adding up may take."""
RENEW_SECONDS = 10.0
"""A demand that does not change is renewed this often: who reads it sees by its age that it is still decided."""
TIMES_SECONDS = 15.0
"""Service times and history are read this often."""
ARRIVALS_SECONDS = 300.0
_HISTORY_LAG = 15.0
"""What happened is in the history after one to two looks of this length."""
_LATELY_SECONDS = 48 * 3600.0

WANTED = "docfleet_fleet_workers_wanted"
ALIVE = "docfleet_fleet_workers_alive"
WAITING = "docfleet_fleet_waiting_seconds"


class PoolPlan(msgspec.Struct, frozen=True):
    """How one pool is sized."""

    policy: ScalingPolicy
    slots: float = 1.0
    """Of one worker, while none lives that tells."""


class Deciding(msgspec.Struct, frozen=True):
    """What the decider works with, handed in by whoever starts it."""

    book: FleetBook
    workers: Callable[[], Sequence[WorkerView]]
    plans: Mapping[Pool, PoolPlan]
    caps: Callable[[Pool, PoolTimes], Caps]
    forecasts: Forecasts
    decide_seconds: float = 5.0


class Decider:
    """Call `look` about every second; it does what is due."""

    def __init__(self, parts: Deciding) -> None:
        self._parts = parts
        self._due_at = self._times_due_at = 0.0
        self._memories: dict[Pool, ScalingMemory] | None = None
        self._written: dict[Pool, tuple[float, int]] = {}
        self._times: dict[Pool, PoolTimes] = {}
        self._arrivals = Arrivals(ARRIVALS_SECONDS, {})
        self.gauges: dict[str, float] = {}

    def forget(self) -> None:
        """Another led meanwhile: what was decided last is read again."""
        self._memories = None
        self._written.clear()

    def look(self, now: float) -> list[Decision]:
        """Decides on every pool when it is time; `now`: seconds of a steady clock. Raises `LedgerError`."""
        if now < self._due_at:
            return []
        parts = self._parts
        if now >= self._times_due_at:
            self._read_times()
            self._times_due_at = now + TIMES_SECONDS
        begun = time.monotonic()
        sums = parts.book.load()
        took = time.monotonic() - begun
        workers = [one for one in parts.workers() if one.region == parts.book.region]
        decisions = [self._decide(pool, sums, workers, now) for pool in parts.plans]
        self._due_at = now + max(parts.decide_seconds, took / MOST_OF_TIME)
        return decisions

    def _read_times(self) -> None:
        """How long work takes and how much arrives: what changes slowly."""
        book = self._parts.book
        at = book.now()
        since = (at - ARRIVALS_SECONDS) // MINUTE * MINUTE
        self._arrivals = Arrivals(at - _HISTORY_LAG - since, book.arrived(since))
        times = book.service_times()
        for pool in self._parts.plans:
            lately = book.history(pool, HOUR, at - _LATELY_SECONDS, at + HOUR)
            self._times[pool] = pool_times(pool, times, lately)

    def _remembered(self) -> dict[Pool, ScalingMemory]:
        if self._memories is None:
            kept = {one.pool: one.detail.memory for one in self._parts.book.demands()}
            self._memories = {pool: kept.get(pool, ScalingMemory()) for pool in self._parts.plans}
        return self._memories

    def _decide(self, pool: Pool, sums: LoadSums, workers: Sequence[WorkerView], now: float) -> Decision:
        parts, memories = self._parts, self._remembered()
        plan, times = parts.plans[pool], self._times[pool]
        load = pool_load(pool, sums, times, self._arrivals, workers, plan.slots)
        outlook = parts.forecasts.outlook(pool, sums.at, plan.policy.start_seconds, times.unit)
        decision = plan.policy.decide(load, outlook, parts.caps(pool, times), memories[pool], sums.at)
        memories[pool] = decision.memory
        self._write(pool, decision, load, outlook, now)
        self._show(pool, decision, load)
        return decision

    def _write(self, pool: Pool, decision: Decision, load: PoolLoad, outlook: Outlook | None, now: float) -> None:
        at, workers = self._written.get(pool, (float("-inf"), -1))
        if workers == decision.workers and now - at < RENEW_SECONDS:
            return
        self._parts.book.decide(decision, load, outlook.reason if outlook else "no forecast")
        self._written[pool] = (now, decision.workers)
        if workers not in (-1, decision.workers):
            _log.info("fleet_resized", pool=str(pool), reason=decision.reason)

    def _show(self, pool: Pool, decision: Decision, load: PoolLoad) -> None:
        for name, value in ((WANTED, decision.workers), (ALIVE, load.workers), (WAITING, load.waiting_seconds)):
            self.gauges[f'{name}{{pool="{pool}"}}'] = round(float(value), 3)
