"""A real service with its console, in processes of its own, and a real browser that signs in; for browser tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from docfleet.domain.access import Permission, Role
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk

START_SECONDS = 90
SignedIn = Callable[..., Any]
"""What the fixture `signed_in` of the browser tests gives."""
CHROMIUM = "/usr/bin/chromium"


@dataclass
class ConsoleService:
    """What runs; `url` is that of the API, the console is below it."""

    url: str
    admin_key: str
    folder: Path
    _keys: dict[tuple[str, Role], str] = field(default_factory=dict)

    @property
    def console(self) -> str:
        return f"{self.url}/console"

    def key(self, role: Role | str = Role.ADMIN, tenant: str = "local") -> str:
        """A key of this role, made once; of another tenant if named, the system's among them."""
        role = Role(role)
        if (tenant, role) not in self._keys:
            self._keys[tenant, role] = self.new_key(role, tenant)
        return self._keys[tenant, role]

    def new_key(self, role: Role | str, tenant: str = "local", scopes: Sequence[Permission] = ()) -> str:
        with self.ledger() as ledger:
            access = Access(ledger)
            access.ensure_tenant(tenant, tenant.title())
            return access.make_key(tenant, f"test {role}", Role(role), scopes)[1]

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger below the service, to arrange what no API arranges."""
        with Ledger.open(self.folder / "ledger.db") as ledger:
            yield ledger

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with self.ledger() as ledger:
            yield Desk(ledger)

    @contextmanager
    def api(self, key: str = "") -> Iterator[httpx.Client]:
        headers = {"authorization": f"Bearer {key or self.admin_key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30) as client:
            yield client

    def submit(self, file: Path, key: str = "", **form: str) -> str:
        """Submits a file; the id of the document."""
        with self.api(key) as client, file.open("rb") as content:
            answer = client.post("/v1/documents", files={"file": (file.name, content)}, data=form)
        assert answer.status_code in (201, 202), answer.text
        return str(answer.json()["id"])

    def wait_for_end(self, document: str, key: str = "", seconds: float = 120) -> dict[str, Any]:
        """The document once it has ended."""
        until = time.monotonic() + seconds
        with self.api(key) as client:
            while True:
                found: dict[str, Any] = client.get(f"/v1/documents/{document}").json()
                if found["state"] in ("succeeded", "partial", "failed", "cancelled"):
                    return found
                assert time.monotonic() < until, found
                time.sleep(0.1)


@contextmanager
def console_service(folder: Path, *arguments: str, port: int = 0, **env: str) -> Iterator[ConsoleService]:
    """`docfleet serve` on SQLite with its worker and its console; `env` for its settings. What is in the folder from
    before goes on. `port`: 0 for any free one."""
    data = folder / "data"
    errors = folder / "errors.log"
    with errors.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", "serve", "--port", str(port), "--data", str(data), "--slots", "1",
             *arguments, "--json"],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, start_new_session=True,
            env={**os.environ, "DOCFLEET_FLEET__GRACE_SECONDS": "3", "DOCFLEET_CONSOLE__REFRESH_SECONDS": "0.5", **env},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, errors.read_text()
        facts = json.loads(said)
        yield ConsoleService(facts["url"], facts["api_key"], data)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def chromium() -> str | None:
    """The browser of the system; None: there is none."""
    return CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")


def sign_in(page: Any, service: ConsoleService, key: str, to: str = "/") -> None:
    """Through the page, as a person does."""
    page.goto(f"{service.console}{to}")
    page.fill("#key", key)
    page.click("button[type=submit]")
    page.wait_for_selector("main.main")
