"""Work that comes round: each chore at its own pace, and none ends the others by failing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from docfleet.dispatch.breaker import Breaker
from docfleet.errors import DocfleetError
from docfleet.telemetry import logger

_log = logger(__name__)


@dataclass
class Chore:
    """`work` is called every `seconds`, or later while it fails."""

    name: str
    seconds: float
    work: Callable[[], object]
    due_at: float = 0.0
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.name)


def do_due(chores: list[Chore], now: Callable[[], float]) -> None:
    """Does what is due. What fails is told once, and tried again ever more slowly until it works."""
    for chore in chores:
        started = now()
        if started < chore.due_at or not chore.breaker.allows(started):
            continue
        try:
            chore.work()
        except DocfleetError as error:
            chore.breaker.failed(now(), error)
        except Exception as error:
            # a defect of ours in one chore must not stop the others
            if not chore.breaker.is_open:
                _log.exception("chore_broke", name=chore.name)
            chore.breaker.failed(now(), error)
        else:
            chore.breaker.worked()
            chore.due_at = now() + chore.seconds


def next_due(chores: list[Chore], now: float, at_most: float) -> float:
    """Seconds until something is due."""
    return max(0.0, min([at_most, *(chore.due_at - now for chore in chores)]))
