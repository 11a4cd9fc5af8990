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


@pytest.fixture
def signed_in(browser: Any, service: ConsoleService) -> Iterator[SignedIn]:
    """`signed_in(role, to="/documents", tenant="local", key="", **context)` -> a page signed in there.

    `context`: options of `browser.new_context`, such as `viewport` or `color_scheme`. What the page's scripts raise,
    and what its policy refuses, fails the test.
    """
    contexts: list[Any] = []
    raised: list[str] = []

    def open_page(
        role: Role | str = Role.ADMIN, to: str = "/", *, tenant: str = "local", key: str = "", **context: Any
    ) -> Any:
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: raised.append(str(error)))
        page.on("console", lambda said: raised.append(said.text) if is_error(said) else None)
        sign_in(page, service, key or service.key(role, tenant), to)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not raised, raised
