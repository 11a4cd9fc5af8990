"""What waits in a simulated pool, and how it is worked off: by cohorts.

The documents of a class that arrive in one tick are one lot of work. Slots work the lots off like a liquid: first come,
first served within a class, the more urgent class first. That neglects that one slot may be idle while another has its
last slice, and what happens within a tick: it matters where slots are few and waits are short. Document by document the
same is done in `one_by_one`, and tests compare the two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from docfleet.fleet.simulate.waits import Waits


class Standing(msgspec.Struct, frozen=True):
    """One class at a moment."""

    waiting_documents: float
    waiting_seconds: float
    """Slot-seconds of those."""
    busy_slots: float
    """That its work keeps busy."""
    oldest_seconds: float


class Backlog(Protocol):
    """The work of a pool, class by class, the most urgent first."""

    @property
    def waits(self) -> Sequence[Waits]:
        """Of what is done, or at work."""

    def arrive(self, tick: int, at: float) -> None:
        """The documents of a tick come, spread over it; `at` is its beginning."""

    def work(self, until: float, slots: int) -> None:
        """So many slots work from the last moment until this."""

    def lose(self, slots: int, ready_at: float) -> None:
        """So many slots died with what they had in hand, which can be taken up again at `ready_at`."""

    def standing(self, now: float) -> list[Standing]: ...

    def in_system(self) -> float:
        """Documents that have arrived and are not done."""


class Cohort:
    """Documents that arrived between two moments, and their work."""

    __slots__ = ("documents", "first", "last", "work")

    def __init__(self, first: float, last: float, documents: float, work: float) -> None:
        self.first, self.last, self.documents, self.work = first, last, documents, work


class Queue:
    """One class: its cohorts, and what became of them in the last tick."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        """Seconds after which a wait is late."""
        self.cohorts: deque[Cohort] = deque()
        self.documents = self.seconds = 0.0
        self.done_work = 0.0
        self.told: list[tuple[float, float]] = []
        """(wait, documents) of the last tick."""
        self.waits = Waits()

    def push(self, cohort: Cohort, in_front: bool = False) -> None:
        if in_front:
            self.cohorts.appendleft(cohort)
        else:
            self.cohorts.append(cohort)
        self.documents += cohort.documents
        self.seconds += cohort.work

    def serve(self, left: float, begin: float, slots: int) -> float:
        """Works on the first cohort from `begin` on with what is left of the tick; returns the slot-seconds it took."""
        cohort = self.cohorts[0]
        share = 1.0 if cohort.work <= left else left / cohort.work
        taken, documents = cohort.work * share, cohort.documents * share
        upto = cohort.first + (cohort.last - cohort.first) * share
        # the first of them is done at `begin`, the last when all is: the wait runs straight between the two
        self._tell(begin - cohort.first, begin + taken / slots - upto, documents)
        if share >= 1.0:
            self.cohorts.popleft()
        else:
            cohort.first, cohort.documents, cohort.work = upto, cohort.documents - documents, cohort.work - taken
        self.documents -= documents
        self.seconds -= taken
        self.done_work += taken
        return taken

    def _tell(self, first: float, last: float, documents: float) -> None:
        parts = 1 if abs(last - first) < 1.0 else 4
        for part in range(parts):
            wait = max(0.0, first + (last - first) * (part + 0.5) / parts)
            self.waits.add(wait, documents / parts, self.limit)
            self.told.append((wait, documents / parts))

    def undo(self, share: float, now: float) -> Cohort | None:
        """Takes back a share of what the last tick did: it has to be done again."""
        done = sum(documents for _, documents in self.told)
        if done <= 0 or share <= 0:
            return None
        for wait, documents in self.told:
            self.waits.add(wait, -share * documents, self.limit)
        arrived = now - sum(wait * documents for wait, documents in self.told) / done
        return Cohort(arrived, arrived, share * done, share * self.done_work)


class Cohorts:
    """The whole pool as a liquid; see the head of this file."""

    def __init__(
        self,
        documents: Sequence[Sequence[int]],
        work: Sequence[Sequence[float]],
        tick: float,
        limits: Sequence[float],
        slice_seconds: float,
    ) -> None:
        """`documents`, `work`: by class and tick; `limits`: seconds after which a wait is late, by class."""
        self._documents, self._work, self._tick = documents, work, tick
        self._slice_seconds = slice_seconds
        self._queues = [Queue(limit) for limit in limits]
        self._returning: list[tuple[float, Queue, Cohort]] = []
        self._slots = 0
        self._seconds = tick
        self._at = 0.0

    @property
    def waits(self) -> Sequence[Waits]:
        return [queue.waits for queue in self._queues]

    def arrive(self, tick: int, at: float) -> None:
        for queue, documents, work in zip(self._queues, self._documents, self._work, strict=True):
            if documents[tick]:
                queue.push(Cohort(at, at + self._tick, documents[tick], work[tick]))

    def work(self, until: float, slots: int) -> None:
        start = self._at
        self._at, self._seconds, self._slots = until, until - start, slots
        if self._returning:
            self._take_back()
        capacity = left = slots * self._seconds
        for queue in self._queues:
            queue.done_work = 0.0
            queue.told.clear()
            while left > 1e-9 and queue.cohorts:
                left -= queue.serve(left, start + (capacity - left) / slots, slots)

    def lose(self, slots: int, ready_at: float) -> None:
        capacity = self._slots * self._seconds
        if not capacity:
            return
        share = min(1.0, slots * self._slice_seconds / capacity)
        for queue in self._queues:
            cohort = queue.undo(share, self._at)
            if cohort is not None:
                self._returning.append((ready_at, queue, cohort))

    def _take_back(self) -> None:
        for ready_at, queue, cohort in self._returning:
            if ready_at <= self._at:
                queue.push(cohort, in_front=True)
        self._returning = [one for one in self._returning if one[0] > self._at]

    def standing(self, now: float) -> list[Standing]:
        return [
            Standing(
                max(0.0, queue.documents),
                max(0.0, queue.seconds),
                queue.done_work / self._seconds if self._seconds > 0 else 0.0,
                max(0.0, now - queue.cohorts[0].first) if queue.cohorts else 0.0,
            )
            for queue in self._queues
        ]

    def in_system(self) -> float:
        waiting = sum(cohort.documents for queue in self._queues for cohort in queue.cohorts)
        return waiting + sum(cohort.documents for _, _, cohort in self._returning)
