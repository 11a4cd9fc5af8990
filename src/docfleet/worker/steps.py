"""What a worker does with a claim: plan a document, read a slice of its pages, assemble its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.file_names import path_of_stored
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import SourceChanged
from docfleet.exports.registry import choose_exports
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, PageRecord, Plan
from docfleet.pipeline.assemble import AssemblyJob, StoredPages, assemble, encode_pages, publish
from docfleet.pipeline.intake import sha256_of
from docfleet.pipeline.reading_again import read_again
from docfleet.pipeline.recognise import ReadPage, read_pages
from docfleet.runtime import Runtime
from docfleet.sandbox import Opened
from docfleet.store import Store

LEDGER_FILE = "ledger.db"
DRAFTS = ".drafts"
"""Folder below ledger/ where results are written before they are renamed into place (same file system)."""
MEMBERS = "members"
"""Folder below ledger/ for files that came out of archives."""


class Interrupted(Exception):
    """The worker was told to stop, or lost its lease; the slice goes back."""


class WorkPlace(msgspec.Struct, frozen=True):
    """Where one worker works, and with what."""

    runtime: Runtime
    ledger: Ledger
    store: Store
    output: Path
    passwords: tuple[str, ...]
    may_go_on: Callable[[], bool]

    @property
    def ledger_folder(self) -> Path:
        return self.output / "ledger"

    def do(self, claim: Claim) -> None:
        """Does the work of a claim and commits its end. Raises DocumentError when the document is to blame,
        `Interrupted` when the claim has to be handed back, `Fenced` when it was lost."""
        {Step.PLAN: self._plan, Step.LOCAL: self._read, Step.ASSEMBLE: self._assemble}[claim.step](claim)

    def _open(self, claim: Claim) -> Opened:
        path = self._source(claim)
        return self.runtime.sandbox.open(path, claim.document.media_type, self.passwords)

    def _source(self, claim: Claim) -> Path:
        source = claim.document.source
        path = self.ledger_folder / MEMBERS / claim.document.sha256 if source.member else path_of_stored(source.path)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise SourceChanged(f"The file is not there any more: {error.strerror}.") from error
        if size != claim.document.size_bytes:
            raise SourceChanged(f"The file had {claim.document.size_bytes:,} bytes and now has {size:,}.")
        return path

    def _plan(self, claim: Claim) -> None:
        opened = self._open(claim)
        step = self.runtime.settings.reading.slice_pages
        slices = [
            NewSlice(Step.LOCAL, first, min(first + step - 1, opened.pages))
            for first in range(1, opened.pages + 1, step)
        ]
        self.ledger.finish(claim, next_slices=slices, plan=Plan(opened.pages, opened.mime_type))

    def _read(self, claim: Claim) -> None:
        repaired = self._open(claim).repaired
        numbers = range(claim.first_page, claim.last_page + 1)
        pages: list[ReadPage] = []
        for page in read_pages(self.runtime.sandbox, self.runtime.plan, numbers, repaired=repaired):
            pages.append(page)
            if not self.may_go_on() and page.page.number != claim.last_page:
                raise Interrupted
        pages = read_again(
            self.runtime.sandbox, self.runtime.cloud_plan, self.runtime.third_step, pages, repaired=repaired
        )
        key = f"{claim.result_prefix}/pages.msgpack"
        self.store.put(key, encode_pages(pages))
        self.ledger.finish(claim, key, [_outcome(page) for page in pages])

    def _assemble(self, claim: Claim) -> None:
        document = claim.document
        records = list(self.ledger.pages_of(document.id))
        pages = StoredPages(self.store, records)
        opened = self._open(claim)
        draft = self.ledger_folder / DRAFTS / f"{document.id}-{claim.token}"
        job = AssemblyJob(
            file=document.source.name,
            source=self._source(claim),
            password=opened.password,
            media_type=document.media_type,
            sha256=document.sha256,
            size_bytes=document.size_bytes,
            repaired=opened.repaired,
            pages=pages,
            formats=choose_exports(self.runtime.settings.output.formats),
            sandbox=self.runtime.sandbox.call,
            max_page_pixels=self.runtime.settings.limits.max_page_pixels,
        )
        outcome = assemble(job, draft)
        if not self.may_go_on():
            raise Interrupted
        if sha256_of(job.source) != document.sha256:
            raise SourceChanged("The file was changed while it was being read.")
        assert document.folder is not None
        publish(draft, self.output / document.folder)
        state = self.ledger.finish_document(claim, DocumentSummary(document.folder, outcome.message))
        if state is DocumentState.SUCCEEDED:
            self._forget(records, document.sha256)

    def _forget(self, records: Sequence[PageRecord], sha256: str) -> None:
        """Drops what only the assembly needed; of a partial document it stays, for the pages still to be read."""
        for key in {record.result_key for record in records if record.result_key}:
            self.store.delete(key)
        (self.ledger_folder / MEMBERS / sha256).unlink(missing_ok=True)


def _outcome(page: ReadPage) -> PageOutcome:
    return PageOutcome.of_reading(page.reading, page.page.quality.score if page.page.quality else None)
