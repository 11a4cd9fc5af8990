"""A service with its console whose cloud engine refuses below its quota in one location and is gone in another."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from console_service import ConsoleService, console_service
from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from documentai_clients import pdf_of

PLAN = """
quotas = [{location = "eu", requests_per_minute = 40, burst_seconds = 1}]
latencies = [{fixed_seconds = 0.3}]
outages = [{location = "us", kind = "unavailable"}]
"""
FORM = {"engine": "documentai", "mode": "ocr", "priority": "critical"}
"""Every page is a request of its own."""


@contextmanager
def cloudy_service(folder: Path) -> Iterator[ConsoleService]:
    """It has refused calls, and does not call one location any more, when it is handed out."""
    reader = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=60)
    with DocumentAIServer(ServerOptions(readers=reader, emulation_port=0, grace_seconds=1.0)) as server:
        play = httpx.put(
            f"{server.emulation_address}/emulation", content=PLAN, headers={"content-type": "application/toml"}
        )
        assert play.status_code == 200, play.text
        limits = {"*": 240.0, "eu": 240.0, "us": 240.0}
        overrides = {"quotas": {"online_requests_per_minute": limits}, "prices": {"ocr": {"free_pages": 0}}}
        env = {
            "DOCFLEET_DOCUMENTAI__PROJECT": "tests",
            "DOCFLEET_DOCUMENTAI__PROCESSORS": json.dumps([{"id": "ocr", "location": place} for place in ("eu", "us")]),
            "DOCFLEET_DOCUMENTAI__ENDPOINT": str(server.addresses[0].grpc),
            "DOCFLEET_DOCUMENTAI__INSECURE": "true",
            "DOCFLEET_DOCUMENTAI__ANONYMOUS": "true",
            "DOCFLEET_DOCUMENTAI__OVERRIDES": json.dumps(overrides),
            "DOCFLEET_MONEY__BASE_USD_PER_MONTH": "60",
        }
        with console_service(folder, "--engine", "null", **env) as running:
            _throttle(running)
            yield running


def submit_some(service: ConsoleService, count: int, told: str) -> None:
    """Documents of a page each; `told`: what no other document says."""
    with service.api() as client:
        for number in range(count):
            file = (f"invoice-{number:03}.pdf", pdf_of(f"{told} {number}"))
            answer = client.post("/v1/documents", files={"file": file}, data=FORM)
            assert answer.status_code in (201, 202), answer.text


def _throttle(service: ConsoleService) -> None:
    until = time.monotonic() + 90
    items: dict[str, Any] = {}
    with service.api() as client:
        while time.monotonic() < until:
            submit_some(service, 8, f"page of {time.monotonic()}")
            items = {one["location"]: one for one in client.get("/v1/quotas").json()["items"]}
            hour = items["eu"]["hour"]
            if hour and hour["throttled"] and hour["answered"] and items["us"]["away"]:
                return
            time.sleep(0.5)
    raise AssertionError(items)
