"""What the report on a document is drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from docfleet.errors import DocfleetError
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import DocumentView, EventView, PageView
from docfleet.store.base import Store
from docfleet.store.encryption import EncryptedStore, MasterKey

MOST_JSON_BYTES = 32 * 1024 * 1024
"""Of a result that is looked through for fields."""
MOST_EVENTS = 1000
"""That are looked at; a page of the ledger's own listing."""


class FoundField(msgspec.Struct, frozen=True):
    """A field or an entity of the document."""

    name: str
    text: str
    value: str = ""
    """Normalised: "2026-03-02", "1234.50 EUR"; empty: it is not."""
    confidence: float | None = None
    page: int = 0
    """From 1; 0: not told."""


class DocumentReport(msgspec.Struct, frozen=True):
    """Everything the report shows, given as facts."""

    view: DocumentView
    pages: tuple[PageView, ...]
    events: tuple[EventView, ...]
    """The first of them."""
    more_events: bool
    fields: tuple[FoundField, ...]
    fields_missing: str
    """Why there are none to show; empty: those that there are, are shown."""
    made_at: float
    version: str


class _Segment(msgspec.Struct, rename="camel"):
    start_index: int = 0
    end_index: int = 0


class _Anchor(msgspec.Struct, rename="camel"):
    text_segments: list[_Segment] = []
    content: str = ""


class _Layout(msgspec.Struct, rename="camel"):
    text_anchor: _Anchor = msgspec.field(default_factory=_Anchor)
    confidence: float | None = None


class _FormField(msgspec.Struct, rename="camel"):
    field_name: _Layout = msgspec.field(default_factory=_Layout)
    field_value: _Layout = msgspec.field(default_factory=_Layout)


class _Page(msgspec.Struct, rename="camel"):
    page_number: int = 0
    form_fields: list[_FormField] = []


class _PageRef(msgspec.Struct, rename="camel"):
    page: int = 0


class _PageAnchor(msgspec.Struct, rename="camel"):
    page_refs: list[_PageRef] = []


class _Normalized(msgspec.Struct, rename="camel"):
    text: str = ""


class _Entity(msgspec.Struct, rename="camel"):
    type: str = ""
    mention_text: str = ""
    confidence: float | None = None
    normalized_value: _Normalized | None = None
    page_anchor: _PageAnchor | None = None
    properties: list[_Entity] = []


class _Result(msgspec.Struct, rename="camel"):
    text: str = ""
    pages: list[_Page] = []
    entities: list[_Entity] = []


def fields_of(result: bytes) -> tuple[FoundField, ...]:
    """The fields and entities of a document in Document AI's JSON; of a nested one, its parts as "type/part".

    Raises msgspec.DecodeError for what is none.
    """
    told = msgspec.json.decode(result, type=_Result, strict=False)
    found: list[FoundField] = []
    for entity in told.entities:
        found += _entities(entity, "")
    for page in told.pages:
        found += [_form_field(one, told.text, page.page_number) for one in page.form_fields]
    return tuple(found)


def _entities(entity: _Entity, above: str) -> list[FoundField]:
    name = f"{above}/{entity.type}" if above else entity.type
    refs = entity.page_anchor.page_refs if entity.page_anchor else []
    own = FoundField(
        name,
        entity.mention_text,
        entity.normalized_value.text if entity.normalized_value else "",
        entity.confidence,
        refs[0].page + 1 if refs else 0,
    )
    found = [own]
    for part in entity.properties:
        found += _entities(part, name)
    return found


def _form_field(field: _FormField, text: str, page: int) -> FoundField:
    return FoundField(
        _said(field.field_name, text), _said(field.field_value, text), confidence=field.field_value.confidence,
        page=page,
    )  # fmt: skip


def _said(layout: _Layout, text: str) -> str:
    anchor = layout.text_anchor
    return anchor.content or "".join(text[one.start_index : one.end_index] for one in anchor.text_segments)


def document_facts(
    desk: Desk, store: Store, master_key: MasterKey, tenant: str, document_id: str, *, with_content: bool, now: float,
    version: str,
) -> DocumentReport:  # fmt: skip
    """Raises NotFound, Gone. `with_content`: whoever asks may read results."""
    view = desk.document(tenant, document_id)
    pages = desk.pages(tenant, document_id)
    events = desk.events(tenant, document_id=document_id, limit=MOST_EVENTS)
    fields: Sequence[FoundField] = ()
    missing = "not shown: the key that asked may not read results"
    if with_content:
        fields, missing = _fields(desk, store, master_key, view)
    return DocumentReport(
        view, tuple(pages), tuple(events), len(events) == MOST_EVENTS, tuple(fields), missing, now, version
    )


def _fields(
    desk: Desk, store: Store, master_key: MasterKey, view: DocumentView
) -> tuple[Sequence[FoundField], str]:  # fmt: skip
    """The fields, or why there are none."""
    file = next((one for one in view.results if one.format == "json" and one.path.endswith(".json")), None)
    if file is None:
        return (), "not known: there is no result in the format json"
    if file.size_bytes > MOST_JSON_BYTES:
        return (), "not looked for: the result is too large; it holds them all the same"
    try:
        key = master_key.unwrap(desk.wrapped_key(view.tenant, view.id))
        fields = fields_of(EncryptedStore(store, key).get(f"{view.result_key}/{file.path}"))
    except (DocfleetError, msgspec.DecodeError, RecursionError):
        return (), "not known: the result could not be read"
    return fields, "" if fields else "none were found, or the engine looks for none"
