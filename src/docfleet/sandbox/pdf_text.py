"""The characters of a PDF page as parallel arrays, at the speed of a bare loop over PDFium.

Per character only three things are asked: its code, its loose box and the text object it belongs to. Everything that
is the same for a whole text object (font, size, direction, visibility) is asked once per run, and what is the same for
a pair of font and code (a missing Unicode value) once per pair.
"""

from __future__ import annotations

import ctypes
import re
from collections import deque
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.sandbox import pdfium
from docfleet.sandbox.pdf_page import PdfPage

GENERATED, LINE_HYPHEN, INVISIBLE, UNMAPPED = 1, 2, 4, 8
"""Bits of `TextLayer.flags`."""
PALE = 16
"""A bit for measuring only: painted (nearly) white, which shows on dark ground alone."""
_PALE_LEVEL = 245
_PDFIUM_HYPHEN = 0x02
_TEXT_HYPHEN = 0xFFFE
"""What FPDFText_GetText stands for the same."""
_IS_WORD = np.array([chr(code).isalnum() for code in range(128)] + [True])
"""By code; one entry for all beyond ASCII."""
_INVISIBLE, _CLIP_ONLY = 3, 7
"""Text rendering modes that paint nothing (PDF 1.7 reference, table 106)."""
_ITALIC_FLAG, _FORCE_BOLD_FLAG = 1 << 6, 1 << 18
"""Font descriptor flags (PDF 1.7 reference, table 123)."""
_BOLD_NAME = re.compile(r"bold|black|heavy|demi(?!light)", re.IGNORECASE)
_ITALIC_NAME = re.compile(r"italic|oblique", re.IGNORECASE)


_exhaust = deque[object](maxlen=0).extend
"""Makes all calls of a `map`, without a word of Python in between."""


_Floats = npt.NDArray[np.floating[Any]]


class Characters(msgspec.Struct, frozen=True):
    """`TextLayer` without rulings, and the text object each character came from (0: none)."""

    codes: npt.NDArray[np.uint32]
    boxes: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.float32]
    angles: npt.NDArray[np.int16]
    fonts: npt.NDArray[np.int16]
    flags: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.uint64]
    font_names: list[str]
    font_weights: list[int]
    font_italics: list[bool]


def read_characters(page: PdfPage) -> Characters:
    """All characters of the page, in content order."""
    text = pdfium.load_text(page.handle)
    if not text:
        return _nothing()
    try:
        count = pdfium.count_chars(text)
        if count <= 0:
            return _nothing()
        return _read(page, text, count)
    finally:
        pdfium.close_text(text)


def _nothing() -> Characters:
    return Characters(
        np.empty(0, np.uint32), np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16),
        np.empty(0, np.int16), np.empty(0, np.uint8), np.empty(0, np.uint64), [], [], [],
    )  # fmt: skip


def _read(page: PdfPage, text: int, count: int) -> Characters:
    codes = _read_codes(text, count)
    raw_boxes = np.zeros((count, 4), np.float32)
    start = raw_boxes.ctypes.data
    found = np.fromiter(
        map(pdfium.char_loose_box, repeat(text, count), range(count), range(start, start + 16 * count, 16)),
        np.uint8,
        count,
    )
    objects = _read_objects(text, codes, raw_boxes)
    boxes = page.rects_to_frame(raw_boxes)
    boxes[found == 0] = 0.0
    _clear_infinite(boxes)
    runs = _read_runs(page, text, objects)
    flags = np.zeros(count, np.uint8)
    flags[objects == 0] |= GENERATED
    flags[runs.invisible[runs.of_char]] |= INVISIBLE
    flags[runs.pale[runs.of_char]] |= PALE
    fonts = runs.fonts[runs.of_char]
    _mark_unmapped(text, codes, fonts, flags)
    _mark_hyphens(text, codes, flags)
    names, weights, italics = runs.font_names, runs.font_weights, runs.font_italics
    characters = Characters(
        codes,
        boxes,
        runs.sizes[runs.of_char],
        runs.angles[runs.of_char],
        fonts,
        flags,
        objects,
        names,
        weights,
        italics,
    )
    return _join_surrogates(characters)


def _clear_infinite(values: _Floats) -> _Floats:
    """In place: 0 for what is no finite number. (`numpy.nan_to_num` takes ten times as long for a few.)"""
    values[~np.isfinite(values)] = 0.0
    return values


