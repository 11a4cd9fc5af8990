"""The whole cost over the API, the SDK and the command line; prices from the settings; the dispatcher counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from docfleet.api.app import make_app
from docfleet.cli.costs import usd
from docfleet.client import Client
from docfleet.dispatch.run import run_dispatcher
from docfleet.domain.access import Role
from docfleet.domain.costing import CostTerms
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.ledger import DocumentSummary, Ledger, PageOutcome, Plan
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.use import LAG_SECONDS
from docfleet.money import price_book_of
from docfleet.runtime import Runtime
from docfleet.settings import CascadeSettings, MoneySettings, ServiceSettings, Settings
from docfleet.stack.housekeeping import dispatch_parts
from serving import PDF, Served, listening, serving

BOOK = PriceBook(
    {"OCR_PROCESSOR": Rate.flat(1_500)},
    hosting_micros_per_hour=50_000,
    worker_micros_per_hour=3_600_000,
    storage_micros_per_gib_month=10**9,
    base_micros_per_month=200_000_000,
)
TERMS = CostTerms(2.0, 1, 80_000, 3.0, 20_000_000)
HOUR = 3600.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("whole")) as running:
        budgets = Budgets(running.parts.ledger, BOOK, terms=TERMS)
        parts = replace(running.parts, budgets=budgets)
        app = make_app(parts)
        with listening(app) as url:
            yield Served(url, parts, app)


def run(ledger: Ledger, statement: str, **given: object) -> None:
    with ledger.unit_of_work() as session:
        session.execute(text(statement), given)


def moved_back(ledger: Ledger, seconds: float) -> None:
    """As if all there is were so much older."""
    moments = ("tenant.created_at", "content.created_at", "worker.started_at")
    for table, column in (moment.split(".") for moment in moments):
        run(ledger, f"UPDATE {table} SET {column} = {column} - :s", s=seconds)


def read(served: Served, tenant: str, pages: int) -> None:
    """A document of the tenant whose pages take ten seconds each."""
    ledger = served.parts.ledger
    with Client(served.url, served.key(tenant), retry_seconds=5) as client:
        made = client.submit(PDF + tenant.encode() + bytes([pages]), name="a.pdf")
    [claim] = ledger.claim("w")
    assert claim.document.id == made.id
    outcomes = [PageOutcome(n, engine="rapidocr", confidence=0.9, seconds=10.0) for n in range(1, pages + 1)]
    ledger.finish_in_one(claim, Plan(pages), outcomes, "k", DocumentSummary("k"))


def test_the_whole_cost_is_shared_and_shown(served: Served, tmp_path: Path) -> None:
    ledger = served.parts.ledger
    now = time.time()
    run(
        ledger,
        "INSERT INTO worker (name, host, pool, region, slots, version, mode, started_at, seen_at, ended_at, cause) "
        "VALUES ('w', 'h', 'pdf,image', '', 2, '1', 'direct', :begin, :end, :end, '')",
        begin=now, end=now + 300.0,
    )  # fmt: skip
    moved_back(ledger, 300.0)
    run(ledger, "UPDATE worker SET seen_at = seen_at - 300, ended_at = ended_at - 300")
    read(served, "acme", 3)
    read(served, "acme", 2)
    read(served, "rival", 4)
    told = {}
    for tenant in served.tenants:
        with Client(served.url, served.key(tenant, Role.AUDITOR), retry_seconds=5) as client:
            told[tenant] = client.costs()
    acme, rival = told["acme"].whole, told["rival"].whole
    assert (acme.documents, acme.pages, rival.documents, rival.pages) == (2, 5, 1, 4)
    assert (acme.busy_usd, rival.busy_usd) == (0.05, 0.04)
    assert acme.idle_usd + rival.idle_usd == pytest.approx(0.6 - 0.09, abs=2e-6)
    assert acme.idle_usd / rival.idle_usd == pytest.approx(5 / 4, rel=1e-4)
    assert acme.base_usd / rival.base_usd == pytest.approx(7 / 5, abs=0.02)
    assert acme.hosting_usd > 0
    for whole in (acme, rival):
        kinds = (whole.engine_usd, whole.busy_usd, whole.idle_usd, whole.storage_usd, whole.hosting_usd, whole.base_usd)
        assert whole.usd == pytest.approx(sum(kinds), abs=1e-9)
        assert all(kind >= 0 for kind in kinds)
        assert whole.usd_per_document == pytest.approx(whole.usd / whole.documents, abs=1e-6)
        assert whole.target_usd_per_document == 0.08
    cloud, by_hand = told["acme"].all_cloud, told["acme"].by_hand
    assert cloud is not None
    assert by_hand is not None
    assert cloud.usd == 0.0075
    assert cloud.saved_usd == pytest.approx(0.0075 - acme.usd)
    assert by_hand.usd == 5.0
    assert by_hand.return_on_cost == pytest.approx((5 - acme.usd) / acme.usd, abs=0.01)

    (tmp_path / "key").write_text(served.key())
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "docfleet", "costs", "--to", served.url, "--key-file", "key"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True, env=environment
    )
    assert "not under the 0.08 USD aimed at" in done.stdout
    assert "workers beside that" in done.stdout
    assert "less than the whole cost; return -" in done.stdout
    done = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True, env=environment
    )
    assert json.loads(done.stdout)["whole"]["pages"] == 5


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0.00 USD"), (12.345, "12.35 USD"), (0.0123, "0.0123 USD"), (0.000002, "0.000002 USD")],
)
def test_no_amount_is_shown_as_nothing(amount: float, said: str) -> None:
    assert usd(amount) == said


def test_prices_come_from_the_settings() -> None:
    settings = Settings(
        money=MoneySettings.model_validate({"worker_usd_per_hour": 0.08, "pool_usd_per_hour": {"image": 0.2}}),
        cascade=CascadeSettings(calls_in_flight=16),
    )
    book = price_book_of(settings)
    slots = {pool: book.slot_micros_per_hour(pool) for pool in ("pdf", "image", "cloud", "pdf,image")}
    assert slots == {"pdf": 80_000, "image": 200_000, "cloud": 5_000, "pdf,image": 200_000}
    assert (book.storage_micros_per_gib_month, book.base_micros_per_month) == (23_000, 200_000_000)
    assert book.hosting_micros_per_hour == 50_000
    for wrong in ({"pool_usd_per_hour": {"pdfs": 0.2}}, {"base_usd_per_month": -1}, {"stored_bytes_per_byte": 0}):
        with pytest.raises(ValidationError):
            MoneySettings.model_validate(wrong)


def test_the_dispatcher_counts(tmp_path: Path) -> None:
    settings = Settings(service=ServiceSettings(data_folder=tmp_path))
    stop = threading.Event()
    with Runtime(settings) as runtime:
        runtime.access.ensure_tenant("acme", "Acme")
        run(runtime.ledger, "UPDATE tenant SET created_at = created_at - :s", s=3 * HOUR)
        parts = dispatch_parts(runtime, lambda: None, lambda gauges: None)
        thread = threading.Thread(target=run_dispatcher, args=(parts, stop))
        thread.start()
        try:
            counted = _counted_to(runtime.ledger)
        finally:
            stop.set()
            thread.join(30)
        assert not thread.is_alive()
    assert counted == pytest.approx(time.time() - LAG_SECONDS, abs=60)


def _counted_to(ledger: Ledger) -> float:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with ledger.reading() as session:
            found = session.execute(text("SELECT max(counted_to) FROM fleet_use")).scalar()
        if found and found > time.time() - LAG_SECONDS - HOUR / 2:
            return float(found)
        time.sleep(0.2)
    raise AssertionError("nothing was counted")
