"""The worker processes of one pool: kept running, added to, drained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from docfleet.stack.children import Child
from docfleet.stack.sizing import RunningWorker, SizeChange
from docfleet.telemetry import logger

_log = logger(__name__)


class WorkerChange(msgspec.Struct, frozen=True):
    """A worker that was started, asked to stop, or has ended after that."""

    pool: str
    worker: str
    change: str
    """"started", "draining" or "drained"."""
    pid: int | None
    exit_code: int | None = None


class WorkerPool:
    """For one thread. `make(name)` is a worker process that has not been started; `drain_seconds` is how long one that
    was asked to stop may take before it is killed."""

    def __init__(self, pool: str, make: Callable[[str], Child], drain_seconds: float) -> None:
        self.pool = pool
        self.restarts = 0
        """How often workers were started again that had ended unasked."""
        self._make = make
        self._drain_seconds = drain_seconds
        self._running: dict[str, Child] = {}
        self._draining: dict[str, tuple[Child, float]] = {}

    @property
    def children(self) -> list[Child]:
        """All processes, those that drain included."""
        return [*self._running.values(), *(child for child, _ in self._draining.values())]

    @property
    def size(self) -> int:
        """Workers that are meant to run."""
        return len(self._running)

    @property
    def draining(self) -> int:
        return len(self._draining)

    def running(self, busy_by_pid: Mapping[int, int]) -> list[RunningWorker]:
        """Its workers; `busy_by_pid`: slices of each worker that has announced itself."""
        return [
            RunningWorker(
                name,
                child.started_at,
                child.pid in busy_by_pid,
                busy_by_pid.get(child.pid, 0) if child.pid is not None else 0,
                child.restarts > 0,
            )
            for name, child in self._running.items()
        ]

    def tend(self) -> int:
        """Starts again what ended unasked, takes leave of what has drained; how many processes run for work."""
        restarts = sum(child.restarts for child in self._running.values())
        up = sum([child.tend() for child in self._running.values()])
        self.restarts += sum(child.restarts for child in self._running.values()) - restarts
        return up

    def drained(self) -> list[WorkerChange]:
        """Who has ended since the last call after being asked to; who takes too long is killed."""
        now = time.monotonic()
        changes = []
        for name, (child, deadline) in list(self._draining.items()):
            pid = child.pid
            if child.has_ended() or now > deadline:
                code = child.end(0.0)
                if now > deadline:
                    _log.warning("drain_took_too_long", name=name, seconds=self._drain_seconds)
                del self._draining[name]
                changes.append(WorkerChange(self.pool, name, "drained", pid, code))
        return changes

    def apply(self, change: SizeChange) -> list[WorkerChange]:
        changes = []
        for name in change.drain:
            child = self._running.pop(name)
            child.ask_to_stop()
            self._draining[name] = (child, time.monotonic() + self._drain_seconds)
            changes.append(WorkerChange(self.pool, name, "draining", child.pid))
        for _ in range(change.start):
            name = self._free_name()
            child = self._running[name] = self._make(name)
            child.start()
            changes.append(WorkerChange(self.pool, name, "started", child.pid))
        return changes

    def _free_name(self) -> str:
        number = 1
        while (name := f"{self.pool}-{number}") in self._running or name in self._draining:
            number += 1
        return name
