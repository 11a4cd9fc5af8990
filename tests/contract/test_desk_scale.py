"""Listings, dead letters and acceptance find their rows by index, however many there are: plans tell, not clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_driver import submission, watching_statements
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.ledger import Ledger
from docfleet.ledger.desk import Desk
from docfleet.ledger.earlier import _FIND
from docfleet.ledger.listing import matching_ids
from docfleet.ledger.service_values import DocumentFilter
from ledger_driver import PostgresServer

ROWS = 30_000
_COUNT = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {rows}) "
_DOCUMENTS = (
    "INSERT INTO document (id, batch_id, sha256, options_digest, size_bytes, media_type, state, priority, round, "
    "plan_json, code, message, detail, result_key, pages_read, pages_failed, engines_json, cost_usd, work_seconds, "
    "created_at, tenant_id, content_id, options_key, labels_json) "
    + _COUNT
    + "SELECT {id}, :batch, {sha}, {id}, 1, '', CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'succeeded' END, 100, 1, "
    "'', CASE WHEN n % 1000 = 0 THEN 'damaged' ELSE '' END, '', '', '', 0, 0, '{{}}', 0, 0, "
    "1e9 + n, CASE WHEN n % 10 = 0 THEN 'small' ELSE 'acme' END, 'c', 'o', '{{}}' FROM number"
)
_LABELS = (
    "INSERT INTO label (document_id, name, value, tenant_id) "
    "SELECT id, 'customer', CASE WHEN state = 'failed' THEN 'rare' ELSE 'common' END, tenant_id FROM document"
)
_SLICES = (
    "INSERT INTO slice (document_id, batch_id, round, step, first_page, last_page, state, priority, attempt, "
    "crash_count, error_count, wait_count, loss_count, token, worker, available_at, isolated, payload_json, "
    "result_key, code, message, detail, created_at, finished_at, tenant_id) "
    "SELECT id, batch_id, 1, 'plan', 0, 0, CASE WHEN state = 'failed' THEN 'dead' ELSE 'done' END, 1, 1, 0, 0, 0, 0, "
    "1, '', 1, {false}, '', '', code, '', '', 1, 1, tenant_id FROM document"
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger in which one tenant has nine tenths of the documents and another one tenth."""
    address: str | Path = tmp_path_factory.mktemp("crowded") / "ledger.db"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        address = server.url(server.new_ledger())
    with Ledger.open(address) as ledger:
        batch = Desk(ledger).open_batch("acme", "large").id
        is_sqlite = request.param == "sqlite"
        number = "printf('%032x', n)" if is_sqlite else "lpad(to_hex(n), 32, '0')"
        sha = "printf('%064x', n / 50)" if is_sqlite else "lpad(to_hex(n / 50), 64, '0')"
        with ledger.unit_of_work() as session:
            session.execute(text(_DOCUMENTS.format(rows=ROWS, id=number, sha=sha)), {"batch": batch})
            session.execute(text(_LABELS))
            session.execute(text(_SLICES.format(false="0" if is_sqlite else "false")))
        with ledger.unit_of_work() as session:
            session.execute(text("ANALYZE"))
        yield ledger


def plan_of(ledger: Ledger, statement: Any) -> str:
    """How the database finds it; Postgres also says how many rows each step really gave."""
    is_sqlite = ledger._engine.dialect.name == "sqlite"
    dialect: Any = sqlite.dialect() if is_sqlite else postgresql.dialect()
    said = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN (ANALYZE, TIMING OFF) "
    with ledger.reading() as session:
        return "\n".join(str(row[-1]) for row in session.connection().exec_driver_sql(explain + said).all())


def most_rows(plan: str) -> int:
    """Postgres: of all steps of the plan the most rows one gave, or looked at in vain."""
    given = re.findall(r"actual rows=([0-9.]+) loops=([0-9]+)", plan)
    in_vain = re.findall(r"Rows Removed by .*: ([0-9]+)", plan)
    return int(max([float(rows) * int(loops) for rows, loops in given] + [float(rows) for rows in in_vain], default=0))


