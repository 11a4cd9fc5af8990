"""A ledger made by the first docfleet, with work in it, is brought up to date and its work goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from docfleet.domain.budgeting import BudgetPolicy, Refused
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.domain.work import DocumentState
from docfleet.ledger import DocumentSummary, Ledger, Plan
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.dialect import connect
from docfleet.ledger.migrations import configuration
from docfleet.ledger.money_values import Ask, Reservation
from docfleet.ledger.schema import HEAD
from ledger_driver import BATCH, PostgresServer, file_named, finish_pages, read

NOW = 1_790_000_000.0
OLD_DATA = [
    "INSERT INTO batch (id, key, label, options_json, created_at) VALUES ('b', 'batch', '', '{}', :now)",
    *(
        f"INSERT INTO document (id, batch_id, sha256, options_digest, size_bytes, media_type, state, priority, round, "
        f"pages, plan_json, code, message, detail, result_key, pages_read, pages_failed, engines_json, cost_usd, "
        f"work_seconds, created_at) VALUES ('{id_}', 'b', '{id_}', 'o1', 7, 'application/pdf', '{state}', 100, 1, "
        f"{pages}, '', '', '', '', '', 0, 0, '{{}}', 0, 0, :now)"
        for id_, state, pages in (("new", "received", "NULL"), ("half", "running", "2"))
    ),
    *(
        f"INSERT INTO slice (document_id, batch_id, round, step, first_page, last_page, state, priority, attempt, "
        f"crash_count, error_count, wait_count, loss_count, token, lease_until, worker, available_at, isolated, "
        f"payload_json, result_key, code, message, detail, created_at) VALUES ('{id_}', 'b', 1, '{step}', {first}, "
        f"{first}, '{state}', 100, {token}, 0, 0, 0, 0, {token}, {lease}, '', :now, {{false}}, '', '', '', '', '', "
        ":now)"
        for id_, step, first, state, token, lease in (
            ("new", "plan", 0, "queued", 0, "NULL"),
            ("half", "plan", 0, "done", 1, "NULL"),
            ("half", "local", 1, "queued", 0, "NULL"),
            ("half", "local", 2, "running", 1, ":now"),
        )
    ),
]


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Address of a ledger as the first migration, and no other, left it."""
    address: str | Path = tmp_path / "ledger.db"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        address = server.url(server.new_database())
    engine = connect(address, 5, False)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in OLD_DATA:
            connection.execute(
                text(statement.replace("{false}", "false" if request.param == "postgres" else "0")), {"now": NOW}
            )
    engine.dispose()
    return address


def test_the_work_of_an_old_ledger_goes_on(old: str | Path) -> None:
    with Ledger.open(old, jitter=lambda: 0.0) as ledger:
        with ledger.reading() as session:
            assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
            columns = {column["name"] for column in inspect(session.connection()).get_columns("slice")}
        assert {"pool", "urgency", "tenant_id", "dispatched_at"} <= columns
        assert ledger.window("pdf", 9) == [], "what was there before belongs to no pool"
        [lost] = ledger.expire_leases()
        assert lost.document_id == "half"
        done = {}
        while claims := ledger.claim("w"):
            [claim] = claims
            if claim.document.id == "new":
                done["new"] = ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", DocumentSummary("r"))
            elif claim.is_whole_document:
                done["half"] = ledger.finish_document(claim, DocumentSummary("r"))
            else:
                finish_pages(ledger, claim)
        assert done == {"new": DocumentState.SUCCEEDED, "half": DocumentState.SUCCEEDED}
        assert ledger.register(BATCH, [file_named("fresh.pdf")]).new_documents == 1
        [claim] = ledger.claim("w")
        ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", DocumentSummary("r"))


def test_a_ledger_of_the_service_takes_money_beside_its_work(old: str | Path) -> None:
    """From the second migration, with work under way: nothing of it changes, and what it goes on with can be paid."""
    engine = connect(old, 5, False)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            text(
                "INSERT INTO tenant (id, name, region, settings_json, created_at) VALUES ('acme', '', '', '{}', :now)"
            ),
            {"now": NOW},
        )
        before = [tuple(row) for row in connection.execute(text("SELECT * FROM slice ORDER BY id"))]
    engine.dispose()
    with Ledger.open(old, jitter=lambda: 0.0) as ledger:
        with ledger.reading() as session:
            assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
            assert [tuple(row) for row in session.execute(text("SELECT * FROM slice ORDER BY id"))] == before
        budgets = Budgets(ledger, PriceBook({"OCR": Rate.flat(1_500)}))
        budgets.set_budget("acme", "documentai", 3_000, BudgetPolicy.STOP)
        claim = ledger.claim("w", limit=9)[0]
        first, second = budgets.reserve(
            [Ask(claim.slice_id, claim.token, "acme", "documentai", "OCR", 2, call=call) for call in (1, 2)]
        )
        assert isinstance(first, Reservation)
        assert isinstance(second, Refused)


def test_an_upgraded_ledger_is_upgraded_once(old: str | Path) -> None:
    for _ in range(2):
        with Ledger.open(old) as ledger, ledger.reading() as session:
            assert session.execute(text("SELECT count(*) FROM slice")).scalar() == 4
