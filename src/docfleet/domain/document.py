"""The typed document: what docfleet makes of every file, and what every export is drawn from.

Shaped after Document AI v1's `Document` (flat lists of blocks, paragraphs, lines and tokens per page, each anchored in
one text), because that is the interchange format; see `documentai_format` for the conversion. `Document.text` holds
everything read; a `Span` counts Unicode code points in it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.domain.anchors import Span, TextAnchor, Unread
from docfleet.domain.chunks import BlobAsset, ChunkedDocument, DocumentLayout
from docfleet.domain.entities import EntitiesRevision, Entity, EntityRelation, EntityValidation
from docfleet.domain.geometry import BoundingBox
from docfleet.domain.styles import TextChange, TextStyle, TokenStyle

__all__ = [
    "Barcode",
    "Block",
    "Break",
    "DetectedBarcode",
    "DetectedLanguage",
    "Dimension",
    "Document",
    "Fault",
    "FormField",
    "ImageQuality",
    "Layout",
    "Line",
    "Matrix",
    "Orientation",
    "Page",
    "Paragraph",
    "Reading",
    "Role",
    "ShardInfo",
    "Span",
    "Symbol",
    "Table",
    "TableCell",
    "TextAnchor",
    "Token",
    "VisualElement",
]


class Orientation(StrEnum):
    """Direction of an element's text on the page as submitted."""

    UNKNOWN = "ORIENTATION_UNSPECIFIED"
    UP = "PAGE_UP"
    RIGHT = "PAGE_RIGHT"
    """Turned 90 degrees clockwise."""
    DOWN = "PAGE_DOWN"
    LEFT = "PAGE_LEFT"

    @classmethod
    def of_degrees(cls, clockwise: int) -> Orientation:
        return {0: cls.UP, 90: cls.RIGHT, 180: cls.DOWN, 270: cls.LEFT}[clockwise % 360]


class Break(StrEnum):
    """White space after a token."""

    NONE = ""
    SPACE = "SPACE"
    WIDE_SPACE = "WIDE_SPACE"
    """A wide gap or the end of a line."""
    HYPHEN = "HYPHEN"
    """A hyphen that is there only because the line ends."""


class Role(StrEnum):
    """What a paragraph is on its page."""

    BODY = "body"
    TITLE = "title"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    HEADER = "header"
    FOOTER = "footer"
    SIDE_NOTE = "side_note"
    CAPTION = "caption"
    TABLE = "table"
    """Text of a table's cell; `Page.tables` has the structure."""


class DetectedLanguage(msgspec.Struct, frozen=True, gc=False):
    code: str
    """BCP 47."""
    confidence: float = 0.0


class Layout(msgspec.Struct, frozen=True, gc=False):
    """Where an element stands in the text and on the page, and how sure the reader was."""

    spans: tuple[Span, ...] = ()
    box: BoundingBox | None = None
    confidence: float = 0.0
    orientation: Orientation = Orientation.UNKNOWN
    content: str = ""
    """The anchored text, where the maker repeats it."""


class Block(msgspec.Struct, frozen=True, gc=False):
    layout: Layout
    languages: tuple[DetectedLanguage, ...] = ()


class Paragraph(msgspec.Struct, frozen=True, gc=False):
    layout: Layout
    languages: tuple[DetectedLanguage, ...] = ()
    role: Role = Role.BODY
    level: int = 0
    """Headings: 1 is the highest. List items: depth from 0."""


class Line(msgspec.Struct, frozen=True, gc=False):
    layout: Layout
    languages: tuple[DetectedLanguage, ...] = ()


class Token(msgspec.Struct, frozen=True, gc=False):
    """A word or a punctuation mark, with the white space that follows it inside its span."""

    layout: Layout
    break_after: Break = Break.NONE
    languages: tuple[DetectedLanguage, ...] = ()
    style: TokenStyle | None = None


class Symbol(msgspec.Struct, frozen=True, gc=False):
    """One character."""

    layout: Layout
    languages: tuple[DetectedLanguage, ...] = ()


class VisualElement(msgspec.Struct, frozen=True):
    """Something that is no text, such as "filled_checkbox" or an image."""

    layout: Layout
    type: str = ""
    languages: tuple[DetectedLanguage, ...] = ()


class TableCell(msgspec.Struct, frozen=True):
    layout: Layout
    row_span: int = 1
    """Rows and columns it stands in, itself included."""
    column_span: int = 1
    languages: tuple[DetectedLanguage, ...] = ()


class Table(msgspec.Struct, frozen=True):
    """Rows of cells. A cell that spans stands once, at its top left; what it covers is left out (as in HTML)."""

    layout: Layout
    header_rows: tuple[tuple[TableCell, ...], ...] = ()
    body_rows: tuple[tuple[TableCell, ...], ...] = ()
    languages: tuple[DetectedLanguage, ...] = ()