def _read_codes(text: int, count: int) -> npt.NDArray[np.uint32]:
    """PDFium's code of each character, in one call where its text has one UTF-16 unit a character.

    It has not where characters have no Unicode value (they are left out) or lie beyond the first plane.
    """
    units = np.zeros(2 * count + 2, np.uint16)
    length = pdfium.get_text(text, 0, count, units.ctypes.data) - 1
    if length == count and not ((units >= 0xD800) & (units < 0xE000)).any():
        codes = units[:count].astype(np.uint32)
        codes[codes == _TEXT_HYPHEN] = _PDFIUM_HYPHEN
        return codes
    return np.fromiter(map(pdfium.char_code, repeat(text, count), range(count)), np.uint32, count)


def _read_objects(text: int, codes: npt.NDArray[np.uint32], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.uint64]:
    """The text object of each character; 0 for generated ones.

    Asked where an object can begin to matter: at white space (which may be generated), where a word or a run of
    punctuation begins, and where the box changes its height or place. Between those the last answer holds: a change of
    font within a word that leaves ascent and descent as they were goes unseen, for half the time.
    """
    count = len(codes)
    white = (codes <= 32) | (codes == 0xA0)
    word = _IS_WORD[np.minimum(codes, 128)]
    asked = white.copy()
    asked[0] = True
    asked[1:] |= (
        white[:-1] | (word[1:] != word[:-1]) | (boxes[1:, 1] != boxes[:-1, 1]) | (boxes[1:, 3] != boxes[:-1, 3])
    )
    places = np.flatnonzero(asked)
    answers = np.array([pointer or 0 for pointer in map(pdfium.char_object, repeat(text), places.tolist())], np.uint64)
    return np.repeat(answers, np.diff(places, append=count))


class _Runs(msgspec.Struct, frozen=True):
    """What is the same for all characters of one text object; `of_char` maps characters to runs."""

    of_char: npt.NDArray[np.intp]
    sizes: npt.NDArray[np.float32]
    angles: npt.NDArray[np.int16]
    fonts: npt.NDArray[np.int16]
    invisible: npt.NDArray[np.bool_]
    pale: npt.NDArray[np.bool_]
    font_names: list[str]
    font_weights: list[int]
    font_italics: list[bool]


def _read_runs(page: PdfPage, text: int, objects: npt.NDArray[np.uint64]) -> _Runs:
    count = len(objects)
    starts = np.flatnonzero(np.concatenate(([True], objects[1:] != objects[:-1])))
    # Generated characters have no object: they take after the run before them (the first, after the one behind).
    real = objects[starts] != 0
    if not real.any():
        starts, real = starts[:1], np.zeros(1, np.bool_)
    else:
        starts, real = starts[real], real[real]
    of_char = np.maximum(np.searchsorted(starts, np.arange(count), side="right") - 1, 0)
    total = len(starts)
    pointers = [int(pointer) for pointer in objects[starts]] if real.all() else []
    if not pointers:
        zeros = np.zeros(total, np.float32)
        return _Runs(
            of_char, zeros, zeros.astype(np.int16), zeros.astype(np.int16), zeros.astype(bool), zeros.astype(bool),
            [""], [0], [False],
        )  # fmt: skip
    matrices = np.zeros((total, 6), np.float32)
    at = matrices.ctypes.data
    _exhaust(map(pdfium.char_matrix, repeat(text), starts.tolist(), range(at, at + 24 * total, 24)))
    heights = np.zeros(total, np.float32)
    at = heights.ctypes.data
    _exhaust(map(pdfium.text_object_font_size, pointers, range(at, at + 4 * total, 4)))
    modes = np.fromiter(map(pdfium.text_object_render_mode, pointers), np.int16, total)
    fonts, names, weights, italics = _read_fonts(list(map(pdfium.text_object_font, pointers)))
    sizes = _clear_infinite(np.abs(heights) * np.hypot(matrices[:, 2], matrices[:, 3]))
    a, b, _, d, e, _ = page.to_frame
    right = a * matrices[:, 0] + b * matrices[:, 1]
    down = d * matrices[:, 0] + e * matrices[:, 1]
    angles = _clear_infinite(np.round(np.degrees(np.arctan2(down, right))) % 360)
    return _Runs(
        of_char, sizes.astype(np.float32), angles.astype(np.int16), fonts,
        (modes == _INVISIBLE) | (modes == _CLIP_ONLY), _are_pale(pointers, modes), names, weights, italics,
    )  # fmt: skip


