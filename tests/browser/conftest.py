"""A real service and a real browser for the tests of the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from console_service import ConsoleService, SignedIn, chromium, console_service, sign_in
from docfleet.domain.access import Role

_NETWORK_CUT = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""No page may need anything of elsewhere."""


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleService]:
    """One for all browser tests, with the `null` engine: pixels are not read. Those who need more start their own
    with `console_service`."""
    with console_service(tmp_path_factory.mktemp("console"), "--engine", "null") as running:
        # the framework is loaded with the first page
        httpx.get(f"{running.console}/sign-in", timeout=120).raise_for_status()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium by Playwright; skips where there is none, and fails where there is one that does not start.

    Not for the whole session: while Playwright runs, nothing else in this process can run an event loop.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox", _NETWORK_CUT])
        yield started
        started.close()


def is_error(said: Any) -> bool:
    """A script that failed or something the page's policy refused; not that an address answered with an error."""
    return said.type == "error" and "Failed to load resource" not in said.text


class Contexts:
    """Contexts of one browser, used by one test after the other: what the console is made of is fetched and compiled
    once. Cookies and what pages keep are cleared between."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._free: dict[str, list[Any]] = {}
        self._cookies: dict[str, Any] = {}

    def take(self, options: dict[str, Any]) -> Any:
        free = self._free.setdefault(repr(sorted(options.items())), [])
        return free.pop() if free else self._browser.new_context(**options)

    def give_back(self, context: Any, options: dict[str, Any], origin: str) -> None:
        cleaning = context.new_page()
        for page in context.pages[:-1]:
            page.close()
        session = context.new_cdp_session(cleaning)
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "cookies,local_storage"})
        cleaning.close()
        context.clear_cookies()
        self._free[repr(sorted(options.items()))].append(context)

    def sign_in(self, page: Any, service: ConsoleService, key: str, to: str) -> None:
        """Through the page the first time; the cookie of then afterwards."""
        if key not in self._cookies:
            sign_in(page, service, key, to)
            self._cookies[key] = page.context.cookies()
            return
        page.context.add_cookies(self._cookies[key])
        page.goto(f"{service.console}{to}")
        page.wait_for_selector("main.main")


@pytest.fixture(scope="module")
def contexts(browser: Any) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def signed_in(contexts: Contexts, service: ConsoleService) -> Iterator[SignedIn]:
    """`signed_in(role, to="/documents", tenant="local", key="", **context)` -> a page signed in there.

    `context`: options of `browser.new_context`, such as `viewport` or `color_scheme`. What the page's scripts raise,
    and what its policy refuses, fails the test.
    """
    used: list[tuple[Any, dict[str, Any]]] = []
    raised: list[str] = []

    def open_page(
        role: Role | str = Role.ADMIN, to: str = "/", *, tenant: str = "local", key: str = "", **options: Any
    ) -> Any:
        context = contexts.take(options)
        used.append((context, options))
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: raised.append(str(error)))
        page.on("console", lambda said: raised.append(said.text) if is_error(said) else None)
        contexts.sign_in(page, service, key or service.key(role, tenant), to)
        return page

    yield open_page
    for context, options in used:
        contexts.give_back(context, options, service.url)
    assert not raised, raised
