"""Reports from the console, in a real browser: made, kept, downloaded; and who may not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console_service import ConsoleService
from docfleet.domain.months import month_bounds, month_of
from running import SAMPLES


def months() -> tuple[str, str]:
    """This one, and the one before."""
    now = month_of(datetime.now(UTC).timestamp())
    return now, month_of(month_bounds(now)[0] - 1)


def test_an_operator_makes_keeps_and_downloads_the_month(signed_in: Any) -> None:
    page = signed_in("operator", "/reports")
    _, before = months()
    page.wait_for_selector("text=No reports are kept")
    page.fill("input[aria-label='By hand, USD a document']", "0.75")
    with page.expect_download() as fresh:
        page.get_by_role("button", name="Download").click()
    assert fresh.value.suggested_filename == f"docfleet-{before}.pdf"
    assert Path(fresh.value.path()).read_bytes().startswith(b"%PDF-")
    page.get_by_role("button", name="Make and keep").click()
    page.wait_for_selector(f"td:has-text('{before}')")
    assert page.locator(".chip").first.inner_text() == "ready"
    with page.expect_download() as kept:
        page.click(f"[aria-label='Download the report on {before}']")
    assert Path(kept.value.path()).read_bytes().startswith(b"%PDF-")


def test_half_an_assumption_is_refused_on_the_page_and_not_in_place_of_it(signed_in: Any) -> None:
    page = signed_in("auditor", "/reports")
    page.wait_for_selector("text=Make a report")
    page.fill("input[aria-label='By hand, minutes a page']", "2")
    page.get_by_role("button", name="Download").click()
    page.wait_for_selector("text=Work by hand by the page needs both")
    assert page.url.endswith("/reports")


def test_reports_on_a_document_by_its_address_and_not_for_strangers(signed_in: Any, service: ConsoleService) -> None:
    document = service.submit(SAMPLES / "contract.pdf")
    service.wait_for_end(document)
    page = signed_in("viewer")
    answer = page.request.get(f"{service.console}/reports/document/{document}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    assert page.request.get(f"{service.console}/reports/document/{'0' * 32}").status == 404
    assert page.request.get(f"{service.console}/reports/month/{months()[1]}").status == 403
    page.goto(f"{service.console}/reports")
    assert "Make a report" not in page.inner_text("body")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits(signed_in: Any, width: int) -> None:
    page = signed_in("admin", "/reports", viewport={"width": width, "height": 800}, color_scheme="dark")
    page.wait_for_selector("text=Make a report")
    # at once, and while the font of the icons is still on its way too: until then icons are words
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.add_style_tag(content=".q-icon { font-family: monospace !important }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
