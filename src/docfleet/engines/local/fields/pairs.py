"""Names and values on a form, by where they stand: "Name: value", and a value right of its name.

A confidence is the share of the pairs found by its rule that were right on scanned forms (see the reference page on
Document AI's differences), times the confidence of the reading. Fields left empty are not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from docfleet.domain.document import FormField, Page
from docfleet.engines.local.fields.pieces import PagePieces, Piece
from docfleet.engines.local.fields.values import amount_in, date_in

MOST_FIELDS = 500
"""Of one page."""
_SURE = {"inline": 0.65, "right": 0.7, "figure": 0.65, "box": 0.5}
"""Share of right pairs, by rule; of boxes there were too few to say."""
_LABEL = re.compile(r"(?P<name>[^\W\d_][^:]{0,58}?|[^\W\d_])\s*:(?!//)(?=\s|$|[^\d]|(?<=[^\W\d]:)\d|(?<=[^\W\d] :)\d)")
_NEXT = re.compile(r"\s(?P<name>(?:[^\W\d_a-z][\w.#()/'’-]*\s){0,2}[^\W\d_a-z][\w.#()/'’-]*)\s*:(?!//)(?=\s|$)")
_BLANK = re.compile(
    r"[\s_.·…\-–—=|:;,]*|\(.*\)[\s:.]*|(?:[\s/☐□x]*\b(?:yes|no|oui|non|ja|nein|si)\b){2,}[\s/☐□x]*", re.IGNORECASE
)
_TICK = re.compile(r"(?P<full>[☑☒✓✔✗✘]|[\[(]\s?[xX✓✔]\s?[\])])|(?P<empty>☐|\[\s?_?\s?\])")
_REACH = 0.4
"""How far right of its name a value may begin, in widths of the page."""
_LINES = 4
"""Of one value."""


class Pair(msgspec.Struct, frozen=True):
    name: tuple[int, int]
    """Start and end in the document's text."""
    value: tuple[tuple[int, int], ...]
    rule: str
    ticked: str = ""
    """"filled_checkbox", "unfilled_checkbox", or empty: a text."""


def with_form_fields(text: str, page: Page) -> Page:
    """`page`, anchored in `text`, with the form fields that the rules find on it."""
    return msgspec.structs.replace(page, form_fields=form_fields(text, page))


def form_fields(text: str, page: Page) -> tuple[FormField, ...]:
    """Form fields of `page`, anchored in `text`, in the order of reading."""
    place = PagePieces(text, page)
    found = []
    for pair in find_pairs(place)[:MOST_FIELDS]:
        name, value = place.layout([pair.name]), place.layout(pair.value)
        sure = _SURE[pair.rule]
        found.append(
            FormField(
                field_name=msgspec.structs.replace(name, confidence=sure * name.confidence),
                field_value=msgspec.structs.replace(value, confidence=sure * value.confidence),
                value_type=pair.ticked,
            )
        )
    return tuple(found)


def find_pairs(place: PagePieces) -> list[Pair]:
    pairs: list[Pair] = []
    taken: set[int] = set()
    """Starts of pieces that are a value already."""
    for piece in place.pieces:
        if piece.start in taken:
            continue
        ticks = list(_ticks(place, piece))
        if ticks:
            pairs += ticks
            continue
        named = list(_labels(piece))
        for at, (start, end, value_start, value_end) in enumerate(named):
            if not _is_blank(piece.text[value_start:value_end]):
                inline = (piece.start + value_start, piece.start + value_end)
                more = _more_lines(place, piece, value_start, taken) if at == len(named) - 1 else ()
                pairs.append(Pair((piece.start + start, piece.start + end), (inline, *more), "inline"))
            elif at == len(named) - 1:
                pairs += _elsewhere(place, piece, (start, end), taken)
        if not named:
            pairs += _figure(place, piece, taken)
    return pairs


