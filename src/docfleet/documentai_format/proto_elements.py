"""The short cut for blocks, paragraphs, lines, tokens and symbols of a protobuf page: read from their bytes.

They are nearly all of a response (a page of 700 words has 800 of them). Walking one attribute by attribute makes some
twenty objects that are thrown away again; one match on its serialised layout has everything. An element that is out of
the ordinary (a style, several spans, repeated text, a coordinate of exactly zero) does not match and goes through the
general reader. The two must agree; a property test holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from docfleet.documentai_format.floats import all_shortest, shortest_of
from docfleet.domain.anchors import Span
from docfleet.domain.document import Block, Break, DetectedLanguage, Layout, Line, Orientation, Paragraph, Symbol, Token
from docfleet.domain.geometry import BoundingBox

ELEMENTS = frozenset({Block, Paragraph, Line, Token, Symbol})

_TURNS: dict[bytes | None, Orientation] = {bytes((n,)): member for n, member in enumerate(Orientation)}
_TURNS[None] = Orientation.UNKNOWN
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
_FLOATS = [at + byte for at in range(0, 4 * _CORNER, _CORNER) for byte in (3, 4, 5, 6, 8, 9, 10, 11)]

Languages = tuple[DetectedLanguage, ...]
Tail = tuple[Break, Languages] | None
Pixels = tuple[tuple[int, int], ...]


def read_elements(kind: Any, items: Any, offset: int, general: Callable[[Any, int], Any]) -> tuple[Any, ...]:
    """`items` as structs of `kind`, anchored `offset` code points further ahead; `general` reads any one of them."""
    token = kind is Token
    found = _scan(items, token, offset)
    corners, sure = _numbers(found.floats)
    boxes = map(BoundingBox, corners, found.pixels)
    layouts = map(Layout, zip(map(Span, found.starts, found.ends)), boxes, sure, found.turns)
    read = list(map(Token, layouts, found.breaks, found.languages) if token else map(kind, layouts, found.languages))
    for position in found.odd:  # in order, so that each finds its place among those before it
        read.insert(position, general(items[position], offset))
    return tuple(read)


class _Found(NamedTuple):
    """The parts of every ordinary element, one list for each kind of part, and the positions of the others."""

    floats: list[bytes]
    """Corners and confidence."""
    starts: list[int]
    ends: list[int]
    pixels: list[Pixels]
    turns: list[Orientation]
    breaks: list[Break]
    languages: list[Languages]
    odd: list[int]


def _scan(items: Any, token: bool, offset: int) -> _Found:
    found = _Found([], [], [], [], [], [], [], [])
    floats, starts, ends, pixels, turns, breaks, languages, odd = found
    tails: dict[bytes, Tail] = {}
    last, at = b"", 0  # an element starts where the one before it ends, mostly
    for position, item in enumerate(items):
        data = item.SerializeToString()
        match = _LAYOUT.match(data)
        if match is not None:
            size, start, end, sure, vertices, corners, turned = match.groups()
            after = match.end()
            rest = data[after:]
            tail = tails[rest] if rest in tails else tails.setdefault(rest, _tail(item, token))
            length = size[0] if len(size) == 1 else _integer(size)
            if tail is not None and turned in _TURNS and length == after - match.end(1):
                starts.append(at if start == last else (_integer(start) if start else 0) - offset)
                last, at = end, _integer(end) - offset
                ends.append(at)
                floats += (corners, sure or b"\0\0\0\0")
                pixels.append(_pixels(vertices) if vertices else ())
                turns.append(_TURNS[turned])
                breaks.append(tail[0])
                languages.append(tail[1])
                continue
        odd.append(position)
    return found


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


def _numbers(floats: list[bytes]) -> tuple[Iterable[Any], list[float]]:
    """The four corners of each element, and its confidence, from pairs of their bytes."""
    if not floats:
        return [], []
    raw = np.frombuffer(b"".join(floats), dtype=np.uint8).reshape(-1, 4 * _CORNER + 4)
    exact = np.ascontiguousarray(raw[:, [*_FLOATS, 48, 49, 50, 51]]).view("<f4").astype(np.float64)
    x0, y0, x1, y1, x2, y2, x3, y3, sure = shortest_of(exact).T.tolist()
    # their lengths are those of the array
    return zip(zip(x0, y0), zip(x1, y1), zip(x2, y2), zip(x3, y3)), sure  # noqa: B905


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
