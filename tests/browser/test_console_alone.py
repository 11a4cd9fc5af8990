"""`docfleet console` before a service that comes and goes, and what one key may hold open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from console_service import ConsoleService, console_service
from running import docfleet, end


@contextmanager
def standing_alone(api: str) -> Iterator[str]:
    """Address of a console over this API."""
    process = subprocess.Popen(
        [sys.executable, "-m", "docfleet", "console", "--api", api, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "DOCFLEET_CONSOLE__REFRESH_SECONDS": "0.5"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().split()[-1]
        process.terminate()
        assert process.wait(20) == 0
    finally:
        end(process)


@pytest.mark.slow
def test_a_service_that_is_away_is_told_and_the_page_heals(browser: Any, tmp_path: Path) -> None:
    with console_service(tmp_path, "--engine", "null") as service:
        key, url = service.key("operator"), service.url
    port = int(url.rpartition(":")[2])
    with standing_alone(url) as console:
        page = browser.new_context().new_page()
        page.set_default_timeout(30_000)
        page.goto(console)
        page.fill("#key", key)
        page.click("button[type=submit]")
        assert "does not answer" in page.inner_text("[role=alert]")
        with console_service(tmp_path, "--engine", "null", port=port):
            page.fill("#key", key)
            page.click("button[type=submit]")
            page.wait_for_selector(".tile-value")
            page.evaluate("window.same = true")
            assert not page.locator(".banner").is_visible()
        page.wait_for_selector(".banner:visible")
        assert "does not answer" in page.inner_text(".banner")
        assert page.locator(".tile-value").count() > 3, "what was known stays"
        with console_service(tmp_path, "--engine", "null", port=port):
            page.wait_for_selector(".banner", state="hidden")
            assert page.evaluate("window.same")
        page.context.close()


def test_a_console_needs_the_address_of_an_api() -> None:
    done = docfleet("console")
    assert done.exit_code == 2
    assert "docfleet console --api" in done.stderr


@pytest.mark.slow
def test_pages_of_a_key_are_bounded_and_unknown_ones_are_told(service: ConsoleService) -> None:
    key = service.new_key("viewer")
    with httpx.Client(base_url=service.console, headers={"origin": service.url}, timeout=30) as client:
        assert client.post("/sign-in", data={"key": key}).status_code == 303
        missing = client.get("/no/such/page")
        assert missing.status_code == 404
        assert "no page at this address" in missing.text
        statuses = [client.get("/").status_code for _ in range(62)]
    assert statuses.count(200) == 60
    assert statuses[-1] == 503
