"""document.md: headings, lists, paragraphs and tables in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.document import Page, Paragraph, Role, Table
from docfleet.exports.base import ExportJob, PageSource, open_text
from docfleet.exports.headings import HeadingDepths
from docfleet.exports.markdown_escape import comment, escape_cell, escape_heading, escape_inline, escape_line, plain
from docfleet.exports.page_words import span_of
from docfleet.exports.reflow import Reflow
from docfleet.exports.tables import cell_text, table_grid

FILE_NAME = "document.md"
_BULLET = re.compile(r"^(?:[•‣◦⁃∙●○■□▪▫◆◇►▸➢➤✓✔·]|[-–—*](?=\s)|o(?=\s)|[\uf0a7\uf0b7])\s*")
_NUMBER = re.compile(r"^(0|[1-9]\d{0,8})([.)])\s+")
_MAX_DEPTH = 8


class _Piece(msgspec.Struct, frozen=True):
    """One Markdown block; `item` pieces follow each other without an empty line."""

    lines: list[str]
    item: bool = False


class _ListState:
    """Marker widths of the open list items, outermost first, and the numbers given so far at each depth."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self.numbers: list[tuple[str, int] | None] = []

    def enter(self, level: int) -> int:
        """Depth at which an item of `level` can stand: at most one below the item before it."""
        return min(max(level, 0), len(self.widths), _MAX_DEPTH)

    def add(self, depth: int, width: int, number: tuple[str, int] | None) -> bool:
        """Opens an item; False when Markdown would number it otherwise because it does not follow its predecessor."""
        before = self.numbers[depth] if depth < len(self.numbers) else None
        del self.widths[depth:], self.numbers[depth:]
        self.widths.append(width)
        self.numbers.append(number)
        return number is None or before is None or number[0] != before[0] or number[1] == before[1] + 1

    def close(self) -> None:
        self.widths.clear()
        self.numbers.clear()


def write_markdown(pages: PageSource, path: Path, *, keep_furniture: bool = False) -> None:
    """Writes UTF-8 Markdown (CommonMark with GitHub's pipe tables); raw HTML only as comments.

    Paragraphs are re-flowed: lines are joined, words broken by a hyphen are made whole, a line that was ended on
    purpose (the next word would have fitted; an address; a key and its value) stays ended. The title is `#`; headings
    follow from `##` on in the order of the levels the document uses (see `headings`, for which the pages are read
    through once more). Every page but the first starts with `<!-- page 2 -->`. Running headers and footers are left
    out, for they would cut the text at each page; with `keep_furniture` they stand in comments. `document.txt` has
    them.
    """
    depths = HeadingDepths.of_pages(pages)
    with open_text(path) as file:
        for index, (text, page) in enumerate(pages):
            blocks = [] if index == 0 else [f"<!-- page {page.number} -->"]
            blocks.extend(_joined(_pieces(text, page, depths, keep_furniture)))
            if blocks:
                file.write(("" if index == 0 else "\n") + "\n\n".join(blocks) + "\n")


def _joined(pieces: Iterator[_Piece]) -> Iterator[str]:
    items: list[str] = []
    for piece in pieces:
        if not piece.item and items:
            yield "\n".join(items)
            items = []
        if piece.item:
            items.extend(piece.lines)
        elif piece.lines:
            yield "\n".join(piece.lines)
    if items:
        yield "\n".join(items)


def _pieces(text: str, page: Page, depths: HeadingDepths, keep_furniture: bool) -> Iterator[_Piece]:
    reflow = Reflow(text, page)
    tables = _Tables(page)
    state = _ListState()
    for paragraph in _paragraphs(text, page):
        table, first = tables.at(paragraph)
        if table is not None:
            state.close()
            if first:
                yield _Piece(_table_lines(text, table))
            continue
        lines = reflow.lines(paragraph.layout)
        if not lines:
            continue
        if paragraph.role is Role.LIST_ITEM:
            yield _Piece(_item_lines(lines, paragraph.level, state), item=True)
            continue
        if paragraph.role in (Role.HEADER, Role.FOOTER):
            if keep_furniture:
                yield _Piece([comment(f"{paragraph.role}: {' '.join(lines)}")])
            continue
        state.close()
        depth = depths.depth(text, paragraph) if paragraph.role is Role.HEADING else 0
        yield _Piece(_block_lines(lines, paragraph.role, depth))
    for table in tables.left():
        yield _Piece(_table_lines(text, table))


