"""Where lines, paragraphs and blocks begin, and what kind of gap follows each word."""

from __future__ import annotations

import msgspec
import numpy as np

from docfleet.engines.local.layout.boxes import Boxes, Ints
from docfleet.engines.local.layout.lines import TextLine
from docfleet.engines.local.layout.paragraphs import TextParagraph

WIDE_EM = 1.8
"""A gap this wide within a line is a wide space."""


class Outline(msgspec.Struct, frozen=True):
    """Words in final order and where each line, paragraph and block begins among them."""

    order: Ints
    lines: list[int]
    paragraphs: list[int]
    blocks: list[int]
    wide: set[int]
    """Positions in `order` of words that a wide gap follows."""
    joined: set[int]
    """Positions in `order` of words whose hyphen is there only because the line ends."""


def draw_outline(groups: list[Boxes], order: list[Ints], blocks: list[list[TextParagraph]]) -> Outline:
    """`order` lists the words of each line of `blocks`."""
    lines: list[int] = []
    paragraphs: list[int] = []
    starts: list[int] = []
    joined: set[int] = set()
    at = 0
    for part in blocks:
        starts.append(at)
        for paragraph in part:
            paragraphs.append(at)
            last = len(paragraph.lines) - 1
            for i, line in enumerate(paragraph.lines):
                lines.append(at)
                at += len(line.members)
                if line.text.endswith(("-", "\u00ad")) and hyphenated(
                    line, paragraph.lines[i + 1] if i < last else None
                ):
                    joined.add(at - 1)
    flat = np.concatenate(order)
    return Outline(flat, lines, paragraphs, starts, _wide_gaps(groups, flat), joined)


def _wide_gaps(groups: list[Boxes], flat: Ints) -> set[int]:
    size = max(int(b.index.max()) for b in groups) + 1
    low, high, em = np.zeros(size), np.zeros(size), np.ones(size)
    for b in groups:
        low[b.index], high[b.index], em[b.index] = b.x0, b.x1, b.em
    low, high, em = low[flat], high[flat], em[flat]
    gap = np.maximum(low[1:] - high[:-1], low[:-1] - high[1:])
    return set(np.flatnonzero(gap > WIDE_EM * em[:-1]).tolist())


def hyphenated(line: TextLine, following: TextLine | None) -> bool:
    """The hyphen that ends this line is there only because the line ends."""
    text = line.text
    if text.endswith("\u00ad"):
        return True
    return following is not None and text.endswith("-") and text[-2:-1].isalpha() and following.text[:1].islower()
