"""Lays a page of words out: segments, columns, lines, paragraphs, blocks, roles, tables, text."""

from __future__ import annotations

import numpy as np

from docfleet.domain.document import Block, Dimension, ImageQuality, Layout, Line, Page, Paragraph, Role
from docfleet.domain.words import WordPage
from docfleet.engines.local.layout.boxes import Boxes, Ints, split_by_angle
from docfleet.engines.local.layout.columns import Strips, reading_order
from docfleet.engines.local.layout.emit import WIDE_EM, Outline, emit
from docfleet.engines.local.layout.lines import TextLine, build_lines
from docfleet.engines.local.layout.paragraphs import TextParagraph, group_lines, group_paragraphs
from docfleet.engines.local.layout.roles import assign_roles, find_bands
from docfleet.engines.local.layout.segments import Segments, find_segments


def lay_out(words: WordPage, number: int, unit: str = "pt", quality: ImageQuality | None = None) -> tuple[str, Page]:
    """The page's text and the page anchored in it (spans count from the start of this text).

    Tokens, lines, paragraphs and blocks each partition the text in reading order; every line ends with a line feed. Text
    that reads in another direction follows the level text in blocks of its own. A page without words gives ("", page).
    """
    dimension = Dimension(words.width, words.height, unit)
    blocks: list[list[TextParagraph]] = []
    order: list[Ints] = []
    groups = split_by_angle(words)
    for group in groups:
        paragraphs = _paragraphs(group, number)
        assign_roles(group, paragraphs, number)
        parts = group_paragraphs(paragraphs)
        blocks += parts
        order += [group.index[line.members] for part in parts for p in part for line in p.lines]
    if not blocks:
        return "", Page(number, dimension, Layout(), quality=quality)
    outline = _outline(words, order, blocks, _wide_gaps(groups))
    done = emit(words, outline)
    flat = [p for part in blocks for p in part]
    page = Page(
        number=number,
        dimension=dimension,
        layout=done.whole,
        blocks=tuple([Block(layout) for layout in done.blocks]),
        paragraphs=tuple(
            [Paragraph(layout, (), p.role, p.level) for layout, p in zip(done.paragraphs, flat, strict=True)]
        ),
        lines=tuple([Line(layout) for layout in done.lines]),
        tokens=done.tokens,
        quality=quality,
    )
    return done.text, page


def _paragraphs(b: Boxes, number: int) -> list[TextParagraph]:
    """Paragraphs of the words of one direction, in reading order."""
    s = find_segments(b)
    bands = find_bands(b, s, number)
    body = np.flatnonzero(~bands.header & ~bands.footer)
    found: list[TextParagraph] = []
    for band, role in (
        (np.flatnonzero(bands.header), Role.HEADER),
        (body, Role.BODY),
        (np.flatnonzero(bands.footer), Role.FOOTER),
    ):
        for column in _columns(s, band):
            part = group_lines(build_lines(b, s, column), len(found))
            for paragraph in part:
                paragraph.role = role
            found += part
    return found


def _columns(s: Segments, at: Ints) -> list[Ints]:
    if not len(at):
        return []
    counts = np.array([len(s.members[i]) for i in at.tolist()])
    strips = Strips(s.x0[at], s.y0[at], s.x1[at], s.y1[at], s.em[at], counts, np.zeros(len(at), dtype=bool))
    return [at[column] for column in reading_order(strips)]


def _wide_gaps(groups: list[Boxes]) -> dict[int, tuple[float, float, float]]:
    """Word -> start and end along its direction of reading, and font size."""
    return {
        k: (x0, x1, em)
        for b in groups
        for k, x0, x1, em in zip(b.index.tolist(), b.x0.tolist(), b.x1.tolist(), b.em.tolist(), strict=True)
    }


def _outline(
    words: WordPage, order: list[Ints], blocks: list[list[TextParagraph]], along: dict[int, tuple[float, float, float]]
) -> Outline:
    lines: list[int] = []
    paragraphs: list[int] = []
    starts: list[int] = []
    joined: set[int] = set()
    at = 0
    for part in blocks:
        starts.append(at)
        for paragraph in part:
            paragraphs.append(at)
            for i, line in enumerate(paragraph.lines):
                lines.append(at)
                at += len(line.members)
                following = paragraph.lines[i + 1] if i + 1 < len(paragraph.lines) else None
                if _hyphenated(line, following):
                    joined.add(at - 1)
    flat = np.concatenate(order)
    wide: set[int] = set()
    sequence = flat.tolist()
    for k in range(len(sequence) - 1):
        (a0, a1, em), (b0, b1, _) = along[sequence[k]], along[sequence[k + 1]]
        if max(b0 - a1, a0 - b1) > WIDE_EM * em:
            wide.add(k)
    return Outline(flat, lines, paragraphs, starts, wide, joined)


def _hyphenated(line: TextLine, following: TextLine | None) -> bool:
    """The hyphen that ends this line is there only because the line ends."""
    text = line.text
    if text.endswith("\u00ad"):
        return True
    return following is not None and text.endswith("-") and text[-2:-1].isalpha() and following.text[:1].islower()