def reads_everything(plan: str) -> bool:
    return re.search(r"Seq Scan|^SCAN (document|slice|label)\b(?!.*INDEX)", plan, re.MULTILINE) is not None


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"states": (DocumentState.FAILED,)},
        {"states": (DocumentState.FAILED, DocumentState.PARTIAL, DocumentState.RUNNING)},
        {"code": "damaged"},
        {"labels": {"customer": "common"}},
        {"labels": {"customer": "rare"}},
        {"batch_id": "batch"},
    ],
    ids=str,
)
@pytest.mark.parametrize("before", [None, f"{ROWS // 2:032x}"])
def test_a_page_of_a_listing_is_found_by_an_index(crowded: Ledger, wanted: dict[str, Any], before: str | None) -> None:
    if "batch_id" in wanted:
        wanted = {"batch_id": Desk(crowded).batches("acme").items[0].id}
    for tenant in ("acme", "small"):
        plan = plan_of(crowded, matching_ids(tenant, DocumentFilter(**wanted), before, 101))
        assert not reads_everything(plan), plan
        # a page's worth, and what a database finds cheaper to skip than to look up; never a large part of all
        assert most_rows(plan) <= ROWS / 20, plan


def test_the_check_of_plans_would_notice(crowded: Ledger) -> None:
    assert reads_everything(plan_of(crowded, text("SELECT id FROM document WHERE media_type = 'x'")))


def test_no_question_of_a_client_reads_a_whole_table(crowded: Ledger) -> None:
    desk = Desk(crowded)
    batch = desk.batches("acme").items[0].id
    document = f"{1000:032x}"
    with watching_statements(crowded) as sent:
        desk.document("small", document)
        desk.pages("small", document)
        desk.dead_letters("small", code="damaged")
        desk.dead_letters("small")
        desk.dead_letter_groups("small")
        desk.events("small", document_id=document)
        desk.events("acme", batch_id=batch)
        desk.batches("acme")
        accepted = desk.accept(submission(urgency=Urgency.BULK)).document_id
        desk.open_documents()
        desk.open_documents("acme")
        desk.erased_contents()
        desk.cancel("acme", accepted)
        desk.retry("acme", accepted)
        desk.reprioritise("acme", accepted, Urgency.HIGH)
        desk.cancel("acme", accepted)
        desk.delete("acme", accepted)
    explain = "EXPLAIN QUERY PLAN " if crowded._engine.dialect.name == "sqlite" else "EXPLAIN "
    explained = 0
    with crowded.unit_of_work() as session:
        for statement, parameters in sent:
            if not re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)", statement) or "pg_notify" in statement:
                continue
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
            plan = "\n".join(str(row[-1]) for row in rows)
            explained += 1
            # a batch's own view counts all its documents, which are nearly all there are
            if "GROUP BY document.batch_id" not in statement:
                assert not _reads_a_large_table(plan), f"{statement}\n{plan}"
    assert explained > 30


def _reads_a_large_table(plan: str) -> bool:
    found = r"Seq Scan on (document|slice|label)\b|^SCAN (document|slice|label)\b(?!.*INDEX)"
    return re.search(found, plan, re.MULTILINE) is not None


def test_many_documents_with_the_same_bytes_cost_no_more_than_one(crowded: Ledger) -> None:
    """The earlier document is found without looking at all its copies."""
    with crowded.unit_of_work() as session:
        session.execute(text("UPDATE document SET sha256 = 'same' WHERE tenant_id = 'small'"))
    with crowded.unit_of_work() as session:
        session.execute(text("ANALYZE document"))
    urgencies = [urgency.value for urgency in Urgency]
    plan = plan_of(crowded, _FIND.params(tenant="small", sha256="same", options_key="o", urgencies=urgencies))
    assert not reads_everything(plan), plan
    assert most_rows(plan) <= 2, plan
    assert "ix_document_same" in plan
    assert "B-TREE" not in plan
