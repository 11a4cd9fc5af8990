"""Pages laid out by hand, for the tests of exports: paragraphs of lines of words on a grid of characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from docfleet.domain.document import (
    Block,
    Break,
    DetectedLanguage,
    Dimension,
    Layout,
    Line,
    Page,
    Paragraph,
    Role,
    Span,
    Table,
    TableCell,
    Token,
)
from docfleet.domain.geometry import BoundingBox, Frame

WIDTH, HEIGHT = 600.0, 800.0
CHAR, ROW = 6.0, 14.0
"""Points: every character is 6 wide, every line 12 high and 14 below the one before."""


@dataclass
class Text:
    """A paragraph; each string is a line. A line that ends in "-|" has a hyphen only because it ends."""

    lines: Sequence[str]
    role: Role = Role.BODY
    level: int = 0
    languages: tuple[DetectedLanguage, ...] = ()


@dataclass
class Grid:
    """A table: rows of cells, each a text or (text, row span, column span)."""

    rows: Sequence[Sequence[str | tuple[str, int, int]]]
    heads: int = 0


@dataclass
class Drawing:
    width: float
    height: float
    frame: Frame = field(default_factory=lambda: Frame(WIDTH, HEIGHT))
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    paragraphs: list[Paragraph] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    row: int = 2

    def layout(self, start: int, x0: float, x1: float, rows: int = 1) -> Layout:
        y0 = (self.row - rows + 1) * ROW
        points = self.frame.corners((x0, y0, x1, self.row * ROW + 12))
        corners = tuple((x / self.width, y / self.height) for x, y in points)
        return Layout((Span(start, len(self.text)),), BoundingBox(corners), 0.9)

    def line(self, content: str, x: float = 60.0) -> None:
        """One line of words; "foo\x1f," is two tokens without a space."""
        line_start, left = len(self.text), x
        broken = content.endswith("-|")
        words = content.removesuffix("|").split(" ")
        for number, word in enumerate(words):
            parts = word.split("\x1f")
            for index, part in enumerate(parts):
                start = len(self.text)
                is_last = index == len(parts) - 1
                end_of_line = is_last and number == len(words) - 1
                self.text += part + ("\n" if end_of_line else " " if is_last else "")
                kind = Break.WIDE_SPACE if end_of_line else Break.SPACE if is_last else Break.NONE
                kind = Break.HYPHEN if end_of_line and broken else kind
                self.tokens.append(Token(self.layout(start, x, x + CHAR * len(part)), kind))
                x += CHAR * (len(part) + is_last)
        self.lines.append(Line(self.layout(line_start, left, x - CHAR)))
        self.row += 1

    def paragraph(self, text: Text) -> None:
        start = len(self.text)
        for line in text.lines:
            self.line(line)
        self.row -= 1
        layout = self.layout(start, 60, 540, len(text.lines))
        self.row += 2
        self.paragraphs.append(Paragraph(layout, text.languages, text.role, text.level))
        self.blocks.append(Block(layout))

    def grid(self, grid: Grid) -> None:
        table_start, rows = len(self.text), []
        for cells in grid.rows:
            row = []
            for column, cell in enumerate(cells):
                content, height, width = (cell, 1, 1) if isinstance(cell, str) else cell
                start = len(self.text)
                for line in content.split("\n"):
                    if line:
                        self.line(line, 60 + 100 * column)
                layout = Layout((Span(start, len(self.text)),) if content else ())
                if content:
                    self.paragraphs.append(Paragraph(layout, role=Role.TABLE))
                row.append(TableCell(layout, height, width))
            rows.append(tuple(row))
        heads = grid.heads
        layout = Layout((Span(table_start, len(self.text)),))
        self.tables.append(Table(layout, tuple(rows[:heads]), tuple(rows[heads:])))


def lay_out(
    *parts: Text | Grid | str,
    number: int = 1,
    unit: str = "pt",
    orientation: int = 0,
    skew: float = 0.0,
    languages: tuple[DetectedLanguage, ...] = (),
) -> tuple[str, Page]:
    """A page and its text; a plain string is a body paragraph of one line."""
    width, height = (WIDTH, HEIGHT) if orientation in (0, 180) else (HEIGHT, WIDTH)
    drawing = Drawing(width, height, Frame.turned(width, height, orientation, skew))
    for part in parts:
        if isinstance(part, Grid):
            drawing.grid(part)
        else:
            drawing.paragraph(Text([part]) if isinstance(part, str) else part)
    page = Page(
        number=number,
        dimension=Dimension(width, height, unit),
        languages=languages,
        blocks=tuple(drawing.blocks),
        paragraphs=tuple(drawing.paragraphs),
        lines=tuple(drawing.lines),
        tokens=tuple(drawing.tokens),
        tables=tuple(drawing.tables),
    )
    return drawing.text, page
