"""The short cut for blocks, paragraphs, lines, tokens and symbols of a protobuf page: bytes straight from the structs.

Building messages costs six times as much. An element that is out of the ordinary (a style, several spans, repeated
text) goes through the general writer. The two must agree; a property test holds them to it. Field numbers are those of
`google.cloud.documentai.v1.Document`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from docfleet.domain.document import Break, DetectedLanguage, Layout, Orientation, Token

_ORIENTATIONS = {member: bytes((0x20, number)) for number, member in enumerate(Orientation)}
_BREAKS = {member: bytes((0x12, 2, 0x08, number)) for number, member in enumerate(Break)} | {Break.NONE: b""}

_CORNERS = struct.Struct("<" + 4 * "HBfBf")
_FLOAT = struct.Struct("<Bf")
_MOST = 1e30
_PIXEL = 1 << 31
_POSITION = 1 << 63
_LAYOUT, _TEXT, _POLY = b"\x0a", b"\x0a", b"\x1a"


def element_bytes(tag: int, elements: Iterable[Any], write: Callable[[Any], bytes]) -> bytes:
    """`elements` as the bytes of a repeated field with number `tag`; `write` is the general writer for one."""
    head = bytes((tag << 3 | 2,))
    languages: dict[Any, bytes] = {(): b""}
    parts: list[bytes] = []
    for element in elements:
        body = _layout_bytes(element.layout)
        if body is None or (type(element) is Token and element.style is not None):
            body = write(element)
        else:
            body = _LAYOUT + _varint(len(body)) + body
            token = type(element) is Token
            if token:
                body += _BREAKS[element.break_after]
            if element.languages:
                key = (token, element.languages)
                if key not in languages:
                    languages[key] = _language_bytes(element.languages, 0x1A if token else 0x12)
                body += languages[key]
        parts += (head, _varint(len(body)), body)
    return b"".join(parts)


def _layout_bytes(layout: Layout) -> bytes | None:
    """None: not for the short cut."""
    spans, box = layout.spans, layout.box
    if len(spans) != 1 or box is None or layout.content or len(box.corners) != 4:
        return None
    start, end = spans[0].start, spans[0].end
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box.corners
    sizes = (x0, y0, x1, y1, x2, y2, x3, y3, layout.confidence)
    # false for what is no number
    if not (0 <= start < _POSITION > end >= 0 and min(sizes) > -_MOST and max(sizes) < _MOST):
        return None
    segment = b"\x08" + _varint(start) + b"\x10" + _varint(end)
    corners = _CORNERS.pack(
        *(0x0A12, 0x0D, x0, 0x15, y0, 0x0A12, 0x0D, x1, 0x15, y1),
        *(0x0A12, 0x0D, x2, 0x15, y2, 0x0A12, 0x0D, x3, 0x15, y3),
    )
    if box.pixels:
        pixels = _pixel_bytes(box.pixels)
        if pixels is None:
            return None
        corners = pixels + corners
    size = len(segment)
    return b"".join(
        (
            _TEXT + bytes((size + 2,)) + b"\x0a" + bytes((size,)) + segment,
            _FLOAT.pack(0x15, layout.confidence),
            _POLY + _varint(len(corners)) + corners,
            _ORIENTATIONS[layout.orientation],
        )
    )


def _pixel_bytes(pixels: tuple[tuple[int, int], ...]) -> bytes | None:
    parts: list[bytes] = []
    for x, y in pixels:
        if not (0 <= x < _PIXEL and 0 <= y < _PIXEL):
            return None
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
