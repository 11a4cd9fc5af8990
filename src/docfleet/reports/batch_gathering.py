"""The facts of a report on a batch of the service, gathered in memory that does not grow with its length."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from docfleet import __version__
from docfleet.domain.work import DocumentState
from docfleet.errors import document_error_codes
from docfleet.ledger import Ledger
from docfleet.ledger.batch_account import BatchDocument, BatchPages, batch_documents, batch_pages, last_end
from docfleet.ledger.service_values import BatchView
from docfleet.reports import quantities as say
from docfleet.reports.facts import (
    BatchReport,
    Cause,
    DocumentRow,
    Environment,
    Failure,
    Outcome,
    PageRow,
    Totals,
    Whole,
)
from docfleet.reports.figures import TIMELINE_BUCKETS
from docfleet.reports.tables import DOCUMENT_ROWS, FAILURE_ROWS, WORST_ROWS

REST = "the full list: docfleet status --batch, or GET /v1/batches/…/documents"
_ENDS = {
    DocumentState.SUCCEEDED: Outcome.SUCCEEDED,
    DocumentState.PARTIAL: Outcome.PARTIAL,
    DocumentState.FAILED: Outcome.FAILED,
    DocumentState.CANCELLED: Outcome.CANCELLED,
}
_READ = (DocumentState.SUCCEEDED, DocumentState.PARTIAL)


def batch_report(ledger: Ledger, view: BatchView, now: float) -> BatchReport:
    """Of a batch as it stands. `now`: the database's time."""
    with ledger.reading() as session:
        last, ended = last_end(session, view.id)
        pages = batch_pages(session, view.id, FAILURE_ROWS)
    is_open = view.finished_at is None and ended < sum(view.documents.values())
    until = now if is_open else view.finished_at or last or view.created_at
    sums = _Sums(view.created_at, max(until, last or 0.0), ended)
    for document in batch_documents(ledger, view.id):
        sums.add(document)
    return BatchReport(
        title=view.label or "Batch",
        started=_moment(view.created_at),
        finished=_moment(until),
        documents=tuple(sums.first),
        environment=Environment(__version__),
        command=f"batch {view.id}",
        pages_by_engine=pages.by_engine,
        pages_by_reason=pages.by_reason,
        confidence_histogram=pages.histogram,
        least_certain_pages=tuple(
            PageRow(one.name, one.number, one.engine, one.reason, one.confidence) for one in pages.least_certain
        ),
        failures=(*sums.failures, *_page_failures(pages, FAILURE_ROWS - len(sums.failures))),
        cost_usd=sums.cost_usd,
        whole=Whole(
            totals=sums.totals(pages),
            causes=_causes(sums.causes + Counter(pages.unread)),
            failures=sum(sums.causes.values()) + sum(pages.unread.values()),
            least_certain=sums.least_certain(),
            slowest=sums.slowest(),
            finished_pages=tuple(sums.finished) if sums.timed > 1 else (),
            facts=_facts(view, until, is_open),
            rest=REST,
        ),
    )


