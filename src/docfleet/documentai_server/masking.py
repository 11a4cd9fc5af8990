"""Field masks: which parts of a document are sent back."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from docfleet.documentai_server.refusals import invalid
from docfleet.domain.document import Document, Page

_FIELDS = frozenset(
    """uri content docid mime_type text text_styles pages entities entity_relations text_changes shard_info error
    revisions document_layout chunked_document blob_assets entity_validation_output entities_revisions
    entities_revision_id""".split()
)
"""Of Document AI's Document."""
_PAGE_FIELDS = frozenset(
    """page_number image transforms dimension layout detected_languages blocks paragraphs lines tokens visual_elements
    tables form_fields symbols detected_barcodes image_quality_scores provenance""".split()
)
_OURS = {
    "page_number": "number",
    "detected_languages": "languages",
    "detected_barcodes": "barcodes",
    "image_quality_scores": "quality",
}
"""Where our model has another name."""
_KEPT = frozenset({"readings", "unread"})
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


class Mask(msgspec.Struct, frozen=True):
    """Both by the names of Document AI's protobuf."""

    fields: frozenset[str] = frozenset()
    """Top-level fields; empty: all of them."""
    page_fields: frozenset[str] = frozenset()
    """Fields of each page; empty: all of them, where `fields` has the pages."""

    def has(self, field: str) -> bool:
        return not self.fields or field in self.fields

    def has_in_page(self, field: str) -> bool:
        return self.has("pages") and (not self.page_fields or field in self.page_fields)


def mask_of(paths: Iterable[str]) -> Mask:
    """Paths as `text`, `pages` or `pages.pageNumber`, in snake_case or lowerCamelCase; `*` and none: everything.

    Raises `Refusal` for one that is no field of a document, or deeper than a page's field.
    """
    fields: set[str] = set()
    page_fields: set[str] = set()
    whole_pages = False
    for path in paths:
        field, *rest = _CAPITAL.sub(lambda found: "_" + found[1].lower(), path.strip()).split(".")
        if field == "*" and not rest:
            return Mask()
        known = field in _FIELDS and (not rest or (field == "pages" and len(rest) == 1 and rest[0] in _PAGE_FIELDS))
        if not known:
            raise invalid("field_mask", f"Invalid field mask path: {path[:200]!r}.")
        fields.add(field)
        if rest:
            page_fields.add(rest[0])
        elif field == "pages":
            whole_pages = True
    return Mask(frozenset(fields), frozenset() if whole_pages else frozenset(page_fields))


def masked(document: Document, mask: Mask) -> Document:
    """`document` without what the mask leaves out. An error is always told."""
    if not mask.fields:
        return document
    changes = {
        name: default
        for name, default in _defaults(Document).items()
        if name not in mask.fields and name not in _KEPT and name != "error"
    }
    if "pages" in mask.fields and mask.page_fields:
        kept = {_OURS.get(name, name) for name in mask.page_fields}
        cleared = {name: default for name, default in _defaults(Page).items() if name not in kept}
        changes["pages"] = tuple([msgspec.structs.replace(page, **cleared) for page in document.pages])
    return msgspec.structs.replace(document, **changes)


def _defaults(owner: type[msgspec.Struct]) -> dict[str, object]:
    """Field -> value that is not written; the number of a page is 0 then."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(owner):
        found[field.name] = 0 if field.required else field.default
    return found
