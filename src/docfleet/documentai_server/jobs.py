"""What a reader process is asked and answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from docfleet.documentai_format import Version
from docfleet.documentai_server.limits import PageLimits, Selection
from docfleet.documentai_server.masking import Mask
from docfleet.documentai_server.refusals import Code, Detail, ErrorInfo, FieldViolation, Refusal, RetryInfo
from docfleet.documentai_server.types import Work
from docfleet.domain.document import ShardInfo

Form = Literal["proto", "json", "document"]
"""Document AI's protobuf or JSON; or our own `Document` as msgpack, without pictures, for whoever goes on with it."""


class Chunking(msgspec.Struct, frozen=True):
    """How the chunks of a layout are cut."""

    tokens: int = 500
    """Most words of one chunk; a longer paragraph is a chunk by itself."""
    headings: bool = True
    """Each chunk begins with the headings it stands under."""


class ReadJob(msgspec.Struct, frozen=True):
    """One document to be read, and how its answer is written."""

    content: bytes = b""
    path: str = ""
    """Where the document lies, if `content` is empty."""
    mime_type: str = ""
    """What the caller says it is."""
    selection: Selection = Selection()
    imageless: bool = False
    limits: PageLimits | None = PageLimits()
    """None: any number of pages."""
    work: Work = Work.OCR
    spelling: Version = "v2"
    mask: Mask = Mask()
    form: Form = "proto"
    pixels: bool = False
    """Read pixels, whatever text layer there is."""
    quality: bool = False
    """Send image quality scores."""
    styles: bool = False
    """Send the style of each token."""
    languages: tuple[str, ...] = ()
    chunking: Chunking = Chunking()
    boxes: bool = False
    """Send bounding boxes of a layout's blocks."""
    uri: str = ""
    shard: ShardInfo | None = None
    first_entity: int = 0
    """Id of the first entity: those of a document's shards are counted through."""
    count_only: bool = False
    """Only tell how many pages it has; no limit holds."""


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """The job under way is not wanted any more."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    job: ReadJob


class Read(msgspec.Struct, frozen=True, tag=True):
    """The document, read."""

    body: bytes = b""
    """The document, in the form asked for."""
    pages: int = 0
    """In `body`."""
    total_pages: int = 0
    """In the document."""
    text_length: int = 0
    """Code points of the text as it is written, masked out or not: the offset of the shard that follows."""
    text_starts: tuple[int, ...] = ()
    """Where the text of each page begins in it."""
    next_entity: int = 0
    """Id of the first entity of the shard that follows."""
    resident_bytes: int = 0


class DetailBody(msgspec.Struct, frozen=True):
    """A detail of a refusal; one of three."""

    info: ErrorInfo | None = None
    violation: FieldViolation | None = None
    retry: RetryInfo | None = None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The document was not read."""

    code: int
    message: str
    details: tuple[DetailBody, ...] = ()
    cause: str = ""
    """Code of our own error, for the log."""

    @classmethod
    def of(cls, refusal: Refusal, cause: str = "") -> Refused:
        return cls(int(refusal.grpc_code), refusal.message, tuple(_body(one) for one in refusal.details), cause)

    def refusal(self) -> Refusal:
        details = [one.info or one.violation or one.retry for one in self.details]
        return Refusal(Code(self.code), self.message, *[one for one in details if one is not None])


def _body(detail: Detail) -> DetailBody:
    if isinstance(detail, ErrorInfo):
        return DetailBody(info=detail)
    return DetailBody(violation=detail) if isinstance(detail, FieldViolation) else DetailBody(retry=detail)


Request = Ask | Cancel
Reply = Read | Refused
encoder = msgspec.msgpack.Encoder()
request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
