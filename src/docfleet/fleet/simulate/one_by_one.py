"""The exact way: every slice of every document is an event of its own. For rates that one machine can follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from heapq import heappop, heappush
from typing import Any, cast

import numpy as np
import simpy

from docfleet.fleet.simulate.arrivals import Documents
from docfleet.fleet.simulate.backlog import Standing
from docfleet.fleet.simulate.waits import Waits


class _Document:
    __slots__ = ("arrived", "unfinished", "unstarted", "waited")

    def __init__(self, arrived: float, slices: int) -> None:
        self.arrived, self.waited = arrived, 0.0
        self.unstarted = self.unfinished = slices


Slice = tuple[int, float, int, float, _Document]
"""(class, arrival, number, slot-seconds, its document): in the order in which slices are taken."""


class OneByOne:
    """Slices wait by urgency, then by arrival, and take a slot each. A document waits until its last one begins."""

    def __init__(
        self,
        environment: simpy.Environment,
        documents: Sequence[Documents],
        limits: Sequence[float],
        slice_seconds: float,
        seed: int,
    ) -> None:
        self._environment = environment
        self._each = documents
        self._limits = limits
        self._slice_seconds = slice_seconds
        self._random = np.random.default_rng(seed)
        self._next = [0] * len(limits)
        self._heap: list[Slice] = []
        self._running: dict[simpy.Process, Slice] = {}
        self._slots = 0
        self._numbers = 0
        self._waiting_seconds = [0.0] * len(limits)
        self._waiting: list[Counter[int]] = [Counter() for _ in limits]
        """By class: slices that wait, by their document."""
        self._open = 0
        self.waits: Sequence[Waits] = [Waits() for _ in limits]

    def arrive(self, tick: int, at: float) -> None:
        """Nothing to do: documents come when they come, see `work`."""

    def work(self, until: float, slots: int) -> None:
        self._slots = slots
        self._dispatch()
        for number, documents in enumerate(self._each):
            first = self._next[number]
            after = int(np.searchsorted(documents.at, until, side="left"))
            self._next[number] = after
            for place in range(first, after):
                self._environment.process(self._come(number, float(documents.at[place]), float(documents.work[place])))

    def _come(self, number: int, at: float, work: float) -> Generator[simpy.Event, Any, None]:
        yield self._environment.timeout(max(0.0, at - self._environment.now))
        slices = max(1, round(work / self._slice_seconds))
        self._numbers += 1
        self._open += 1
        document = _Document(at, slices)
        for _ in range(slices):
            self._push((number, at, self._numbers, work / slices, document))
        self._dispatch()

    def _push(self, one: Slice) -> None:
        heappush(self._heap, one)
        self._waiting_seconds[one[0]] += one[3]
        self._waiting[one[0]][one[2]] += 1

    def _dispatch(self) -> None:
        while self._heap and len(self._running) < self._slots:
            one = heappop(self._heap)
            number, arrived, name, work, document = one
            self._waiting_seconds[number] -= work
            self._waiting[number][name] -= 1
            if not self._waiting[number][name]:
                del self._waiting[number][name]
            document.unstarted -= 1
            if not document.unstarted:
                document.waited = max(0.0, self._environment.now - arrived)
                self.waits[number].add(document.waited, 1.0, self._limits[number])
            process = self._environment.process(self._run(one))
            self._running[process] = one

    def _run(self, one: Slice) -> Generator[simpy.Event, Any, None]:
        process = self._environment.active_process
        assert process is not None
        try:
            yield self._environment.timeout(one[3])
            one[4].unfinished -= 1
            self._open -= not one[4].unfinished
            del self._running[process]
        except simpy.Interrupt as stopped:
            del self._running[process]
            document = one[4]
            if not document.unstarted:
                # told as begun already; it begins again later
                self.waits[one[0]].add(document.waited, -1.0, self._limits[one[0]])
            document.unstarted += 1
            yield self._environment.timeout(max(0.0, float(cast(float, stopped.cause)) - self._environment.now))
            self._push(one)
        self._dispatch()

    def lose(self, slots: int, ready_at: float) -> None:
        """Any slots may be hit, idle ones too."""
        running = list(self._running)
        idle = max(0, self._slots - len(running))
        hit = self._random.permutation(len(running) + idle)[:slots]
        for place in hit:
            if place < len(running):
                running[place].interrupt(ready_at)
        self._slots = max(0, self._slots - slots)

    def standing(self, now: float) -> list[Standing]:
        busy = Counter(one[0] for one in self._running.values())
        oldest: dict[int, float] = {}
        for number, arrived, *_ in self._heap:
            oldest[number] = min(arrived, oldest.get(number, arrived))
        return [
            Standing(
                len(self._waiting[number]),
                max(0.0, self._waiting_seconds[number]),
                busy[number],
                now - oldest[number] if number in oldest else 0.0,
            )
            for number in range(len(self._limits))
        ]

    def in_system(self) -> float:
        return self._open
