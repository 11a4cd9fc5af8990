"""What is counted of the documents, over which times: latencies in buckets, sums that add up, shares of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from math import inf

import msgspec

from docfleet.domain.work import DocumentState
from docfleet.errors import document_error_codes

LATENCY_BOUNDS = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    14400.0, 86400.0, inf,
)  # fmt: skip
"""Seconds; upper bounds of the buckets, themselves included. Every target of `domain.urgency` is one of them."""


class Measure(StrEnum):
    """What is counted; the comment says what its detail is."""

    ACCEPTED = "accepted"
    ENDED = "ended"
    """By `Outcome`."""
    IN_TIME = "in_time"
    """Ended within the target of its pool and priority. Like all latencies of the first end of a document only, and
    neither of cancelled ones nor of those that we failed, which count against availability."""
    LATE = "late"
    """Ended after that target, likewise."""
    DUPLICATES = "duplicates"
    """Ended with the results of an earlier document."""
    DURATION = "duration"
    """From accepted to ended, by upper bound of the bucket. Of the first end of a document only, and not of cancelled
    ones: what happens when somebody tries it again a week later is no latency."""
    DURATION_SUM = "duration_sum"
    WAIT = "wait"
    """From accepted to taken up by a worker, likewise."""
    WAIT_SUM = "wait_sum"
    PAGES = "pages"
    """Read, by engine."""
    PAGES_FAILED = "pages_failed"
    """By code."""
    COST_USD = "cost_usd"
    """Of pages, by engine."""
    RETRIES = "retries"
    """Attempts that go back to the queue, by kind of failure."""
    LEASES_LOST = "leases_lost"
    """Attempts whose worker died or fell silent."""
    DEAD_LETTERS = "dead_letters"
    """By code."""


class Outcome(StrEnum):
    """How a document ended, and through whose fault."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    """Through its own fault, or as its submitter wanted it: it is damaged, needs a password, has no budget."""
    BROKEN = "broken"
    """Through ours: a crash, an engine or a store that failed. The only one that counts against availability."""
    CANCELLED = "cancelled"


def outcome_of(state: DocumentState, code: str) -> Outcome:
    """`state`: an end. A code that nobody knows is our fault."""
    if state is not DocumentState.FAILED:
        return Outcome(state.value)
    error = document_error_codes().get(code)
    return Outcome.FAILED if error is not None and not error.is_ours else Outcome.BROKEN


def bound_of(seconds: float) -> str:
    """Upper bound of the bucket that a latency falls into, as the tallies name it: "0.25", "60", "+Inf"."""
    return bound_name(LATENCY_BOUNDS[bisect_left(LATENCY_BOUNDS, seconds)])


def bound_name(bound: float) -> str:
    return "+Inf" if bound == inf else f"{bound:g}"


def latency_quantile(counts: Mapping[str, float], share: float) -> float | None:
    """Seconds within which `share` of what `counts` holds ended; None: it holds nothing.

    `counts`: bound -> how many lie in its bucket (not: up to it). Within a bucket they are taken as spread evenly, as
    Prometheus' histogram_quantile does; above the last bound there is nothing to go by but that bound.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    rank, below, lower = share * total, 0.0, 0.0
    for bound in LATENCY_BOUNDS:
        count = counts.get(bound_name(bound), 0.0)
        if count > 0 and below + count >= rank:
            return lower if bound == inf else lower + (bound - lower) * max(0.0, rank - below) / count
        below += count
        lower = lower if bound == inf else bound
    return lower


class Sums(msgspec.Struct, frozen=True):
    """What happened in a time, in documents unless the name says otherwise."""

    accepted: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    broken: int = 0
    cancelled: int = 0
    in_time: int = 0
    late: int = 0
    duplicates: int = 0
    pages: int = 0
    pages_failed: int = 0
    cost_usd: float = 0.0
    retries: int = 0
    leases_lost: int = 0
    dead_letters: int = 0
    seconds_p50: float | None = None
    """From accepted to ended; None: nothing ended."""
    seconds_p95: float | None = None
    wait_p50: float | None = None
    wait_p95: float | None = None

    @property
    def ended(self) -> int:
        """Without the cancelled."""
        return self.succeeded + self.partial + self.failed + self.broken

    @property
    def timed(self) -> int:
        """Those that a target of latency is judged by."""
        return self.in_time + self.late


Amounts = Mapping[tuple[str, str], float]
"""(measure, detail) -> how much."""


def sums_of(amounts: Amounts) -> Sums:
    """What the amounts of one time come to."""
    whole: dict[str, float] = {}
    details: dict[str, dict[str, float]] = {}
    for (measure, detail), amount in amounts.items():
        whole[measure] = whole.get(measure, 0.0) + amount
        of = details.setdefault(measure, {})
        of[detail] = of.get(detail, 0.0) + amount
    ended, durations, waits = (details.get(name, {}) for name in (Measure.ENDED, Measure.DURATION, Measure.WAIT))
    counted = (
        Measure.ACCEPTED, Measure.IN_TIME, Measure.LATE, Measure.DUPLICATES, Measure.PAGES, Measure.PAGES_FAILED,
        Measure.RETRIES, Measure.LEASES_LOST, Measure.DEAD_LETTERS,
    )  # fmt: skip
    return Sums(
        cost_usd=round(whole.get(Measure.COST_USD, 0.0), 9),
        seconds_p50=latency_quantile(durations, 0.5), seconds_p95=latency_quantile(durations, 0.95),
        wait_p50=latency_quantile(waits, 0.5), wait_p95=latency_quantile(waits, 0.95),
        **{measure.value: round(whole.get(measure, 0.0)) for measure in counted},
        **{outcome.value: round(ended.get(outcome, 0.0)) for outcome in Outcome},
    )  # fmt: skip
