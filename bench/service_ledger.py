"""What the ledger costs: statements per document, and time per claim when it is small and when it is large."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from bench.table import Row
from docfleet.domain.urgency import Pool, Urgency
from docfleet.ledger import DocumentSummary, Ledger, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.counting import counting_statements
from docfleet.ledger.desk import Desk
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.service_values import ReadingOptions, Submission
from docfleet.stack.servers import start_postgres

POOL = str(Pool.PDF)
SMALL = 1000
FILL_AT_ONCE = 50_000


def ledger_rows(large: int) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="dfbench-", dir="/tmp"))
    folder.chmod(0o755)
    with start_postgres(folder / "pg", durable=False) as server, Ledger.open(server.url) as ledger:
        access = Access(ledger)
        access.ensure_tenant("bench", "Bench")
        access.close()
        desk = Desk(ledger)
        for number in range(20):
            _accept(desk, number)
            _read(ledger)
        with counting_statements(ledger) as counted:
            _accept(desk, 1000)
            _read(ledger)
        _fill(ledger, SMALL)
        small, small_load = _claim_milliseconds(ledger), _load_milliseconds(ledger)
        _fill(ledger, large)
        big, big_load = _claim_milliseconds(ledger), _load_milliseconds(ledger)
    return [
        Row(
            "ledger statements per one-page document (accept, dispatch, claim, finish)",
            str(counted.total()),
            "",
            "stated",
            None,
        ),
        Row(
            f"time per claim by hint and next, {large:,} rows against {SMALL:,}",
            f"{big[0]:.2f} and {big[1]:.2f} ms",
            f"{small[0]:.2f} and {small[1]:.2f} ms",
            "≤ 1.5×",
            all(after <= 1.5 * before for after, before in zip(big, small, strict=True)),
        ),
        Row(
            f"adding up the fleet's load, {large:,} slices waiting against {SMALL:,}",
            f"{big_load:.0f} ms",
            f"{small_load:.1f} ms",
            "stated",
            None,
        ),
    ]


def _load_milliseconds(ledger: Ledger, times: int = 5) -> float:
    """The middle of several."""
    book = FleetBook(ledger, "local")
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        book.load()
        took.append(time.perf_counter() - begun)
    return 1000 * statistics.median(took)


def _accept(desk: Desk, number: int) -> None:
    desk.accept(
        Submission(
            "bench", f"{number}.pdf", f"content-{number}", b"key", f"sha-{number}", 7, "application/pdf", POOL,
            Urgency.NORMAL, ReadingOptions(), idempotency_key=f"k{number}", request_digest="d",
        )
    )  # fmt: skip


def _read(ledger: Ledger) -> None:
    [waiting] = ledger.window(POOL, 1)
    ledger.mark_dispatched([waiting.slice_id])
    claim = ledger.claim_slice("bench/0-1", waiting.slice_id)
    assert claim is not None
    summary = DocumentSummary("contents/x/results/1-1", results_json='[{"path":"document.json"}]')
    ledger.finish_in_one(claim, Plan(1), [PageOutcome(1)], "", summary)


def _fill(ledger: Ledger, rows: int) -> None:
    """Documents with a waiting plan slice each, until there are so many; copied from one that was accepted."""
    desk = Desk(ledger)
    with ledger.reading() as session:
        have = session.execute(text("SELECT count(*) FROM slice WHERE state = 'queued'")).scalar_one()
    _accept(desk, 10_000 + rows)
    missing = rows - have - 1
    with ledger.reading() as session:
        source = session.execute(
            text("SELECT id FROM document WHERE name = :name"), {"name": f"{10_000 + rows}.pdf"}
        ).scalar_one()
        copies = [_copying(session, rows, *table) for table in (("document", "id"), ("slice", "document_id"))]
    # in parts: a statement may take two minutes
    for first in range(1, missing + 1, FILL_AT_ONCE):
        with ledger.unit_of_work() as session:
            for copy in copies:
                last = min(missing, first + FILL_AT_ONCE - 1)
                session.execute(copy, {"first": first, "last": last, "source": source})
    with ledger.unit_of_work() as session:
        session.execute(text("ANALYZE"))


def _copying(session: Session, rows: int, table: str, key: str) -> TextClause:
    """Copies the row of document :source as numbers :first to :last."""
    columns = session.execute(
        text(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :name "
            "AND column_name <> 'follows' AND NOT (:name = 'slice' AND column_name = 'id')"
        ),
        {"name": table},
    ).scalars().all()  # fmt: skip
    fresh = f"'copy-{rows}-' || n"
    taken = [
        fresh if name in (key, "sha256", "options_digest") else "NULL" if name == "content_id" else name
        for name in columns
    ]
    return text(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(taken)} "
        f"FROM {table}, generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n "
        f"WHERE {table}.{key} = :source"
    )


def _claim_milliseconds(ledger: Ledger, times: int = 60) -> tuple[float, float]:
    """(claim by hint, claim of what is next), the middle of many; what was claimed is handed back."""
    hinted, nexts = [], []
    for number in range(times):
        [waiting] = ledger.window(POOL, 1)
        begun = time.perf_counter()
        claim = ledger.claim_slice(f"bench/{number}-1", waiting.slice_id)
        hinted.append(time.perf_counter() - begun)
        assert claim is not None
        ledger.hand_back(claim, after_seconds=3600)
        begun = time.perf_counter()
        [claim] = ledger.claim_next(f"bench/{number}-2", [POOL])
        nexts.append(time.perf_counter() - begun)
        ledger.hand_back(claim, after_seconds=3600)
    return 1000 * statistics.median(hinted), 1000 * statistics.median(nexts)
