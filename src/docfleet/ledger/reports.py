"""Reports that are kept, as their users see them: every call is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, select, update
from sqlalchemy.orm import Session

from docfleet.domain.delivery import REPORT_READY
from docfleet.errors import NotFound
from docfleet.ledger.checks import checked_limit, known_id, storable
from docfleet.ledger.cursors import from_cursor, to_cursor
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.outbox import enqueue_notice
from docfleet.ledger.registering import new_id
from docfleet.ledger.report_rows import REPORT
from docfleet.ledger.report_values import KeptReport, ReportKind, ReportListing, ReportView, StoredReport
from docfleet.ledger.service_rows import TenantRow

MESSAGE_CHARACTERS = 500
_SHOWN = (
    "id", "tenant_id", "kind", "period", "complete", "made_at", "made_by", "size_bytes", "sha256", "failures",
    "next_try_at", "code", "message",
)  # fmt: skip
_VIEWED = select(*(REPORT.c[name] for name in _SHOWN))
_MAKE = {
    name: insert.values(
        id=bindparam("new_id"), tenant_id=bindparam("new_tenant"), kind=bindparam("new_kind"),
        period=bindparam("new_period"), complete=False, made_at=None, made_by="", store_key="", wrapped_key=None,
        sha256="", size_bytes=0, failures=0, next_try_at=None, code="", message="",
    ).on_conflict_do_nothing()
    for name, insert in upserts(REPORT).items()
}  # fmt: skip


class Reports:
    """Threads may share one. Raises `LedgerError` when the database fails; nothing has changed then."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # --- asking

    def listing(self, tenant: str, cursor: str | None = None, limit: int = 100) -> ReportListing:
        """The tenant's, the newest period first. Raises BadRequest for a cursor that is none."""
        limit = checked_limit(limit)
        # there is one kind, and of that one for each period: the period tells where to go on
        found = _VIEWED.where(REPORT.c.tenant_id == tenant).order_by(REPORT.c.period.desc())
        if cursor:
            at = from_cursor("m", cursor, longest=6)
            found = found.where(REPORT.c.period < f"{at[:4]}-{at[4:]}")
        with self._ledger.reading() as session:
            rows = session.execute(found.limit(limit + 1)).all()
        more = to_cursor("m", rows[limit - 1].period.replace("-", "")) if len(rows) > limit else None
        return ReportListing(tuple(map(_view, rows[:limit])), more)

    def report(self, tenant: str, report_id: str) -> ReportView:
        """Raises NotFound."""
        with self._ledger.reading() as session:
            return _view(_found(session, tenant, report_id))

    def stored(self, tenant: str, report_id: str) -> tuple[ReportView, StoredReport]:
        """With where its bytes are. Raises NotFound, also for one that could not be made yet."""
        with self._ledger.reading() as session:
            row = session.execute(
                select(REPORT).where(REPORT.c.id == known_id(report_id, "report"), REPORT.c.tenant_id == tenant)
            ).one_or_none()
        if row is None or row.made_at is None or row.wrapped_key is None:
            raise NotFound("There is no report with this id.")
        kept = StoredReport(row.store_key, bytes(row.wrapped_key), row.sha256, row.size_bytes)
        return _view(row), kept

    def due(self, kind: ReportKind, period: str, before: float, limit: int = 100) -> list[str]:
        """Tenants that were there before `before` and have no complete report of the period yet, nor one that failed
        a moment ago. Seconds since 1970."""
        own = (REPORT.c.tenant_id == TenantRow.id, REPORT.c.kind == kind, REPORT.c.period == period)
        is_made = REPORT.c.made_at.is_not(None) & REPORT.c.complete
        rests = REPORT.c.next_try_at > database_now()
        wanted = (
            select(TenantRow.id)
            .where(TenantRow.disabled_at.is_(None), TenantRow.created_at < before)
            .where(~exists().where(*own, is_made | rests))
            .order_by(TenantRow.id)
            .limit(limit)
        )
        with self._ledger.reading() as session:
            return list(session.execute(wanted).scalars())

    def known_keys(self, store_keys: Collection[str]) -> set[str]:
        """Those of the keys that some report names."""
        if not store_keys:
            return set()
        with self._ledger.reading() as session:
            named = select(REPORT.c.store_key).where(REPORT.c.store_key.in_(sorted(store_keys)))
            return set(session.execute(named).scalars())

    # --- keeping

    def keep(
        self,
        tenant: str,
        kind: ReportKind,
        period: str,
        stored: StoredReport,
        *,
        complete: bool,
        made_by: str = "",
        replace: bool = False,
    ) -> KeptReport:
        """Makes it the tenant's report on the period and tells the webhooks; once, whoever else hands one in as well.

        A complete report that is there already stays unless `replace`; one made while the period was under way, or
        that could not be made, gives way.
        """
        with self._ledger.unit_of_work() as session:
            before = self._locked(session, tenant, kind, period)
            if before.made_at is not None and before.complete and not replace:
                return KeptReport(_view(before), is_mine=False)
            session.execute(
                update(REPORT)
                .where(REPORT.c.id == before.id)
                .values(
                    complete=complete, made_at=database_now(), made_by=made_by, store_key=stored.store_key,
                    wrapped_key=stored.wrapped_key, sha256=stored.sha256, size_bytes=stored.size_bytes, failures=0,
                    next_try_at=None, code="", message="",
                )
            )  # fmt: skip
            view = _view(_found(session, tenant, before.id))
            said = {"report": {"id": view.id, "kind": kind.value, "period": period, "complete": complete,
                               "size_bytes": view.size_bytes, "sha256": view.sha256}}  # fmt: skip
            enqueue_notice(session, tenant, REPORT_READY, f"report:{view.id}:{stored.store_key}", said)
        return KeptReport(view, is_mine=True, replaced_key=before.store_key)

    def failed(
        self, tenant: str, kind: ReportKind, period: str, code: str, message: str, delays_seconds: Sequence[float]
    ) -> ReportView:
        """It could not be made. `due` tells of it again after the first delay, the next time after the second, and so
        on; the last one goes on. What was made before stays."""
        with self._ledger.unit_of_work() as session:
            before = self._locked(session, tenant, kind, period)
            delay = delays_seconds[min(before.failures, len(delays_seconds) - 1)]
            session.execute(
                update(REPORT)
                .where(REPORT.c.id == before.id)
                .values(
                    failures=before.failures + 1, next_try_at=database_now() + delay, code=code,
                    message=storable(message)[:MESSAGE_CHARACTERS],
                )
            )  # fmt: skip
            return _view(_found(session, tenant, before.id))

    def forget(self, kind: ReportKind, before_period: str, limit: int = 100) -> list[str]:
        """Forgets reports on earlier periods than this, at most so many; returns the keys of their bytes."""
        with self._ledger.unit_of_work() as session:
            old = session.execute(
                select(REPORT.c.id, REPORT.c.store_key)
                .where(REPORT.c.kind == kind, REPORT.c.period < before_period)
                .order_by(REPORT.c.period)
                .limit(limit)
            ).all()
            session.execute(delete(REPORT).where(REPORT.c.id.in_([row.id for row in old])))
        return [row.store_key for row in old if row.store_key]

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        with self._ledger.reading() as session:
            return float(session.execute(select(database_now())).scalar_one())

    def _locked(self, session: Session, tenant: str, kind: ReportKind, period: str) -> Any:
        """The row, made if need be; nobody else changes it until the transaction ends."""
        session.execute(
            _MAKE[session.get_bind().dialect.name],
            {"new_id": new_id(), "new_tenant": tenant, "new_kind": kind.value, "new_period": period},
        )
        own = (REPORT.c.tenant_id == tenant, REPORT.c.kind == kind, REPORT.c.period == period)
        return session.execute(select(REPORT).where(*own).with_for_update()).one()


def _found(session: Session, tenant: str, report_id: str) -> Any:
    wanted = (REPORT.c.id == known_id(report_id, "report"), REPORT.c.tenant_id == tenant)
    row = session.execute(_VIEWED.where(*wanted)).one_or_none()
    if row is None:
        raise NotFound("There is no report with this id.")
    return row


def _view(row: Any) -> ReportView:
    return ReportView(
        row.id, row.tenant_id, ReportKind(row.kind), row.period, row.complete, row.made_at, row.made_by,
        row.size_bytes, row.sha256, row.failures, row.next_try_at, row.code, row.message,
    )  # fmt: skip
