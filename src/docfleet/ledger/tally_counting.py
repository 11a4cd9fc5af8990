"""Counts what happened to documents, slices and pages, each event once.

The position is written in the transaction that adds the counts, by whoever holds the mark. Row numbers are given
before a transaction commits. On SQLite only one writes at a time, so what can be seen is complete; on Postgres a look
counts up to the newest event that the look before it saw, once every transaction that had begun by then has ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select, text, update
from sqlalchemy.orm import Session

from docfleet.domain.retry import FailureKind, kind_of
from docfleet.domain.tallying import Measure, Outcome, bound_of, outcome_of
from docfleet.domain.urgency import TARGET_SECONDS, Pool, Urgency
from docfleet.domain.work import DOCUMENT_ENDS, PAGE_READ, DocumentState
from docfleet.errors import document_error_codes
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.fleet_load import NOW
from docfleet.ledger.straight import Straight
from docfleet.ledger.tally_rows import TALLY, TALLY_MARK

FIVE_MINUTES, HOUR, DAY, EVER = 300, 3600, 86400, 0
KEPT_SECONDS = {FIVE_MINUTES: 3 * 86400.0, HOUR: 62 * 86400.0, DAY: 3660 * 86400.0}
"""How long steps of each length are kept; the sums of since ever are for ever."""
EVENTS_AT_ONCE = 20_000
"""Numbers of events that one look counts: a ledger with years of history is caught up with in many looks."""
ALL_TENANTS = ""
_ENDS = ", ".join(f"'{state}'" for state in sorted(DOCUMENT_ENDS))
_PAST = "e.id > :after AND e.id <= :upto"

_DOCUMENTS = Straight(
    text(
        "SELECT e.at AS at, e.from_state AS from_state, e.to_state AS to_state, e.cause AS cause, "
        "d.tenant_id AS tenant_id, d.region AS region, d.pool AS pool, d.urgency AS urgency, "
        "d.code AS code, d.round AS round, d.duplicate_of AS duplicate_of, d.created_at AS created_at, "
        "d.started_at AS started_at "
        f"FROM event e JOIN document d ON d.id = e.document_id WHERE {_PAST} AND e.entity = 'document' "
        f"AND e.from_state <> e.to_state AND (e.from_state = '' OR e.to_state IN ({_ENDS}))"
    )
)
_SETBACKS = Straight(
    text(
        "SELECT e.at AS at, e.to_state AS to_state, e.cause AS cause, s.code AS code, s.tenant_id AS tenant_id, "
        "s.region AS region, s.pool AS pool, s.urgency AS urgency "
        f"FROM event e JOIN slice s ON s.id = e.slice_id WHERE {_PAST} AND e.entity = 'slice' "
        "AND e.from_state = 'running' AND e.to_state IN ('queued', 'dead')"
    )
)
_STEP = {
    "sqlite": f"CAST(e.at / {FIVE_MINUTES} AS INTEGER) * {FIVE_MINUTES}",
    "postgresql": f"CAST(floor(e.at / {FIVE_MINUTES}) AS bigint) * {FIVE_MINUTES}",
}
_PAGES = {
    dialect: Straight(
        text(
            f"SELECT {step} AS at, s.tenant_id AS tenant_id, s.region AS region, s.pool AS pool, "
            "s.urgency AS urgency, p.engine AS engine, p.outcome AS outcome, count(*) AS pages, "
            "sum(p.cost_usd) AS cost "
            "FROM event e JOIN slice s ON s.id = e.slice_id "
            "JOIN page p ON p.document_id = s.document_id AND p.slice_id = s.id "
            f"WHERE {_PAST} AND e.entity = 'slice' AND e.to_state IN ('done', 'dead') "
            f"GROUP BY {step}, s.tenant_id, s.region, s.pool, s.urgency, p.engine, p.outcome"
        )
    )
    for dialect, step in _STEP.items()
}
_FIRST = "(SELECT min(at) FROM event)"
_LOOK = {
    "sqlite": Straight(
        text(
            f"SELECT coalesce(max(id), 0) AS newest, {NOW['sqlite']} AS now, 0 AS next_xact, 0 AS settled, "
            f"{_FIRST} AS first FROM event"
        )
    ),
    "postgresql": Straight(
        text(
            f"SELECT coalesce(max(id), 0) AS newest, {NOW['postgresql']} AS now, "
            "CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS next_xact, "
            "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS settled, "
            f"{_FIRST} AS first FROM event"
        )
    ),
}
_MARK = select(TALLY_MARK).where(TALLY_MARK.c.id == 1).with_for_update()
_BEGIN = {
    name: insert.values(
        id=1, last_event=0, next_event=0, next_xact=0, counted_at=0.0, next_at=0.0, since=database_now()
    ).on_conflict_do_nothing()
    for name, insert in upserts(TALLY_MARK).items()
}
_MARKED = ("last_event", "next_event", "next_xact", "counted_at", "next_at", "since")
_SET_MARK = (
    update(TALLY_MARK)
    .where(TALLY_MARK.c.id == 1)
    .values({TALLY_MARK.c[name]: bindparam(f"new_{name}") for name in _MARKED})
)
_KEY = ("tenant_id", "resolution", "bucket", "region", "pool", "urgency", "measure", "detail")
_ADD = {
    name: insert.values(**{key: bindparam(f"new_{key}") for key in (*_KEY, "amount")}).on_conflict_do_update(
        index_elements=list(_KEY), set_={"amount": TALLY.c.amount + insert.excluded.amount}
    )
    for name, insert in upserts(TALLY).items()
}
_TARGETS = {(pool.value, urgency.value): seconds for (pool, urgency), seconds in TARGET_SECONDS.items()}


class Happened(msgspec.Struct, frozen=True):
    """Something that is counted; `at` says in which step."""

    at: float
    tenant: str
    region: str
    pool: str
    urgency: str
    measure: Measure
    detail: str = ""
    amount: float = 1.0


def count_events(session: Session) -> bool:
    """Adds what happened since the last look to the tallies; whether more is left to count at once."""
    dialect = session.get_bind().dialect.name
    mark = session.execute(_MARK).one_or_none()
    if mark is None:
        session.execute(_BEGIN[dialect])
        mark = session.execute(_MARK).one()
    look = _LOOK[dialect].rows(session, {})[0]
    since = mark.since if mark.last_event or look.first is None else float(look.first)
    newest, now = int(look.newest), float(look.now)
    if dialect == "sqlite":
        ready, ready_at = newest, now
    elif int(look.settled) >= mark.next_xact:
        ready, ready_at = mark.next_event, mark.next_at
    else:
        return False
    upto = min(ready, mark.last_event + EVENTS_AT_ONCE)
    if upto > mark.last_event:
        _keep(session, _happened(session, mark.last_event, upto), now)
    if upto < ready:
        # the rest of what was ready still is
        _set_mark(session, upto, mark.next_event, mark.next_xact, mark.counted_at, mark.next_at, since)
        return True
    _set_mark(session, max(mark.last_event, upto), newest, int(look.next_xact), ready_at, now, since)
    return False


def _set_mark(session: Session, *values: float) -> None:
    session.execute(_SET_MARK, {f"new_{name}": value for name, value in zip(_MARKED, values, strict=True)})


def _happened(session: Session, after: int, upto: int) -> Iterable[Happened]:
    given = {"after": after, "upto": upto}
    for row in _DOCUMENTS.rows(session, given):
        yield from _of_document(row)
    for row in _SETBACKS.rows(session, given):
        yield from _of_setback(row)
    for row in _PAGES[session.get_bind().dialect.name].rows(session, given):
        is_read = row.outcome == PAGE_READ
        told = (float(row.at), row.tenant_id, row.region, row.pool, row.urgency)
        detail = row.engine if is_read else row.outcome
        yield Happened(*told, Measure.PAGES if is_read else Measure.PAGES_FAILED, detail, float(row.pages))
        if row.cost:
            yield Happened(*told, Measure.COST_USD, row.engine, float(row.cost))


def _of_document(row: Any) -> Iterable[Happened]:
    told = (row.at, row.tenant_id, row.region, row.pool, row.urgency)
    if row.from_state == "":
        yield Happened(*told, Measure.ACCEPTED)
    if row.to_state not in DOCUMENT_ENDS:
        return
    # the code is the row's own only until somebody tries the document again, which may be before it is counted
    outcome = outcome_of(DocumentState(row.to_state), row.cause if row.cause in document_error_codes() else row.code)
    yield Happened(*told, Measure.ENDED, outcome)
    if row.duplicate_of:
        yield Happened(*told, Measure.DUPLICATES)
    if outcome is Outcome.CANCELLED or row.round > 1:
        return
    seconds = max(0.0, row.at - row.created_at)
    yield Happened(*told, Measure.DURATION, bound_of(seconds))
    yield Happened(*told, Measure.DURATION_SUM, "", seconds)
    if row.started_at is not None:
        waited = max(0.0, min(row.started_at, row.at) - row.created_at)
        yield Happened(*told, Measure.WAIT, bound_of(waited))
        yield Happened(*told, Measure.WAIT_SUM, "", waited)
    if outcome is not Outcome.BROKEN:
        is_in_time = seconds <= target_seconds(row.pool, row.urgency)
        yield Happened(*told, Measure.IN_TIME if is_in_time else Measure.LATE)


def _of_setback(row: Any) -> Iterable[Happened]:
    told = (row.at, row.tenant_id, row.region, row.pool, row.urgency)
    kind = kind_of(row.cause)
    if kind in (FailureKind.CRASH, FailureKind.LOSS):
        yield Happened(*told, Measure.LEASES_LOST)
    if row.to_state == "dead":
        yield Happened(*told, Measure.DEAD_LETTERS, row.code)
    else:
        yield Happened(*told, Measure.RETRIES, kind)


def target_seconds(pool: str, urgency: str) -> float:
    """Within which a document of the pool is to be read; unknown names: as an ordinary PDF."""
    return _TARGETS.get((pool, urgency), TARGET_SECONDS[Pool.PDF, Urgency.NORMAL])


def _keep(session: Session, happened: Iterable[Happened], now: float) -> None:
    sums: defaultdict[tuple[str, int, str, str, str, str, str], float] = defaultdict(float)
    for one in happened:
        step = int(one.at // FIVE_MINUTES) * FIVE_MINUTES
        sums[one.tenant, step, one.region, one.pool, one.urgency, one.measure.value, one.detail] += one.amount
    kept: defaultdict[tuple[str | int, ...], float] = defaultdict(float)
    for (tenant, step, *rest), amount in sums.items():
        for resolution, seconds in KEPT_SECONDS.items():
            bucket = step // resolution * resolution
            if bucket < now - seconds:
                continue
            kept[(tenant, resolution, bucket, *rest)] += amount
            kept[(ALL_TENANTS, resolution, bucket, *rest)] += amount
        kept[(ALL_TENANTS, EVER, 0, *rest)] += amount
    if kept:
        # always in the same order, so that two that add never wait for one another
        rows = [
            {f"new_{name}": value for name, value in zip((*_KEY, "amount"), (*key, amount), strict=True)}
            for key, amount in sorted(kept.items())
        ]
        session.execute(_ADD[session.get_bind().dialect.name], rows)


def forget_old_steps(session: Session) -> None:
    for resolution, seconds in KEPT_SECONDS.items():
        session.execute(
            delete(TALLY).where(TALLY.c.resolution == resolution, TALLY.c.bucket < database_now() - seconds)
        )
