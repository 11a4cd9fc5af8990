"""How Document AI is set up: which processors where, who may send what to which location, how it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from docfleet.domain.urgency import Urgency
from docfleet.engines.documentai.facts import OCR, Facts, read_facts
from docfleet.errors import UsageError

PREMIUM = {
    "math": "enable_math_ocr",
    "selection_marks": "enable_selection_mark_detection",
    "style": "compute_style_info",
}
PAGE_FIELDS = (
    "text",
    "mime_type",
    "error",
    "shard_info",
    "entities",
    "entity_relations",
    "text_styles",
    "document_layout",
    "chunked_document",
    "pages.page_number",
    "pages.dimension",
    "pages.layout",
    "pages.detected_languages",
    "pages.blocks",
    "pages.paragraphs",
    "pages.lines",
    "pages.tokens",
    "pages.tables",
    "pages.form_fields",
    "pages.symbols",
    "pages.visual_elements",
    "pages.detected_barcodes",
    "pages.image_quality_scores",
    "pages.transforms",
)
"""Everything but the pages' images, which are most of a response."""


class Processor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One processor in one location: an endpoint of the engine."""

    id: str
    location: str
    type: str = OCR
    version: str = ""
    """Empty: the processor's default version, which somebody may change at any time."""
    project: str = ""
    """Empty: the project of the options."""


class DocumentAIOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the engine is told; nothing is read from elsewhere but the credentials themselves."""

    project: str = ""
    processors: tuple[Processor, ...] = ()
    processor_type: str = OCR
    """Of the processors that read pages for `docfleet process` and the cascade."""
    locations: tuple[str, ...] = ()
    """Where documents may go when nothing is said of their tenant; empty: wherever there is a processor."""
    residency: dict[str, tuple[str, ...]] = {}
    """Tenant -> where its documents may go, and nowhere else."""
    api_key: str = ""
    credentials_file: str = ""
    """Service account key or workload identity configuration (JSON); empty: application default credentials."""
    anonymous: bool = False
    """No credentials at all, for an emulator."""
    endpoint: str = ""
    """host:port in place of Google's; may hold {location}."""
    insecure: bool = False
    """Without TLS; for an emulator."""
    ca_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    transport: str = "grpc"
    """"grpc", or "rest" where no gRPC passes: a hundred times slower to decode."""
    imageless: bool = True
    """No page images in the answer: twice the pages a request."""
    native_pdf: bool = False
    """Take the text of digital PDF pages instead of reading their pixels."""
    quality_scores: bool = True
    symbols: bool = False
    premium: tuple[str, ...] = ()
    """Of "math", "selection_marks", "style"; each page then costs more."""
    connect_seconds: float = 10.0
    call_seconds: float = 60.0
    """Longest a call of one page may take …"""
    page_seconds: float = 3.0
    """… and for each further page."""
    patience_seconds: float = 300.0
    """How long `docfleet process` waits for quota or for an endpoint to come back before a page fails."""
    hedge: bool = True
    """A second call for an urgent page whose first is late, where quota is plentiful."""
    batch_uri: str = ""
    """`gs://bucket[/prefix]` for batches, may hold `{location}`; empty: none are made."""
    batch_store_url: str = ""
    """The same place as an address of a store, where it is another one."""
    batch_urgencies: tuple[str, ...] = ("bulk",)
    batch_max_files: int = 1000
    batch_wait_seconds: float = 60.0
    batch_hours: float = 12.0
    """How long a file waits for a place in a batch, at most."""
    overrides: dict[str, Any] = {}
    """See `facts.read_facts`."""

    def __repr__(self) -> str:
        """Without the key: options end up in logs and tracebacks."""
        return (
            f"DocumentAIOptions(project={self.project!r}, processors={self.processors!r}, endpoint={self.endpoint!r})"
        )

    def facts(self) -> Facts:
        return read_facts(self.overrides)

    def of_type(self, kind: str) -> tuple[Processor, ...]:
        return tuple(one for one in self.processors if one.type == kind)

    def project_of(self, processor: Processor) -> str:
        return processor.project or self.project

    def allowed(self, tenant: str) -> frozenset[str] | None:
        """Locations a tenant's documents may be sent to; None: all."""
        if tenant in self.residency:
            return frozenset(self.residency[tenant])
        return frozenset(self.locations) if self.locations else None

    def seconds_for(self, pages: int) -> float:
        """How long a call of so many pages may take."""
        return self.call_seconds + self.page_seconds * max(0, pages - 1)


