"""What arrived and was done, counted from the events in steps of time; and how long work takes.

Every event is counted once: the position is written in the transaction that adds the counts. Row numbers are given
before a transaction commits, so a look counts up to the newest event that the look *before* it saw: whoever wrote
earlier ones has had the time between two looks to commit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, bindparam, delete, func, select, text
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Pool
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.fleet_load import NOW, in_region
from docfleet.ledger.fleet_rows import FLEET_MARK, HISTORY, SERVICE_TIME
from docfleet.ledger.fleet_values import HistoryStep, ServiceTime
from docfleet.ledger.straight import Straight

MINUTE, FIVE_MINUTES, HOUR = 60, 300, 3600
KEPT_SECONDS: Mapping[int, float] = {MINUTE: 2 * 86400.0, FIVE_MINUTES: 60 * 86400.0, HOUR: 800 * 86400.0}
"""How long each resolution is kept."""
EVENTS_AT_ONCE = 50_000
"""Numbers of events that one look counts: a ledger with years of history is caught up with in many looks."""
REMEMBERED = 2000.0
"""Slices after which what was before counts half."""

_STEP_KEY = ("region", "pool", "resolution", "bucket", "urgency")
_COUNTS = ("arrived", "done", "slices_done", "pages_done", "seconds_done")
_FLOOR = {"sqlite": "CAST(e.at / 60 AS INTEGER) * 60", "postgresql": "CAST(floor(e.at / 60) AS bigint) * 60"}
_PAGES = "CASE WHEN s.last_page > 0 THEN s.last_page - s.first_page + 1 ELSE 0 END"
_UNITS = "CASE s.step WHEN 'plan' THEN 1 WHEN 'cloud' THEN s.last_page - s.first_page + 1 ELSE 0 END"
# slices that travel in one request share the time of its slot
_CLOUD_SHARE = """SELECT s.id AS slice_id, count(*) OVER (PARTITION BY e.worker, r.call_id) AS company
FROM event e JOIN slice s ON s.id = e.slice_id JOIN reservation r ON r.slice_id = s.id AND r.token = s.token
WHERE e.id > :after AND e.id <= :upto AND e.entity = 'slice' AND e.to_state = 'done' AND s.step = 'cloud'
AND r.call = 1 AND r.call_id <> ''"""


def _events(dialect: str) -> Straight:
    """Counts by minute, pool, step and whether it arrived or ended."""
    minute = _FLOOR[dialect]
    return Straight(
        text(
            f"WITH company AS ({_CLOUD_SHARE}), told AS (SELECT {minute} AS bucket, s.pool AS pool, s.step AS step, "
            "s.urgency AS urgency, "
            f"e.to_state AS to_state, e.from_state AS from_state, {_PAGES} AS pages, {_UNITS} AS units, "
            "CASE WHEN e.from_state = 'running' THEN coalesce(s.finished_at - s.started_at, 0.0) ELSE 0.0 END "
            "/ coalesce(c.company, 1) AS seconds, 1.0 / coalesce(c.company, 1) AS share "
            "FROM event e JOIN slice s ON s.id = e.slice_id LEFT JOIN company c ON c.slice_id = s.id "
            f"WHERE e.id > :after AND e.id <= :upto AND e.entity = 'slice' AND {in_region(NOW[dialect])} "
            "AND (e.to_state = 'done' "
            "OR (e.from_state = '' AND e.to_state = 'queued' AND s.round = 1))) "
            "SELECT bucket, pool, step, urgency, to_state, count(*) AS events, "
            "sum(CASE WHEN from_state = 'running' THEN 1 ELSE 0 END) AS ended, sum(pages) AS pages, "
            "sum(units) AS units, sum(seconds) AS seconds, sum(seconds * seconds) AS squares, "
            "sum(CASE WHEN from_state = 'running' THEN share ELSE 0.0 END) AS calls "
            "FROM told GROUP BY bucket, pool, step, urgency, to_state"
        )
    )


_EVENTS = {dialect: _events(dialect) for dialect in _FLOOR}
_PAGES_READ = {
    dialect: Straight(
        text(
            "SELECT s.pool AS pool, p.engine AS engine, count(*) AS pages, sum(p.seconds) AS seconds, "
            "sum(p.seconds * p.seconds) AS squares FROM event e JOIN slice s ON s.id = e.slice_id "
            "JOIN page p ON p.document_id = s.document_id AND p.slice_id = s.id "
            "WHERE e.id > :after AND e.id <= :upto AND e.entity = 'slice' AND e.to_state = 'done' "
            f"AND {in_region(now)} AND p.outcome = 'read' GROUP BY s.pool, p.engine"
        )
    )
    for dialect, now in NOW.items()
}
_NEWEST = Straight(text("SELECT coalesce(max(id), 0) AS newest FROM event"))
_MARK = select(FLEET_MARK.c.last_event, FLEET_MARK.c.next_event).where(FLEET_MARK.c.region == bindparam("of_region"))
_SET_MARK = {
    name: insert.values(
        region=bindparam("new_region"), last_event=bindparam("new_last"), next_event=bindparam("new_next"),
        at=database_now(), since=database_now(),
    ).on_conflict_do_update(
        index_elements=["region"],
        set_={name: insert.excluded[name] for name in ("last_event", "next_event", "at")},
    )
    for name, insert in upserts(FLEET_MARK).items()
}  # fmt: skip
_ADD = {
    name: insert.values(**{key: bindparam(f"new_{key}") for key in (*_STEP_KEY, *_COUNTS)}).on_conflict_do_update(
        index_elements=list(_STEP_KEY),
        set_={count: HISTORY.c[count] + insert.excluded[count] for count in _COUNTS},
    )
    for name, insert in upserts(HISTORY).items()
}
_SUMS = ("amount", "pages", "seconds", "squares")
_LEARN = {
    name: insert.values(
        **{key: bindparam(f"new_{key}") for key in ("pool", "step", "engine", *_SUMS)}, updated_at=database_now()
    ).on_conflict_do_update(
        index_elements=["pool", "step", "engine"],
        set_={
            **{one: SERVICE_TIME.c[one] * bindparam("kept") + insert.excluded[one] for one in _SUMS},
            "updated_at": database_now(),
        },
    )
    for name, insert in upserts(SERVICE_TIME).items()
}
_TIMES = select(*(SERVICE_TIME.c[name] for name in ServiceTime.__struct_fields__))


def count_events(session: Session, region: str) -> bool:
    """Adds what happened since the last look to the history and the service times; whether more is left to count."""
    newest = int(_NEWEST.rows(session, {})[0].newest)
    marked = session.execute(_MARK, {"of_region": region}).one_or_none()
    # a ledger that worked before there was a history has some all the same
    after, ready = (0, 0) if marked is None else (marked.last_event, marked.next_event)
    upto = min(ready, after + EVENTS_AT_ONCE)
    if upto > after:
        _count(session, region, after, upto)
    session.execute(
        _SET_MARK[session.get_bind().dialect.name],
        {"new_region": region, "new_last": max(after, upto), "new_next": max(newest, ready)},
    )
    _mark_present(session, region)
    return upto < ready


def _mark_present(session: Session, region: str) -> None:
    """Somebody counts now: a step in which nothing happened is known to be empty."""
    now = session.execute(select(database_now())).scalar_one()
    rows = [
        _step_row(region, pool, resolution, int(now // resolution) * resolution, "", [0.0] * len(_COUNTS))
        for pool in Pool
        for resolution in (FIVE_MINUTES, HOUR)
    ]
    session.execute(_ADD[session.get_bind().dialect.name], rows)


def _count(session: Session, region: str, after: int, upto: int) -> None:
    dialect = session.get_bind().dialect.name
    given = {"after": after, "upto": upto, "region": region}
    rows = _EVENTS[dialect].rows(session, given)
    steps: dict[tuple[str, int, int, str], list[float]] = {}
    learned: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        is_done = row.to_state == "done"
        ended = int(row.ended)
        counts = (
            0 if is_done else int(row.units),
            int(row.units) if is_done and ended else 0,
            ended if is_done else 0,
            int(row.pages) if is_done else 0,
            float(row.seconds) if is_done else 0.0,
        )
        for resolution in KEPT_SECONDS:
            begins = int(row.bucket) // resolution * resolution
            key = (row.pool, resolution, begins, row.urgency if resolution == MINUTE else "")
            _add(steps.setdefault(key, [0.0] * len(_COUNTS)), counts)
        if is_done and ended:
            times = (float(row.calls), float(row.pages), float(row.seconds), float(row.squares))
            _add(learned.setdefault((row.pool, row.step), [0.0] * 4), times)
    if steps:
        session.execute(_ADD[dialect], [_step_row(region, *key, counts) for key, counts in steps.items()])
    for (pool, step), (amount, pages, seconds, squares) in learned.items():
        _learn(session, pool, step, "", amount, pages, seconds, squares)
    for row in _PAGES_READ[dialect].rows(session, given):
        pages = float(row.pages)
        _learn(session, row.pool, "page", row.engine, pages, pages, float(row.seconds), float(row.squares))


def _add(sums: list[float], more: Sequence[float]) -> None:
    for place, value in enumerate(more):
        sums[place] += value


def _step_row(
    region: str, pool: str, resolution: int, bucket: int, urgency: str, counts: Iterable[float]
) -> dict[str, object]:
    given = dict(zip(_COUNTS, counts, strict=True))
    whole = {f"new_{name}": value if name == "seconds_done" else round(value) for name, value in given.items()}
    key = dict(zip(_STEP_KEY, (region, pool, resolution, bucket, urgency), strict=True))
    return {f"new_{name}": value for name, value in key.items()} | whole


def _learn(
    session: Session, pool: str, step: str, engine: str, amount: float, pages: float, seconds: float, squares: float
) -> None:
    given = {"pool": pool, "step": step, "engine": engine, "amount": amount, "pages": pages, "seconds": seconds}
    session.execute(
        _LEARN[session.get_bind().dialect.name],
        {f"new_{name}": value for name, value in given.items()}
        | {"new_squares": squares, "kept": math.pow(0.5, amount / REMEMBERED)},
    )


def service_times(session: Session) -> list[ServiceTime]:
    return [ServiceTime(*row) for row in session.execute(_TIMES)]


def history(session: Session, region: str, pool: str, resolution: int, since: float, until: float) -> list[HistoryStep]:
    """The steps that begin from `since` to before `until`, rising; steps nobody counted, or that were empty before
    anybody did, are left out."""
    rows = session.execute(
        select(HISTORY.c.bucket, *(func.sum(HISTORY.c[name]) for name in _COUNTS))
        .where(*_of(region, pool, resolution), HISTORY.c.bucket >= since, HISTORY.c.bucket < until)
        .group_by(HISTORY.c.bucket)
        .order_by(HISTORY.c.bucket)
    )
    return [
        HistoryStep(bucket, int(arrived), int(done), int(slices), int(pages), float(seconds))
        for bucket, arrived, done, slices, pages, seconds in rows
    ]


def arrived(session: Session, region: str, since: float) -> dict[tuple[str, str], int]:
    """(pool, urgency) -> what arrived in the minutes that began from `since` on."""
    rows = session.execute(
        select(HISTORY.c.pool, HISTORY.c.urgency, func.sum(HISTORY.c.arrived))
        .where(HISTORY.c.region == region, HISTORY.c.resolution == MINUTE, HISTORY.c.bucket >= since)
        .group_by(HISTORY.c.pool, HISTORY.c.urgency)
    )
    return {(pool, urgency): int(count) for pool, urgency, count in rows}


def _of(region: str, pool: str, resolution: int) -> tuple[ColumnElement[bool], ...]:
    return HISTORY.c.region == region, HISTORY.c.pool == pool, HISTORY.c.resolution == resolution


def counted_since(session: Session, region: str) -> float | None:
    """When somebody began to count; None: nobody has."""
    return session.execute(select(FLEET_MARK.c.since).where(FLEET_MARK.c.region == region)).scalar()


def first_step(session: Session, region: str, pool: str, resolution: int) -> int | None:
    """When the oldest step that is kept begins; None: there is none."""
    oldest = select(func.min(HISTORY.c.bucket)).where(*_of(region, pool, resolution))
    return session.execute(oldest).scalar()


def forget_old_steps(session: Session) -> None:
    for resolution, seconds in KEPT_SECONDS.items():
        session.execute(
            delete(HISTORY).where(HISTORY.c.resolution == resolution, HISTORY.c.bucket < database_now() - seconds)
        )
