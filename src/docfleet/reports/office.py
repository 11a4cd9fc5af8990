"""Reports of a service: gathered from the ledger, set by the press, and kept in the store, encrypted as results are."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from docfleet import __version__
from docfleet.domain.months import is_month, month_bounds
from docfleet.errors import BadRequest, DocfleetError, NotStored, ReportFailed
from docfleet.ledger import Ledger
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.desk import Desk
from docfleet.ledger.report_values import ReportKind, ReportView, StoredReport
from docfleet.ledger.reports import Reports
from docfleet.ledger.tallies import Tallies
from docfleet.reports.batch_gathering import batch_report
from docfleet.reports.document_facts import document_facts
from docfleet.reports.document_figures import document_figures
from docfleet.reports.figures import figures
from docfleet.reports.gathering import MonthSources, MonthTerms, month_facts
from docfleet.reports.month import month_pdf
from docfleet.reports.month_facts import PoolOutlook
from docfleet.reports.press import Press
from docfleet.store.base import Store
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.telemetry import logger

_log = logger(__name__)
FOLDER = "reports"
"""Of the store."""
_AT_ONCE = 200
RETRY_SECONDS = (60.0, 300.0, 1800.0, 3600.0)
"""After a scheduled report that failed; the last one goes on."""


def _nothing_foreseen() -> tuple[PoolOutlook, ...]:
    return ()


@dataclass(frozen=True)
class Office:
    """What makes reports. Threads share one. Raises `LedgerError`, `StoreError`, `ReportFailed`, `ServiceUnavailable`.

    What is in a report is that of one tenant, or in that on a month, for `SYSTEM_TENANT`, of all of them; who may see
    it is for the caller to know.
    """

    ledger: Ledger
    desk: Desk
    budgets: Budgets
    store: Store
    master_key: MasterKey
    terms: MonthTerms = field(default_factory=MonthTerms)
    outlook: Callable[[], tuple[PoolOutlook, ...]] = _nothing_foreseen
    press: Press = field(default_factory=Press)

    @property
    def reports(self) -> Reports:
        return Reports(self.ledger)

    # --- the month

    def month(self, tenant: str, month: str, terms: MonthTerms | None = None) -> bytes:
        """The monthly report as a PDF, of a month that has begun. Raises BadRequest for any other."""
        now = self.reports.now()
        check_month(month, now)
        sources = MonthSources(self.ledger, Tallies(self.ledger), self.budgets)
        facts = month_facts(sources, tenant, month, terms or self.terms, self.outlook, now)
        return month_pdf(facts, self.press.typeset)

    def make_month(
        self, tenant: str, month: str, made_by: str = "", *, replace: bool = True, terms: MonthTerms | None = None
    ) -> ReportView:
        """Makes it and keeps it; the one that is kept then, which is another's where it was there and stays."""
        pdf = self.month(tenant, month, terms)
        is_over = month_bounds(month)[1] <= self.reports.now()
        return self._keep(tenant, ReportKind.MONTH, month, pdf, is_over, made_by, replace)

    def make_due(self, month: str, most: int = 20) -> int:
        """Makes the reports on a month that is over, for tenants that have none yet; how many were made.

        One that fails is told in its row, and tried again later, ever more slowly.
        """
        made = 0
        for tenant in self.reports.due(ReportKind.MONTH, month, month_bounds(month)[1], most):
            try:
                view = self.make_month(tenant, month, replace=False)
            except DocfleetError as error:
                self._failed(tenant, month, error)
            except Exception as error:
                _log.exception("report_broke", tenant=tenant, month=month)
                self._failed(tenant, month, ReportFailed(f"The report was not made: {type(error).__name__}."))
            else:
                made += 1
                _log.info("report_made", tenant=tenant, month=month, report=view.id, bytes=view.size_bytes)
        return made

    def _failed(self, tenant: str, month: str, error: DocfleetError) -> None:
        failed = self.reports.failed(tenant, ReportKind.MONTH, month, error.code, error.message, RETRY_SECONDS)
        _log.error("report_failed", tenant=tenant, month=month, failures=failed.failures, error=error)

    # --- a batch, a document

    def batch(self, tenant: str, batch_id: str) -> bytes:
        """The report on a batch as it stands, as a PDF. Raises NotFound."""
        view = self.desk.batch(tenant, batch_id)
        report = batch_report(self.ledger, view, self.reports.now())
        return self.press.typeset("batch.typ", figures(report), report.finished)

    def document(self, tenant: str, document_id: str, *, with_content: bool) -> bytes:
        """The report on a document as it stands, as a PDF; `with_content`: with the fields that were found in it.

        Raises NotFound, Gone.
        """
        now = self.reports.now()
        facts = document_facts(
            self.desk, self.store, self.master_key, tenant, document_id, with_content=with_content, now=now,
            version=__version__,
        )  # fmt: skip
        return self.press.typeset("document.typ", document_figures(facts), datetime.fromtimestamp(now, UTC))

    # --- what is kept

    def _keep(
        self, tenant: str, kind: ReportKind, period: str, pdf: bytes, complete: bool, made_by: str, replace: bool
    ) -> ReportView:
        wrapped, data_key = self.master_key.new_data_key()
        # its bytes first: a row never names what is not there
        key = f"{FOLDER}/{secrets.token_hex(16)}/report.pdf"
        EncryptedStore(self.store, data_key).put(key, pdf)
        stored = StoredReport(key, wrapped, hashlib.sha256(pdf).hexdigest(), len(pdf))
        # where this fails nobody knows whether the row was written: the sweep deletes the bytes if it was not
        kept = self.reports.keep(tenant, kind, period, stored, complete=complete, made_by=made_by, replace=replace)
        unneeded = kept.replaced_key if kept.is_mine else key
        if unneeded:
            self.store.delete(unneeded)
        return kept.view

    def read(self, tenant: str, report_id: str) -> tuple[ReportView, Iterator[bytes]]:
        """A kept report and its bytes. Raises NotFound."""
        view, stored = self.reports.stored(tenant, report_id)
        try:
            chunks = self._open(stored)
        except NotStored:
            # it was made anew in this moment
            view, stored = self.reports.stored(tenant, report_id)
            chunks = self._open(stored)
        return view, chunks

    def _open(self, stored: StoredReport) -> Iterator[bytes]:
        return EncryptedStore(self.store, self.master_key.unwrap(stored.wrapped_key)).get_stream(stored.store_key)

    def forget_before(self, month: str) -> int:
        """Deletes the reports on earlier months, with their bytes; how many had any."""
        deleted = 0
        while keys := self.reports.forget(ReportKind.MONTH, month):
            for key in keys:
                self.store.delete(key)
            deleted += len(keys)
        return deleted

    def sweep(self, older_than: float) -> int:
        """Deletes bytes that no report names and that were written before `older_than`; how many reports' they were."""
        old = [key for key, at in self.store.list_with_times(FOLDER) if at < older_than]
        parts = [old[start : start + _AT_ONCE] for start in range(0, len(old), _AT_ONCE)]
        lost = [key for some in parts for key in sorted(set(some) - self.reports.known_keys(some))]
        if len(lost) > len(old) - len(lost):
            # a ledger restored from nothing, or a wrong address, must not delete another service's reports
            _log.warning("reports_of_another_ledger", known=len(old) - len(lost), unknown=len(lost))
            return 0
        for key in lost:
            self.store.delete(key)
        return len(lost)


def check_month(month: str, now: float) -> None:
    """Raises BadRequest for what is no month, or one that has not begun. `now`: seconds since 1970."""
    if not is_month(month):
        raise BadRequest("A month is written like 2026-11.")
    if month_bounds(month)[0] > now:
        raise BadRequest(f"The month {month} has not begun.")
