"""The engine `documentai`: page images go to Document AI, many in one request, and come back as laid-out pages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet.documentai_format import pages_from_proto
from docfleet.domain.document import Dimension, Page
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.engines.documentai.options import DocumentAIOptions, read_options
from docfleet.errors import EngineFailed, EngineRefused, EngineUnavailable

if TYPE_CHECKING:
    from docfleet.engines.documentai.calls import Asks
    from docfleet.engines.documentai.page_file import JpegPage

NAME = "documentai"
_SPARE_BYTES = 64 * 1024
"""What a request and a PDF need beside their pages."""


def engine(options: Mapping[str, Any] | None = None) -> DocumentAIEngine:
    """The engine. `options`: those of `DocumentAIOptions` as plain values, and `caller` (`Asks`) to send with.

    Raises `UsageError` for options that do not fit together, and `EngineUnavailable` where it is not set up, Google's
    packages are not installed, or there are no credentials.
    """
    given = dict(options or {})
    caller = given.pop("caller", None)
    read = read_options(given)
    _check(read)
    return DocumentAIEngine(read, caller)


def _check(options: DocumentAIOptions) -> None:
    if not options.of_type(options.processor_type):
        raise EngineUnavailable(
            f"It is not set up: [documentai] names no processor of type {options.processor_type} (project, and id and "
            "location of each processor)."
        )
    # Loaded here and not with this module: Google's packages take over a second.
    from docfleet.engines.documentai.client import check_credentials, check_installed

    check_installed()
    if failure := check_credentials(options):
        raise failure.error()


class DocumentAIEngine:
    """Reads page images. Without a caller it can say what it can do, and no more."""

    def __init__(self, options: DocumentAIOptions, caller: Asks | None) -> None:
        self._options = options
        self._caller = caller
        self._facts = options.facts()
        self._known = self._facts.processor(options.processor_type)

    @property
    def capabilities(self) -> Capabilities:
        versions = {one.version or "default" for one in self._options.of_type(self._options.processor_type)}
        price = self._facts.micro_usd_per_page(self._options.processor_type, bool(self._options.premium))
        return Capabilities(
            name=NAME,
            version=", ".join(sorted(versions)),
            max_pages_per_call=self._most_pages,
            gathers_pages=True,
            finds_orientation=True,
            finds_layout=True,
            cost_per_page_usd=price / 1_000_000,
        )

    @property
    def _most_pages(self) -> int:
        if not self._known.packable:
            # it would take the pages for one document
            return 1
        return self._known.imageless_pages if self._options.imageless else self._known.online_pages

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        """See `Engine`. Also raises `EngineBusy` when there was no quota or no way for as long as the options say,
        `EngineRefused` when the service does not take the pages, `EngineUnavailable` when it is not set up there."""
        from docfleet.engines.documentai.page_file import jpeg_page

        most = self._facts.sizes.online_bytes - _SPARE_BYTES
        files = [jpeg_page(page.pixels, page.dpi, most) for page in pages]
        answers: list[RecognisedPage] = []
        for first, last in _fitting([len(one.data) for one in files], most):
            answers += self._read(pages[first:last], files[first:last])
        return answers

    def _read(self, pages: Sequence[PageImage], files: Sequence[JpegPage]) -> list[RecognisedPage]:
        from docfleet.engines.documentai.calls import Call
        from docfleet.engines.documentai.documents import insist
        from docfleet.engines.documentai.page_file import MIME_TYPE, pdf_of

        if self._caller is None:
            raise EngineUnavailable("This Document AI engine was given no caller, and may not send anything.")
        content = pdf_of(files)
        if len(content) > self._facts.sizes.online_bytes:
            raise EngineRefused(f"Page {pages[0].number} has more bytes than one request takes, however compressed.")
        started = time.monotonic()
        call = Call(
            content, MIME_TYPE, len(pages), kind=self._options.processor_type, languages=tuple(pages[0].languages)
        )
        answer = insist(self._caller, call, self._options.patience_seconds)
        read = pages_from_proto(answer.document)
        if len(read) != len(pages):
            raise EngineFailed(f"Document AI answered {len(read)} pages for {len(pages)}.")
        unread = _unread(answer.document, [text for text, _ in read])
        seconds = (time.monotonic() - started) / len(pages)
        prices: Sequence[float | None] = answer.page_usd or [None] * len(pages)
        return [
            RecognisedPage(seconds=seconds, refused=unread[position], cost_usd=price)
            if position in unread
            else RecognisedPage(text=text, page=_as_ours(page, image), seconds=seconds, cost_usd=price)
            for position, ((text, page), image, price) in enumerate(zip(read, pages, prices, strict=True))
        ]

    def close(self) -> None:
        """Closes the connections."""
        if self._caller is not None:
            self._caller.close()


def _unread(document: Any, texts: Sequence[str]) -> dict[int, str]:
    """Position and why, of the page that was not read. Raises `EngineRefused` where it is not certain which it was."""
    from docfleet.engines.documentai.faults import unread_of

    found = unread_of(document.error.code, document.error.message, texts)
    if found is None:
        return {}
    said = f"Document AI could not read it: {found.message}"
    if len(found.pages) > 1:
        raise EngineRefused(said)
    return {found.pages[0]: said}


def _as_ours(page: Page, image: PageImage) -> Page:
    """Sized as the page was handed over: boxes are shares of it, whatever image the service made of it."""
    return msgspec.structs.replace(
        page, number=image.number, dimension=Dimension(image.width, image.height, _unit(image))
    )


def _unit(image: PageImage) -> str:
    pixels = (image.pixels.shape[1], image.pixels.shape[0])
    return "pixels" if pixels == (round(image.width), round(image.height)) else "pt"


def _fitting(sizes: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Runs of pages whose bytes fit into one request, as few as go in order."""
    from docfleet.engines.documentai.page_file import PAGE_BYTES

    first, total = 0, 0
    for position, size in enumerate(sizes):
        if position > first and total + size + PAGE_BYTES > most:
            yield first, position
            first, total = position, 0
        total += size + PAGE_BYTES
    if sizes:
        yield first, len(sizes)