def _are_pale(pointers: list[int], modes: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Which text objects are filled white or nearly so, or are wholly transparent."""
    colours = np.zeros((len(pointers), 4), np.uint32)
    at = colours.ctypes.data
    places = range(at, at + 16 * len(pointers), 16)
    found = np.fromiter(
        map(
            pdfium.object_fill_colour,
            pointers,
            places,
            *(range(at + n, at + n + 16 * len(pointers), 16) for n in (4, 8, 12)),
        ),
        np.bool_,
        len(pointers),
    )
    white = (colours[:, :3] >= _PALE_LEVEL).all(axis=1) | (colours[:, 3] == 0)
    return np.asarray(found & white & (modes == 0))


def _read_fonts(handles: list[int | None]) -> tuple[npt.NDArray[np.int16], list[str], list[int], list[bool]]:
    places: dict[int | None, int] = {}
    fonts = np.fromiter((places.setdefault(handle, len(places)) for handle in handles), np.int32, len(handles))
    names: list[str] = []
    weights: list[int] = []
    italics: list[bool] = []
    for handle in places:
        name, weight, italic = _describe_font(handle)
        names.append(name)
        weights.append(weight)
        italics.append(italic)
    return np.minimum(fonts, 32_767).astype(np.int16), names, weights, italics


def _describe_font(handle: int | None) -> tuple[str, int, bool]:
    """(name without its subset tag, weight 100..900 or 0, italic)."""
    if not handle:
        return "", 0, False
    buffer = ctypes.create_string_buffer(256)
    length = pdfium.font_base_name(handle, ctypes.addressof(buffer), len(buffer))
    name = buffer.raw[: max(0, min(length, len(buffer)) - 1)].decode("utf-8", "replace")
    name = name[7:] if len(name) > 7 and name[6] == "+" else name
    flags = max(0, pdfium.font_flags(handle))
    weight = max(0, pdfium.font_weight(handle))
    if (flags & _FORCE_BOLD_FLAG) or _BOLD_NAME.search(name):
        weight = max(weight, 700)
    angle = ctypes.c_int(0)
    pdfium.font_italic_angle(handle, ctypes.addressof(angle))
    italic = bool(flags & _ITALIC_FLAG) or angle.value != 0 or _ITALIC_NAME.search(name) is not None
    return name, min(weight, 1000), italic


def _mark_unmapped(
    text: int, codes: npt.NDArray[np.uint32], fonts: npt.NDArray[np.int16], flags: npt.NDArray[np.uint8]
) -> None:
    """Flags characters without a Unicode value, and clears what PDFium put in its place when that is no character."""
    keys = (fonts.astype(np.int64) << 32) | codes
    real = np.flatnonzero((flags & GENERATED) == 0)
    unique, first, inverse = np.unique(keys[real], return_index=True, return_inverse=True)
    del unique
    wrong = np.fromiter((pdfium.char_map_error(text, int(at)) == 1 for at in real[first]), np.bool_, len(first))
    flags[real[wrong[inverse]]] |= UNMAPPED
    nothing = (codes == 0) | (codes >= 0x110000) | ((codes & 0xFFFE) == 0xFFFE)
    flags[nothing] |= UNMAPPED
    codes[nothing] = 0


def _mark_hyphens(text: int, codes: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint8]) -> None:
    """PDFium stands 0x02 for a hyphen that ends a line; it goes on as a plain hyphen with its flag."""
    for at in np.flatnonzero((codes == _PDFIUM_HYPHEN) | (codes == 0xAD)).tolist():
        if pdfium.char_is_hyphen(text, at) == 1:
            codes[at] = 0x2D
            flags[at] = (int(flags[at]) & ~UNMAPPED) | LINE_HYPHEN


def _join_surrogates(characters: Characters) -> Characters:
    codes, flags = characters.codes, characters.flags
    high = (codes >= 0xD800) & (codes < 0xDC00)
    if not ((codes >= 0xD800) & (codes < 0xE000)).any():
        return characters
    pairs = np.flatnonzero(high[:-1] & (codes[1:] >= 0xDC00) & (codes[1:] < 0xE000))
    codes[pairs] = 0x10000 + ((codes[pairs] - 0xD800) << 10) + (codes[pairs + 1] - 0xDC00)
    kept = np.ones(len(codes), np.bool_)
    kept[pairs + 1] = False
    lone = kept & (codes >= 0xD800) & (codes < 0xE000)
    flags[lone] |= UNMAPPED
    codes[lone] = 0
    return Characters(
        codes[kept], characters.boxes[kept], characters.sizes[kept], characters.angles[kept], characters.fonts[kept],
        characters.flags[kept], characters.objects[kept], characters.font_names, characters.font_weights,
        characters.font_italics,
    )  # fmt: skip
