"""The frame of the console in a real browser: what loads, what runs, what a role sees, keyboard, phone, colours."""

from __future__ import annotations

from typing import Any

import pytest
from page_checks import check_page

from console_service import ConsoleService, SignedIn, sign_in

PAGES = ("/", "/documents", "/batches", "/dead-letters", "/fleet", "/quotas", "/costs", "/reports", "/access")
PHONE = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}


def test_everything_comes_from_the_service(browser: Any, service: ConsoleService) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    sign_in(page, service, service.key())
    for path in PAGES:
        page.goto(f"{service.console}{path}")
        page.wait_for_selector("main.main")
        page.wait_for_timeout(300)
    own = (service.url, service.url.replace("http", "ws", 1), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert [url for url in failed if "favicon" not in url] == []
    assert page.evaluate("document.fonts.check('16px Material Icons')"), "icons are drawn by a font of our own"
    context.close()


def test_the_key_is_nowhere_a_page_can_read(browser: Any, service: ConsoleService) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    key = service.key()
    sign_in(page, service, key)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    [cookie] = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    assert cookie["name"] not in kept
    for place in (kept, page.content(), *asked, cookie["value"], page.request.get(f"{service.console}/").text()):
        assert key not in place
        assert key.split("_")[2] not in place
    context.close()


def test_a_script_in_the_page_does_not_run(browser: Any, service: ConsoleService) -> None:
    """Whatever finds its way into a page as markup: the policy of the page refuses it."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, service, service.key())
    page.evaluate(
        """() => {
          const place = document.createElement("div");
          document.body.append(place);
          place.innerHTML = `<img src=x onerror="window.ran = 1"><a id=bad href="javascript:window.ran = 2">x</a>`;
          const script = document.createElement("script");
          script.textContent = "window.ran = 3";
          place.append(script);
          const other = Object.assign(document.createElement("script"), { src: "https://evil.test/x.js" });
          place.append(other);
          document.getElementById("bad").click();
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    context.close()


def test_a_role_sees_what_it_may(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    assert viewer.locator(".nav-link:has-text('Access')").count() == 0
    shown = viewer.inner_text("main")
    assert "Workers" not in shown
    assert "Spent" not in shown
    refused = viewer.goto(viewer.url.rstrip("/") + "/access")
    assert refused.status == 403
    assert "role viewer may not see this page" in viewer.inner_text("main")
    auditor = signed_in("auditor", "/access")
    assert auditor.locator(".rows tbody tr").count() > 0
    assert auditor.get_by_role("button", name="New key").count() == 0
    assert auditor.get_by_role("button", name="Revoke").count() == 0


def test_the_keyboard_leads_everywhere(signed_in: SignedIn) -> None:
    page = signed_in()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("?")
    assert "Overview" in page.inner_text("dialog#keys")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/console/access")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.slow
def test_pages_can_be_read_in_light_and_dark(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in("admin")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in PAGES:
            page.goto(f"{service.console}{path}")
            page.wait_for_selector("main.main .content > *", state="attached")
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.dataset.theme") == scheme
            check_page(page)


def test_pages_fit_a_telephone(signed_in: SignedIn) -> None:
    page = signed_in("admin", **PHONE)
    check_page(page)
    assert not page.locator(".side").is_visible()
    page.get_by_role("button", name="Navigation").tap()
    page.locator(".nav-link:has-text('Access')").tap()
    page.wait_for_url("**/console/access")
    page.wait_for_selector(".rows")
    check_page(page)


def test_signing_out_closes_the_other_tabs(signed_in: SignedIn) -> None:
    page = signed_in()
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("main.main")
    page.click("[aria-label='Sign out']")
    other.wait_for_selector("#key", timeout=5000)
