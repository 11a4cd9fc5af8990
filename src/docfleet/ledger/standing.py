"""How a service stands at this moment, for those who watch all of it: small figures, each found by an index."""

from __future__ import annotations

import msgspec
from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from docfleet.domain.budgeting import ALL
from docfleet.domain.months import month_of
from docfleet.ledger import dead_letters
from docfleet.ledger.dialect import database_now
from docfleet.ledger.fleet_rows import DemandRow
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.money_rows import BUDGET, SPEND
from docfleet.ledger.report_rows import REPORT
from docfleet.ledger.service_rows import DELIVERY, WORKER

SILENT_SECONDS = 60.0
"""A worker that was not seen for so long and said no good-bye has ended without a word."""
_LONGEST_LOOK = 3600.0
_REPORT_SECONDS = 7200.0
"""A report that failed is tried at least once an hour, as long as anybody wants it."""
_NOW = select(database_now())


class BudgetStanding(msgspec.Struct, frozen=True):
    """A budget that holds in this month. `tenant` and `engine` may be `ALL`; `month`: "2026-03", or `ALL` for every
    month."""

    tenant: str
    engine: str
    month: str
    limit_micros: int
    spent_micros: int
    """Reserved for what is under way included."""
    is_refusing: bool
    """Something had no room in it in this month, under the limit it has now."""


class WorkersEnded(msgspec.Struct, frozen=True):
    region: str
    pool: str
    cause: str
    """"stopped", "stalled", or "silent"."""
    workers: int


class Moment(msgspec.Struct, frozen=True):
    """All of it, from one transaction."""

    at: float
    """Seconds since 1970, by the database's clock."""
    dead_letters: int
    deliveries_waiting: int
    reports_failing: int
    """Scheduled ones that could not be made and are tried again."""
    budgets: tuple[BudgetStanding, ...]
    """Those nearest their limit first."""
    regions: tuple[tuple[str, float], ...]
    """(region, when its size was decided last, which only a leading dispatcher does)."""
    ended: tuple[WorkersEnded, ...]
    """Workers that ended since the look before."""


def look(ledger: Ledger, since: float | None, most_budgets: int = 100) -> Moment:
    """`since`: `at` of the look before; None: there was none. Raises `LedgerError`."""
    with ledger.reading() as session:
        now = float(session.execute(_NOW).scalar_one())
        return Moment(
            now,
            dead_letters.count(session, None),
            _deliveries_waiting(session),
            _reports_failing(session, now),
            tuple(_budgets(session, month_of(now), most_budgets)),
            tuple((region, at) for region, at in session.execute(_REGIONS)),
            tuple(_ended(session, max(since, now - _LONGEST_LOOK), now)) if since is not None else (),
        )


_REGIONS = (
    select(DemandRow.region, func.max(DemandRow.decided_at)).group_by(DemandRow.region).order_by(DemandRow.region)
)


def _deliveries_waiting(session: Session) -> int:
    waiting = select(func.count()).select_from(DELIVERY).where(DELIVERY.c.state.in_(("waiting", "sending")))
    return session.execute(waiting).scalar_one()


def _reports_failing(session: Session, now: float) -> int:
    """Not those of a month that nobody tries any more: another one is over, the schedule is off, the tenant gone."""
    failing = (REPORT.c.code != "", REPORT.c.next_try_at > now - _REPORT_SECONDS)
    return session.execute(select(func.count()).select_from(REPORT).where(*failing)).scalar_one()


def _budgets(session: Session, month: str, most: int) -> list[BudgetStanding]:
    """Of a scope with a limit for this very month, that one alone."""
    spent = func.coalesce(SPEND.c.reserved_micros + SPEND.c.settled_micros, 0)
    own = BUDGET.alias("own")
    has_own = (
        select(own.c.tenant_id)
        .where(own.c.tenant_id == BUDGET.c.tenant_id, own.c.engine == BUDGET.c.engine, own.c.month == month)
        .exists()
    )
    rows = session.execute(
        select(
            BUDGET.c.tenant_id, BUDGET.c.engine, BUDGET.c.month, BUDGET.c.limit_micros, spent.label("spent"),
            SPEND.c.exhausted_at.is_not(None),
        )
        .select_from(
            BUDGET.outerjoin(
                SPEND,
                and_(
                    SPEND.c.tenant_id == BUDGET.c.tenant_id, SPEND.c.engine == BUDGET.c.engine,
                    SPEND.c.processor == ALL, SPEND.c.month == month,
                ),
            )
        )
        .where((BUDGET.c.month == month) | ((BUDGET.c.month == ALL) & ~has_own))
        .order_by(
            (spent * 1.0 / case((BUDGET.c.limit_micros > 0, BUDGET.c.limit_micros), else_=1)).desc(),
            BUDGET.c.tenant_id, BUDGET.c.engine,
        )
        .limit(most)
    )  # fmt: skip
    return [BudgetStanding(*row) for row in rows]


def _ended(session: Session, since: float, until: float) -> list[WorkersEnded]:
    by = (WORKER.c.region, WORKER.c.pool)
    told = (
        select(*by, WORKER.c.cause, func.count())
        .where(WORKER.c.seen_at > since - _LONGEST_LOOK, WORKER.c.ended_at > since, WORKER.c.ended_at <= until)
        .group_by(*by, WORKER.c.cause)
    )
    silent = (
        select(*by, func.count())
        .where(
            WORKER.c.ended_at.is_(None),
            WORKER.c.seen_at > since - SILENT_SECONDS,
            WORKER.c.seen_at <= until - SILENT_SECONDS,
        )
        .group_by(*by)
    )
    found = [WorkersEnded(*row) for row in session.execute(told)]
    return found + [WorkersEnded(region, pool, "silent", count) for region, pool, count in session.execute(silent)]
