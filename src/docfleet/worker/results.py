"""What a batch leaves behind besides the documents: the index, and the facts of its report."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import msgspec

from docfleet import __version__
from docfleet.domain.work import DOCUMENT_ENDS, PAGE_READ
from docfleet.errors import document_error_codes
from docfleet.ledger import IndexRow as LedgerRow
from docfleet.ledger import Ledger
from docfleet.pipeline.outcome import IndexRow
from docfleet.reports.batch import BatchReport, DocumentRow, Environment, Failure, Outcome, PageRow

_BINS = 20
_LEAST_CERTAIN = 15
PENDING = "pending"
"""Outcome of an input that an interrupted run has not come to."""


def index_rows(rows: Iterable[LedgerRow]) -> list[IndexRow]:
    """The ledger's rows as the user sees them, one for each input."""
    remedies = {code: cls.remedy for code, cls in document_error_codes().items()}
    return [_index_row(row, remedies) for row in rows]


def _index_row(row: LedgerRow, remedies: dict[str, str]) -> IndexRow:
    if row.state is None:
        outcome = "failed"
    elif row.state in DOCUMENT_ENDS:
        outcome = str(row.state)
    else:
        outcome = PENDING
    engines = sorted(((n, name) for name, n in row.engines.items() if name not in ("", "none")), reverse=True)
    return IndexRow(
        file=row.name,
        outcome=outcome,
        code=row.code,
        message=row.message,
        remedy=remedies.get(row.code, ""),
        pages=row.pages or 0,
        pages_failed=row.pages_failed,
        engine=",".join(name for _, name in engines),
        confidence=round(row.confidence, 4) if row.confidence is not None else None,
        seconds=round(row.work_seconds, 3),
        cost_usd=row.cost_usd,
        bytes=row.size_bytes,
        media_type=row.media_type,
        sha256=row.sha256,
        folder=(row.folder or "") if outcome in ("succeeded", "partial") else "",
        duplicate_of=row.duplicate_of or "",
    )


class RunFacts(msgspec.Struct, frozen=True):
    """What the ledger does not know of a run."""

    title: str
    command: str
    started: datetime
    seconds: float
    cpu_seconds: float
    workers: int
    engine: str


def report_of(ledger: Ledger, ledger_rows: Sequence[LedgerRow], rows: Sequence[IndexRow], run: RunFacts) -> BatchReport:
    """The facts the PDF report is drawn from."""
    engines: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bins = [0] * _BINS
    certain: list[PageRow] = []
    failures = [_failure(row) for row in rows if row.code and not row.pages_failed and not row.duplicate_of]
    started = run.started.timestamp()
    for row, told in zip(ledger_rows, rows, strict=True):
        if row.document_id is None or row.duplicate_of or told.outcome == PENDING:
            continue
        for record in ledger.pages_of(row.document_id):
            page = record.page
            if page.outcome != PAGE_READ:
                if told.outcome == "partial":
                    remedy = _remedy(page.outcome)
                    failures.append(Failure(row.name, page.outcome, page.detail, remedy, page.page))
                continue
            engines[page.engine] += 1
            reasons[page.reason] += 1
            bins[min(int(page.confidence * _BINS), _BINS - 1)] += 1
            certain.append(PageRow(row.name, page.page, page.engine, page.reason, page.confidence))
            if len(certain) > 500:
                certain = _least(certain)
    failures += [_failure(row) for row in rows if row.outcome == "failed" and row.pages_failed and not row.duplicate_of]
    return BatchReport(
        title=run.title,
        started=run.started,
        finished=datetime.fromtimestamp(started + run.seconds, UTC),
        documents=tuple(
            _document(told, row, started)
            for row, told in zip(ledger_rows, rows, strict=True)
            if told.outcome != PENDING
        ),
        environment=Environment(
            __version__, _engine_names(engines, run.engine), run.workers, platform.python_version(), platform.platform()
        ),
        command=run.command,
        wall_seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        pages_by_engine=dict(engines.most_common()),
        pages_by_reason=dict(reasons.most_common()),
        confidence_histogram=tuple(bins) if certain else (),
        least_certain_pages=tuple(_least(certain)),
        failures=tuple(failures),
        cost_usd=sum(row.cost_usd for row in rows if not row.duplicate_of),
    )


def _least(pages: list[PageRow]) -> list[PageRow]:
    return sorted((p for p in pages if p.engine != "none"), key=lambda p: (p.confidence, p.file, p.page))[
        :_LEAST_CERTAIN
    ]


def _document(row: IndexRow, ledger_row: LedgerRow, started: float) -> DocumentRow:
    outcome = (
        Outcome.DUPLICATE if row.duplicate_of else Outcome(row.outcome if row.outcome != "cancelled" else "failed")
    )
    after = ledger_row.finished_at - started if ledger_row.finished_at is not None else None
    return DocumentRow(
        file=row.file,
        outcome=outcome,
        code=row.code,
        pages=row.pages,
        bytes=row.bytes,
        engine=row.engine,
        confidence=row.confidence,
        seconds=row.seconds,
        folder=row.folder,
        finished_after=after if after is not None and after >= 0 else None,
    )


def _failure(row: IndexRow) -> Failure:
    return Failure(row.file, row.code, row.message, row.remedy)


def _remedy(code: str) -> str:
    known = document_error_codes().get(code)
    return known.remedy if known else ""


def _engine_names(used: Counter[str], asked: str) -> tuple[str, ...]:
    names = []
    for name in dict.fromkeys([*(part for joined in used for part in joined.split("+")), asked]):
        if name in ("", "none", "text_layer"):
            continue
        try:
            names.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            names.append(name)
    return ("text layer", *names)
