"""The pages of a document, put together into its result folder: all of it, or nothing under the final name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from docfleet import __version__
from docfleet.domain.document import Page, Reading
from docfleet.domain.searchable import LayerPage, layer_mode
from docfleet.domain.words import WordPage
from docfleet.errors import OutputBlocked
from docfleet.exports.base import ExportFormat, ExportJob, Reads, SandboxCall
from docfleet.exports.searchable_layer import layer_of_page, layer_of_words
from docfleet.ledger import PageRecord
from docfleet.pipeline.outcome import OUTCOME_FILE, DocumentOutcome, PageOutcome, confidence_of, page_outcome
from docfleet.pipeline.recognise import TEXT_LAYER_ENGINE, ReadPage, failed_page
from docfleet.store import Store


class StoredPage(msgspec.Struct, frozen=True):
    """A read page as a slice's result holds it: what is small is at hand, the rest is decoded when it is needed."""

    text: str
    reading: Reading
    outcome: PageOutcome
    raw_page: msgspec.Raw
    raw_ocr_words: msgspec.Raw

    @property
    def page(self) -> Page:
        return _PAGE.decode(self.raw_page)

    @property
    def ocr_words(self) -> WordPage | None:
        return _WORDS.decode(self.raw_ocr_words)


_PAGE = msgspec.msgpack.Decoder(Page)
_WORDS: msgspec.msgpack.Decoder[WordPage | None] = msgspec.msgpack.Decoder(WordPage | None)
_STORED = msgspec.msgpack.Decoder(list[StoredPage])


def _store(page: ReadPage) -> StoredPage:
    return StoredPage(
        page.text,
        page.reading,
        page_outcome(page.text, page.page, page.reading),
        msgspec.Raw(msgspec.msgpack.encode(page.page)),
        msgspec.Raw(msgspec.msgpack.encode(page.ocr_words)),
    )


def _told(page: StoredPage, detail: str) -> StoredPage:
    return msgspec.structs.replace(
        page,
        reading=msgspec.structs.replace(page.reading, detail=detail),
        outcome=msgspec.structs.replace(page.outcome, detail=detail),
    )


def encode_pages(pages: Iterable[ReadPage]) -> bytes:
    """A slice's result, as `StoredPages` reads it."""
    return msgspec.msgpack.encode([_store(page) for page in pages])


class Pages(Protocol):
    """The read pages of a document, in order; may be iterated more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[StoredPage]: ...


def pages_in_hand(pages: Iterable[ReadPage]) -> Pages:
    """Pages of a short document that were read just now, and need not go through the store."""
    return [_store(page) for page in pages]


class StoredPages:
    """The read pages of a document, from the store, one slice in memory at a time; may be iterated more than once."""

    def __init__(self, store: Store, records: Sequence[PageRecord]) -> None:
        self._store = store
        self._records = sorted(records, key=lambda record: record.page.page)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[StoredPage]:
        key, pages = "", dict[int, StoredPage]()
        for record in self._records:
            if record.result_key and record.result_key != key:
                key = record.result_key
                pages = {page.reading.page: page for page in _STORED.decode(self._store.get(key))}
            page = pages.get(record.page.page) if record.result_key else None
            if page is None:
                yield _store(failed_page(record.page.page, record.page.outcome, record.page.detail))
            elif page.reading.detail != record.page.detail:
                # what was learned after it was read: a cloud engine was asked, and this stands nevertheless
                yield _told(page, record.page.detail)
            else:
                yield page


class _View:
    """The same pages as one export wants them."""

    def __init__(self, pages: Pages, reads: Reads) -> None:
        self._pages = pages
        self._reads = reads

    def __iter__(self) -> Iterator[tuple[str, Page]]:
        for page in self._pages:
            if self._reads is Reads.TEXT:
                yield page.text, Page(number=page.reading.page)
            elif self._reads is Reads.PAGES or page.outcome.tables:
                yield page.text, page.page


class _Layers:
    """The words that came from pixels, page by page, for the searchable PDF."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def __iter__(self) -> Iterator[LayerPage]:
        for page in self._pages:
            if not page.text or page.reading.engine == TEXT_LAYER_ENGINE:
                continue
            words = page.ocr_words
            if words is not None:
                yield layer_of_words(page.reading.page, words)
            else:
                yield layer_of_page(page.text, page.page, layer_mode(page.reading.reason))


class AssemblyJob(msgspec.Struct, frozen=True):
    """Everything known about the document whose pages are read."""

    file: str
    source: Path
    password: str | None
    media_type: str
    sha256: str
    size_bytes: int
    repaired: bool
    pages: Pages
    formats: Sequence[ExportFormat]
    sandbox: SandboxCall
    max_page_pixels: int


def assemble(job: AssemblyJob, draft: Path) -> DocumentOutcome:
    """Writes every format and `outcome.json` into the new folder `draft`; `publish` makes it final.

    Raises DocumentError when a format cannot be written.
    """
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    export = ExportJob(
        pages=(),
        folder=draft,
        mime_type=job.media_type,
        uri=Path(job.file).name,
        title=Path(job.file).stem,
        source=job.source,
        password=job.password,
        layers=_Layers(job.pages),
        sandbox=job.sandbox,
        page_count=len(job.pages),
        max_page_pixels=job.max_page_pixels,
    )
    for form in job.formats:
        form.write(msgspec.structs.replace(export, pages=_View(job.pages, form.reads)))
    outcome = _outcome(job)
    (draft / OUTCOME_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1))
    return outcome


def _outcome(job: AssemblyJob) -> DocumentOutcome:
    pages = [page.outcome for page in job.pages]
    failed = [page for page in pages if page.outcome != "read"]
    message = ""
    if failed:
        numbers = ", ".join(str(page.page) for page in failed[:10]) + (" …" if len(failed) > 10 else "")
        message = f"{len(failed)} of {len(pages)} pages could not be read in full: {numbers}."
    return DocumentOutcome(
        file=job.file,
        outcome="partial" if failed else "succeeded",
        code=failed[0].outcome if failed else "",
        message=message,
        media_type=job.media_type,
        sha256=job.sha256,
        bytes=job.size_bytes,
        repaired=job.repaired,
        pages=pages,
        confidence=confidence_of(pages),
        cost_usd=sum(page.cost_usd for page in pages),
        seconds=round(sum(page.seconds for page in pages), 4),
        formats=[form.name for form in job.formats],
        docfleet=__version__,
    )


def publish(draft: Path, final: Path) -> None:
    """Puts a finished draft in its place with renames only; an older result makes way whole.

    Raises OutputBlocked when something stands there that is no result.
    """
    if final.exists() or final.is_symlink():
        if not (final / OUTCOME_FILE).is_file():
            raise OutputBlocked(f"{final} exists and is not a result of docfleet; it was left alone.")
        old = draft.with_name(draft.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(final, old)
        os.rename(draft, final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        final.parent.mkdir(parents=True, exist_ok=True)
        os.rename(draft, final)
