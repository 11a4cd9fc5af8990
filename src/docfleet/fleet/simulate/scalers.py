"""Who decides the size of a simulated pool: policies side by side, from a fixed number to one that knows the future."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil
from typing import Annotated, Protocol, cast

import msgspec
import numpy as np

from docfleet.domain.business_hours import ClockFloor, floor_at
from docfleet.domain.load import Caps, Outlook, PoolLoad
from docfleet.domain.scaling import Decision, ScalingMemory, ScalingPolicy
from docfleet.fleet.simulate.arrivals import Arrivals
from docfleet.fleet.simulate.demand import Floats
from docfleet.fleet.simulate.world import World


class Forecaster(Protocol):
    """Looks ahead; is told what arrived."""

    def outlook(self, now: float, lead: float) -> Outlook | None:
        """For the time from now on until `lead` seconds later; None: nothing can be said."""

    def arrived(self, at: float, seconds: float, documents: float, work: float) -> None:
        """So many documents, of so many slot-seconds, came in the `seconds` after `at`."""


class Scaler(Protocol):
    """Decides; is asked every few seconds of the simulated time."""

    name: str
    last: Decision | None
    """With its reasons, of a policy that gives them."""

    def size(self, load: PoolLoad, caps: Caps, workers: int, now: float) -> int:
        """Workers from now on; `workers` are there or starting."""


class Fixed:
    """Always as many."""

    last: Decision | None = None

    def __init__(self, workers: int) -> None:
        self.name = "fixed"
        self.workers = workers

    def size(self, load: PoolLoad, caps: Caps, workers: int, now: float) -> int:
        return self.workers


class QueueRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What KEDA and the Horizontal Pod Autoscaler do with the length of a queue."""

    per_worker: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    """Documents, waiting and running, for each worker."""
    per_worker_later: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The same for documents whose target is an hour; none: as all."""
    min_workers: Annotated[int, msgspec.Meta(ge=0)] = 1
    max_workers: Annotated[int, msgspec.Meta(ge=0)] = 100
    window_seconds: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    """Stabilisation of the way down."""
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    """A ratio of wanted to present workers that is nearer to 1 changes nothing."""
    up_share: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    up_workers: Annotated[int, msgspec.Meta(ge=0)] = 4
    """At most so large a share of the present workers, or so many, more in 15 s, whichever is more."""


class QueueLength:
    """So many documents for each worker, as KEDA hands it to the autoscaler of Kubernetes.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm, tolerance, default behaviour)
    """

    last: Decision | None = None

    def __init__(self, rule: QueueRule, floors: Sequence[ClockFloor] = (), timezone: str = "UTC") -> None:
        self.name = "queue-clock" if floors else "queue"
        self._rule, self._floors, self._timezone = rule, floors, timezone
        self._wanted: deque[tuple[float, int]] = deque()

    def size(self, load: PoolLoad, caps: Caps, workers: int, now: float) -> int:
        rule = self._rule
        share = 0.0
        for one in load.classes:
            later = rule.per_worker_later if one.target_seconds >= 3600 else None
            share += (one.waiting_documents + one.running_slices) / (later or rule.per_worker)
        floor = floor_at(self._floors, self._timezone, frozenset(), now)
        least = max(rule.min_workers, floor.workers if floor is not None else 0)
        wanted = ceil(share - 1e-9)
        if workers and abs(share / workers - 1) <= rule.tolerance:
            wanted = workers
        wanted = min(rule.max_workers, max(least, wanted))
        if wanted > workers:
            wanted = min(wanted, workers + max(ceil(workers * rule.up_share), rule.up_workers))
        while self._wanted and (now - self._wanted[0][0] > rule.window_seconds or self._wanted[0][0] > now):
            self._wanted.popleft()
        while self._wanted and self._wanted[-1][1] <= wanted:
            self._wanted.pop()
        self._wanted.append((now, wanted))
        return wanted if wanted >= workers else min(workers, self._wanted[0][1])


class Policy:
    """docfleet's own policy: the very function that the service decides with."""

    def __init__(self, policy: ScalingPolicy, forecaster: Forecaster | None = None, name: str = "") -> None:
        self.name = name or ("predictive" if forecaster is not None else "reactive")
        self._policy, self._forecaster = policy, forecaster
        self._memory = ScalingMemory()
        self.last: Decision | None = None

    def size(self, load: PoolLoad, caps: Caps, workers: int, now: float) -> int:
        outlook = None
        if self._forecaster is not None:
            outlook = self._forecaster.outlook(now, self._policy.start_seconds)
        self.last = self._policy.decide(load, outlook, caps, self._memory, now)
        self._memory = self.last.memory
        return self.last.workers


class Oracle:
    """Knows all that will arrive, and asks for exactly the workers that do it within a wait, one start-up ahead.

    Slots that work at the mean rate of what arrived in the last h seconds finish everything within h: what they have
    done at t is the mean over those h seconds of all that had arrived, so at least what had arrived at t - h. Whether
    a worker is kept through a gap is decided by what starting it again would be paid for.
    """

    last: Decision | None = None

    def __init__(self, arrivals: Arrivals, world: World, within: Sequence[float], start: float) -> None:
        """`within`: seconds in which the work of each class is done; `start`: of the run, seconds since 1970."""
        self.name = "oracle"
        self._start, self._tick = start, arrivals.tick_seconds
        slots = np.zeros(arrivals.ticks)
        for work, seconds in zip(arrivals.work, within, strict=True):
            width = max(1, round(seconds / self._tick))
            done = np.concatenate([np.zeros(width), np.cumsum(work)])
            slots += (done[width:] - done[:-width]) / (width * self._tick)
        lead = max(1, round(world.start_seconds / self._tick))
        # what is needed, without gaps too short to be worth a stop, one start-up ahead
        self.ready = -_highest(-_highest(slots, lead)[::-1], lead)[::-1]
        """Slots that are at work in each tick."""
        ahead = _highest(self.ready, lead)
        self._workers = np.ceil(ahead / world.machines.slots_per_worker - 1e-9).astype(int)

    def size(self, load: PoolLoad, caps: Caps, workers: int, now: float) -> int:
        place = min(len(self._workers) - 1, max(0, int((now - self._start) / self._tick)))
        return int(self._workers[place])


def _highest(values: Floats, ticks: int) -> Floats:
    """The highest of each value and the `ticks` that follow it."""
    padded = np.concatenate([values, np.full(ticks, values[-1] if len(values) else 0.0)])
    return cast(Floats, np.lib.stride_tricks.sliding_window_view(padded, ticks + 1).max(axis=1))
