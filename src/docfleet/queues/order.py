"""The order in which a worker looks at its queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docfleet.domain.urgency import RANK, Urgency

TURN = 4
"""Every so many hints, the least urgent queue is asked first: what is in Redis is a small window that the dispatcher
has chosen with ageing already, and no part of it must wait for ever."""


class UrgentFirst:
    """A queue cycle for kombu: the most urgent queue first, and at every `TURN`th hint the least urgent one."""

    def __init__(self, queues: Iterable[str] = ()) -> None:
        self._queues = list(queues)
        self._taken = 0

    def update(self, queues: Iterable[str]) -> None:
        self._queues = sorted(queues, key=_rank)

    def consume(self, count: int) -> Sequence[str]:
        """The first `count` queues to ask, in order."""
        if self._taken % TURN == TURN - 1:
            return self._queues[::-1][:count]
        return self._queues[:count]

    def rotate(self, last_used: str) -> str:
        """A hint was taken from `last_used`."""
        self._taken += 1
        return last_used


def _rank(queue: str) -> tuple[int, str]:
    name = queue.rpartition(".")[2]
    return (RANK[Urgency(name)] if name in RANK else len(RANK), queue)
