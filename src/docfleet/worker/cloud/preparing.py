"""Pages on their way out of their documents: taken out, and put together, in the sandbox."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from docfleet.domain.urgency import Pool
from docfleet.errors import SourceDamaged
from docfleet.ledger import Claim
from docfleet.sandbox import Sandbox
from docfleet.store import Store
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.store.passwords import open_passwords
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import STAGE_DURATION
from docfleet.worker.sources import Sources

PREPARERS = 2
Job = tuple[Callable[["Desk"], Any], "Future[Any]"]


class Desk:
    """What one preparing thread works with: a sandbox and a scratch folder of its own."""

    def __init__(self, sandbox: Sandbox, sources: Sources, store: Store, master_key: MasterKey, seconds: float) -> None:
        self._sandbox = sandbox
        self._sources = sources
        self._store = store
        self._master_key = master_key
        self._seconds = seconds

    def take_out(self, claim: Claim, out: Path) -> int:
        """Writes the claim's pages to the PDF `out`; its size. Raises DocumentError, StoreError."""
        document = claim.document
        if document.content_id is None or document.wrapped_key is None:
            raise SourceDamaged("The document was erased.")
        store = EncryptedStore(self._store, self._master_key.unwrap(document.wrapped_key))
        with metrics.timing(STAGE_DURATION, Pool.CLOUD, "fetch"):
            source = self._sources.fetch(document.content_id, store, document.sha256, document.size_bytes)
        passwords: tuple[str, ...] = ()
        if document.sealed_passwords is not None:
            passwords = open_passwords(self._master_key, document.sealed_passwords, document.tenant, document.sha256)
        with metrics.timing(STAGE_DURATION, Pool.CLOUD, "plan"):
            opened = self._sandbox.open(source, document.media_type, passwords)
            found = self._sandbox.call(
                "docfleet.sandbox.page_pdf:write_pages",
                self._seconds,
                source=source,
                out=out,
                pages=list(range(claim.first_page, claim.last_page + 1)),
                password=opened.password,
                mime_type=opened.mime_type or document.media_type,
                max_page_pixels=self._sandbox.limits.max_page_pixels,
            )
        return int(found["size"])

    def join(self, files: Sequence[Path], out: Path) -> None:
        self._sandbox.call(
            "docfleet.sandbox.page_pdf:join_pages", self._seconds, sources=[str(f) for f in files], out=out
        )

    def rest(self) -> None:
        """Nothing of a document stays behind in the clear."""
        self._sources.clear()

    def close(self) -> None:
        self._sandbox.close()
        self._sources.clear()


class Preparers:
    """A few threads, each with a desk. (A sandbox child lives and dies with the thread that started it.)"""

    def __init__(self, folder: Path, make_desk: Callable[[Path], Desk], count: int = PREPARERS) -> None:
        self._folder = folder
        self._make_desk = make_desk
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"preparer-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for thread in self._threads:
            thread.start()

    def take_out(self, claim: Claim) -> Future[tuple[Path, int]]:
        out = self._new_file()

        def job(desk: Desk) -> tuple[Path, int]:
            return out, desk.take_out(claim, out)

        return self._submit(job)

    def join(self, files: Sequence[Path]) -> bytes:
        """The bytes of one PDF with the pages of all, in order; waits for it. Raises DocumentError."""
        if len(files) == 1:
            return files[0].read_bytes()
        out = self._new_file()

        def job(desk: Desk) -> None:
            desk.join(files, out)

        try:
            self._submit(job).result()
            return out.read_bytes()
        finally:
            out.unlink(missing_ok=True)

    def stop(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2.0)

    def _new_file(self) -> Path:
        return self._folder / f"{secrets.token_hex(8)}.pdf"

    def _submit(self, job: Callable[[Desk], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def _run(self, number: int) -> None:
        desk = self._make_desk(self._folder / f"desk-{number}")
        try:
            while (entry := self._next(desk)) is not None:
                job, future = entry
                try:
                    future.set_result(job(desk))
                except BaseException as error:
                    future.set_exception(error)
        finally:
            desk.close()

    def _next(self, desk: Desk) -> Job | None:
        try:
            return self._jobs.get(timeout=1.0)
        except queue.Empty:
            desk.rest()
            return self._jobs.get()
