"""Quotas, budgets and costs in a real browser: over a service whose cloud engine throttles and loses a location."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from console_service import ConsoleService, console_service
from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.domain.access import Role
from documentai_clients import pdf_of

SignedIn = Callable[..., Any]
PLAN = """
quotas = [{location = "eu", requests_per_minute = 40, burst_seconds = 1}]
latencies = [{fixed_seconds = 0.3}]
outages = [{location = "us", kind = "unavailable"}]
"""
"""Less than its quota says, and one location that is gone."""
pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 375, "height": 780}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleService]:
    reader = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=60)
    with DocumentAIServer(ServerOptions(readers=reader, emulation_port=0, grace_seconds=1.0)) as server:
        play = httpx.put(
            f"{server.emulation_address}/emulation", content=PLAN, headers={"content-type": "application/toml"}
        )
        assert play.status_code == 200, play.text
        env = {
            "DOCFLEET_DOCUMENTAI__PROJECT": "tests",
            "DOCFLEET_DOCUMENTAI__PROCESSORS": json.dumps([{"id": "ocr", "location": place} for place in ("eu", "us")]),
            "DOCFLEET_DOCUMENTAI__ENDPOINT": str(server.addresses[0].grpc),
            "DOCFLEET_DOCUMENTAI__INSECURE": "true",
            "DOCFLEET_DOCUMENTAI__ANONYMOUS": "true",
            "DOCFLEET_DOCUMENTAI__OVERRIDES": json.dumps(
                {
                    "quotas": {"online_requests_per_minute": {"*": 240.0, "eu": 240.0, "us": 240.0}},
                    "prices": {"ocr": {"free_pages": 0}},
                }
            ),
            "DOCFLEET_MONEY__BASE_USD_PER_MONTH": "60",
        }
        with console_service(tmp_path_factory.mktemp("cloudy"), "--engine", "null", **env) as running:
            submit_many(running)
            yield running


def submit_many(service: ConsoleService) -> None:
    """Until the service has refused something, and the breaker of the lost location is open."""
    until = time.monotonic() + 60
    with service.api() as client:
        number = 0
        while time.monotonic() < until:
            for _ in range(8):
                number += 1
                file = pdf_of(f"page one of {number}")
                form = {"engine": "documentai", "mode": "ocr", "priority": "critical"}
                answer = client.post("/v1/documents", files={"file": (f"{number}.pdf", file)}, data=form)
                assert answer.status_code in (201, 202), answer.text
            items = {one["location"]: one for one in client.get("/v1/quotas").json()["items"]}
            throttled = items["eu"]["hour"] and items["eu"]["hour"]["throttled"] and items["eu"]["hour"]["answered"]
            if throttled and items["us"]["away"]:
                return
            time.sleep(0.5)
    raise AssertionError(items)


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
    with service.api() as client:
        for number in range(3):
            form = {"engine": "documentai", "mode": "ocr", "priority": "critical"}
            client.post("/v1/documents", files={"file": ("n.pdf", pdf_of(f"live {number} {before}"))}, data=form)
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
