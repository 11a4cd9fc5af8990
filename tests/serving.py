"""The API on a real socket, over a real ledger and store, for tests."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from docfleet.api.app import make_app
from docfleet.api.connection import LimitedHeadProtocol
from docfleet.api.parts import ApiOptions, ApiParts
from docfleet.domain.access import Permission, Role
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger import DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ResultFile
from docfleet.ledger.webhooks import Webhooks
from docfleet.store import FolderStore, Store
from docfleet.store.encryption import EncryptedStore, MasterKey
from new_ledger import new_ledger

PDF = b"%PDF-1.7\n1 0 obj <</Type/Catalog>> endobj\n%%EOF\n"


@dataclass
class Served:
    """A running API; keys by tenant and role."""

    url: str
    parts: ApiParts
    app: Any
    tenants: tuple[str, ...] = ("acme", "rival")

    def key(self, tenant: str = "acme", role: Role = Role.ADMIN, scopes: tuple[Permission, ...] = ()) -> str:
        return self.parts.access.make_key(tenant, f"{role} of {tenant}", role, scopes)[1]

    @contextmanager
    def client(self, key: str | None = None, **options: Any) -> Iterator[httpx.Client]:
        headers = {"authorization": f"Bearer {self.key() if key is None else key}"} if key != "" else {}
        with httpx.Client(base_url=self.url, headers=headers, timeout=20, **options) as client:
            yield client


@contextmanager
def serving(
    folder: Path, *, store: Store | None = None, ledger_address: Any = None, **options: Any
) -> Iterator[Served]:
    """The API with two tenants, stopped at the end of the block."""
    with Ledger.open(ledger_address or new_ledger(folder / "ledger.db")) as ledger:
        access = Access(ledger)
        for tenant in Served.tenants:
            access.ensure_tenant(tenant, tenant.title())
        parts = ApiParts(
            ledger=ledger,
            desk=Desk(ledger),
            access=access,
            webhooks=Webhooks(ledger),
            store=store or FolderStore(folder / "store"),
            master_key=MasterKey.generate(),
            options=ApiOptions(**{"requests_per_minute": 100_000, "poll_seconds": 0.05, **options}),
        )
        app = make_app(parts)
        try:
            with listening(app) as url:
                yield Served(url, parts, app)
        finally:
            access.close()


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """`app` under uvicorn in a thread; yields its URL."""
    config = uvicorn.Config(
        app, http=LimitedHeadProtocol, port=0, log_level="critical", access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("the API did not start")
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
        with suppress(AttributeError):
            assert not thread.is_alive(), "the API did not stop"


def stored_contents(parts: ApiParts) -> set[str]:
    """Ids of the contents that have anything in the store."""
    return {key.split("/")[1] for key in parts.store.list("contents")}


def work_through(parts: ApiParts, results: dict[str, bytes] | None = None, pages: int = 1) -> list[str]:
    """Reads all that waits, as a worker would, with these results (path -> bytes); returns the documents."""
    done: list[str] = []
    while claims := parts.ledger.claim("worker"):
        for claim in claims:
            if claim.step is Step.PLAN:
                parts.ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, pages)], plan=Plan(pages))
            elif claim.step is Step.LOCAL:
                outcomes = [PageOutcome(page, engine="text", confidence=0.9) for page in range(1, pages + 1)]
                parts.ledger.finish(claim, claim.result_prefix, outcomes)
            else:
                files = results if results is not None else {"document.json": b'{"text": "hello"}'}
                result_key, written = write_results(parts, claim, files)
                state = parts.ledger.finish_document(claim, DocumentSummary(result_key, results_json=written))
                assert state is DocumentState.SUCCEEDED
                done.append(claim.document.id)
    return done


def write_results(parts: ApiParts, claim: Any, files: dict[str, bytes]) -> tuple[str, str]:
    import msgspec

    document = claim.document
    prefix = f"contents/{document.content_id}/results/{claim.slice_id}-{claim.token}"
    store = EncryptedStore(parts.store, parts.master_key.unwrap(document.wrapped_key))
    names = {"json": "json", "md": "md", "txt": "txt", "pdf": "pdf", "csv": "csv", "zip": "csv", "hocr": "hocr"}
    written = []
    for path, data in files.items():
        store.put(f"{prefix}/{path}", data)
        kind = names[path.rsplit(".", 1)[-1]]
        digest = hashlib.sha256(data).hexdigest()
        written.append(ResultFile(kind, path, "application/octet-stream", len(data), digest))
    return prefix, msgspec.json.encode(written).decode()
