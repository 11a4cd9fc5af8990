"""What a slot does with a claim of the service: plan a document, read pages, write results; short ones in one go."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from docfleet.domain.cascade import CascadePolicy, Route
from docfleet.domain.media import MEDIA_TYPES
from docfleet.domain.work import PAGE_READ, DocumentState, Step
from docfleet.errors import NoScratchSpace, NotIntact, NotStored, ScratchFull, SourceDamaged, StoreError
from docfleet.exports.base import ExportFormat
from docfleet.exports.registry import choose_exports
from docfleet.exports.tables import FOLDER_NAME as TABLES
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.escalating import Escalating
from docfleet.ledger.service_values import ReadingOptions, ResultFile
from docfleet.ledger.waits import seconds_waited
from docfleet.pipeline.assemble import AssemblyJob, Pages, StoredPages, assemble, encode_pages, pages_in_hand
from docfleet.pipeline.outcome import OUTCOME_FILE
from docfleet.pipeline.recognise import ReadingPlan, ReadPage, read_pages
from docfleet.sandbox import Opened, Sandbox
from docfleet.settings import Settings
from docfleet.store import Store
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.store.passwords import open_passwords
from docfleet.telemetry import metrics, spans
from docfleet.telemetry.catalog import PAGE_DURATION, STAGE_DURATION
from docfleet.telemetry.traces import Value, span
from docfleet.worker.engine_shelf import EngineShelf
from docfleet.worker.escalating import ThirdStep
from docfleet.worker.patience import patiently
from docfleet.worker.room import NO_ROOM, PATIENCE_SECONDS
from docfleet.worker.sources import Sources
from docfleet.worker.steps import Interrupted

TABLES_ZIP = "tables.zip"
WHOLE_BYTES = 4 * 1024 * 1024
"""Results up to this size are stored from memory, larger ones as a stream."""
T = TypeVar("T")
_FORCED = {"auto": None, "ocr": Route.OCR, "text": Route.TEXT_LAYER}


class Parts(msgspec.Struct, frozen=True):
    """What a slot works with."""

    settings: Settings
    sandbox: Sandbox
    ledger: Ledger
    store: Store
    master_key: MasterKey
    engines: EngineShelf
    sources: Sources
    may_go_on: Callable[[], bool]


class ServicePlace:
    """Does one claim at a time and commits its end; whether all pages it is about were read, or go on to be.

    `do` raises DocumentError when the document is to blame, EngineUnavailable, StoreError when the store is away
    (ScratchFull when it waits for room here, for so long and no longer),
    `Interrupted` when the claim has to be handed back, Fenced when it was lost, LedgerUnavailable when a finished
    result could not be written for too long.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._escalating = Escalating(parts.ledger)
        self._content: tuple[str, EncryptedStore] | None = None
        self._pool = ""

    def do(self, claim: Claim) -> bool:
        self._pool = claim.document.pool
        step = {Step.PLAN: self._plan, Step.LOCAL: self._read, Step.ASSEMBLE: self._assemble}[claim.step]
        try:
            return step(claim)
        except ScratchFull as error:
            waited = self._patiently(lambda: seconds_waited(self._parts.ledger, claim, ScratchFull.code))
            if waited < PATIENCE_SECONDS:
                raise
            raise NoScratchSpace(f"For {waited / 60:.0f} minutes other work left no room for it.") from error

    def forget(self) -> None:
        """Nothing of a document stays behind in the clear: neither its bytes nor its key."""
        self._content = None
        self._parts.sources.clear()

    # --- steps

    def _plan(self, claim: Claim) -> bool:
        opened = self._open(claim)
        plan = Plan(opened.pages, opened.mime_type)
        step = self._parts.settings.reading.slice_pages
        if opened.pages <= step and claim.attempt == 1:
            return self._read_short(claim, opened, plan)
        slices = [
            NewSlice(Step.LOCAL, first, min(first + step - 1, opened.pages))
            for first in range(1, opened.pages + 1, step)
        ]
        self._finish(lambda: self._parts.ledger.finish(claim, next_slices=slices, plan=plan))
        return True

    def _read_short(self, claim: Claim, opened: Opened, plan: Plan) -> bool:
        """Plan, pages and results in one claim: most documents are short, and each claim has its price."""
        pages, cloud = self._pages_and_rest(claim, opened, range(1, opened.pages + 1))
        outcomes = [_outcome(page) for page in pages]
        if cloud:
            key = self._keep(claim, pages) if pages else ""
            kept = self._kept(claim, pages, cloud)
            self._finish(lambda: self._escalating.finish_short(claim, plan, kept, key, cloud))
            return _all_read(kept)
        read = sum(outcome.outcome == PAGE_READ for outcome in outcomes)
        key = ""
        if read < len(pages):
            # what was read is needed again when somebody asks for another try at the rest
            key = self._keep(claim, pages)
        summary = self._write(claim, opened, pages_in_hand(pages)) if read else DocumentSummary()
        self._finish(lambda: self._parts.ledger.finish_in_one(claim, plan, outcomes, key, summary))
        return read == len(pages)

    def _read(self, claim: Claim) -> bool:
        opened = self._open(claim)
        pages, cloud = self._pages_and_rest(claim, opened, range(claim.first_page, claim.last_page + 1))
        key = self._keep(claim, pages) if pages else ""
        kept = self._kept(claim, pages, cloud)
        self._finish(lambda: self._parts.ledger.finish(claim, key, kept, cloud))
        return _all_read(kept)

    def _assemble(self, claim: Claim) -> bool:
        records = self._patiently(lambda: list(self._parts.ledger.pages_of(claim.document.id)))
        store = self._store(claim)
        try:
            summary = self._write(claim, self._open(claim), StoredPages(store, records))
        except (NotStored, NotIntact) as error:
            raise SourceDamaged("What was read of the document is not in the store any more.") from error
        state = self._finish(lambda: self._parts.ledger.finish_document(claim, summary))
        if state is DocumentState.SUCCEEDED:
            # of a partial document they stay, for the pages still to be read; what is left behind is found later
            with suppress(StoreError):
                for key in {record.result_key for record in records if record.result_key}:
                    store.delete(key)
        return state is DocumentState.SUCCEEDED

    # --- their parts

    def _patiently(self, call: Callable[[], T]) -> T:
        return patiently(call, self._parts.may_go_on)

    def _finish(self, call: Callable[[], T]) -> T:
        with self._timing("finish"):
            return self._patiently(call)

    def _timing(self, stage: str) -> AbstractContextManager[None]:
        return metrics.timing(STAGE_DURATION, self._pool, stage)

    def _store(self, claim: Claim) -> EncryptedStore:
        """The store as this claim's content sees it."""
        document = claim.document
        if document.content_id is None or document.wrapped_key is None:
            raise SourceDamaged("The document was erased.")
        if self._content is None or self._content[0] != document.content_id:
            key = self._parts.master_key.unwrap(document.wrapped_key)
            self._content = (document.content_id, EncryptedStore(self._parts.store, key))
        return self._content[1]

    def _source(self, claim: Claim) -> Path:
        document = claim.document
        store = self._store(claim)
        assert document.content_id is not None
        return self._parts.sources.fetch(document.content_id, store, document.sha256, document.size_bytes)

    def _open(self, claim: Claim) -> Opened:
        document = claim.document
        passwords: tuple[str, ...] = ()
        if document.sealed_passwords is not None:
            passwords = open_passwords(
                self._parts.master_key, document.sealed_passwords, document.tenant, document.sha256
            )
        with span(spans.FETCH, bytes=document.size_bytes), self._timing("fetch"):
            source = self._source(claim)
        with span(spans.OPEN) as told, self._timing("plan"):
            opened = self._parts.sandbox.open(source, document.media_type, passwords)
            told.set(pages=opened.pages, repaired=opened.repaired)
        return opened

    def _pages_and_rest(
        self, claim: Claim, opened: Opened, numbers: Sequence[int]
    ) -> tuple[list[ReadPage], list[NewSlice]]:
        """The pages read here, and slices of those that a cloud engine is to read (some of them read here as well)."""
        third = self._third_step(claim)
        elsewhere = third.before(self._parts.sandbox, numbers, self._reading_plan(claim).policy)
        passed_on = {one.page for one in elsewhere}
        pages = self._pages(claim, opened, [number for number in numbers if number not in passed_on])
        return pages, third.slices([*elsewhere, *third.after(pages)])

    def _third_step(self, claim: Claim) -> ThirdStep:
        wanted, settings = _options(claim.document.options_json), self._parts.settings
        languages = wanted.languages or settings.reading.languages
        return ThirdStep.of(wanted.engine or settings.reading.engine, wanted, languages, settings.cascade)

    def _kept(self, claim: Claim, pages: Sequence[ReadPage], cloud: Sequence[NewSlice]) -> list[PageOutcome]:
        """Outcomes of the pages read here; not of those whose outcome is the cloud engine's alone."""
        escalated = frozenset(page for new in cloud for page in range(new.first_page, new.last_page + 1))
        third = self._third_step(claim)
        return [_outcome(page) for page in pages if third.keeps(page, escalated)]

    def _pages(self, claim: Claim, opened: Opened, numbers: Sequence[int]) -> list[ReadPage]:
        plan = self._reading_plan(claim)
        pages: list[ReadPage] = []
        with span(spans.READ, pages=len(numbers)) as told, self._timing("read"):
            for page in read_pages(self._parts.sandbox, plan, numbers, repaired=opened.repaired):
                pages.append(page)
                metrics.observe(PAGE_DURATION, page.reading.seconds, page.reading.engine)
                told.add("page", **_said(page))
                if not self._parts.may_go_on() and len(pages) < len(numbers):
                    raise Interrupted
            told.set(pages_failed=sum(page.reading.outcome != PAGE_READ for page in pages))
        return pages

    def _reading_plan(self, claim: Claim) -> ReadingPlan:
        wanted, reading = _options(claim.document.options_json), self._parts.settings.reading
        engine = wanted.engine or reading.engine
        return ReadingPlan(
            lambda: self._parts.engines.get(engine),
            CascadePolicy(force=_FORCED[wanted.mode or reading.mode]),
            reading.render_dpi,
            wanted.languages or reading.languages,
            frozenset(wanted.features),
        )

    def _keep(self, claim: Claim, pages: Sequence[ReadPage]) -> str:
        key = f"{claim.result_prefix}/pages.msgpack"
        with span(spans.KEEP):
            self._store(claim).put(key, encode_pages(pages))
        return key

    def _write(self, claim: Claim, opened: Opened, pages: Pages) -> DocumentSummary:
        """Makes the results in a folder of this slot and puts them into the store; nothing points to them yet."""
        document, settings = claim.document, self._parts.settings
        formats = choose_exports(_options(document.options_json).formats or settings.output.formats)
        draft = self._parts.sources.folder / "results"
        media_type = opened.mime_type or document.media_type
        job = AssemblyJob(
            # documents with the same bytes share these results: they carry the name of none of them
            file=f"document{MEDIA_TYPES[media_type].extension}",
            source=self._source(claim),
            password=opened.password,
            media_type=media_type,
            sha256=document.sha256,
            size_bytes=document.size_bytes,
            repaired=opened.repaired,
            pages=pages,
            formats=formats,
            sandbox=self._parts.sandbox.call,
            max_page_pixels=settings.limits.max_page_pixels,
        )
        try:
            with span(spans.WRITE, formats=",".join(form.name for form in formats)), self._timing("assemble"):
                outcome = assemble(job, draft)
            prefix = f"contents/{document.content_id}/results/{claim.slice_id}-{claim.token}"
            with span(spans.STORE) as told, self._timing("store"):
                files = self._put(self._store(claim), prefix, draft, formats)
                told.set(files=len(files), bytes=sum(file.size_bytes for file in files))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise ScratchFull() from error
            raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return DocumentSummary(prefix, outcome.message, msgspec.json.encode(files).decode())

    def _put(self, store: Store, prefix: str, draft: Path, formats: Sequence[ExportFormat]) -> list[ResultFile]:
        """Stores every result: small ones together, which spares the store most of its work."""
        files, held, together = [], 0, dict[str, bytes]()
        for form, media_type, path in _written(draft, formats):
            if not self._parts.may_go_on():
                raise Interrupted
            with open(f"{draft}/{path}", "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > WHOLE_BYTES:
                    size, digest = _put_stream(store, f"{prefix}/{path}", file)
                else:
                    data = file.read()
                    digest = hashlib.sha256(data).hexdigest()
                    together[f"{prefix}/{path}"] = data
                    held += size
            files.append(ResultFile(form, path, media_type, size, digest))
            if held > WHOLE_BYTES:
                store.put_many(together)
                held, together = 0, {}
        store.put_many(together)
        return files


@lru_cache(maxsize=64)
def _options(options_json: str) -> ReadingOptions:
    return msgspec.json.decode(options_json, type=ReadingOptions)


def _outcome(page: ReadPage) -> PageOutcome:
    return PageOutcome.of_reading(page.reading, page.page.quality.score if page.page.quality else None)


def _all_read(outcomes: Sequence[PageOutcome]) -> bool:
    return all(outcome.outcome == PAGE_READ for outcome in outcomes)


def _said(page: ReadPage) -> dict[str, Value]:
    """Of a page, for the trace: its words stay here."""
    reading = page.reading
    return {
        "page": reading.page, "engine": reading.engine, "reason": reading.reason, "outcome": reading.outcome,
        "seconds": reading.seconds,
    }  # fmt: skip


def _written(draft: Path, formats: Sequence[ExportFormat]) -> Iterator[tuple[str, str, str]]:
    """(Format, media type, path below the draft) of every result; tables come one by one and as an archive."""
    for form in formats:
        if form.file_name != f"{TABLES}/":
            yield form.name, form.media_type, form.file_name
            continue
        tables = sorted((draft / TABLES).glob("*.csv"))
        with zipfile.ZipFile(draft / TABLES_ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
            for table in tables:
                archive.write(table, table.name)
        yield form.name, "application/zip", TABLES_ZIP
        for table in tables:
            yield form.name, form.media_type, f"{TABLES}/{table.name}"
    yield "outcome", "application/json", OUTCOME_FILE


def _put_stream(store: Store, key: str, file: IO[bytes]) -> tuple[int, str]:
    """Stores an open file; its size and SHA-256."""
    digest = hashlib.sha256()
    size = store.put_stream(key, _told(iter(lambda: file.read(1 << 20), b""), digest.update))
    return size, digest.hexdigest()


def _told(parts: Iterator[bytes], listener: Callable[[bytes], None]) -> Iterator[bytes]:
    for part in parts:
        listener(part)
        yield part
