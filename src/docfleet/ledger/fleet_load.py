"""What waits and runs in all pools of a region: two statements that add up, and one for the workers.

They read every slice that waits. With a million of them that takes some tenths of a second of one core, so whoever asks
does it the less often the longer it takes (`fleet.deciding`); ended slices are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import Step
from docfleet.ledger.fleet_values import LoadSums, RunningSum, WaitingSum
from docfleet.ledger.straight import Straight

NOW: Mapping[str, str] = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())::double precision",
}
_PAGES = "CASE WHEN s.last_page > 0 THEN s.last_page - s.first_page + 1 ELSE 0 END"
_SIZED_SECONDS = 60.0
"""A region whose dispatcher was not seen for so long is nobody's: its work counts wherever one is."""


def in_region(now: str) -> str:
    """Whose work a slice `s` is: that of its region, while that has a dispatcher, else of every region."""
    sized = f"SELECT m.region FROM fleet_mark m WHERE m.at > {now} - {_SIZED_SECONDS}"
    return f"s.pool <> '' AND (s.region IN (:region, '') OR s.region NOT IN ({sized}))"


_WAITING = {
    dialect: Straight(
        text(
            f"SELECT s.pool AS pool, s.urgency AS urgency, s.step AS step, count(*) AS slices, sum({_PAGES}) AS pages, "
            "sum(CASE WHEN s.first_page <= 1 AND s.step <> 'assemble' THEN 1 ELSE 0 END) AS documents, "
            f"count(s.dispatched_at) AS hinted, {now} - min(s.created_at) AS oldest, min(s.deadline_at) - {now} AS due "
            f"FROM slice s WHERE s.state = 'queued' AND s.available_at <= {now} AND {in_region(now)} "
            "GROUP BY s.pool, s.urgency, s.step"
        )
    )
    for dialect, now in NOW.items()
}
_RUNNING = {
    dialect: Straight(
        text(
            f"SELECT s.pool AS pool, s.urgency AS urgency, s.step AS step, count(*) AS slices, sum({_PAGES}) AS pages, "
            f"sum({now} - s.started_at) AS elapsed FROM slice s WHERE s.state = 'running' AND {in_region(now)} "
            "GROUP BY s.pool, s.urgency, s.step"
        )
    )
    for dialect, now in NOW.items()
}
_CLOCK = {dialect: Straight(text(f"SELECT {now} AS now")) for dialect, now in NOW.items()}


def load_sums(session: Session, region: str) -> LoadSums:
    """The sums of a region. Rows of no region, or of one without a dispatcher, belong to every one."""
    dialect = session.get_bind().dialect.name
    waiting = tuple(
        WaitingSum(
            row.pool, Urgency(row.urgency), Step(row.step), row.slices, int(row.pages), int(row.documents), row.hinted,
            max(0.0, float(row.oldest)), None if row.due is None else float(row.due),
        )
        for row in _WAITING[dialect].rows(session, {"region": region})
    )  # fmt: skip
    running = tuple(
        RunningSum(
            row.pool,
            Urgency(row.urgency),
            Step(row.step),
            row.slices,
            int(row.pages),
            max(0.0, float(row.elapsed or 0)),
        )
        for row in _RUNNING[dialect].rows(session, {"region": region})
    )
    return LoadSums(float(_CLOCK[dialect].rows(session, {})[0].now), waiting, running)
