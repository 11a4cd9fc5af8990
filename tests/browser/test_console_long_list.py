"""The list of documents where there are more than fit: only what is in sight exists, and both ends are reached."""

from __future__ import annotations

from typing import Any

from dead_letters import submit_elsewhere

from console_service import ConsoleService, SignedIn
from docfleet.domain.access import Role

MANY = 330
_ROW = ".df-list-scroll .df-row"
_END = "(s => s.scrollTo({top: s.scrollHeight}))(document.querySelector('.df-list-scroll'))"


def test_a_long_list_draws_what_is_in_sight_and_goes_to_both_ends(service: ConsoleService, signed_in: SignedIn) -> None:
    with service.desk() as desk:
        for number in range(MANY):
            submit_elsewhere(desk, f"Übersicht-{number}.pdf", "many")
    page = signed_in(Role.OPERATOR, "/documents", tenant="many")
    page.wait_for_selector(_ROW)
    page.wait_for_timeout(300)
    height, loaded, status = page.evaluate(
        "[document.querySelector('.df-list-scroll').clientHeight, "
        "document.querySelector('.df-sizer').clientHeight / 44, document.querySelector('.df-list-status').textContent]"
    )
    assert height < 720, "the list grows with its rows"
    assert loaded <= MANY * 2 / 3, status
    assert page.locator(_ROW).count() < 40
    for _ in range(20):
        page.evaluate(_END)
        page.wait_for_timeout(100)
        if page.locator(f"{_ROW} a", has_text="Übersicht-0.pdf").count():
            break
    assert page.locator(".df-list-status").inner_text() == f"{MANY} documents"
    assert page.locator(_ROW).count() < 40
    page.goto(f"{service.console}/documents?order=oldest")
    page.wait_for_selector(_ROW)
    assert _first(page) == "Übersicht-0.pdf"
    page.goto(f"{service.console}/documents?name=ÜBERSICHT-32")
    page.wait_for_selector(_ROW)
    assert _first(page) == "Übersicht-329.pdf"
    page.wait_for_function("document.querySelector('.df-list-status').textContent === '11 documents'")


def _first(page: Any) -> str:
    return str(page.locator(f"{_ROW} a").first.inner_text())
