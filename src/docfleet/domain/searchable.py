"""What a searchable PDF needs to know of a page read from pixels: its words and where they stand.

Written by `exports.searchable_layer` in the process that holds the results, read by `sandbox.searchable` in the child
that holds the PDF.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from docfleet.domain.cascade import Reason
from docfleet.domain.geometry import Point

Quad = tuple[Point, Point, Point, Point]
"""Corners normalised to 0..1 of the page as it is shown (y down), clockwise from the top left of the text as read."""


class LayerMode(StrEnum):
    """What becomes of the text a PDF page already has."""

    REPLACE = "replace"
    """Its invisible text is removed: it was found to be garbage, and these words stand in its place."""
    ADD = "add"
    """It stays, and only words at places that hold no text yet are added."""


class LayerWord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    text: str
    """Without white space."""
    quad: Quad
    line: int
    """Words of one line share it and follow each other in reading order."""
    glued: bool = False
    """No space stands between it and the next word of its line."""


class LayerPage(msgspec.Struct, frozen=True):
    number: int
    """1-based."""
    words: tuple[LayerWord, ...]
    mode: LayerMode = LayerMode.REPLACE


_MODES: Mapping[str, LayerMode] = {
    Reason.NO_TEXT: LayerMode.ADD,
    Reason.INK_WITHOUT_TEXT: LayerMode.ADD,
    Reason.SCANNED_REGIONS: LayerMode.ADD,
}


def layer_mode(reason: str) -> LayerMode:
    """What to do with existing text, from why the page was read by OCR (a code of `cascade.Reason`).

    Text that is sound but incomplete stays; for any other reason, known or not, OCR's text replaces what is invisible.
    """
    return _MODES.get(reason, LayerMode.REPLACE)
