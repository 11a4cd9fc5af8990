"""What every engine that reads words hands on: words with boxes, before layout."""

from __future__ import annotations

import msgspec

from docfleet.domain.geometry import Frame, Rect


class Word(msgspec.Struct, frozen=True, gc=False):
    """One run of characters without white space, in the upright frame of its page."""

    text: str
    box: Rect
    """x0, y0, x1, y1 in page units, upright frame (see `geometry`)."""
    confidence: float = 1.0
    """0..1."""
    line: int = -1
    """Number of the line the engine saw it in (words of one line share it, in reading order); -1: not known."""
    angle: int = 0
    """Direction of reading within the upright frame, degrees clockwise: 0, 90, 180, 270."""
    size: float = 0.0
    """Font size in page units; 0: not known."""
    font: str = ""
    bold: bool = False
    italic: bool = False
    glued: bool = False
    """True when no white space stands between this word and the next of its line."""
    ocr: bool = False
    """True when it was read from pixels."""


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """A drawn horizontal or vertical line (or thin filled rectangle), upright frame, page units."""

    x0: float
    y0: float
    x1: float
    y1: float


class WordPage(msgspec.Struct, frozen=True):
    """The words of one page, and the frame they stand in."""

    width: float
    height: float
    """Size of the page frame, page units."""
    frame: Frame
    words: list[Word]
    rulings: list[Ruling] = []
    orientation: int = 0
    """How far the page's text is turned clockwise: 0, 90, 180, 270."""
    skew_degrees: float = 0.0
