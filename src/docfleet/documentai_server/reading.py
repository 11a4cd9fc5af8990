"""One job in a reader process: bytes in, the bytes of a Document out, read by docfleet's own pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec

from docfleet.documentai_format import as_google, join
from docfleet.documentai_format.paging import page_cuts
from docfleet.documentai_server.asked import with_fields
from docfleet.documentai_server.encoding import PageImage, encode_document
from docfleet.documentai_server.jobs import Read, ReadJob
from docfleet.documentai_server.layout_tree import chunks_of, layout_of
from docfleet.documentai_server.limits import check_pages, selected_pages, unsupported_file
from docfleet.documentai_server.masking import masked
from docfleet.documentai_server.refusals import Code, Refusal
from docfleet.documentai_server.types import Work
from docfleet.domain.cascade import CascadePolicy, Route
from docfleet.domain.document import Dimension, Document, Fault, Page
from docfleet.domain.media import Kind, MediaType
from docfleet.errors import DocumentError, EngineFailed, OutOfMemory, ParserCrashed, TimedOut, TooManyPages, Unexpected
from docfleet.pipeline.identify import identify
from docfleet.pipeline.recognise import ReadingPlan, ReadPage, failed_page, read_pages
from docfleet.runtime import Runtime
from docfleet.sandbox import Opened, Rendered, Sandbox

PIXELS = 4.0e6
"""Of a PDF page's picture, as the service renders it."""
_OURS = frozenset(kind.code for kind in (TimedOut, OutOfMemory, ParserCrashed, EngineFailed, Unexpected))
"""Not the document's fault, or not proven to be: INTERNAL, or DEADLINE_EXCEEDED for the first."""
_SAME = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/tif": "image/tiff",
    "image/x-ms-bmp": "image/bmp",
}
_SHOWN_PAGES = 10
_MOST_SEEN = 1000


class Reader:
    """Reads one document at a time. `blank`: counts pages and answers empty ones, to measure everything else."""

    def __init__(self, runtime: Runtime, blank: bool = False) -> None:
        self._runtime = runtime
        self._blank = blank
        self._seen: dict[tuple[bytes, str], Opened] = {}

    def read(self, job: ReadJob, is_wanted: Callable[[], bool]) -> Read:
        """Raises `Refusal`, also when `is_wanted` turns false between two pages."""
        if self._blank and job.content:
            opened = self._opened_before(job)
            return self._answer(job, opened, is_wanted)
        with self._file(job) as path:
            return self._answer(job, self._open(path, job), is_wanted)

    def _opened_before(self, job: ReadJob) -> Opened:
        """Counted once: whoever measures sends the same documents again and again."""
        key = (blake2b(job.content).digest(), job.mime_type)
        if key not in self._seen:
            with self._file(job) as path:
                opened = self._open(path, job)
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[key] = opened
        return self._seen[key]

    def _answer(self, job: ReadJob, opened: Opened, is_wanted: Callable[[], bool]) -> Read:
        if job.count_only:
            return Read(total_pages=opened.pages)
        numbers = selected_pages(job.selection, opened.pages)
        if job.limits is not None:
            check_pages(numbers, job.imageless, job.limits)
        pages = self._blank_pages(numbers) if self._blank else self._pages(job, opened, numbers, is_wanted)
        _refuse_if_unread(pages)
        document = _document(job, opened, pages)
        images = self._images(job, document) if not self._blank else {}
        return _written(job, opened, document, images)

    @contextmanager
    def _file(self, job: ReadJob) -> Iterator[Path]:
        if not job.content:
            yield Path(job.path)
            return
        # nothing is kept: the folder goes with the answer, and is for this user alone
        with tempfile.TemporaryDirectory(prefix="docfleet-documentai-") as folder:
            path = Path(folder) / "document"
            path.write_bytes(job.content)
            yield path

    def _open(self, path: Path, job: ReadJob) -> Opened:
        try:
            media = identify(path)
            if media.kind is Kind.ARCHIVE or not _agrees(job.mime_type, media):
                raise unsupported_file()
            return self._runtime.sandbox.open(path, media.mime_type)
        except DocumentError as error:
            raise refusal_of(error.code, error.message) from error

    def _pages(
        self, job: ReadJob, opened: Opened, numbers: Sequence[int], is_wanted: Callable[[], bool]
    ) -> list[ReadPage]:
        plan = self._plan(job)
        pages: list[ReadPage] = []
        # one at a time, so that a page of pixels is not kept and a caller who left is noticed
        for number in numbers:
            if not is_wanted():
                raise Refusal(Code.CANCELLED, "The caller left.")
            pages += read_pages(self._runtime.sandbox, plan, (number,), repaired=opened.repaired)
        return pages

    def _plan(self, job: ReadJob) -> ReadingPlan:
        plan = self._runtime.plan
        if job.languages:
            plan = msgspec.structs.replace(plan, languages=job.languages)
        if job.pixels:
            plan = msgspec.structs.replace(plan, policy=CascadePolicy(force=Route.OCR))
        return plan

    def _blank_pages(self, numbers: Sequence[int]) -> list[ReadPage]:
        blank = failed_page(1, "", "")
        reading = msgspec.structs.replace(blank.reading, outcome="read", confidence=1.0)
        return [
            msgspec.structs.replace(
                blank,
                page=Page(number=number, dimension=Dimension(1758.0, 2275.0, "pixels")),
                reading=msgspec.structs.replace(reading, page=number),
            )
            for number in numbers
        ]

    def _images(self, job: ReadJob, document: Document) -> dict[int, PageImage]:
        """By position; a page whose picture cannot be had has none."""
        if job.imageless or job.work is Work.LAYOUT or not job.mask.has_in_page("image"):
            return {}
        found = {}
        for position, page in enumerate(document.pages):
            try:
                found[position] = _picture(self._runtime.sandbox, page)
            except DocumentError:
                continue
        return found