class _Sums:
    """Adds documents up, and keeps the first and the worst of them."""

    def __init__(self, begin: float, end: float, ended: int) -> None:
        self._begin, self._span = begin, max(end - begin, 1e-9)
        self.outcomes: Counter[Outcome] = Counter()
        self.causes: Counter[str] = Counter()
        self.first: list[DocumentRow] = []
        self.failures: list[Failure] = []
        self.finished = [0] * min(TIMELINE_BUCKETS, max(8, ended))
        self.timed = 0
        self.cost_usd = 0.0
        self._bytes = self._pages = self._unread = self._inputs = 0
        self._weight = self._certainty = 0.0
        self._doubtful: list[tuple[float, int, DocumentRow]] = []
        self._slow: list[tuple[float, int, DocumentRow]] = []

    def add(self, document: BatchDocument) -> None:
        is_duplicate = bool(document.duplicate_of) and document.state in _READ
        outcome = Outcome.DUPLICATE if is_duplicate else _ENDS.get(document.state, Outcome.OPEN)
        row = _row(document, outcome, self._begin)
        self._inputs += 1
        self.outcomes[outcome] += 1
        if len(self.first) < DOCUMENT_ROWS:
            self.first.append(row)
        if outcome is Outcome.FAILED:
            self._fail(document)
        if is_duplicate:
            return
        self._bytes += document.size_bytes
        self.cost_usd += document.cost_usd
        if outcome not in (Outcome.SUCCEEDED, Outcome.PARTIAL):
            return
        self._pages += document.pages_read
        self._unread += document.pages_failed
        self._time(row)
        if row.confidence is not None:
            self._certainty += row.confidence * max(row.pages, 1)
            self._weight += max(row.pages, 1)
            _keep(self._doubtful, -row.confidence, self._inputs, row)
        if row.seconds > 0:
            _keep(self._slow, row.seconds, self._inputs, row)

    def _fail(self, document: BatchDocument) -> None:
        self.causes[document.code] += 1
        if len(self.failures) < FAILURE_ROWS:
            self.failures.append(Failure(document.name, document.code, document.message))

    def _time(self, row: DocumentRow) -> None:
        if row.finished_after is None or row.pages <= 0:
            return
        self.timed += 1
        place = int(max(row.finished_after, 0.0) / self._span * len(self.finished))
        self.finished[min(place, len(self.finished) - 1)] += row.pages

    def totals(self, pages: BatchPages) -> Totals:
        count = self.outcomes
        return Totals(
            inputs=self._inputs,
            succeeded=count[Outcome.SUCCEEDED],
            partial=count[Outcome.PARTIAL],
            failed=count[Outcome.FAILED],
            duplicates=count[Outcome.DUPLICATE],
            pages=sum(pages.by_engine.values()) or self._pages,
            unread_pages=self._unread,
            bytes=self._bytes,
            seconds=self._span if self._span > 1e-6 else 0.0,
            confidence=self._certainty / self._weight if self._weight else None,
            cancelled=count[Outcome.CANCELLED],
            open=count[Outcome.OPEN],
        )

    def least_certain(self) -> tuple[DocumentRow, ...]:
        return tuple(row for _, _, row in self._doubtful)

    def slowest(self) -> tuple[DocumentRow, ...]:
        return tuple(row for _, _, row in self._slow)


def _keep(heap: list[tuple[float, int, DocumentRow]], weight: float, number: int, row: DocumentRow) -> None:
    """The heaviest, of equals the first."""
    item = (weight, -number, row)
    if len(heap) < WORST_ROWS:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)


def _row(document: BatchDocument, outcome: Outcome, begin: float) -> DocumentRow:
    engines = msgspec.json.decode(document.engines_json, type=dict[str, int])
    by_pages = sorted(((count, name) for name, count in engines.items() if name not in ("", "none")), reverse=True)
    after = None if document.finished_at is None else max(0.0, document.finished_at - begin)
    return DocumentRow(
        file=document.name,
        outcome=outcome,
        code=document.code,
        pages=document.pages_read if outcome is not Outcome.OPEN else document.pages or 0,
        bytes=document.size_bytes,
        engine=",".join(name for _, name in by_pages),
        confidence=document.confidence,
        seconds=document.work_seconds,
        folder=document.id[:12],
        finished_after=after,
    )


def _page_failures(pages: BatchPages, room: int) -> Iterable[Failure]:
    return [Failure(one.name, one.outcome, one.detail, "", one.number) for one in pages.unread_pages[: max(0, room)]]


def _causes(counts: Counter[str]) -> tuple[Cause, ...]:
    known = document_error_codes()
    return tuple(
        Cause(code, count, known[code].remedy if code in known else "") for code, count in counts.most_common()
    )


def _facts(view: BatchView, until: float, is_open: bool) -> tuple[tuple[str, str], ...]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(view.labels.items()))
    return (
        ("Batch", view.id),
        ("Labels", labels),
        ("Opened", _said(view.created_at)),
        ("Sealed", _said(view.sealed_at) if view.sealed_at else "not yet: more documents may come"),
        ("As it stood" if is_open else "Last document ended", _said(until)),
        ("Time in all", say.duration(until - view.created_at)),
        ("docfleet", __version__),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _said(seconds: float) -> str:
    at = _moment(seconds)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"