def _labels(piece: Piece) -> Iterator[tuple[int, int, int, int]]:
    """(start and end of a name with its colon, start and end of what follows it) within the piece."""
    first = _LABEL.match(piece.text)
    if first is None or not _is_name(first["name"]):
        return
    start, at = 0, first.end()
    for following in _NEXT.finditer(piece.text, at):
        yield start, at, at, following.start()
        start, at = following.start("name"), following.end()
    yield start, at, at, len(piece.text)


def _is_name(text: str) -> bool:
    letters = sum(character.isalpha() for character in text)
    return letters >= 2 and len(text.split()) <= 8 and 2 * letters >= len(text.replace(" ", ""))


def _is_blank(text: str) -> bool:
    """Whether it is no value: blanks to fill, a choice that is left open, a hint in brackets."""
    return _BLANK.fullmatch(text) is not None


def _starts_with_name(piece: Piece) -> bool:
    found = _LABEL.match(piece.text)
    return found is not None and _is_name(found["name"])


def _elsewhere(place: PagePieces, piece: Piece, name: tuple[int, int], taken: set[int]) -> Iterator[Pair]:
    """The value right of a name that has nothing behind it."""
    found = (piece.start + name[0], piece.start + name[1])
    for other in place.right_of(piece)[:1]:
        near = other.rect[0] - piece.rect[2] < _REACH * place.width
        if near and not _starts_with_name(other) and not _is_blank(other.text) and other.start not in taken:
            taken.add(other.start)
            more = _more_lines(place, other, 0, taken)
            yield Pair(found, ((other.start, other.end), *more), "right")
            return


def _more_lines(place: PagePieces, piece: Piece, value_start: int, taken: set[int]) -> tuple[tuple[int, int], ...]:
    """The lines under a value that go on with it: begun where it began, close to it, and no names."""
    found: list[tuple[int, int]] = []
    share = value_start / max(len(piece.text), 1)
    x0 = piece.rect[0] + share * (piece.rect[2] - piece.rect[0])
    last = piece
    while len(found) < _LINES - 1:
        below = [
            other
            for other in place.below(last, 0.6)
            if abs(other.rect[0] - x0) < 0.8 * last.height or (share and abs(other.rect[0] - x0) < 1.6 * last.height)
        ]
        if not below or below[0].start in taken or _starts_with_name(below[0]) or _is_blank(below[0].text):
            break
        if any(_starts_with_name(other) for other in place.left_of(below[0])[:1]):
            break
        last = below[0]
        taken.add(last.start)
        found.append((last.start, last.end))
    return tuple(found)


def _figure(place: PagePieces, piece: Piece, taken: set[int]) -> Iterator[Pair]:
    """A name without a colon and an amount or a date right of it, the only two on their row."""
    if piece.table >= 0 or not _is_name(piece.text) or any(character.isdigit() for character in piece.text):
        return
    right = place.right_of(piece)
    if len(right) != 1 or place.left_of(piece) or right[0].start in taken:
        return
    if amount_in(right[0].text, whole=True) or date_in(right[0].text, whole=True):
        taken.add(right[0].start)
        yield Pair((piece.start, piece.end), ((right[0].start, right[0].end),), "figure")


def _ticks(place: PagePieces, piece: Piece) -> Iterator[Pair]:
    """Boxes to tick that were read as characters, each with the words right of it."""
    ticks = list(_TICK.finditer(piece.text))
    for number, tick in enumerate(ticks):
        end = ticks[number + 1].start() if number + 1 < len(ticks) else len(piece.text)
        words = piece.text[tick.end() : end].strip(" .:_")
        state = "filled_checkbox" if tick["full"] else "unfilled_checkbox"
        value = ((piece.start + tick.start(), piece.start + tick.end()),)
        if _is_name(words):
            start = piece.text.index(words, tick.end())
            yield Pair((piece.start + start, piece.start + start + len(words)), value, "box", state)
        elif not words and number + 1 == len(ticks):
            for other in place.right_of(piece)[:1]:
                if other.rect[0] - piece.rect[2] < 3 * piece.height and _is_name(other.text):
                    yield Pair((other.start, other.end), value, "box", state)
