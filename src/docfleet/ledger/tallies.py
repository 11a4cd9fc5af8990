"""The tallies as their users see them: every call is one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from docfleet.domain.tallying import Measure, Sums, sums_of
from docfleet.ledger import tally_counting
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.tally_counting import ALL_TENANTS, DAY, EVER, FIVE_MINUTES, HOUR
from docfleet.ledger.tally_rows import TALLY, TALLY_MARK

__all__ = ["ALL_TENANTS", "DAY", "FIVE_MINUTES", "HOUR", "Statistics", "Tallies", "TallyRow"]


class TallyRow(msgspec.Struct, frozen=True):
    """One sum, of all tenants together, since ever: it never gets less."""

    region: str
    pool: str
    urgency: str
    measure: str
    detail: str
    amount: float


class ClassSums(msgspec.Struct, frozen=True):
    pool: str
    urgency: str
    sums: Sums


class Statistics(msgspec.Struct, frozen=True):
    """What happened in a span of time. Steps in which nothing did are among `steps` all the same."""

    since: float
    """Begin of the first step."""
    until: float
    """End of the last one."""
    step_seconds: int
    now: float
    counted_until: float | None
    """What happened later is not in it yet; None: nobody counts."""
    counted_since: float | None
    steps: tuple[tuple[float, Sums], ...]
    """(begin of the step, its sums), rising."""
    total: Sums
    engines: Mapping[str, tuple[int, float]]
    """Engine -> (pages read, US dollars)."""
    codes: Mapping[str, int]
    """Code -> pages that failed with it."""
    dead_codes: Mapping[str, int]
    """Code -> slices that became dead letters."""
    classes: tuple[ClassSums, ...]
    """By pool and priority."""


class Tallies:
    """What happened, in steps of time. Threads may share one. Raises `LedgerError` when the database fails."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def count_events(self) -> bool:
        """Brings the tallies up to date; whether more is left to count at once."""
        with self._ledger.unit_of_work() as session:
            return tally_counting.count_events(session)

    def forget_old(self) -> None:
        with self._ledger.unit_of_work() as session:
            tally_counting.forget_old_steps(session)

    def totals(self, region: str | None = None) -> list[TallyRow]:
        """The sums since ever, of one region or of all."""
        wanted = select(*(TALLY.c[name] for name in TallyRow.__struct_fields__)).where(
            TALLY.c.tenant_id == ALL_TENANTS, TALLY.c.resolution == EVER, TALLY.c.bucket == 0
        )
        if region is not None:
            wanted = wanted.where(TALLY.c.region == region)
        with self._ledger.reading() as session:
            return [TallyRow(*row) for row in session.execute(wanted)]

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        with self._ledger.reading() as session:
            return float(session.execute(select(database_now())).scalar_one())

    def counted_until(self) -> float | None:
        """Until when everything is counted, in seconds since 1970; None: nobody has begun to."""
        with self._ledger.reading() as session:
            return _mark(session)[0]

    def series(self, tenant: str, since: float, until: float, step: int) -> Statistics:
        """From the step that `since` lies in to the one that ends at or after `until`, but none of the future.

        `tenant`: `ALL_TENANTS` for all together. `step`: `FIVE_MINUTES`, `HOUR` or `DAY` (of UTC), in seconds.
        """
        with self._ledger.reading() as session:
            now = float(session.execute(select(database_now())).scalar_one())
            counted_until, counted_since = _mark(session)
            first = int(since // step) * step
            last = int(-(-min(until, now) // step)) * step
            rows = session.execute(
                select(
                    TALLY.c.bucket, TALLY.c.pool, TALLY.c.urgency, TALLY.c.measure, TALLY.c.detail, TALLY.c.amount
                ).where(
                    TALLY.c.tenant_id == tenant, TALLY.c.resolution == step, TALLY.c.bucket >= first,
                    TALLY.c.bucket < last,
                )
            ).all()  # fmt: skip
        told = [((row.measure, row.detail), row) for row in rows]
        steps: dict[int, dict[tuple[str, str], float]] = {at: defaultdict(float) for at in range(first, last, step)}
        classes: defaultdict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
        total: dict[tuple[str, str], float] = defaultdict(float)
        for key, row in told:
            for sums in (steps[row.bucket], classes[row.pool, row.urgency], total):
                sums[key] += row.amount
        of_engine = {
            engine: (round(total.get((Measure.PAGES, engine), 0.0)), total.get((Measure.COST_USD, engine), 0.0))
            for measure, engine in sorted(total)
            if measure in (Measure.PAGES, Measure.COST_USD)
        }
        return Statistics(
            since=first, until=max(first, last), step_seconds=step, now=now, counted_until=counted_until,
            counted_since=counted_since,
            steps=tuple((float(at), sums_of(amounts)) for at, amounts in steps.items()),
            total=sums_of(total),
            engines=of_engine,
            codes=_by_detail(total, Measure.PAGES_FAILED),
            dead_codes=_by_detail(total, Measure.DEAD_LETTERS),
            classes=tuple(
                ClassSums(pool, urgency, sums_of(amounts)) for (pool, urgency), amounts in sorted(classes.items())
            ),
        )  # fmt: skip


def _by_detail(total: Mapping[tuple[str, str], float], wanted: Measure) -> dict[str, int]:
    return {detail: round(amount) for (measure, detail), amount in sorted(total.items()) if measure == wanted}


def _mark(session: Session) -> tuple[float | None, float | None]:
    """(until when all is counted, since when anything is)."""
    row = session.execute(select(TALLY_MARK.c.counted_at, TALLY_MARK.c.since)).one_or_none()
    return (None, None) if row is None or not row.counted_at else (row.counted_at, row.since)
