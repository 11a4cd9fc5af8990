"""The short cut for blocks, paragraphs, lines, tokens and symbols: JSON text straight from the structs.

A page of 600 words has about 700 of them, and they are nearly all of its JSON. All their numbers are formatted by one
call, each element then by one string format; an element that is out of the ordinary (no box, several spans, a zero,
...) goes through the general writer. The two must agree; a property test holds them to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from docfleet.documentai_format.form import Form
from docfleet.domain.document import Block, Break, DetectedLanguage, Line, Orientation, Paragraph, Symbol, Token

Element = Block | Paragraph | Line | Token | Symbol

_ORIENTATIONS = {o: f'"orientation":"{o.value}",' for o in Orientation} | {Orientation.UNKNOWN: ""}
_BREAKS = {b: f',"detectedBreak":{{"type":"{b.value}"}}' for b in Break} | {Break.NONE: ""}

_MOST = 1e9
_encode = msgspec.json.Encoder().encode


def element_list(elements: Sequence[Element], form: Form, write: Callable[[Any], bytes]) -> bytes:
    """A JSON list of `elements`; `write` is the general writer for one value."""
    least = 1e-300 if form.digits is None else 0.5 / 10**form.digits
    numbers: list[float] = []
    counts = [_collect(element, form.offset, least, numbers) for element in elements]
    shown = _texts(numbers, form.digits)
    offset = form.offset
    at = 0
    languages: dict[tuple[DetectedLanguage, ...], str] = {(): ""}
    parts = []
    for element, count in zip(elements, counts, strict=True):
        if not count:
            parts.append(write(element).decode())
            continue
        sure, x0, y0, x2, y2 = shown[at : at + 5]
        x1, y1, x3, y3 = (x2, y0, x0, y2) if count == 5 else shown[at + 5 : at + 9]
        at += count
        layout = element.layout
        span = layout.spans[0]
        tail = _BREAKS[element.break_after] if type(element) is Token else ""
        if element.languages:
            if element.languages not in languages:
                listed = ",".join([write(language).decode() for language in element.languages])
                languages[element.languages] = f',"detectedLanguages":[{listed}]'
            tail += languages[element.languages]
        parts.append(
            f'{{"layout":{{"textAnchor":{{"textSegments":[{{"startIndex":"{span.start + offset}",'
            f'"endIndex":"{span.end + offset}"}}]}},{_ORIENTATIONS[layout.orientation]}"confidence":{sure},'
            f'"boundingPoly":{{"normalizedVertices":[{{"x":{x0},"y":{y0}}},{{"x":{x1},"y":{y1}}},'
            f'{{"x":{x2},"y":{y2}}},{{"x":{x3},"y":{y3}}}]}}}}{tail}}}'
        )
    return f"[{','.join(parts)}]".encode()


def _collect(element: Element, offset: int, least: float, numbers: list[float]) -> int:
    """Adds the element's confidence and corners to `numbers` and says how many that were: 5 for an upright rectangle,
    9 for any four corners, 0 when the element is not for the short cut."""
    layout = element.layout
    box, spans, sure = layout.box, layout.spans, layout.confidence
    if box is None or len(spans) != 1 or spans[0].start + offset <= 0 or spans[0].end + offset <= 0:
        return 0
    if layout.content or box.pixels or len(box.corners) != 4 or (type(element) is Token and element.style is not None):
        return 0
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box.corners
    # false for zeros, which are omitted, and for what is no number
    if not (least < sure <= 1.0 and least < x0 < _MOST and least < y0 < _MOST and least < x2 < _MOST > y2 > least):
        return 0
    if x1 == x2 and x3 == x0 and y1 == y0 and y3 == y2:
        numbers += (sure, x0, y0, x2, y2)
        return 5
    if not (least < x1 < _MOST and least < y1 < _MOST and least < x3 < _MOST and least < y3 < _MOST):
        return 0
    numbers += (sure, x0, y0, x2, y2, x1, y1, x3, y3)
    return 9


def _texts(numbers: list[float], digits: int | None) -> list[str]:
    """The JSON text of each number, which is positive."""
    if digits is not None:
        scale = 10.0**digits
        numbers = (np.floor(np.array(numbers, dtype=np.float64) * scale + 0.5) / scale).tolist()
    try:
        return _encode(numbers).decode()[1:-1].split(",")
    except TypeError:  # some are of another library's float type
        return [repr(float(value)) for value in numbers]