class FormField(msgspec.Struct, frozen=True):
    """A name on a form and the value filled in beside it."""

    field_name: Layout | None = None
    field_value: Layout | None = None
    name_languages: tuple[DetectedLanguage, ...] = ()
    value_languages: tuple[DetectedLanguage, ...] = ()
    value_type: str = ""
    """Empty for text, else "unfilled_checkbox" or "filled_checkbox"."""
    corrected_key_text: str = ""
    corrected_value_text: str = ""


class Barcode(msgspec.Struct, frozen=True):
    format: str = ""
    """Such as "QR_CODE" or "EAN_13"."""
    value_format: str = ""
    """Such as "TEXT", "URL" or "CONTACT_INFO"."""
    raw_value: str = ""


class DetectedBarcode(msgspec.Struct, frozen=True):
    layout: Layout
    barcode: Barcode | None = None


class Matrix(msgspec.Struct, frozen=True):
    """A transformation applied to the page's image before it was read: `rows` x `cols` values of OpenCV type `type`
    (6: 64-bit floats), row after row, little-endian."""

    rows: int = 0
    cols: int = 0
    type: int = 0
    data: bytes = b""


class ImageQuality(msgspec.Struct, frozen=True):
    score: float
    """0 (unreadable) to 1 (perfect)."""
    defects: tuple[tuple[str, float], ...] = ()
    """(Document AI defect name, such as "quality/defect_blurry", confidence 0..1)."""


class Dimension(msgspec.Struct, frozen=True, gc=False):
    width: float
    height: float
    unit: str
    """"pt" for PDF pages, "pixels" for images."""


class Page(msgspec.Struct, frozen=True):
    number: int
    """1-based."""
    dimension: Dimension | None = None
    layout: Layout | None = None
    languages: tuple[DetectedLanguage, ...] = ()
    blocks: tuple[Block, ...] = ()
    paragraphs: tuple[Paragraph, ...] = ()
    lines: tuple[Line, ...] = ()
    tokens: tuple[Token, ...] = ()
    tables: tuple[Table, ...] = ()
    quality: ImageQuality | None = None
    transforms: tuple[Matrix, ...] = ()
    visual_elements: tuple[VisualElement, ...] = ()
    form_fields: tuple[FormField, ...] = ()
    symbols: tuple[Symbol, ...] = ()
    barcodes: tuple[DetectedBarcode, ...] = ()


class ShardInfo(msgspec.Struct, frozen=True):
    """Which part of a larger document this one is."""

    shard_index: int = 0
    """0-based."""
    shard_count: int = 0
    text_offset: int = 0
    """Code points of text before this part."""


class Fault(msgspec.Struct, frozen=True):
    """Why another maker could not read the document (google.rpc.Status)."""

    code: int = 0
    message: str = ""
    details: tuple[dict[str, object], ...] = ()


class Reading(msgspec.Struct, frozen=True):
    """How a page was read: the engine, why that one, how sure, at what price."""

    page: int
    engine: str
    reason: str
    """A stable code of `domain.cascade.Reason`."""
    detail: str = ""
    """One sentence for a person."""
    confidence: float = 0.0
    """Mean over the page's characters; 1.0 for an empty page."""
    cost_usd: float = 0.0
    seconds: float = 0.0
    outcome: str = "read"
    """"read", or the code of the error that cost this page."""


class Document(msgspec.Struct, frozen=True):
    text: str = ""
    pages: tuple[Page, ...] = ()
    mime_type: str = ""
    uri: str = ""
    readings: tuple[Reading, ...] = ()
    content: bytes | None = None
    """The submitted file, where the maker sends it back."""
    docid: str = ""
    text_styles: tuple[TextStyle, ...] = ()
    entities: tuple[Entity, ...] = ()
    entity_relations: tuple[EntityRelation, ...] = ()
    text_changes: tuple[TextChange, ...] = ()
    shard_info: ShardInfo | None = None
    error: Fault | None = None
    document_layout: DocumentLayout | None = None
    chunked_document: ChunkedDocument | None = None
    blob_assets: tuple[BlobAsset, ...] = ()
    entity_validation_output: EntityValidation | None = None
    entities_revisions: tuple[EntitiesRevision, ...] = ()
    entities_revision_id: str = ""
    unread: tuple[Unread, ...] = ()
    """What a JSON from elsewhere spelled otherwise or held beyond this model, so that it can be written back. Empty it
    when you insert, remove or reorder elements of such a document: it is tied to their positions."""

    def text_of(self, layout: Layout) -> str:
        """The text an element is anchored to."""
        return "".join(self.text[s.start : s.end] for s in layout.spans)
