"""Lines into words: where one ends and the next begins, and the box of each.

The recogniser gives characters with rough places (it looks each 8 of its pixels); the ink of the line itself says
exactly where words stand. Spaces come from both: those the recogniser read, and gaps in the ink far wider than the
line's other gaps, which it tends to swallow.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.engines.local.pixels import Pixels
from docfleet.engines.local.recognition import LINE_HEIGHT, LineReading

_WIDE_GAP = 0.42
"""A gap of this share of the text's height is a space in Latin text."""
_STRIDES = 1.5
"""Across a space, letters stand this many times the line's usual distance apart."""
_STRIDES_IN_NUMBER = 2.2
_PAD = 1
"""Pixels of the cut left around the ink of a word."""

Mask = npt.NDArray[np.bool_]


class LineWord(msgspec.Struct, frozen=True):
    """A word within its strip."""

    text: str
    left: float
    """Share of the strip's length where it begins."""
    right: float
    top: float
    """Share of the strip's height where it begins."""
    bottom: float
    confidence: float


def ink_mask(cut: Pixels) -> Mask:
    """Which pixels of a (48, width, 3) cut are ink: those far from the paper, whichever of the two is darker."""
    grey = cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark = mask == 0
    light = ~dark
    # ink is the smaller part
    ink: Mask = dark if dark.mean() <= 0.5 else light
    return ink


def split_words(reading: LineReading, cut: Pixels) -> list[LineWord]:
    """Words of the line, left to right."""
    groups = _space_groups(reading)
    if not groups:
        return []
    width = cut.shape[1]
    ink = ink_mask(cut)
    columns = ink.sum(axis=0)
    places = reading.places * width
    groups = [part for group in groups for part in _split_wide_gaps(group, reading, places, columns, ink)]
    cuts = _boundaries(groups, places, columns, width)
    return [
        _word(group, reading, ink[:, left:right], left, width)
        for group, left, right in zip(groups, cuts[:-1], cuts[1:], strict=True)
    ]


def _space_groups(reading: LineReading) -> list[list[int]]:
    """Indices of characters between the spaces that were read."""
    groups: list[list[int]] = []
    current: list[int] = []
    for index, symbol in enumerate(reading.text):
        if not symbol.isspace():
            current.append(index)
        elif current:
            groups.append(current)
            current = []
    if current:
        groups.append(current)
    return groups


def _split_wide_gaps(
    group: list[int], reading: LineReading, places: npt.NDArray[np.float32], columns: npt.NDArray[np.int_], ink: Mask
) -> list[list[int]]:
    """The group cut where blank paper as wide as a space lies between two of its characters."""
    if len(group) < 2:
        return [group]
    height = _text_height(ink)
    pitch = float(np.median(np.diff(places))) if len(places) > 3 else 0.0
    parts = [[group[0]]]
    for before, after in pairwise(group):
        gap = _widest_blank(columns, int(places[before]), int(places[after]))
        joined = _is_ideograph(reading.text[before]) or _is_ideograph(reading.text[after])
        # after a full stop in typewriter print the paper is wide, but the next letter stands where it should
        strides = (places[after] - places[before]) / pitch if pitch else 2.0
        needed = _STRIDES_IN_NUMBER if _in_number(reading.text, before, after) else _STRIDES
        if gap >= _WIDE_GAP * height and strides >= needed and not joined:
            parts.append([])
        parts[-1].append(after)
    return parts


def _in_number(text: str, before: int, after: int) -> bool:
    """Whether the gap is one beside the point or comma of a figure such as 16.90."""
    pair = text[before] + text[after]
    return any(mark in pair for mark in ".,") and any(symbol.isdigit() for symbol in pair)


def _text_height(ink: Mask) -> float:
    rows = np.flatnonzero(ink.sum(axis=1) > 0.01 * ink.shape[1])
    return float(rows[-1] - rows[0] + 1) if len(rows) else float(LINE_HEIGHT)


def _is_ideograph(symbol: str) -> bool:
    return ord(symbol) >= 0x2E80


def _widest_blank(columns: npt.NDArray[np.int_], start: int, end: int) -> int:
    blank = columns[start : end + 1] == 0
    widest = run = 0
    for value in blank.tolist():
        run = run + 1 if value else 0
        widest = max(widest, run)
    return widest


def _boundaries(
    groups: list[list[int]], places: npt.NDArray[np.float32], columns: npt.NDArray[np.int_], width: int
) -> list[int]:
    """Columns that part the words: the middle of the widest blank between neighbours, else of their characters."""
    bounds = [0]
    for before, after in pairwise(groups):
        start, end = int(places[before[-1]]), int(places[after[0]])
        middle = (start + end) // 2
        best, run = 0, 0
        for offset, value in enumerate((columns[start : end + 1] == 0).tolist()):
            run = run + 1 if value else 0
            if run > best:
                best, middle = run, start + offset - run // 2
        bounds.append(min(max(middle, bounds[-1] + 1), width - 1))
    bounds.append(width)
    return bounds


def _word(group: list[int], reading: LineReading, ink: Mask, left: int, width: int) -> LineWord:
    columns = np.flatnonzero(ink.any(axis=0))
    rows = np.flatnonzero(ink.sum(axis=1) > 0)
    x0, x1 = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, max(1, ink.shape[1]))
    y0, y1 = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, LINE_HEIGHT)
    return LineWord(
        text="".join(reading.text[index] for index in group),
        left=max(0, left + x0 - _PAD) / width,
        right=min(width, left + x1 + _PAD) / width,
        top=max(0, y0 - _PAD) / LINE_HEIGHT,
        bottom=min(LINE_HEIGHT, y1 + _PAD) / LINE_HEIGHT,
        confidence=float(np.mean(reading.confidences[group])),
    )
