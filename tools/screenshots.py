"""Pictures of every page of the console for the documentation: docs/images/console/NAME-{light,dark,phone}.png.

Runs a real service on the sample documents, signs in as an admin and looks at every page of `PAGES`. A page whose
address holds `{document}` or `{batch}` is shown for one of those that were read. Needs Chromium and Playwright; takes
two minutes.

    python tools/screenshots.py [NAME ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from console_service import ConsoleService, chromium, console_service, sign_in  # noqa: E402

TARGET = ROOT / "docs" / "images" / "console"
PAGES = {
    "overview": "/",
    "documents": "/documents",
    "document": "/documents/{document}",
    "batches": "/batches",
    "batch": "/batches/{batch}",
    "dead-letters": "/dead-letters",
    "fleet": "/fleet",
    "quotas": "/quotas",
    "costs": "/costs",
    "reports": "/reports",
    "access": "/access",
}
"""Name of the picture -> the page."""
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 375, "height": 812},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}
SAMPLES = ("invoice-01.pdf", "contract.pdf", "letter-fr.pdf", "bank-statement.pdf", "form-scan.pdf",
           "receipt-photo.jpg", "damaged.pdf", "password-protected.pdf")  # fmt: skip
_QUIET_MS = 1500
_SECONDS = 300


def take(names: list[str]) -> None:
    """Writes the pictures of these pages; of all where none is named."""
    from playwright.sync_api import sync_playwright

    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="docfleet-") as folder, console_service(Path(folder)) as service:
        places = _read_samples(service)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            for look, options in LOOKS.items():
                context = browser.new_context(**options)
                page = context.new_page()
                sign_in(page, service, service.admin_key)
                for name, path in PAGES.items():
                    if not names or name in names:
                        page.goto(service.console + path.format_map(places))
                        page.wait_for_selector("main.main")
                        page.wait_for_timeout(_QUIET_MS)
                        page.screenshot(path=TARGET / f"{name}-{look}.png")
                        print(f"{name}-{look}.png", flush=True)
                context.close()
            browser.close()


def _read_samples(service: ConsoleService) -> dict[str, str]:
    """What the addresses of pages may name."""
    with service.api() as client:
        batch = client.post("/v1/batches", json={"name": "Samples"}).raise_for_status().json()["id"]
        answers = [
            client.post(
                "/v1/documents",
                params={"name": name, "batch": batch},
                content=(ROOT / "samples" / name).read_bytes(),
            ).raise_for_status()
            for name in SAMPLES
        ]
    ended = [service.wait_for_end(answer.json()["id"], seconds=_SECONDS) for answer in answers]
    return {"document": ended[0]["id"], "batch": batch}


if __name__ == "__main__":
    take(sys.argv[1:])
