"""The short cut for blocks, paragraphs, lines, tokens and symbols of a protobuf page: read from their bytes.

They are nearly all of a response (a page of 700 words has 800 of them). Walking one attribute by attribute makes some
twenty objects that are thrown away again; one match on its serialised layout has everything. An element that is out of
the ordinary (a style, several spans, repeated text, a coordinate of exactly zero) does not match and goes through the
general reader. The two must agree; a property test holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from docfleet.documentai_format.floats import all_shortest, shortest_of
from docfleet.domain.anchors import Span
from docfleet.domain.document import Block, Break, DetectedLanguage, Layout, Line, Orientation, Paragraph, Symbol, Token
from docfleet.domain.geometry import BoundingBox

ELEMENTS = frozenset({Block, Paragraph, Line, Token, Symbol})

_ORIENTATIONS = list(Orientation)
_BREAKS = list(Break)

_INTEGER = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_PIXEL = rb"\n.(?:\x08(%b))?(?:\x10(%b))?" % (_INTEGER, _INTEGER)
_LAYOUT = re.compile(
    rb"\n(%b)" % _INTEGER  # the layout, and its length
    + rb"\n.\n.(?:\x08(%b))?\x10(%b)" % (_INTEGER, _INTEGER)  # anchor, segment: start, end
    + rb"(?:\x15(.{4}))?"  # confidence
    + rb"\x1a%b((?:%b)*)" % (_INTEGER, _PIXEL.replace(b"(%b)" % _INTEGER, _INTEGER))  # box: pixels
    + rb"((?:\x12\n\x0d.{4}\x15.{4}){4})"  # corners
    + rb"(?:\x20([\x00-\x7f]))?",  # orientation
    re.DOTALL,
)
_PIXELS = re.compile(_PIXEL, re.DOTALL)
_CORNER = 12
_FLOATS = np.array([[at + 3, at + 4, at + 5, at + 6, at + 8, at + 9, at + 10, at + 11] for at in range(0, 48, _CORNER)])

Tail = tuple[Break, tuple[DetectedLanguage, ...]] | None
Pixels = tuple[tuple[int, int], ...]


def read_elements(kind: Any, items: Any, offset: int, general: Callable[[Any, int], Any]) -> tuple[Any, ...]:
    """`items` as structs of `kind`, anchored `offset` code points further ahead; `general` reads any one of them."""
    token = kind is Token
    floats, spans, pixels, turns, tails, odd = _scan(items, token, offset)
    read: list[Any] = []
    for numbers, span, shown, turn, (broken, spoken) in zip(_numbers(floats), spans, pixels, turns, tails, strict=True):
        x0, y0, x1, y1, x2, y2, x3, y3, sure = numbers
        layout = Layout((span,), BoundingBox(((x0, y0), (x1, y1), (x2, y2), (x3, y3)), shown), sure, turn)
        read.append(Token(layout, broken, spoken) if token else kind(layout, spoken))
    for position in odd:  # in order, so that each finds its place among those before it
        read.insert(position, general(items[position], offset))
    return tuple(read)


def _scan(
    items: Any, token: bool, offset: int
) -> tuple[list[bytes], list[Span], list[Pixels], list[Any], list[Any], list[int]]:
    """The parts of every ordinary element, one list for each kind of part, and the positions of the others."""
    floats: list[bytes] = []
    spans: list[Span] = []
    pixels: list[Pixels] = []
    turns: list[Orientation] = []
    tails: list[Tail] = []
    odd: list[int] = []
    known: dict[bytes, Tail] = {}
    for position, item in enumerate(items):
        data = item.SerializeToString()
        match = _LAYOUT.match(data)
        if match is not None:
            size, start, end, sure, vertices, corners, turned = match.groups()
            after = match.end()
            rest = data[after:]
            if rest not in known:
                known[rest] = _tail(item, token)
            tail = known[rest]
            turn = turned[0] if turned else 0
            if tail is not None and turn < len(_ORIENTATIONS) and _integer(size) == after - match.end(1):
                floats += (corners, sure or b"\0\0\0\0")
                spans.append(Span((_integer(start) if start else 0) - offset, _integer(end) - offset))
                pixels.append(_pixels(vertices) if vertices else ())
                turns.append(_ORIENTATIONS[turn])
                tails.append(tail)
                continue
        odd.append(position)
    return floats, spans, pixels, turns, tails, odd


def _tail(item: Any, token: bool) -> Tail:
    """What follows the layout, None when that is more than a break and languages."""
    if token and item.HasField("style_info"):
        return None
    number = item.detected_break.type_ if token else 0
    if not 0 <= number < len(_BREAKS):
        return None
    spoken = item.detected_languages
    sure = all_shortest([language.confidence for language in spoken])
    languages = [DetectedLanguage(one.language_code, c) for one, c in zip(spoken, sure, strict=True)]
    return _BREAKS[number], tuple(languages)


def _numbers(floats: list[bytes]) -> list[list[float]]:
    """Corners and confidence of each element, from pairs of their bytes."""
    if not floats:
        return []
    raw = np.frombuffer(b"".join(floats), dtype=np.uint8).reshape(-1, 4 * _CORNER + 4)
    picked = raw[:, [*_FLOATS.ravel(), 48, 49, 50, 51]]
    exact = np.ascontiguousarray(picked).view("<f4").astype(np.float64)
    shown: list[list[float]] = shortest_of(exact).tolist()
    return shown


def _pixels(data: bytes) -> Pixels:
    return tuple([(_integer(x) if x else 0, _integer(y) if y else 0) for x, y in _PIXELS.findall(data)])


def _integer(varint: bytes) -> int:
    if len(varint) == 1:
        return varint[0]
    if len(varint) == 2:
        return varint[0] & 0x7F | varint[1] << 7
    number = 0
    for place, byte in enumerate(varint):
        number |= (byte & 0x7F) << 7 * place
    return number
