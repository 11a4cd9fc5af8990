"""Pictures of the pages of fleet, quotas and costs for the documentation; `screenshots.py` takes those of the others.

Runs a service whose cloud engine throttles and loses a location, with budgets, a week of history and a forecast, which
the sample documents would not show. Needs Chromium and Playwright; takes a minute.

    python tools/screenshots_operations.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from screenshots import LOOKS, TARGET

from cloudy_service import cloudy_service, submit_some
from console_service import ConsoleService, chromium, sign_in
from fleet_history import write_history

PAGES = ("fleet", "quotas", "costs")
_QUIET_MS = 2500


def take() -> None:
    from playwright.sync_api import sync_playwright

    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="docfleet-") as folder, cloudy_service(Path(folder)) as service:
        _arrange(service)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            for look, options in LOOKS.items():
                context = browser.new_context(**options)
                page = context.new_page()
                sign_in(page, service, service.admin_key)
                for name in PAGES:
                    submit_some(service, 2, f"for {name} {look}")
                    page.goto(f"{service.console}/{name}")
                    page.wait_for_selector("main.main")
                    page.wait_for_timeout(_QUIET_MS)
                    page.screenshot(path=TARGET / f"{name}-{look}.png", full_page=look != "phone")
                    print(f"{name}-{look}.png", flush=True)
                context.close()
            browser.close()


def _arrange(service: ConsoleService) -> None:
    with service.ledger() as ledger:
        for pool in ("pdf", "cloud"):
            write_history(ledger, pool, 24 * 8)
    with service.api() as client:
        spent = client.get("/v1/costs").json()["spent_usd"]
        for limit, engine in ((max(spent, 0.01) / 0.85, "documentai"), (500.0, None)):
            said = {"limit_usd": limit, "engine": engine, "policy": "degrade"}
            client.put("/v1/budgets", json=said).raise_for_status()


if __name__ == "__main__":
    take()
