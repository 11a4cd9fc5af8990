"""Lays a page of words out: tables, segments, columns, lines, paragraphs, blocks, roles, text."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from docfleet.domain.document import (
    Block,
    DetectedLanguage,
    Dimension,
    ImageQuality,
    Layout,
    Line,
    Page,
    Paragraph,
    Role,
)
from docfleet.domain.features import ALL_FEATURES, Feature
from docfleet.domain.language import detect_languages
from docfleet.domain.words import WordPage
from docfleet.engines.local.layout.aligned import find_aligned
from docfleet.engines.local.layout.boxes import Boxes, Ints, median, split_by_angle
from docfleet.engines.local.layout.cells import Grid
from docfleet.engines.local.layout.columns import Strips, reading_order
from docfleet.engines.local.layout.emit import emit
from docfleet.engines.local.layout.grids import Rules, find_ruled, page_rules
from docfleet.engines.local.layout.lines import build_lines
from docfleet.engines.local.layout.outline import draw_outline
from docfleet.engines.local.layout.paragraphs import TextParagraph, group_lines, group_paragraphs
from docfleet.engines.local.layout.roles import assign_roles, find_bands
from docfleet.engines.local.layout.segments import Segments, find_segments
from docfleet.engines.local.layout.tables import PlacedTable, anchor_tables, table_paragraphs

FIGURE_STARTS = frozenset("0123456789+-−–($€£¥")
TELLING = 60
"""Characters a paragraph needs before its language is looked for."""


def lay_out(
    words: WordPage,
    number: int,
    unit: str = "pt",
    quality: ImageQuality | None = None,
    features: Collection[str] = ALL_FEATURES,
) -> tuple[str, Page]:
    """The page's text and the page anchored in it (spans count from the start of this text).

    Tokens, lines, paragraphs and blocks each partition the text in reading order; every line ends with a line feed.
    Text that reads in another direction follows the level text in blocks of its own. A page without words gives
    ("", page). Without the feature for it no tables are looked for, or no languages.
    """
    with_languages = Feature.LANGUAGE_DETECTION in features
    dimension = Dimension(words.width, words.height, unit)
    blocks: list[list[TextParagraph]] = []
    order: list[Ints] = []
    tables: list[PlacedTable] = []
    groups = split_by_angle(words)
    for group in groups:
        paragraphs, placed = _Reader(group, number, len(tables), Feature.TABLES in features).read()
        assign_roles(group, paragraphs, number)
        parts = group_paragraphs(paragraphs)
        blocks += parts
        tables += placed
        order += [group.index[line.members] for part in parts for p in part for line in p.lines]
    if not blocks:
        return "", Page(number, dimension, Layout(), quality=quality)
    outline = draw_outline(groups, order, blocks)
    done = emit(words, outline)
    flat = [p for part in blocks for p in part]
    page = Page(
        number=number,
        dimension=dimension,
        layout=done.whole,
        languages=detect_languages(done.text) if with_languages else (),
        blocks=tuple([Block(layout) for layout in done.blocks]),
        paragraphs=tuple(
            [
                Paragraph(layout, _languages(done.text, layout) if with_languages else (), p.role, p.level)
                for layout, p in zip(done.paragraphs, flat, strict=True)
            ]
        ),
        lines=tuple([Line(layout) for layout in done.lines]),
        tokens=done.tokens,
        tables=anchor_tables(words, tables, flat, done.paragraphs),
        quality=quality,
    )
    return done.text, page


def _languages(text: str, layout: Layout) -> tuple[DetectedLanguage, ...]:
    """Languages of a paragraph long enough to tell."""
    span = layout.spans[0]
    return detect_languages(text[span.start : span.end], most=1) if span.end - span.start >= TELLING else ()


class _Reader:
    """Brings the words of one direction into reading order."""

    def __init__(self, b: Boxes, number: int, tables_before: int, with_tables: bool) -> None:
        self.b = b
        self.number = number
        self.first_table = tables_before
        self.with_tables = with_tables
        self.paragraphs: list[TextParagraph] = []
        self.tables: list[PlacedTable] = []
        self.columns = 0

    def read(self) -> tuple[list[TextParagraph], list[PlacedTable]]:
        horizontal, vertical = page_rules(self.b)
        ruled = find_ruled(self.b, horizontal, vertical) if self.with_tables else []
        if ruled:
            taken = np.zeros(len(self.b.x0), dtype=bool)
            for grid in ruled:
                taken[[k for cell in grid.cells for line in cell.lines for k in line.members]] = True
            free = np.flatnonzero(~taken)
        else:
            free = np.arange(len(self.b.x0))
        if not len(free):
            for grid in ruled:
                self.add_table(grid)
            return self.paragraphs, self.tables
        s = find_segments(self.b, free)
        bands = find_bands(self.b, s, ruled, self.number)
        body = np.flatnonzero(~bands.header & ~bands.footer)
        self.read_band(s, np.flatnonzero(bands.header), Role.HEADER)
        self.read_body(s, body, ruled, horizontal)
        self.read_band(s, np.flatnonzero(bands.footer), Role.FOOTER)
        return self.paragraphs, self.tables

    def read_band(self, s: Segments, at: Ints, role: Role) -> None:
        if len(at):
            for column in reading_order(_strips(self.b, s, at, []), furniture=True):
                found = group_lines(build_lines(self.b, s, at[column], whole_rows=False), self.next_column())
                for paragraph in found:
                    paragraph.role = role
                self.paragraphs += found

    def read_body(self, s: Segments, at: Ints, ruled: list[Grid], horizontal: Rules) -> None:
        for column in reading_order(_strips(self.b, s, at, ruled)):
            run: list[int] = []
            for k in [*column.tolist(), len(at) + len(ruled)]:
                if k < len(at):
                    run.append(int(at[k]))
                    continue
                self.read_run(s, np.array(run, dtype=np.int64), horizontal)
                run = []
                if k < len(at) + len(ruled):
                    self.add_table(ruled[k - len(at)])

    def read_run(self, s: Segments, column: Ints, horizontal: Rules) -> None:
        """Segments between two ruled tables: plain tables, and text around them."""
        at = 0
        for found in find_aligned(self.b, s, column, horizontal) if self.with_tables else ():
            self.read_text(s, column[at : found.start])
            self.add_table(found.grid)
            at = found.stop
        self.read_text(s, column[at:])

    def read_text(self, s: Segments, column: Ints) -> None:
        if len(column):
            self.paragraphs += group_lines(build_lines(self.b, s, column), self.next_column())

    def add_table(self, grid: Grid) -> None:
        paragraphs = table_paragraphs(grid, self.first_table + len(self.tables), self.next_column())
        self.tables.append(PlacedTable(self.b, grid))
        self.paragraphs += paragraphs

    def next_column(self) -> int:
        self.columns += 1
        return self.columns


def _strips(b: Boxes, s: Segments, at: Ints, ruled: list[Grid]) -> Strips:
    """Segments and ruled tables as rectangles to put in order."""
    counts = [len(s.members[i]) for i in at.tolist()]
    figures = [b.words[b.index[s.members[i][0]]].text[:1] in FIGURE_STARTS for i in at.tolist()]
    boxes = np.stack((s.x0[at], s.y0[at], s.x1[at], s.y1[at]), axis=1)
    em = s.em[at]
    if ruled:
        boxes = np.vstack((boxes, np.array([grid.rect for grid in ruled])))
        em = np.concatenate((em, np.full(len(ruled), median(s.em))))
        counts += [1] * len(ruled)
        figures += [False] * len(ruled)
    solid = np.arange(len(em)) >= len(at)
    return Strips(
        boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3],
        em, np.array(counts, dtype=np.int64), np.array(figures, dtype=bool), solid,
    )  # fmt: skip
