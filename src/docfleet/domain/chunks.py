"""Layout trees and chunks, as layout parsers return them: the document as nested text, tables, lists and images."""

from __future__ import annotations

import msgspec

from docfleet.domain.geometry import BoundingBox


class PageSpan(msgspec.Struct, frozen=True, gc=False):
    """Pages `page_start` to `page_end`, both included, 1-based."""

    page_start: int = 0
    page_end: int = 0


class Annotations(msgspec.Struct, frozen=True):
    description: str = ""


class TextNode(msgspec.Struct, frozen=True):
    text: str = ""
    type: str = ""
    """paragraph, subtitle, heading-1 … heading-5, header, footer."""
    blocks: tuple[LayoutNode, ...] = ()
    annotations: Annotations | None = None


class CellNode(msgspec.Struct, frozen=True):
    blocks: tuple[LayoutNode, ...] = ()
    row_span: int = 0
    col_span: int = 0


class RowNode(msgspec.Struct, frozen=True):
    cells: tuple[CellNode, ...] = ()


class TableNode(msgspec.Struct, frozen=True):
    header_rows: tuple[RowNode, ...] = ()
    body_rows: tuple[RowNode, ...] = ()
    caption: str = ""
    annotations: Annotations | None = None


class ListEntry(msgspec.Struct, frozen=True):
    blocks: tuple[LayoutNode, ...] = ()


class ListNode(msgspec.Struct, frozen=True):
    list_entries: tuple[ListEntry, ...] = ()
    type: str = ""
    """ordered or unordered."""


class ImageNode(msgspec.Struct, frozen=True):
    mime_type: str = ""
    image_text: str = ""
    annotations: Annotations | None = None
    blob_asset_id: str | None = None
    """At most one of `blob_asset_id`, `gcs_uri` and `data_uri` is set."""
    gcs_uri: str | None = None
    data_uri: str | None = None


class LayoutNode(msgspec.Struct, frozen=True):
    """One node of the tree; at most one of its four kinds is set."""

    block_id: str = ""
    page_span: PageSpan | None = None
    bounding_box: BoundingBox | None = None
    text_block: TextNode | None = None
    table_block: TableNode | None = None
    list_block: ListNode | None = None
    image_block: ImageNode | None = None


class DocumentLayout(msgspec.Struct, frozen=True):
    blocks: tuple[LayoutNode, ...] = ()


class PageFurniture(msgspec.Struct, frozen=True):
    """A header or footer that belongs to a chunk."""

    text: str = ""
    page_span: PageSpan | None = None


class ImageChunk(msgspec.Struct, frozen=True):
    blob_asset_id: str | None = None
    gcs_uri: str | None = None
    data_uri: str | None = None
    annotations: Annotations | None = None


class TableChunk(msgspec.Struct, frozen=True):
    annotations: Annotations | None = None


class ChunkField(msgspec.Struct, frozen=True):
    image_chunk_field: ImageChunk | None = None
    table_chunk_field: TableChunk | None = None


class Chunk(msgspec.Struct, frozen=True):
    chunk_id: str = ""
    source_block_ids: tuple[str, ...] = ()
    content: str = ""
    page_span: PageSpan | None = None
    page_headers: tuple[PageFurniture, ...] = ()
    page_footers: tuple[PageFurniture, ...] = ()
    chunk_fields: tuple[ChunkField, ...] = ()


class ChunkedDocument(msgspec.Struct, frozen=True):
    chunks: tuple[Chunk, ...] = ()


class BlobAsset(msgspec.Struct, frozen=True):
    """Bytes that other parts of the document refer to by `asset_id`."""

    asset_id: str = ""
    content: bytes = b""
    mime_type: str = ""