def _agrees(claimed: str, media: MediaType) -> bool:
    claimed = claimed.partition(";")[0].strip().lower()
    return _SAME.get(claimed, claimed) == media.mime_type


def refusal_of(code: str, message: str) -> Refusal:
    """What the service would say of a document that ours cannot read for the reason `code`."""
    if code == TimedOut.code:
        return Refusal(Code.DEADLINE_EXCEEDED, message)
    if code == TooManyPages.code:
        return Refusal(Code.INVALID_ARGUMENT, message)
    return Refusal(Code.INTERNAL, message) if code in _OURS else unsupported_file()


def _refuse_if_unread(pages: Sequence[ReadPage]) -> None:
    """Nothing of the document could be read: that is an error, not an empty answer."""
    failed = [page.reading for page in pages if page.reading.outcome != "read"]
    if failed and len(failed) == len(pages) and not any(page.text for page in pages):
        raise refusal_of(failed[0].outcome, failed[0].detail)


def _document(job: ReadJob, opened: Opened, pages: Sequence[ReadPage]) -> Document:
    document = join((page.text, _kept(page.page, job)) for page in pages)
    return msgspec.structs.replace(
        document, mime_type=opened.mime_type, uri=job.uri, error=_fault(job, pages), shard_info=job.shard
    )


def _kept(page: Page, job: ReadJob) -> Page:
    """`page` without what a processor of this kind was not asked for."""
    changes: dict[str, object] = {}
    if job.work is Work.OCR:
        changes |= {"tables": (), "form_fields": ()}
    if not job.quality:
        changes["quality"] = None
    if not job.styles and any(token.style is not None for token in page.tokens):
        changes["tokens"] = tuple([msgspec.structs.replace(token, style=None) for token in page.tokens])
    return msgspec.structs.replace(page, **changes)


def _fault(job: ReadJob, pages: Sequence[ReadPage]) -> Fault | None:
    """What is not as it should be with an answer that is sent all the same."""
    failed = [page.reading for page in pages if page.reading.outcome != "read"]
    if failed:
        said = ", ".join(f"{one.page} ({one.outcome})" for one in failed[:_SHOWN_PAGES])
        more = ", …" if len(failed) > _SHOWN_PAGES else ""
        return Fault(int(Code.INTERNAL), f"{len(failed)} of {len(pages)} pages could not be read: {said}{more}.")
    if job.work is Work.ENTITIES:
        return Fault(int(Code.UNIMPLEMENTED), "docfleet read the text; it extracts no entities for this processor.")
    return None


def _written(job: ReadJob, opened: Opened, document: Document, images: Mapping[int, PageImage]) -> Read:
    count = len(document.pages)
    if job.work is Work.LAYOUT:
        document = msgspec.structs.replace(
            document,
            text="",
            pages=(),
            document_layout=layout_of(document, job.boxes),
            chunked_document=chunks_of(document, job.chunking),
        )
    else:
        document = with_fields(as_google(document, job.spelling), job)
    next_entity = job.first_entity + sum(1 + len(one.properties) for one in document.entities)
    length, starts = len(document.text), tuple(page_cuts(document)[:-1])
    pages = list(document.pages)
    for position, image in images.items():
        size = Dimension(float(image.width), float(image.height), "pixels")
        pages[position] = msgspec.structs.replace(pages[position], dimension=size)
    document = masked(msgspec.structs.replace(document, pages=tuple(pages)), job.mask)
    body = encode_document(document, job.form, images)
    return Read(
        body=body,
        pages=count,
        total_pages=opened.pages,
        text_length=length,
        text_starts=starts,
        next_entity=next_entity,
    )


def _picture(sandbox: Sandbox, page: Page) -> PageImage:
    """A PDF's page at four megapixels, an image as it is: grey as PNG, colour as JPEG."""
    dpi = 72.0
    if page.dimension is not None and page.dimension.unit != "pixels":
        dpi *= (PIXELS / max(page.dimension.width * page.dimension.height, 1.0)) ** 0.5
    return _compressed(sandbox.render(page.number, dpi))


def _compressed(rendered: Rendered) -> PageImage:
    import cv2

    pixels = rendered.pixels
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        done, data = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1))
        kind = "image/png"
    else:
        done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 90))
        kind = "image/jpeg"
    if not done:
        raise Unexpected("The picture of a page cannot be compressed.")
    return PageImage(data.tobytes(), kind, int(width), int(height))
