"""Whole documents, however long: read in ranges, a few at a time, and put together exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from docfleet.documentai_format import from_proto
from docfleet.domain.document import Document
from docfleet.engines.documentai.calling import Caller
from docfleet.engines.documentai.calls import Answer, Asks, Call, Failed, Postponed, Selection
from docfleet.engines.documentai.ranges import halves, pieces, renumbered, selections, together
from docfleet.errors import EngineBusy, EngineFailed, EngineRefused

CutOut = Callable[[int, int], bytes]
"""(first page, last page) -> a file of these pages. Parsing is the sandbox's, so it is handed in."""
_LONGEST_WAIT = 15.0


class Wanted(msgspec.Struct, frozen=True):
    """A document to read. Without `cut_out` it must be below the limit of bytes."""

    content: bytes
    mime_type: str
    pages: int
    cut_out: CutOut | None = None
    tenant: str = ""
    languages: tuple[str, ...] = ()
    urgent: bool = False


def insist(
    caller: Asks,
    call: Call,
    patience: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """The answer, waiting for quota and for endpoints up to `patience` seconds in all.

    Raises `EngineBusy` after that, `EngineRefused`, `EngineFailed`, or `EngineUnavailable` where it is not set up.
    """
    until = clock() + patience
    while True:
        left = max(0.0, until - clock())
        outcome = caller.call(msgspec.structs.replace(call, patience=min(left, _LONGEST_WAIT)))
        if isinstance(outcome, Answer):
            return outcome
        if isinstance(outcome, Failed) and not outcome.failure.waits:
            raise outcome.failure.error()
        pause = outcome.seconds if isinstance(outcome, Postponed) else 2.0
        if pause > left:
            why = outcome.reason if isinstance(outcome, Postponed) else outcome.failure.code
            raise EngineBusy(f"Document AI takes no page for {pause:.0f} s: {why}.")
        sleep(min(pause, _LONGEST_WAIT))


def read_document(caller: Caller, wanted: Wanted, kind: str, patience: float, at_a_time: int = 4) -> Document:
    """All pages of a document, read by processors of type `kind`; raises as `insist` does.

    Up to the limit of bytes the ranges are selected from one file; beyond it, or where that is cheaper, files are cut.
    """
    facts, options = caller.facts, caller.options
    known, most = facts.processor(kind), facts.sizes.online_bytes
    whole = len(wanted.content) <= most
    if not whole and wanted.cut_out is None:
        raise EngineRefused(f"The document has {len(wanted.content):,} bytes; one request takes {most:,}.")
    if whole:
        parts = selections(wanted.pages, known, options.imageless)
    else:
        parts = pieces(wanted.pages, len(wanted.content), known, options.imageless, most)

    def read(part: Selection) -> list[Document]:
        if whole:
            alone = len(parts) == 1 and part.pages == wanted.pages
            return [_read(caller, wanted, kind, wanted.content, part.pages, None if alone else part, patience)]
        return _read_cut(caller, wanted, kind, part, patience)

    with ThreadPoolExecutor(max_workers=max(1, min(at_a_time, len(parts)))) as pool:
        found = [document for documents in pool.map(read, parts) for document in documents]
    return _complete(together(found), wanted.pages)


def _read_cut(caller: Caller, wanted: Wanted, kind: str, part: Selection, patience: float) -> list[Document]:
    assert wanted.cut_out is not None
    content = wanted.cut_out(part.first, part.last)
    most = caller.facts.sizes.online_bytes
    if len(content) > most:
        if part.pages == 1:
            raise EngineRefused(f"Page {part.first} alone has {len(content):,} bytes; one request takes {most:,}.")
        return [one for half in halves(part) for one in _read_cut(caller, wanted, kind, half, patience)]
    document = _read(caller, wanted, kind, content, part.pages, None, patience)
    return [renumbered(document, part.first)]


def _read(
    caller: Caller, wanted: Wanted, kind: str, content: bytes, pages: int, selection: Selection | None, patience: float
) -> Document:
    call = Call(
        content,
        wanted.mime_type,
        pages,
        selection,
        kind,
        wanted.tenant,
        wanted.languages,
        wanted.urgent,
    )
    return _complete(from_proto(insist(caller, call, patience).document), pages)


def _complete(document: Document, pages: int) -> Document:
    """Raises `EngineFailed` where pages are missing; an answer of chunks (layout parser) has none at all."""
    if document.pages and len(document.pages) != pages:
        raise EngineFailed(f"Document AI answered {len(document.pages)} pages for {pages}.")
    return document
