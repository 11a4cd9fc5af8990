"""A service for the client's tests: the real API on a real socket, ledger and store; reading is done on command."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvicorn

from docfleet.api.app import make_app
from docfleet.api.parts import ApiOptions, ApiParts
from docfleet.client import Client
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.work import DocumentState
from docfleet.ledger import Claim, DocumentSummary, Ledger, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ResultFile
from docfleet.ledger.webhooks import Webhooks
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.store.memory import MemoryStore
from new_ledger import new_ledger

TENANT = "acme"
POOLS = ("pdf", "image")


def pdf(text: str = "one") -> bytes:
    """Bytes that are taken for a PDF; what reads them here does not look inside."""
    return b"%PDF-1.7\n% " + text.encode() + b"\n%%EOF\n"


@dataclass
class Service:
    """`read` stands for the workers: it claims and ends documents by the ledger's own protocol."""

    url: str
    key: str
    parts: ApiParts
    master_key: MasterKey
    clients: list[Client] = field(default_factory=list)

    def client(self, **options: float) -> Client:
        client = Client(self.url, self.key, **options)
        self.clients.append(client)
        return client

    def read(self, *, pages: int = 1, failed: int = 0, limit: int = 100) -> int:
        """Reads all that waits, each as a document of so many pages; returns how many."""
        claims = self.parts.ledger.claim_next("reader", POOLS, limit)
        for claim in claims:
            self._finish(claim, pages, failed)
        return len(claims)

    def fail(self, code: str = "damaged") -> int:
        claims = self.parts.ledger.claim_next("reader", POOLS, 100)
        for claim in claims:
            self.parts.ledger.fail(claim, Failure(FailureKind.ERROR, code, "It is broken.", retryable=False))
        return len(claims)

    @contextmanager
    def reading(self, pause: float = 0.02) -> Iterator[None]:
        """Somebody reads what comes, for as long as the block lasts."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                self.read(limit=2)
                stop.wait(pause)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _finish(self, claim: Claim, pages: int, failed: int) -> DocumentState:
        document = claim.document
        store = EncryptedStore(self.parts.store, self.master_key.unwrap(document.wrapped_key))
        source = store.get(f"contents/{document.content_id}/source")
        prefix = f"contents/{document.content_id}/results/{claim.slice_id}-{claim.token}"
        written = {
            ("json", "document.json", "application/json"): b'{"text": "words"}',
            ("txt", "document.txt", "text/plain"): b"words of " + source,
            ("csv", "tables/page-001-table-1.csv", "text/csv"): b"a,b\n",
            ("csv", "tables.zip", "application/zip"): b"PK-not-really",
            ("outcome", "outcome.json", "application/json"): b"{}",
        }
        files = []
        for (kind, path, media_type), data in written.items():
            store.put(f"{prefix}/{path}", data)
            files.append(ResultFile(kind, path, media_type, len(data), hashlib.sha256(data).hexdigest()))
        summary = DocumentSummary(prefix, results_json=msgspec.json.encode(files).decode())
        outcomes = [
            PageOutcome(page, "engine_failed" if page <= failed else "read", "text", "sound", confidence=0.9)
            for page in range(1, pages + 1)
        ]
        return self.parts.ledger.finish_in_one(claim, Plan(pages), outcomes, claim.result_prefix, summary)


@contextmanager
def service(folder: Path, *, options: ApiOptions | None = None) -> Iterator[Service]:
    """A running service with one tenant and the key of one of its admins."""
    master_key = MasterKey.generate()
    with Ledger.open(new_ledger(folder / "ledger.db")) as ledger:
        access = Access(ledger)
        access.ensure_tenant(TENANT, "Acme")
        _, key = access.make_key(TENANT, "tests", "admin")
        parts = ApiParts(
            ledger, Desk(ledger), access, Webhooks(ledger), MemoryStore(), master_key,
            options or ApiOptions(poll_seconds=0.05, heartbeat_seconds=0.5, requests_per_minute=100_000),
        )  # fmt: skip
        with _listening(parts) as url:
            served = Service(url, key, parts, master_key)
            try:
                yield served
            finally:
                for client in served.clients:
                    client.close()
        access.close()


@contextmanager
def _listening(parts: ApiParts) -> Iterator[str]:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(make_app(parts), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
