"""Trouble of the fleet that the ledger has rows of: times without a dispatcher, and workers that died."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec
from sqlalchemy import BigInteger, Double, bindparam, cast, func, select
from sqlalchemy.orm import Session

from docfleet.domain.access import SYSTEM_TENANT
from docfleet.ledger.fleet_history import FIVE_MINUTES, HOUR, KEPT_SECONDS
from docfleet.ledger.fleet_rows import FLEET_MARK, HISTORY
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import DEATH, TenantRow
from docfleet.ledger.workers import KEPT_SECONDS as DEATHS_KEPT_SECONDS

DEATH_STEP = 900
_step = cast(func.floor(cast(DEATH.c.at, Double) / DEATH_STEP), BigInteger)
_DEATHS = (
    select(_step.label("step"), func.count().label("deaths"), func.count(DEATH.c.worker.distinct()).label("workers"))
    .where(DEATH.c.at >= bindparam("begin"), DEATH.c.at < bindparam("end"))
    .group_by(_step)
    .order_by(_step)
)
_DEATHS_OF = _DEATHS.where(
    DEATH.c.document_id.in_(select(DOCUMENT.c.id).where(DOCUMENT.c.tenant_id == bindparam("of_tenant")))
)
_OTHERS = select(TenantRow.id).where(TenantRow.id.not_in(bindparam("own", expanding=True))).limit(1)
_PRESENT = (
    select(HISTORY.c.bucket)
    .where(
        HISTORY.c.region == bindparam("of_region"),
        HISTORY.c.resolution == bindparam("of_resolution"),
        HISTORY.c.bucket >= bindparam("begin"),
        HISTORY.c.bucket < bindparam("end"),
    )
    .distinct()
    .order_by(HISTORY.c.bucket)
)


class Absence(msgspec.Struct, frozen=True):
    """A time in which nobody dispatched in a region. Seconds since 1970."""

    region: str
    begin: float
    end: float
    step_seconds: int
    """How exactly it is known."""


class DeathCount(msgspec.Struct, frozen=True):
    """Attempts whose worker died, in `DEATH_STEP` seconds."""

    at: float
    count: int
    workers: int


def has_others(session: Session, tenant: str) -> bool:
    """Whether there is or was any tenant beside this one and `SYSTEM_TENANT`."""
    return session.execute(_OTHERS, {"own": [tenant, SYSTEM_TENANT]}).first() is not None


def present_since(session: Session, now: float) -> float | None:
    """From when on `absences` knows anything; None: nobody has ever dispatched."""
    since = session.execute(select(func.min(FLEET_MARK.c.since))).scalar_one()
    return None if since is None else max(float(since), now - KEPT_SECONDS[HOUR])


def absences(session: Session, begin: float, end: float, now: float) -> list[Absence]:
    """Of every region, since it was first dispatched in: by five minutes while these are kept, else by the hour.

    The dispatcher leaves a mark in each step of time in which it counts what happened; the last two steps before `now`
    may yet get theirs.
    """
    found: list[Absence] = []
    regions = session.execute(select(FLEET_MARK.c.region, FLEET_MARK.c.since).order_by(FLEET_MARK.c.region)).all()
    for region, since in regions:
        step = FIVE_MINUTES if begin >= now - KEPT_SECONDS[FIVE_MINUTES] else HOUR
        first = -(-max(begin, since, now - KEPT_SECONDS[step]) // step) * step
        last = min(end, (now // step - 1) * step)
        if first >= last:
            continue
        given = {"of_region": region, "of_resolution": step, "begin": int(first), "end": int(last)}
        marks = session.execute(_PRESENT, given).scalars()
        found += [Absence(region, gone, back, step) for gone, back in _missing(marks, int(first), int(last), step)]
    return found


def _missing(marks: Iterable[int], first: int, last: int, step: int) -> Iterable[tuple[int, int]]:
    """The stretches between steps that have a mark: ([0, 5, 20], 0, 25, 5) -> (10, 20)."""
    for before, after in pairwise([first - step, *marks, last]):
        if after > before + step:
            yield before + step, after


def deaths(session: Session, begin: float, end: float, tenant: str | None = None) -> list[DeathCount]:
    """In steps of `DEATH_STEP` seconds, those with any. They are kept for `DEATHS_KEPT_SECONDS`. Of the documents of
    one tenant, or of all."""
    given = {"begin": begin, "end": end}
    rows = session.execute(_DEATHS, given) if tenant is None else session.execute(
        _DEATHS_OF, {**given, "of_tenant": tenant}
    )  # fmt: skip
    return [DeathCount(float(row.step * DEATH_STEP), row.deaths, row.workers) for row in rows]


__all__ = [
    "DEATHS_KEPT_SECONDS", "DEATH_STEP", "Absence", "DeathCount", "absences", "deaths", "has_others", "present_since",
]  # fmt: skip
