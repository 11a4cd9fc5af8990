"""Signing in and out, in a real browser."""

from __future__ import annotations

from typing import Any

from console_service import ConsoleService, sign_in


def test_a_key_opens_the_console_and_signing_out_closes_it(browser: Any, service: ConsoleService) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{service.console}/?from=link")
    assert page.title() == "Sign in · docfleet"
    page.fill("#key", "df_0000000000000000_" + "a" * 43)
    page.click("button[type=submit]")
    assert "not known" in page.inner_text("[role=alert]")
    page.fill("#key", service.key("viewer"))
    page.click("button[type=submit]")
    page.wait_for_selector("main.main")
    assert page.title() == "Overview · docfleet"
    assert "viewer" in page.inner_text(".who")
    page.click("[aria-label='Sign out']")
    page.wait_for_selector("#key")
    page.goto(f"{service.console}/")
    assert page.title() == "Sign in · docfleet"
    context.close()


def test_a_revoked_key_is_out(browser: Any, service: ConsoleService) -> None:
    key = service.new_key("viewer")
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, service, key)
    with service.api() as client:
        assert client.delete(f"/v1/keys/{key.split('_')[1]}").status_code == 200
    page.wait_for_selector("#key", timeout=15_000)
    assert not context.cookies()
    context.close()
