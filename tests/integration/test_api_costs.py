"""The account over the API, the SDK and the command line: one month, counted by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from docfleet.api.app import make_app
from docfleet.client import Client
from docfleet.domain.access import Role
from docfleet.domain.budgeting import BudgetPolicy
from docfleet.domain.months import month_bounds
from docfleet.domain.pricing import OwnPrices, micros_of, usd_of
from docfleet.domain.work import Step
from docfleet.engines.documentai.facts import read_facts
from docfleet.engines.documentai.prices import price_book
from docfleet.errors import Conflict, Forbidden, NotFound
from docfleet.ledger import DocumentSummary, NewSlice, PageOutcome, Plan, ending, settling
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import Ask, Reservation
from serving import PDF, Served, listening, serving

ENGINE, FORM = "documentai", "FORM_PARSER_PROCESSOR"
BOOK = price_book(read_facts(), OwnPrices(worker_usd_per_hour=3.6))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("costs")) as running:
        budgets = Budgets(running.parts.ledger, BOOK, cloud_processor="LAYOUT_PARSER_PROCESSOR")
        parts = replace(running.parts, budgets=budgets)
        app = make_app(parts)
        with listening(app) as url:
            yield Served(url, parts, app)


def client_of(served: Served, tenant: str = "acme", role: Role = Role.ADMIN) -> Client:
    return Client(served.url, served.key(tenant, role), retry_seconds=5)


def read_in_the_cloud(served: Served, document_id: str, pages: int, local: int) -> None:
    """The first `local` pages are read here, the others by a paid engine, in two slices of one request."""
    ledger, budgets = served.parts.ledger, served.parts.budgets
    assert budgets is not None
    [plan] = ledger.claim("w")
    assert plan.document.id == document_id
    slices = [NewSlice(Step.LOCAL, 1, local), *(NewSlice(Step.CLOUD, n, n) for n in range(local + 1, pages + 1))]
    ledger.finish(plan, next_slices=slices, plan=Plan(pages))
    claims = ledger.claim("w", limit=100)
    asks = [
        Ask(one.slice_id, one.token, "acme", ENGINE, FORM, 1, document_id, f"call of {document_id}")
        for one in claims
        if one.step is Step.CLOUD
    ]
    paid = {one.slice_id: one for one in budgets.reserve(asks) if isinstance(one, Reservation)}
    for claim in claims:
        if claim.step is Step.LOCAL:
            outcomes = [PageOutcome(n, engine="rapidocr", confidence=0.9, seconds=10.0) for n in range(1, local + 1)]
            ledger.finish(claim, claim.result_prefix, outcomes)
            continue
        held = paid[claim.slice_id]
        outcome = PageOutcome(claim.first_page, engine=ENGINE, confidence=1.0, cost_usd=usd_of(held.amount_micros))
        with ledger.unit_of_work() as session:
            ending.finish(session, claim, claim.result_prefix, [outcome], [], None)
            assert settling.settle(session, held.id, micros_of(outcome.cost_usd))
    [assemble] = ledger.claim("w")
    ledger.finish_document(assemble, DocumentSummary("k"))


def test_the_account_of_a_month(served: Served) -> None:
    with client_of(served) as client:
        first = client.submit(PDF, name="a.pdf")
        read_in_the_cloud(served, first.id, pages=9, local=6)
        for _ in range(2):
            assert client.submit(PDF, name="again.pdf").facts.duplicate_of
        client.budgets.set(10, "degrade", engine=ENGINE)
        told = client.costs()
        assert client.document(first.id).facts.cost_usd == pytest.approx(0.09)
    assert told.spent_usd == 0.09
    assert (told.reserved_usd, told.without_result_usd) == (0, 0)
    [one] = told.by_processor
    assert (one.engine, one.processor, one.spent_usd, one.pages) == (ENGINE, FORM, 0.09, 3)
    assert (one.requests, one.slices, told.saved.packing_requests) == (1, 3, 2)
    assert (told.saved.local_pages, told.saved.cascade_usd) == (6, 0.06)
    assert told.saved.cascade_processor == "LAYOUT_PARSER_PROCESSOR"
    assert (told.saved.duplicate_documents, told.saved.duplicate_pages) == (2, 18)
    assert told.saved.deduplication_usd == 0.18
    assert (told.work_seconds, told.worker_usd) == (60, 0.06)
    assert told.forecast is not None
    assert told.forecast.low_usd == 0.09 <= told.forecast.expected_usd <= told.forecast.high_usd
    [budget] = told.budgets
    assert (budget.engine, budget.month, budget.limit_usd, budget.spent_usd) == (ENGINE, None, 10, 0.09)
    with client_of(served, "rival") as stranger:
        other = stranger.costs()
        assert stranger.costs("2020-02").forecast is None
    assert (other.spent_usd, other.by_processor, other.budgets, other.saved.local_pages) == (0, [], [], 0)


def test_the_forecast_rests_on_the_days_before(served: Served) -> None:
    """Reservations as they would have been made one a day."""
    ledger, budgets = served.parts.ledger, served.parts.budgets
    assert budgets is not None
    with ledger.unit_of_work() as session:
        now = session.execute(text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one()
    month = budgets.costs("rival").month
    _, end = month_bounds(month)
    [held] = budgets.reserve([Ask(900_001, 1, "rival", ENGINE, "LAYOUT_PARSER_PROCESSOR", 100)])
    assert isinstance(held, Reservation)
    with ledger.unit_of_work() as session:
        for day in range(1, 11):
            session.execute(
                text(
                    "INSERT INTO reservation (slice_id, token, call, call_id, document_id, tenant_id, engine, "
                    "processor, month, pages, amount_micros, settled_micros, folded_micros, to_fold, state, made_at) "
                    "VALUES (:s, 1, 1, 'c', '', 'rival', 'documentai', 'LAYOUT_PARSER_PROCESSOR', "
                    "strftime('%Y-%m', :at, 'unixepoch'), 100, 1000000, 1000000, 1000000, 0, 'settled', :at)"
                ),
                {"s": 900_100 + day, "at": now - day * 86_400},
            )
    seen = budgets.costs("rival").forecast
    assert seen is not None
    assert seen.days_seen == 10
    left = (end - now) / 86_400
    assert seen.expected_micros == pytest.approx(1_000_000 * (1 + left), abs=30_000)
    assert seen.low_micros == seen.expected_micros == seen.high_micros


def test_who_may_set_a_budget(served: Served) -> None:
    budgets = served.parts.budgets
    assert budgets is not None
    for role in (Role.OPERATOR, Role.AUDITOR):
        with client_of(served, role=role) as client:
            client.costs()
            client.budgets.list()
            with pytest.raises(Forbidden):
                client.budgets.set(1, "stop")
    budgets.set_budget("acme", "other", 1_000_000, BudgetPolicy.STOP)
    with client_of(served) as client:
        for month in (None, "2031-01"):
            with pytest.raises(Conflict):
                client.budgets.set(2, "stop", engine="other", month=month)
        with pytest.raises(Conflict):
            client.budgets.remove(engine="other")
        made = client.budgets.set(0.000001, "queue", month="2031-01", warn_percent=50)
        assert (made.limit_usd, made.engine, made.month, made.warn_percent) == (0.000001, None, "2031-01", 50)
        assert made.set_by
        client.budgets.remove(month="2031-01")
        with pytest.raises(NotFound):
            client.budgets.remove(month="2031-01")


@pytest.mark.parametrize(
    "body",
    [
        {"limit_usd": -1, "policy": "stop"},
        {"limit_usd": 1, "policy": "pray"},
        {"limit_usd": 1, "policy": "stop", "engine": "*"},
        {"limit_usd": 1, "policy": "stop", "month": "2026-13"},
        {"limit_usd": 1e30, "policy": "stop"},
        {"limit_usd": "NaN", "policy": "stop"},
        {"limit_usd": 1, "policy": "stop", "tenant": "rival"},
    ],
)
def test_nonsense_is_a_bad_request(served: Served, body: dict[str, object]) -> None:
    with served.client() as client:
        answer = client.put("/v1/budgets", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert client.get("/v1/costs", params={"month": "2026-00"}).status_code == 400


def run(folder: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "docfleet", *command],
        capture_output=True, text=True, timeout=60, cwd=folder, check=True,
        env={**os.environ, "DOCFLEET_SERVICE__DATA_FOLDER": str(folder), **environment},
    )  # fmt: skip
    return done.stdout


@pytest.mark.slow
def test_at_the_command_line(served: Served, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(served.key())
    said = run(tmp_path, "costs", "--to", served.url, "--key-file", "key")
    assert "Whole cost of a document" in said
    assert "Saved by packing" in said
    told = json.loads(run(tmp_path, "costs", "--to", served.url, "--key-file", "key", "--json"))
    assert told["by_processor"][0]["processor"] == FORM
    run(tmp_path, "keys", "create", "admin", "--role", "admin")
    said = run(tmp_path, "budgets", "set", "12.5", "--engine", ENGINE, "--policy", "degrade")
    assert said == "local, documentai: 12.50 USD a month, then degrade.\n"
    [view] = json.loads(run(tmp_path, "budgets", "list", "--json"))
    assert (view["engine"], view["limit_usd"], view["policy"]) == (ENGINE, 12.5, "degrade")
    assert "local, documentai" in run(tmp_path, "budgets", "list")
    run(tmp_path, "budgets", "remove", "--engine", ENGINE)
    assert run(tmp_path, "budgets", "list") == "There is no budget: nothing is limited.\n"
