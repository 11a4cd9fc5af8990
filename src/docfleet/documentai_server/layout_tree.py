"""A read document as a layout parser answers: a tree of blocks under their headings, and chunks of it.

Pure. Titles and headings hold what follows them until one of their own level or above; a list item is a list of one
entry; a table stands where its first cell is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from docfleet.documentai_server.jobs import Chunking
from docfleet.domain.anchors import Span
from docfleet.domain.chunks import (
    CellNode,
    Chunk,
    ChunkedDocument,
    DocumentLayout,
    LayoutNode,
    ListEntry,
    ListNode,
    PageFurniture,
    PageSpan,
    RowNode,
    TableNode,
    TextNode,
)
from docfleet.domain.document import Document, Layout, Page, Paragraph, Role, Table, TableCell
from docfleet.domain.geometry import BoundingBox

_DEEPEST = 5
"""Levels of headings the service knows."""


class _Piece(msgspec.Struct, frozen=True):
    """Something that stands by itself on a page, before it is put into the tree."""

    kind: str
    """A type of text block, "list" or "table"."""
    page: int
    text: str = ""
    level: int = 0
    """Of a heading: 1 is the highest; 0: no heading."""
    box: BoundingBox | None = None
    table: Table | None = None


class _Open:
    """A node that is still being filled."""

    def __init__(self, id: str, piece: _Piece) -> None:
        self.id = id
        self.piece = piece
        self.inner: list[_Open] = []


def layout_of(document: Document, boxes: bool = False) -> DocumentLayout:
    """The tree of `document`; ids count from "1" in the order of reading. `boxes`: with bounding boxes."""
    return DocumentLayout(tuple(_closed(node, document, boxes) for node in _tree(_pieces(document))))


def chunks_of(document: Document, chunking: Chunking) -> ChunkedDocument:
    """Chunks of `document` in the order of reading: pieces under the same headings, up to `chunking.tokens` words.

    Ids of blocks are those of `layout_of`. Headers and footers stand beside each chunk of their page, not in it.
    """
    flat = list(_flat(_tree(_pieces(document)), ()))
    headers = [one.piece for one, _ in flat if one.piece.kind == "header"]
    footers = [one.piece for one, _ in flat if one.piece.kind == "footer"]
    chunks: list[Chunk] = []
    for group, above in _groups([entry for entry in flat if entry[0].piece.kind not in ("header", "footer")], chunking):
        first, last = group[0].piece.page, group[-1].piece.page
        heads = [_heading(one) for one in above] if chunking.headings else []
        own = [_heading(one) if one.piece.level else _plain(one.piece, document) for one in group]
        chunks.append(
            Chunk(
                chunk_id=f"c{len(chunks) + 1}",
                source_block_ids=tuple(one.id for one in group),
                content="\n\n".join([*heads, *own]),
                page_span=PageSpan(first, last),
                page_headers=_furniture(headers, first, last),
                page_footers=_furniture(footers, first, last),
            )
        )
    return ChunkedDocument(tuple(chunks))


def _groups(
    flat: Sequence[tuple[_Open, tuple[_Open, ...]]], chunking: Chunking
) -> Iterator[tuple[list[_Open], tuple[_Open, ...]]]:
    """Nodes of one chunk each, with the headings above the first of them."""
    group: list[_Open] = []
    above: tuple[_Open, ...] = ()
    words = 0
    for node, parents in flat:
        count = len(node.piece.text.split()) if node.piece.table is None else 50
        is_section = node.piece.level > 0 and any(not one.piece.level for one in group)
        if group and (words + count > chunking.tokens or is_section):
            yield group, above
            group, words = [], 0
        if not group:
            above = parents
        group.append(node)
        words += count
    if group:
        yield group, above


def _pieces(document: Document) -> Iterator[_Piece]:
    for page in document.pages:
        yield from _pieces_of_page(document, page)


def _pieces_of_page(document: Document, page: Page) -> Iterator[_Piece]:
    tables = [(_start(table.layout), table) for table in page.tables]
    done: set[int] = set()
    for paragraph in page.paragraphs:
        at = _start(paragraph.layout)
        inside = next((n for n, (_, table) in enumerate(tables) if _holds(table.layout, paragraph.layout)), None)
        if inside is not None:
            if inside not in done:
                done.add(inside)
                yield _Piece("table", page.number, box=tables[inside][1].layout.box, table=tables[inside][1])
            continue
        text = document.text_of(paragraph.layout).strip()
        if text and at is not None:
            kind, level = _kind(paragraph)
            yield _Piece(kind, page.number, " ".join(text.split()), level, paragraph.layout.box)
    for number, (_, table) in enumerate(tables):
        if number not in done:
            yield _Piece("table", page.number, box=table.layout.box, table=table)


def _kind(paragraph: Paragraph) -> tuple[str, int]:
    match paragraph.role:
        case Role.TITLE:
            return "heading-1", 1
        case Role.HEADING:
            level = min(max(paragraph.level, 1), _DEEPEST)
            return f"heading-{level}", level
        case Role.LIST_ITEM:
            return "list", 0
        case Role.HEADER:
            return "header", 0
        case Role.FOOTER:
            return "footer", 0
        case _:
            return "paragraph", 0


def _tree(pieces: Iterable[_Piece]) -> list[_Open]:
    roots: list[_Open] = []
    open_headings: list[_Open] = []
    for number, piece in enumerate(pieces, 1):
        node = _Open(str(number), piece)
        if piece.kind in ("header", "footer"):
            roots.append(node)
            continue
        while piece.level and open_headings and open_headings[-1].piece.level >= piece.level:
            open_headings.pop()
        (open_headings[-1].inner if open_headings else roots).append(node)
        if piece.level:
            open_headings.append(node)
    return roots


def _flat(nodes: Iterable[_Open], above: tuple[_Open, ...]) -> Iterator[tuple[_Open, tuple[_Open, ...]]]:
    for node in nodes:
        yield node, above
        yield from _flat(node.inner, (*above, node))


def _closed(node: _Open, document: Document, boxes: bool) -> LayoutNode:
    piece = node.piece
    bare = LayoutNode(node.id, PageSpan(piece.page, piece.page), piece.box if boxes else None)
    if piece.table is not None:
        return msgspec.structs.replace(bare, table_block=_table(piece.table, document, piece.page))
    if piece.kind == "list":
        entry = ListEntry((LayoutNode(page_span=bare.page_span, text_block=TextNode(piece.text, "paragraph")),))
        return msgspec.structs.replace(bare, list_block=ListNode((entry,), _list_type(piece.text)))
    inner = tuple(_closed(one, document, boxes) for one in node.inner)
    return msgspec.structs.replace(bare, text_block=TextNode(piece.text, piece.kind, inner))


def _list_type(text: str) -> str:
    return "ordered" if text[:1].isdigit() else "unordered"


def _table(table: Table, document: Document, page: int) -> TableNode:
    def rows(cells: tuple[tuple[TableCell, ...], ...]) -> tuple[RowNode, ...]:
        return tuple(RowNode(tuple(cell(one) for one in row)) for row in cells)

    def cell(one: TableCell) -> CellNode:
        text = _text(one.layout, document)
        block = LayoutNode(page_span=PageSpan(page, page), text_block=TextNode(text, "paragraph"))
        return CellNode((block,) if text else (), one.row_span, one.column_span)

    return TableNode(rows(table.header_rows), rows(table.body_rows))


def _plain(piece: _Piece, document: Document) -> str:
    if piece.table is None:
        return piece.text
    rows = [*piece.table.header_rows, *piece.table.body_rows]
    written = [
        "| " + " | ".join(_text(cell.layout, document).replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    if written:
        written.insert(1, "|" + "-|" * len(rows[0]))
    return "\n".join(written)


def _heading(node: _Open) -> str:
    return f"{'#' * node.piece.level} {node.piece.text}"


def _furniture(pieces: Sequence[_Piece], first: int, last: int) -> tuple[PageFurniture, ...]:
    return tuple(PageFurniture(one.text, PageSpan(one.page, one.page)) for one in pieces if first <= one.page <= last)


def _text(layout: Layout, document: Document) -> str:
    return " ".join(document.text_of(layout).split())


def _start(layout: Layout) -> int | None:
    return min((span.start for span in layout.spans), default=None)


def _holds(table: Layout, paragraph: Layout) -> bool:
    """Whether the paragraph begins within the table's text."""
    start = _start(paragraph)
    return start is not None and any(_within(start, span) for span in table.spans)


def _within(position: int, span: Span) -> bool:
    return span.start <= position < span.end
