"""The page of the fleet in a real browser: sizes and their reasons, workers, decisions, forecast against what came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from console_service import ConsoleService, sign_in
from docfleet.api.app import make_app
from docfleet.console.app import mount_console
from docfleet.console.options import ConsoleOptions
from docfleet.domain.access import Role
from docfleet.domain.scaling import ScalingPolicy
from docfleet.domain.urgency import Pool
from docfleet.fleet.caps import NO_CAPS
from docfleet.fleet.deciding import Decider, Deciding, PoolPlan
from docfleet.fleet.outlook import Forecasts
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.service_values import WorkerFacts
from docfleet.store.keys import MasterKey
from fleet_history import write_history
from serving import PDF, Served, listening, serving

SignedIn = Callable[..., Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An API with its console and without a dispatcher: what it shows is what the test writes."""
    with serving(tmp_path_factory.mktemp("fleet-page")) as running:
        app = make_app(running.parts)
        mount_console(app, ConsoleOptions(sealing=MasterKey.generate(), refresh_seconds=0.3))
        with listening(app) as url:
            yield Served(url, running.parts, app)


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    key = served.key("acme", Role.OPERATOR)
    sign_in(opened, ConsoleService(served.url, key, Path()), key, "/fleet")
    yield opened
    context.close()


def decide(served: Served) -> None:
    book = FleetBook(served.parts.ledger, served.parts.options.region)
    plan = PoolPlan(ScalingPolicy(max_workers=20), 2.0)
    parts = Deciding(
        book, served.parts.ledger.workers, {Pool.PDF: plan}, lambda pool, times: NO_CAPS, Forecasts(book, 0.9, True)
    )
    Decider(parts).look(0.0)


def test_nobody_decides_nobody_works_and_it_says_what_to_do(page: Any, served: Served) -> None:
    assert page.get_by_text("No dispatcher decides on the sizes").is_visible()
    assert page.get_by_text("Nobody has decided on a size yet").is_visible()
    assert page.get_by_text("No worker was seen in the last ten minutes").is_visible()
    # and as soon as somebody does, the page knows
    decide(served)
    served.parts.ledger.announce(WorkerFacts("host-<b>1</b>", "host-1", "pdf", "local", 2, "0.1.0"))
    pool = page.locator(".pool", has_text="Pool pdf")
    pool.wait_for()
    page.get_by_text("No dispatcher decides on the sizes").wait_for(state="hidden")
    row = page.locator("tr", has_text="host-<b>1</b>")
    row.wait_for()
    assert row.locator("b").count() == 0
    assert "alive" in row.inner_text()


def test_why_a_pool_has_its_size_by_keyboard(page: Any, served: Served) -> None:
    decide(served)
    with served.client() as client:
        for number in range(3):
            client.post("/v1/documents", files={"file": ("a.pdf", PDF + b"%% %d" % number)})
    decide(served)
    pool = page.locator(".pool", has_text="Pool pdf")
    pool.wait_for()
    pool.locator("tr", has_text="normal").wait_for()
    summary = pool.locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    rules = pool.locator("dl.rules dt").all_inner_texts()
    assert {rule.partition(":")[0] for rule in rules} >= {"target", "minimum"}
    page.wait_for_timeout(1000)  # it was drawn again meanwhile
    assert pool.locator("dl.rules").first.is_visible(), "what was opened stays open"
    decision = page.locator(".decisions details").first
    assert "pdf workers" in decision.inner_text()
    decision.locator("summary").click()
    assert decision.locator("dl.rules dt").first.is_visible()


def test_a_decision_that_is_old_is_told_as_such(page: Any, served: Served) -> None:
    decide(served)
    with served.parts.ledger.unit_of_work() as session:
        session.execute(text("UPDATE fleet_demand SET decided_at = decided_at - 300"))
    page.get_by_text("nobody has decided for").wait_for()
    assert page.get_by_text("No dispatcher decides on the sizes").is_visible()
    decide(served)


def test_the_forecast_against_what_came(page: Any, served: Served) -> None:
    decide(served)
    page.get_by_text("There is no forecast for the pool pdf yet").wait_for()
    write_history(served.parts.ledger, "pdf", 24 * 8, outlier=3.0)
    page.reload()
    page.get_by_text("Sizes provide for it: error 9% in the backtest").wait_for()
    said = page.get_by_text("Of the last 12 hours that were forecast before").inner_text()
    assert said.endswith("11 came within the band of 5 to 95 %.")
    plot = page.locator(".chart")
    assert "documents came in the last 24 hours" in plot.get_attribute("aria-label")
    assert plot.locator("svg path").count() > 4
    assert any(":00" in label for label in plot.locator("svg text").all_text_contents())
    page.get_by_text("7 days", exact=True).click()
    page.wait_for_function("plot => !/:00/.test(plot.textContent)", arg=plot.element_handle())
    assert "now" in plot.locator("svg text").all_text_contents()


@pytest.mark.slow
def test_over_a_real_service_workers_and_decisions_are_there(signed_in: SignedIn) -> None:
    page = signed_in(Role.OPERATOR, "/fleet")
    page.locator(".pool", has_text="Pool pdf").get_by_text("as wanted").wait_for(timeout=30_000)
    assert page.locator("tr", has_text="alive").count() >= 1
    assert page.locator(".decisions details").count() >= 1
