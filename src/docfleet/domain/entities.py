"""Entities: what a specialised processor found in a document, and what it means.

They carry what other makers' responses hold, and what docfleet's rules find in invoices and receipts where a
Document AI client asks for them. Names follow Document AI v1.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.domain.anchors import TextAnchor
from docfleet.domain.geometry import BoundingBox


class LayoutType(StrEnum):
    """The kind of page element a `PageRef` points at."""

    UNKNOWN = "LAYOUT_TYPE_UNSPECIFIED"
    BLOCK = "BLOCK"
    PARAGRAPH = "PARAGRAPH"
    LINE = "LINE"
    TOKEN = "TOKEN"
    VISUAL_ELEMENT = "VISUAL_ELEMENT"
    TABLE = "TABLE"
    FORM_FIELD = "FORM_FIELD"


class EntityMethod(StrEnum):
    UNKNOWN = "METHOD_UNSPECIFIED"
    EXTRACT = "EXTRACT"
    """Read from the text."""
    DERIVE = "DERIVE"
    """Concluded from the document; its text need not stand in it."""


class ValidationOutcome(StrEnum):
    UNKNOWN = "VALIDATION_RESULT_TYPE_UNSPECIFIED"
    VALID = "VALIDATION_RESULT_TYPE_VALID"
    INVALID = "VALIDATION_RESULT_TYPE_INVALID"
    SKIPPED = "VALIDATION_RESULT_TYPE_SKIPPED"
    NOT_APPLICABLE = "VALIDATION_RESULT_TYPE_NOT_APPLICABLE"


class PageRef(msgspec.Struct, frozen=True):
    page: int = 0
    """0-based index into this document's pages."""
    layout_type: LayoutType = LayoutType.UNKNOWN
    layout_id: str = ""
    bounding_poly: BoundingBox | None = None
    confidence: float = 0.0


class Money(msgspec.Struct, frozen=True):
    """`units` whole units and `nanos` billionths of `currency_code` (ISO 4217); both have the same sign."""

    currency_code: str = ""
    units: int = 0
    nanos: int = 0


class Date(msgspec.Struct, frozen=True):
    """A date; a part that is not known is 0."""

    year: int = 0
    month: int = 0
    day: int = 0


class TimeZone(msgspec.Struct, frozen=True):
    id: str = ""
    """IANA name."""
    version: str = ""


class DateTime(msgspec.Struct, frozen=True):
    year: int = 0
    month: int = 0
    day: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    nanos: int = 0
    utc_offset: str | None = None
    """Seconds with the suffix "s", such as "-3600s"."""
    time_zone: TimeZone | None = None


class PostalAddress(msgspec.Struct, frozen=True):
    revision: int = 0
    region_code: str = ""
    """CLDR region, such as "CH"."""
    language_code: str = ""
    postal_code: str = ""
    sorting_code: str = ""
    administrative_area: str = ""
    locality: str = ""
    sublocality: str = ""
    address_lines: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    organization: str = ""


class NormalizedValue(msgspec.Struct, frozen=True):
    """What an entity's text means; at most one of the typed values is set."""

    text: str = ""
    money_value: Money | None = None
    date_value: Date | None = None
    datetime_value: DateTime | None = None
    address_value: PostalAddress | None = None
    boolean_value: bool | None = None
    integer_value: int | None = None
    float_value: float | None = None
    signature_value: bool | None = None


class Entity(msgspec.Struct, frozen=True):
    text_anchor: TextAnchor | None = None
    type: str = ""
    mention_text: str = ""
    mention_id: str = ""
    confidence: float = 0.0
    page_refs: tuple[PageRef, ...] = ()
    id: str = ""
    normalized_value: NormalizedValue | None = None
    properties: tuple[Entity, ...] = ()
    redacted: bool = False
    method: EntityMethod = EntityMethod.UNKNOWN


class EntityRelation(msgspec.Struct, frozen=True):
    subject_id: str = ""
    object_id: str = ""
    relation: str = ""


class ValidationResult(msgspec.Struct, frozen=True):
    rule_name: str = ""
    rule_description: str = ""
    validation_result_type: ValidationOutcome = ValidationOutcome.UNKNOWN
    validation_details: str = ""


class EntityValidation(msgspec.Struct, frozen=True):
    validation_results: tuple[ValidationResult, ...] = ()
    pass_all_rules: bool = False


class EntitiesRevision(msgspec.Struct, frozen=True):
    revision_id: str = ""
    entities: tuple[Entity, ...] = ()
    entity_validation_output: EntityValidation | None = None
