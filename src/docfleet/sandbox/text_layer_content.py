"""Invisible words as PDF page content."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import median

import msgspec

from docfleet.domain.geometry import Point
from docfleet.domain.searchable import LayerWord
from docfleet.sandbox.glyphless_font import ADVANCE, DESCENT, GlyphlessFont, visual_order
from docfleet.sandbox.page_space import PageSpace

_MIN_SIZE = 0.05
"""Points; below that readers drop text or divide by zero."""
_EVEN_HEIGHT = 0.35
"""Words whose top or bottom is further off the line's (in line heights) stand on their own."""
_GAP = 0.2
"""Font sizes between two words, at least: below 0.15 Poppler takes them for one, whatever characters stand between."""


class _SetWord(msgspec.Struct):
    """A word along its line: u runs with the text, v upwards from the line's origin; user space units."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    glued: bool


def layer_content(words: Sequence[LayerWord], space: PageSpace, font: GlyphlessFont, font_name: str) -> bytes:
    """Content that sets `words` invisibly (text render mode 3), each over its box, and leaves no trace in the state.

    One text object a line. A word is stretched to its box; the space after it fills the gap to the next word, so that
    copied text has spaces whether a reader takes them from the file or from the gaps.
    """
    parts = ["q 3 Tr"]
    for _, members in groupby(words, key=lambda word: word.line):
        line = [word for word in members if word.text and _is_finite(word)]
        if line:
            parts.append(_line_content(line, space, font, font_name))
    return "\n".join([*parts, "Q", ""]).encode("ascii") if len(parts) > 1 else b""


def _is_finite(word: LayerWord) -> bool:
    return all(math.isfinite(value) and abs(value) < 100 for point in word.quad for value in point)


def _line_content(line: Sequence[LayerWord], space: PageSpace, font: GlyphlessFont, font_name: str) -> str:
    quads = [[space.point(x, y) for x, y in word.quad] for word in line]
    ux, uy = _line_direction(quads)
    placed = [_place(word, quad, ux, uy) for word, quad in zip(line, quads, strict=True)]
    _level(placed)
    _part(placed)
    parts = ["BT"]
    for word, following in zip(placed, [*placed[1:], None], strict=True):
        size = max(word.top - word.bottom, _MIN_SIZE)
        base = word.bottom - DESCENT / 1000 * size
        x, y = word.left * ux - base * uy, word.left * uy + base * ux
        width = max(word.right - word.left, _MIN_SIZE)
        parts.append(f"/{font_name} {_number(size)} Tf")
        parts.append(f"{_number(ux)} {_number(uy)} {_number(-uy)} {_number(ux)} {_number(x)} {_number(y)} Tm")
        parts.append(f"{_stretch(width, len(word.text), size)} Tz <{font.encode(word.text)}> Tj")
        if following is not None and not word.glued:
            gap = max(following.left - word.right, 0.1 * size)
            parts.append(f"{_stretch(gap, 1, size)} Tz <{font.encode(' ')}> Tj")
    parts.append("ET")
    return "\n".join(parts)


def _stretch(width: float, characters: int, size: float) -> str:
    """Horizontal scaling in per cent that makes `characters` as wide as `width`."""
    return _number(100 * width / (characters * size * ADVANCE / 1000))


def _line_direction(quads: Sequence[Sequence[Point]]) -> Point:
    """Unit vector along the line: the mean of its words' upper and lower edges, long ones counting more."""
    x = sum(q[1][0] - q[0][0] + q[2][0] - q[3][0] for q in quads)
    y = sum(q[1][1] - q[0][1] + q[2][1] - q[3][1] for q in quads)
    length = math.hypot(x, y)
    return (x / length, y / length) if length > 1e-9 else (1.0, 0.0)


def _place(word: LayerWord, quad: Sequence[Point], ux: float, uy: float) -> _SetWord:
    left, right = (sum(quad[i][0] * ux + quad[i][1] * uy for i in pair) / 2 for pair in ((0, 3), (1, 2)))
    top, bottom = (sum(quad[i][1] * ux - quad[i][0] * uy for i in pair) / 2 for pair in ((0, 1), (2, 3)))
    # A mirrored or collapsed box of another maker still has to give a width and a height.
    left, right, bottom, top = min(left, right), max(left, right), min(bottom, top), max(bottom, top)
    return _SetWord(visual_order(word.text), left, right, bottom, top, word.glued)


def _level(words: Sequence[_SetWord]) -> None:
    """Gives the words of a line one base line and one size, so that readers see one line; odd ones out keep theirs."""
    if len(words) < 2:
        return
    bottom, top = median(word.bottom for word in words), median(word.top for word in words)
    slack = _EVEN_HEIGHT * (top - bottom)
    for word in words:
        if abs(word.bottom - bottom) <= slack and abs(word.top - top) <= slack:
            word.bottom, word.top = bottom, top


def _part(words: Sequence[_SetWord]) -> None:
    """Makes room for the space between words whose boxes touch or overlap, from the end of the first."""
    for word, following in pairwise(words):
        end = following.left - _GAP * (word.top - word.bottom)
        if not word.glued and following.left > word.left and end < word.right:
            word.right = max(end, (word.left + word.right) / 2)


def _number(value: float) -> str:
    """A PDF number; at most 5 decimals, never an exponent."""
    return f"{value:.5f}".rstrip("0").rstrip(".") or "0"
