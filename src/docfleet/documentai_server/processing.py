"""ProcessDocument: from the request message to a job for a reader, and its answer."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from docfleet.documentai_format import Version
from docfleet.documentai_server.calls import Answer, CallFacts, Encoded
from docfleet.documentai_server.catalog import Catalog, Processor
from docfleet.documentai_server.encoding import process_response
from docfleet.documentai_server.jobs import Chunking, Form, ReadJob
from docfleet.documentai_server.limits import PageLimits, check_size, selection_of
from docfleet.documentai_server.masking import mask_of
from docfleet.documentai_server.names import parse_processor
from docfleet.documentai_server.readers import Readers
from docfleet.documentai_server.refusals import Code, Refusal, invalid
from docfleet.documentai_server.types import Work, spelling_of
from docfleet.engines.documentai.facts import Facts

_OCR_TYPES = frozenset({"OCR_PROCESSOR", "FORM_PARSER_PROCESSOR"})
"""The only ones that take an `ocr_config`."""


class Objects(Protocol):
    """Where documents named by gs:// lie."""

    def read(self, uri: str, limit: int) -> bytes:
        """The object, of at most `limit` bytes. Raises `Refusal` when it is not there, or larger."""
        ...


class Processing:
    """The handler of ProcessDocument."""

    def __init__(
        self,
        catalog: Catalog,
        readers: Readers,
        facts: Facts,
        objects: Objects | None = None,
        always_pixels: bool = False,
    ) -> None:
        """`objects` None: only documents sent along are read. `always_pixels`: text layers are read only when
        `enable_native_pdf_parsing` asks for them, as the service does."""
        self._catalog = catalog
        self._readers = readers
        self._facts = facts
        self._objects = objects
        self._always_pixels = always_pixels

    def process(self, request: Any, call: CallFacts) -> Answer:
        processor = self.processor_of(request.name)
        job = self.job_of(request, processor, parse_processor(request.name).version)
        content, mime_type, uri = self._source(request)
        form: Form = "json" if call.transport == "rest" else "proto"
        job = msgspec.structs.replace(job, content=content, mime_type=mime_type, uri=uri, form=form)
        read = self._readers.read(job, call.deadline, call.is_active)
        return Encoded(process_response(read.body, form), read.pages)

    def processor_of(self, name: str) -> Processor:
        """The processor that a request names, or its version. Raises `Refusal` when it may not be used."""
        processor = self._catalog.get(parse_processor(name))
        if not processor.enabled:
            raise Refusal(Code.FAILED_PRECONDITION, f'Processor "{processor.name.name}" is disabled.')
        return processor

    def job_of(self, request: Any, processor: Processor, version: str = "") -> ReadJob:
        """How a document is read for this request (ProcessRequest or BatchProcessRequest), without the document."""
        options = request.process_options
        kind = self._catalog.types[processor.kind]
        limits = self._facts.processor(processor.kind)
        _check_options(options, processor.kind)
        ocr = options.ocr_config
        return ReadJob(
            selection=selection_of(options),
            imageless=getattr(request, "imageless_mode", False),
            limits=PageLimits(limits.online_pages, limits.imageless_pages),
            work=kind.work,
            spelling=self._spelling(processor, version),
            mask=mask_of(request.field_mask.paths) if hasattr(request, "field_mask") else mask_of(()),
            pixels=self._always_pixels and not ocr.enable_native_pdf_parsing,
            quality=ocr.enable_image_quality_scores,
            styles=ocr.compute_style_info or ocr.premium_features.compute_style_info,
            languages=tuple(ocr.hints.language_hints),
            chunking=_chunking(options),
            boxes=options.layout_config.return_bounding_boxes,
        )

    def _spelling(self, processor: Processor, version: str) -> Version:
        if self._catalog.types[processor.kind].work is Work.LAYOUT:
            return "v2"
        return spelling_of(self._catalog.version_of(processor, version))

    def _source(self, request: Any) -> tuple[bytes, str, str]:
        """(bytes, type as told, uri)."""
        limit = self._facts.sizes.online_bytes
        source = request.WhichOneof("source")
        if source == "raw_document":
            document = request.raw_document
            return _checked(document.content, limit, "raw_document.content"), document.mime_type, ""
        if source == "gcs_document":
            uri = request.gcs_document.gcs_uri
            return self._stored(uri, limit, "gcs_document.gcs_uri"), request.gcs_document.mime_type, uri
        if source == "inline_document":
            document = request.inline_document
            if document.content:
                content = _checked(document.content, limit, "inline_document.content")
                return content, document.mime_type, document.uri
            if document.uri:
                content = self._stored(document.uri, limit, "inline_document.uri")
                return content, document.mime_type, document.uri
            raise invalid("inline_document.content", "The document has neither content nor a uri.")
        raise invalid("source", "One of inline_document, raw_document and gcs_document must be set.")

    def _stored(self, uri: str, limit: int, field: str) -> bytes:
        if not uri.startswith("gs://"):
            raise invalid(field, "A gs:// address is expected.")
        if self._objects is None:
            raise Refusal(Code.UNIMPLEMENTED, "This server has no storage: send the document with the request.")
        return _checked(self._objects.read(uri, limit), limit, field)


def _checked(content: bytes, limit: int, field: str) -> bytes:
    if not content:
        raise invalid(field, "The document is empty.")
    check_size(len(content), limit, field)
    return content


def _check_options(options: Any, kind: str) -> None:
    if options.HasField("ocr_config") and kind not in _OCR_TYPES:
        raise invalid("process_options.ocr_config", f"OCR config is not supported by processors of type {kind}.")
    if options.HasField("layout_config") and kind != "LAYOUT_PARSER_PROCESSOR":
        raise invalid("process_options.layout_config", f"Layout config is not supported by processors of type {kind}.")
    if options.HasField("schema_override"):
        raise Refusal(Code.UNIMPLEMENTED, "docfleet does not serve schema_override.")


def _chunking(options: Any) -> Chunking:
    if not options.layout_config.HasField("chunking_config"):
        return Chunking()
    asked = options.layout_config.chunking_config
    if asked.chunk_size < 0:
        raise invalid("process_options.layout_config.chunking_config.chunk_size", "The size must be positive.")
    return Chunking(asked.chunk_size or Chunking().tokens, asked.include_ancestor_headings)
