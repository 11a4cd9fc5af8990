"""How long each fault was felt: until the next document was accepted, one ended, and what it broke off ran again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

LIMIT_SECONDS = 30.0


class Fault(msgspec.Struct, frozen=True):
    """Something the nemesis did."""

    kind: str
    at: float
    until: float
    """When it was over: a stopped process went on, a killed server was back. Recovery counts from `at`."""
    broke_off: Mapping[int, int] = {}
    """Slices that ran under what was hit -> their tokens."""
    target: str = ""
    database_gone_at: float | None = None
    """When the database went away on purpose; it was back at `at`."""


class SliceChange(msgspec.Struct, frozen=True):
    at: float
    slice_id: int
    to_state: str
    token: int


class Recovery(msgspec.Struct, frozen=True):
    """Of all faults of one kind; seconds, the longest of each. None: nothing of the sort was to be seen."""

    kind: str
    count: int
    accept: float | None
    completion: float | None
    again: float | None

    @property
    def longest(self) -> float:
        return max(
            (seconds for seconds in (self.accept, self.completion, self.again) if seconds is not None), default=0
        )


def measure(
    faults: Sequence[Fault],
    accepts: Sequence[float],
    completions: Sequence[float],
    changes: Sequence[SliceChange],
) -> list[Recovery]:
    """One line for each kind of fault. `accepts` and `completions` are moments, in any order.

    While the database is away on purpose nothing can recover from what was before: that time counts for its own fault
    alone. A fault after which nothing was accepted any more (all was submitted) or ended any more counts for nothing
    there.
    """
    accepts, completions = sorted(accepts), sorted(completions)
    by_slice: dict[int, list[SliceChange]] = {}
    for change in sorted(changes, key=lambda change: change.at):
        by_slice.setdefault(change.slice_id, []).append(change)
    outages = [(fault.database_gone_at, fault.at) for fault in faults if fault.database_gone_at is not None]

    def felt(moment: float | None, at: float) -> float | None:
        if moment is None:
            return None
        return moment - at - sum(max(0.0, min(moment, back) - max(at, gone)) for gone, back in outages)

    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    return [
        Recovery(
            kind,
            len(own),
            _longest([felt(_next(accepts, fault.at), fault.at) for fault in own]),
            _longest([felt(_next(completions, fault.at), fault.at) for fault in own]),
            _longest(
                [
                    felt(_again(by_slice.get(id_, ()), token, fault.at), fault.at)
                    for fault in own
                    for id_, token in fault.broke_off.items()
                ]
            ),
        )
        for kind, own in sorted(kinds.items())
    ]


def _longest(seconds: Sequence[float | None]) -> float | None:
    return max((each for each in seconds if each is not None), default=None)


def _next(moments: Sequence[float], at: float) -> float | None:
    return next((moment for moment in moments if moment > at), None)


def _again(changes: Sequence[SliceChange], token: int, at: float) -> float | None:
    """When the slice was claimed again, or had ended after all."""
    for change in changes:
        if change.at >= at and (change.token > token or change.to_state in ("done", "dead", "cancelled")):
            return change.at
    return None