def _paragraphs(text: str, page: Page) -> Sequence[Paragraph]:
    """The page's paragraphs in text order; the whole text as one where an engine found none."""
    if page.paragraphs:
        return sorted(page.paragraphs, key=lambda paragraph: span_of(paragraph.layout)[0])
    return [Paragraph(block.layout) for block in page.blocks] or [Paragraph(line.layout) for line in page.lines]


class _Tables:
    """Puts each table where the first of its text stands."""

    def __init__(self, page: Page) -> None:
        self._open = [(table, _table_spans(table)) for table in page.tables]
        self._placed: set[int] = set()

    def at(self, paragraph: Paragraph) -> tuple[Table | None, bool]:
        """The table this paragraph belongs to, and whether it is the first that does."""
        start, end = span_of(paragraph.layout)
        for index, (table, spans) in enumerate(self._open):
            shared = sum(max(0, min(end, b) - max(start, a)) for a, b in spans)
            if shared and (paragraph.role is Role.TABLE or shared > 0.5 * (end - start)):
                first = index not in self._placed
                self._placed.add(index)
                return table, first
        return None, False

    def left(self) -> Iterator[Table]:
        """Tables that no paragraph led to."""
        return (table for index, (table, _) in enumerate(self._open) if index not in self._placed)


def _table_spans(table: Table) -> list[tuple[int, int]]:
    cells = [cell.layout for row in (*table.header_rows, *table.body_rows) for cell in row]
    layouts = [table.layout] if table.layout.spans else cells
    return [(span.start, span.end) for layout in layouts for span in layout.spans]


def _block_lines(lines: Sequence[str], role: Role, depth: int) -> list[str]:
    if role is Role.TITLE:
        return [f"# {escape_heading(' '.join(lines))}"]
    if role is Role.HEADING:
        return [f"{'#' * depth} {escape_heading(' '.join(lines))}"]
    if role is Role.CAPTION:
        return [f"*{escape_inline(plain(' '.join(lines)))}*"]
    prefix = "> " if role is Role.SIDE_NOTE else ""
    return [prefix + line for line in _hard_breaks([escape_line(line) for line in lines])]


def _hard_breaks(lines: Sequence[str]) -> list[str]:
    return [*(line + "\\" for line in lines[:-1]), lines[-1]]


def _item_lines(lines: list[str], level: int, state: _ListState) -> list[str]:
    """A list item. Only whole numbers are list markers in Markdown; "a)" and "1.2" stay in the item's text."""
    depth = state.enter(level)
    indent = " " * sum(state.widths[:depth])
    first = plain(lines[0])
    number = None
    if found := _NUMBER.match(first):
        marker, number = f"{found[1]}{found[2]} ", (found[2], int(found[1]))
        first = first[found.end() :]
    else:
        marker = "- "
        first = _BULLET.sub("", first, count=1)
    follows = state.add(depth, len(marker), number)
    body = _hard_breaks([escape_line(line) for line in (first, *lines[1:])])
    hang = indent + " " * len(marker)
    written = [indent + marker + body[0], *(hang + line for line in body[1:])]
    # A comment ends the list before, so that the number written is the number shown.
    return written if follows else [f"{indent}<!-- -->", *written]


def _table_lines(text: str, table: Table) -> list[str]:
    """A pipe table. Several header rows become one; without any, the header is blank, since Markdown demands one."""
    grid = [[escape_cell(cell_text(text, cell.layout)) if cell else "" for cell in row] for row in table_grid(table)]
    if not grid or not grid[0]:
        return []
    heads = len(table.header_rows)
    header = [" ".join(filter(None, column)) for column in zip(*grid[:heads], strict=True)] or [""] * len(grid[0])
    rows = [header, ["---"] * len(header), *grid[heads:]]
    return ["| " + " | ".join(row) + " |" for row in rows]


def export_markdown(job: ExportJob) -> list[Path]:
    path = job.folder / FILE_NAME
    write_markdown(job.pages, path)
    return [path]