def read_options(given: Mapping[str, Any]) -> DocumentAIOptions:
    """Options from plain values. Raises `UsageError` where they do not fit together."""
    try:
        options = msgspec.convert(dict(given), DocumentAIOptions, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"[documentai]: {error}.") from error
    check_options(options)
    return options


def check_options(options: DocumentAIOptions) -> None:
    """Raises `UsageError` with what to set."""
    facts = options.facts()
    if facts.processor(options.processor_type).layout_config:
        raise UsageError(
            f"[documentai.processor_type]: a {options.processor_type} answers chunks of text and no pages; pages are "
            "read by processors such as OCR_PROCESSOR and FORM_PARSER_PROCESSOR."
        )
    for processor in options.processors:
        facts.processor(processor.type)
        if not options.project_of(processor):
            raise UsageError("[documentai]: set `project` (or the project of each processor).")
        if not processor.id or "/" in processor.id:
            raise UsageError(
                f"[documentai.processors]: {processor.id!r} is no processor id (the last part of its name)."
            )
        if processor.location not in facts.locations and not options.endpoint:
            raise UsageError(f"[documentai.processors]: there is no location {processor.location!r}.")
    places = {processor.location for processor in options.processors}
    rules = {"locations": options.locations, **{f"residency.{who}": where for who, where in options.residency.items()}}
    for name, where in rules.items():
        unknown = sorted(set(where) - set(facts.locations) - places)
        if unknown:
            raise UsageError(f"[documentai.{name}]: there is no location {unknown[0]!r}.")
    unknown = sorted(set(options.premium) - set(PREMIUM))
    if unknown:
        raise UsageError(f"[documentai.premium]: {unknown[0]!r} is none of {', '.join(PREMIUM)}.")
    if {"math", "selection_marks"} <= set(options.premium):
        raise UsageError("[documentai.premium]: math and selection_marks exclude each other.")
    if options.transport not in ("grpc", "rest"):
        raise UsageError("[documentai.transport] is grpc or rest.")
    if options.batch_uri:
        _check_batches(options, places)
    ways = [bool(options.api_key), bool(options.credentials_file), options.anonymous]
    if sum(ways) > 1:
        raise UsageError("[documentai]: give one of api_key, credentials_file and anonymous.")
    if (
        min(options.connect_seconds, options.call_seconds) <= 0
        or min(options.page_seconds, options.patience_seconds) < 0
    ):
        raise UsageError("[documentai]: seconds are above 0.")


def _check_batches(options: DocumentAIOptions, places: set[str]) -> None:
    scheme, _, rest = options.batch_uri.partition("://")
    if scheme != "gs" or not rest or options.batch_uri.endswith("/"):
        raise UsageError("[documentai.batch_uri] is gs://bucket or gs://bucket/prefix, without a slash at its end.")
    if options.transport != "grpc":
        raise UsageError("[documentai.batch_uri]: batches are asked for over gRPC; [documentai.transport] is another.")
    apart = ["{location}" in one for one in (options.batch_uri, options.batch_store_url or options.batch_uri)]
    if len(set(apart)) > 1:
        raise UsageError("[documentai]: batch_uri and batch_store_url both hold {location}, or neither.")
    if options.residency and len(places) > 1 and not apart[0]:
        raise UsageError(
            "[documentai.batch_uri] must hold {location}: tenants' documents may not leave theirs, and so each "
            "location needs a bucket of its own."
        )
    if unknown := sorted(set(options.batch_urgencies) - {one.value for one in Urgency}):
        raise UsageError(f"[documentai.batch_urgencies]: {unknown[0]!r} is none of {', '.join(Urgency)}.")
