"""Quotas, budgets and costs in a real browser: over a service whose cloud engine throttles and loses a location."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudy_service import cloudy_service, submit_some
from console_service import ConsoleService
from docfleet.domain.access import Role

SignedIn = Callable[..., Any]
pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 375, "height": 780}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleService]:
    with cloudy_service(tmp_path_factory.mktemp("cloudy")) as running:
        yield running


def settled(service: ConsoleService) -> float:
    """Dollars that were spent, once nothing waits and no call is under way."""
    with service.api() as client:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for state in ("received", "running", "assembling"):
                for one in client.get("/v1/documents", params={"state": state, "limit": 100}).json()["items"]:
                    client.post(f"/v1/documents/{one['id']}/cancel")
            told = client.get("/v1/costs").json()
            if not told["reserved_usd"]:
                return float(told["spent_usd"])
            time.sleep(0.3)
    raise AssertionError(told)


def card(page: Any, location: str) -> Any:
    return page.locator(".endpoint", has=page.locator("h2", has_text=location))


def test_an_operator_sees_refusals_and_the_open_breaker(signed_in: SignedIn) -> None:
    page = signed_in(Role.OPERATOR, "/quotas")
    eu, us = card(page, "eu"), card(page, "us")
    assert us.locator(".chip").inner_text() in ("not called", "is tried again")
    assert eu.locator(".chip").inner_text() == "works"
    refused = eu.locator("tr", has_text="Refused with 429").locator("td").last.inner_text()
    assert int(refused) >= 1
    assert eu.get_by_text("workers let themselves").count() == 1
    meter = eu.locator("[role=meter]").first
    assert meter.get_attribute("aria-label") == "Use of requests a minute"
    assert 0.0 <= float(meter.get_attribute("aria-valuenow")) <= 100.0
    errors = us.locator("tr", has_text="Errors").locator("td").last.inner_text()
    assert int(errors) >= 3
    assert page.get_by_text("Cloud worker", exact=True).count() == 1
    assert page.locator("text=Set a budget").count() == 0, "an operator may not"


def test_figures_follow_without_a_reload(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in(Role.OPERATOR, "/quotas")
    answered = card(page, "eu").locator("tr", has_text="Answered").locator("td").last
    before = int(answered.inner_text().replace(",", ""))
    submit_some(service, 3, f"live {before}")
    page.wait_for_function(
        "([cell, before]) => Number(cell.textContent.replace(',', '')) > before",
        arg=[answered.element_handle(), before],
        timeout=40_000,
    )


def test_a_viewer_is_not_shown_the_page(signed_in: SignedIn) -> None:
    page = signed_in(Role.VIEWER, "/")
    names = page.locator("nav a").all_inner_texts()
    assert not {"Fleet", "Quotas and budgets", "Costs"} & {name.split("\n")[-1] for name in names}


def test_a_budget_is_set_used_up_changed_and_removed(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in(Role.ADMIN, "/quotas")
    spent = settled(service)
    assert spent > 0
    page.click("text=Set a budget")
    page.get_by_label("Engine").fill("documentai")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Say how much a month may cost.")
    page.get_by_label("Limit in US dollars").fill(f"{spent / 0.85:.6f}")
    page.get_by_role("radio", name="Degrade").click()
    page.get_by_role("button", name="Save").click()
    one = page.locator(".budget", has_text="documentai, every month")
    one.get_by_text("warned", exact=True).wait_for()
    assert "At the limit what was read locally stands." in one.inner_text()
    one.get_by_role("button", name="Change").click()
    page.get_by_label("Limit in US dollars").fill(f"{spent / 2:.6f}")
    page.get_by_role("button", name="Save").click()
    one.get_by_text("exhausted", exact=True).wait_for()
    one.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Cancel").click()
    assert one.count() == 1
    one.get_by_role("button", name="Remove").click()
    page.locator(".dialog").get_by_role("button", name="Remove").click()
    one.wait_for(state="detached")
    with service.api() as client:
        assert client.get("/v1/budgets").json()["items"] == []


def test_a_refused_budget_is_told_in_the_form(signed_in: SignedIn) -> None:
    page = signed_in(Role.ADMIN, "/quotas")
    page.click("text=Set a budget")
    page.get_by_label("Month, as in 2026-11").fill("next month <b>x</b>")
    page.get_by_label("Limit in US dollars").fill("5")
    page.get_by_role("button", name="Save").click()
    wrong = page.locator(".dialog [role=alert]")
    wrong.get_by_text("month").wait_for()
    assert page.locator(".dialog b").count() == 0


# --- costs


def test_what_a_document_costs_and_the_reference_case(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in(Role.AUDITOR, "/costs")
    tile = page.locator(".tile", has_text="A document, everything included")
    assert tile.locator(".tile-value").inner_text().startswith("$0.")
    assert "aimed at $0.08" in tile.inner_text()
    parts = page.locator(".panel", has_text="Where the money went")
    assert parts.locator("tbody tr").count() == 6
    assert "ocr" not in page.locator(".panel", has_text="By processor").inner_text().lower().split("processor")[0]
    assert page.locator(".panel", has_text="By tenant").count() == 0
    by_hand = page.locator(".tile", has_text="By hand, a month").locator(".tile-value")
    assert by_hand.inner_text() == "$5,000.00"
    saved = page.locator(".tile", has_text="Saved a month").locator(".tile-value")
    before = saved.inner_text()
    page.get_by_label("Documents a month").fill("1000")
    page.wait_for_function("([cell, before]) => cell.textContent !== before", arg=[saved.element_handle(), before])
    page.get_by_text("By time", exact=True).click()
    page.get_by_label("Minutes a document").fill("3")
    page.get_by_label("US dollars an hour").fill("40")
    page.wait_for_function("cell => cell.textContent === '$2,000.00'", arg=by_hand.element_handle())
    time.sleep(1.2)  # the page has looked again meanwhile: what was typed stays
    assert float(page.get_by_label("Minutes a document").input_value()) == 3
    page.get_by_role("button", name="Reference case").click()
    page.wait_for_function("cell => cell.textContent === '$5,000.00'", arg=by_hand.element_handle())


def test_the_account_as_csv(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in(Role.AUDITOR, "/costs")
    with page.expect_download() as begun:
        page.click("text=Download CSV")
    with open(begun.value.path(), newline="", encoding="utf-8") as file:
        rows = list(csv.reader(io.StringIO(file.read())))
    assert rows[0] == ["month", "of", "figure", "value", "unit"]
    figures = {(of, figure): value for _, of, figure, value, _ in rows[1:]}
    assert float(figures["whole", "All"]) > 0
    assert ("documentai OCR_PROCESSOR", "spent") in figures
    assert not any(of.startswith("tenant ") for of, _ in figures)


def test_another_month_is_another_account(signed_in: SignedIn) -> None:
    page = signed_in(Role.AUDITOR, "/costs?month=2020-01")
    assert page.locator(".tile", has_text="Whole cost").count() >= 1
    page.get_by_label("Month", exact=True).click()
    page.locator(".q-menu .q-item").nth(1).click()
    page.wait_for_selector("text=No document has results in this month")
    assert "not known" in page.locator(".panel", has_text="Return on investment").inner_text()


def test_the_system_tenant_sees_what_each_tenant_cost(signed_in: SignedIn) -> None:
    page = signed_in(Role.ADMIN, "/costs", tenant="system")
    tenants = page.locator(".panel", has_text="By tenant")
    tenants.locator("tbody tr").first.wait_for()
    assert "local" in tenants.inner_text()


@pytest.mark.parametrize("to", ["/fleet", "/quotas", "/costs"])
def test_on_a_phone_nothing_is_wider_than_the_screen(signed_in: SignedIn, to: str) -> None:
    page = signed_in(Role.ADMIN, to, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
