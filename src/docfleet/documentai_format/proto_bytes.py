"""The short cut for blocks, paragraphs, lines, tokens and symbols of a protobuf page: bytes straight from the structs.

Building messages costs four times as much. An element that is out of the ordinary (a style, several spans, repeated
text) goes through the general writer. The two must agree; a property test holds them to it. Field numbers are those of
`google.cloud.documentai.v1.Document`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from docfleet.domain.document import Break, DetectedLanguage, Orientation, Token

_ORIENTATIONS = {member: bytes((0x20, number)) for number, member in enumerate(Orientation)}
_BREAKS = {member: bytes((0x12, 2, 0x08, number)) for number, member in enumerate(Break)} | {Break.NONE: b""}

_FLOAT = struct.Struct("<Bf")
_PIXEL = 1 << 31
_POSITION = 1 << 63

_POLY = 5
_BOX = 7
_ROW = np.frombuffer(b"\x15...." + b"\x1a\x30" + 4 * b"\x12\x0a\x0d....\x15....", dtype=np.uint8)
"""Confidence and box of an element: tags, lengths and, as dots, 32-bit floats."""
_FLOATS = np.flatnonzero(ord(".") == _ROW)
_LENGTH = len(_ROW)


def element_bytes(tag: int, elements: Sequence[Any], write: Callable[[Any], bytes]) -> bytes:
    """`elements` as the bytes of a repeated field with number `tag`; `write` is the general writer for one."""
    head = bytes((tag << 3 | 2,))
    ordinary, rows = _rows(elements)
    languages: dict[Any, bytes] = {(): b""}
    parts: list[bytes] = []
    at = 0
    for element, row in zip(elements, ordinary, strict=True):
        if not row:
            body = write(element)
            parts += (head, _varint(len(body)), body)
            continue
        layout = element.layout
        (span,) = layout.spans
        segment = b"\x08" + _varint(span.start) + b"\x10" + _varint(span.end)
        size = len(segment)
        known = rows[at : at + _LENGTH]
        at += _LENGTH
        if layout.box.pixels:
            box = _pixel_bytes(layout.box.pixels) + known[_BOX:]
            known = known[:_POLY] + b"\x1a" + _varint(len(box)) + box
        tail = _BREAKS[element.break_after] if type(element) is Token else b""
        if element.languages:
            key = (type(element), element.languages)
            if key not in languages:
                languages[key] = _language_bytes(element.languages, 0x1A if type(element) is Token else 0x12)
            tail += languages[key]
        length = size + len(known) + 6
        parts += (
            *(head, _varint(length + len(_varint(length)) + 1 + len(tail)), b"\x0a", _varint(length)),
            *(bytes((0x0A, size + 2, 0x0A, size)), segment, known, _ORIENTATIONS[layout.orientation], tail),
        )
    return b"".join(parts)


def _rows(elements: Sequence[Any]) -> tuple[list[bool], bytes]:
    """Which elements are ordinary, and the confidences and boxes of those."""
    numbers: list[float] = []
    ordinary: list[bool] = []
    for element in elements:
        layout = element.layout
        spans, box = layout.spans, layout.box
        fits = (
            len(spans) == 1
            and box is not None
            and len(box.corners) == 4
            and not layout.content
            and 0 <= spans[0].start < _POSITION > spans[0].end >= 0
            and not (type(element) is Token and element.style is not None)
            and not (box.pixels and not all(0 <= x < _PIXEL > y >= 0 for x, y in box.pixels))
        )
        ordinary.append(fits)
        if fits:
            (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box.corners
            numbers += (layout.confidence, x0, y0, x1, y1, x2, y2, x3, y3)
    if not numbers:
        return ordinary, b""
    with np.errstate(over="ignore"):  # infinite, as protobuf has it
        floats = np.array(numbers, dtype=np.float64).astype("<f4")
    rows = np.tile(_ROW, (len(numbers) // 9, 1))
    rows[:, _FLOATS] = floats.view(np.uint8).reshape(len(rows), -1)
    return ordinary, rows.tobytes()


def _pixel_bytes(pixels: tuple[tuple[int, int], ...]) -> bytes:
    parts: list[bytes] = []
    for x, y in pixels:
        vertex = b"\x08" + _varint(x) + b"\x10" + _varint(y)
        parts += (b"\x0a", bytes((len(vertex),)), vertex)
    return b"".join(parts)


def _language_bytes(languages: tuple[DetectedLanguage, ...], tag: int) -> bytes:
    parts = b""
    for language in languages:
        code = language.code.encode(errors="replace")
        body = b"\x0a" + _varint(len(code)) + code + _FLOAT.pack(0x15, language.confidence)
        parts += bytes((tag,)) + _varint(len(body)) + body
    return parts


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
