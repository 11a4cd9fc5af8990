"""Which worker processes of a pool are started and which are asked to stop. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

_BYTES_PER_SLOT = 1 << 30
"""A slot with models and sandbox takes up to about this much."""


class RunningWorker(msgspec.Struct, frozen=True):
    """A worker process that has not been asked to stop."""

    name: str
    started_at: float
    is_ready: bool
    """It has announced itself in the ledger."""
    busy: int = 0
    """Slices it works on."""
    has_failed: bool = False
    """It ended unasked and was started again."""


class SizeChange(msgspec.Struct, frozen=True):
    start: int = 0
    """How many to start now."""
    drain: tuple[str, ...] = ()
    """Whom to ask to stop, by name."""


class Bounds(msgspec.Struct, frozen=True):
    """Of one pool on this machine, whatever was decided for it."""

    least: int
    most: int

    def held(self, workers: int) -> int:
        """The nearest number within."""
        return max(self.least, min(workers, self.most))


def room_left(running: Iterable[RunningWorker], most_starting: int) -> int:
    """How many workers more may be on their way up, given those of all pools. One that failed and was started again is
    not counted: a pool whose workers cannot start must not hold up another."""
    return most_starting - sum(not one.is_ready and not one.has_failed for one in running)


def plan_pool(running: Sequence[RunningWorker], wanted: int | None, bounds: Bounds, room: int) -> SizeChange:
    """How a pool gets to the size that is wanted.

    `wanted` None: nobody knows, so what runs keeps running, and at least `bounds.least`. `room`: how many more may be
    on their way up now; the rest is started once these are ready, since a machine that starts everything at once has
    nothing ready for long. Those who drain already are nobody's business here: they take nothing more, and a size that
    rises again is met by new ones. Asked to stop are first those that are not ready, then those at the fewest slices,
    then the newest.
    """
    # what runs may be more than the bounds allow only while nobody decides
    size = max(bounds.least, len(running)) if wanted is None else bounds.held(wanted)
    missing = size - len(running)
    if missing >= 0:
        return SizeChange(start=max(0, min(missing, room)))
    leaving = sorted(running, key=lambda one: (one.is_ready, one.busy, -one.started_at))
    return SizeChange(drain=tuple(one.name for one in leaving[:-missing]))


def sensible_most(cores: int, memory_bytes: int, slots: int) -> int:
    """Workers of a pool that a machine has use for: a core and a gibibyte for each slot."""
    return max(1, min(cores, memory_bytes // _BYTES_PER_SLOT) // max(1, slots))
