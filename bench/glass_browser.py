"""The console in a real browser over a full ledger: `python -m bench.glass --browser`.

What somebody waits for: from the click until figures or rows stand there. The list is scrolled by its own scroll bar to
the end of what is loaded, time after time, as somebody does who looks for the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.table import Row
from console_service import chromium

SCREENS = 60
_ROWS = ".df-list .df-row:not(.df-head)"
_STATUS = "document.querySelector('.df-list-status').textContent"


def rows_in_browser(on: str, url: str, key: str, rare: str, middle: str, target_seconds: float) -> list[Row]:
    """`rare`: a name that few documents have; `middle`: a day (YYYY-MM-DD) in the middle of them."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{url}/console/")
        page.fill("#key", key)
        page.click("button[type=submit]")
        page.wait_for_selector("main.main")
        walk = _Walk(page, f"{url}/console")
        measured = {
            "overview, until its figures stand there": walk.overview,
            "documents, until the first rows stand there": walk.documents,
            f"{SCREENS} times to the end of what is loaded, the slowest": walk.scroll,
            "the oldest, by the order of the list": walk.oldest,
            "a day in the middle, by its date": lambda: walk.asked(f"until={middle}"),
            "those that failed": lambda: walk.asked("state=failed"),
            "a name that few have, until the first is there": lambda: walk.asked(f"name={rare}"),
        }
        found = [_row(f"{on}, browser: {what}", measure(), target_seconds) for what, measure in measured.items()]
        nothing = walk.nothing()
        found.append(
            Row(f"{on}, browser: a name that none has, looked for through all", f"{nothing:.1f} s", "", "", None)
        )
        browser.close()
        return found


def _row(what: str, seconds: float, target_seconds: float) -> Row:
    return Row(what, f"{seconds * 1000:.0f} ms", "", f"< {target_seconds:g} s", seconds < target_seconds)


class _Walk:
    def __init__(self, page: Any, console: str) -> None:
        self._page = page
        self._console = console

    def _timed(self, act: Callable[[], Any], until: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        act()
        until()
        return time.perf_counter() - begun

    def overview(self) -> float:
        """The second time: the first one of a process loads the framework."""
        for _ in range(2):
            took = self._timed(
                lambda: self._page.goto(f"{self._console}/"), lambda: self._page.wait_for_selector(".tiles .tile")
            )
        return took

    def documents(self) -> float:
        return self.asked("")

    def asked(self, query: str) -> float:
        return self._timed(
            lambda: self._page.goto(f"{self._console}/documents?{query}"), lambda: self._page.wait_for_selector(_ROWS)
        )

    def oldest(self) -> float:
        took = self.asked("order=oldest")
        first = self._page.locator(f"{_ROWS} a").first.inner_text()
        assert first == "invoice-1.pdf", first
        return took

    def scroll(self) -> float:
        """Each time until the last row that is loaded is in sight and more have come."""
        self.documents()
        slowest = 0.0
        for _ in range(SCREENS):
            loaded = self._page.evaluate("document.querySelector('.df-sizer').style.height")
            begun = time.perf_counter()
            self._page.evaluate("(s => s.scrollTo({top: s.scrollHeight}))(document.querySelector('.df-list-scroll'))")
            self._page.wait_for_function(
                f"document.querySelector('.df-sizer').style.height !== '{loaded}' && "
                f"document.querySelectorAll('{_ROWS}').length > 5"
            )
            slowest = max(slowest, time.perf_counter() - begun)
        return slowest

    def nothing(self) -> float:
        return self._timed(
            lambda: self._page.goto(f"{self._console}/documents?name=in+no+name"),
            lambda: self._page.wait_for_function(f"{_STATUS}.startsWith('Nothing fits')"),
        )
