"""`docfleet up --autoscale`: the worker processes of this machine follow what the dispatcher decided in the ledger."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

import msgspec

from docfleet.errors import LedgerError, UsageError
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.overseeing import slices_by_worker
from docfleet.runtime import Runtime
from docfleet.settings.scaling import PoolScalingSettings, ScalingSettings
from docfleet.stack.sizing import Bounds, plan_pool, room_left
from docfleet.stack.worker_pool import WorkerChange, WorkerPool

START_SECONDS = 5.0
"""A worker process is at its first slice so long after it was asked for."""
STALE_SECONDS = 60.0
"""A decision older than this is none: the dispatcher renews it every few seconds while it lives."""


class Wanted(msgspec.Struct, frozen=True):
    """What was decided for a pool."""

    workers: int
    reason: str = ""


class PoolStanding(msgspec.Struct, frozen=True):
    """How a pool stands, for the status line."""

    pool: str
    running: int
    """Worker processes that run and are to stay."""
    wanted: int
    draining: int = 0
    reason: str = ""
    """Of the decision; empty: there is none."""


class Autoscaler:
    """Brings pools to their size, a step with each `look`. For one thread.

    `wanted(pool)`: None while nobody knows; the pool is then left as it is. `busy()`: slices by process id of each
    worker of this machine that has announced itself; None while the ledger is away. `most_starting`: how many workers
    of all pools may be on their way up at a time.
    """

    def __init__(
        self,
        pools: Sequence[WorkerPool],
        bounds: Mapping[str, Bounds],
        wanted: Callable[[str], Wanted | None],
        busy: Callable[[], Mapping[int, int] | None],
        most_starting: int,
    ) -> None:
        self._pools = pools
        self._bounds = bounds
        self._wanted = wanted
        self._busy = busy
        self._most_starting = most_starting
        self._decided: dict[str, Wanted] = {}

    def look(self) -> list[WorkerChange]:
        """Starts and drains what the decisions ask for; what was done."""
        busy = self._busy()
        if busy is None:
            return []
        seen = [(pool, pool.running(busy)) for pool in self._pools]
        room = room_left((one for _, running in seen for one in running), self._most_starting)
        changes: list[WorkerChange] = []
        for pool, running in seen:
            wanted = self._wanted(pool.pool)
            if wanted is not None:
                self._decided[pool.pool] = wanted
            change = plan_pool(running, wanted.workers if wanted else None, self._bounds[pool.pool], room)
            room -= change.start
            changes += pool.apply(change)
        return changes

    def standings(self) -> list[PoolStanding]:
        return [self._standing(pool) for pool in self._pools]

    def _standing(self, pool: WorkerPool) -> PoolStanding:
        decided = self._decided.get(pool.pool)
        wanted = pool.size
        if decided is not None:
            wanted = self._bounds[pool.pool].held(decided.workers)
        return PoolStanding(pool.pool, pool.size, wanted, pool.draining, decided.reason if decided else "")


def bounds_of(scaling: ScalingSettings, pools: Sequence[str]) -> dict[str, Bounds]:
    """Between how many workers the size of each pool is chosen. Raises `UsageError` when that is no range."""
    found = {}
    for pool in pools:
        own = scaling.pools.get(pool, PoolScalingSettings())
        least = scaling.min_workers if own.min_workers is None else own.min_workers
        most = scaling.max_workers if own.max_workers is None else own.max_workers
        if least > most:
            raise UsageError(f"The pool {pool} cannot have at least {least} and at most {most} workers.")
        found[pool] = Bounds(least, most)
    return found


def scaling_here(scaling: ScalingSettings, least: int | None, most: int | None, machine_most: int) -> ScalingSettings:
    """The settings for the workers of this machine alone.

    `least`, `most`: as asked for on the command line, for every pool; None: as set. Where the settings leave a default
    that is meant for a fleet of machines, it becomes what one machine has use for (`machine_most`), and a process is
    there sooner than a machine would be.
    """
    defaults = ScalingSettings()
    changes: dict[str, object] = {}
    if scaling.start_seconds == defaults.start_seconds:
        changes["start_seconds"] = START_SECONDS
    if least is not None:
        changes |= {"min_workers": least, "scale_to_zero": scaling.scale_to_zero or least == 0}
    if most is not None:
        changes["max_workers"] = most
    elif scaling.max_workers == defaults.max_workers:
        changes["max_workers"] = max(machine_most, scaling.min_workers if least is None else least)
    own = {
        **({"min_workers": None} if least is not None else {}),
        **({"max_workers": None} if most is not None else {}),
    }
    changes["pools"] = {name: pool.model_copy(update=own) for name, pool in scaling.pools.items()}
    return scaling.model_copy(update=changes)


def decided(runtime: Runtime, pool: str) -> Wanted | None:
    """As the ledger has it; None: nobody has decided lately, or the ledger is away."""
    try:
        demand = FleetBook(runtime.ledger, runtime.settings.service.region).demand(pool)
    except LedgerError:
        return None
    if demand is None or demand.age_seconds > STALE_SECONDS:
        return None
    return Wanted(demand.workers, demand.reason)


def busy_workers(runtime: Runtime) -> Mapping[int, int] | None:
    """Slices under way by process id, of all workers of this machine that have announced themselves and not ended."""
    host = socket.gethostname()
    try:
        workers = runtime.ledger.workers()
        with runtime.ledger.reading() as session:
            slices = slices_by_worker(session)
    except LedgerError:
        return None
    here = [worker.name for worker in workers if worker.host == host and worker.ended_at is None]
    return {pid: slices.get(name, 0) for name in here if (pid := _pid_of(name)) is not None}


def _pid_of(worker: str) -> int | None:
    """`host-4711-a1b2c3` -> 4711"""
    parts = worker.rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else None
