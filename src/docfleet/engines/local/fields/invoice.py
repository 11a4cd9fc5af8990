"""What an invoice or a receipt says, by rules: numbers, dates, sums, and the items of its table.

Each kind of value is looked for where its name stands: behind it, right of it, under it. Sums that add up confirm each
other. A confidence is the share of values found by the rule that were right on the corpora (see the reference page on
Document AI's differences), times the confidence of the reading.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.document import Document
from docfleet.domain.entities import Date, Entity, Money, NormalizedValue, PageRef
from docfleet.engines.local.fields import words
from docfleet.engines.local.fields.items import Item, items_of
from docfleet.engines.local.fields.pieces import PagePieces, Piece
from docfleet.engines.local.fields.search import Found, Pages, Values, beside
from docfleet.engines.local.fields.sums import sums_of
from docfleet.engines.local.fields.values import Amount, currency_in, dates_in

Words = Literal["invoice", "receipt"]
"""Which parser's names the entities have: "invoice_date", or "receipt_date"."""
_SURE = {
    "invoice_id": 0.95,
    "invoice_date": 0.9,
    "due_date": 0.85,
    "total_amount": 0.85,
    "net_amount": 0.9,
    "total_tax_amount": 0.9,
    "currency": 0.95,
    "supplier_name": 0.75,
    "purchase_order": 0.8,
    "line_item": 0.9,
}
"""Share of right values, by type."""
_CONFIRMED = 0.98
"""The same of sums that add up."""
_ID = re.compile(r"[^\W_][\w./-]*")


def entities_of(document: Document, kind: Words, first_id: int = 0) -> tuple[Entity, ...]:
    """The entities of `document`, ids counting from `first_id`, properties included."""
    pages = Pages(document)
    code, at = _currency(pages)
    month_first = _is_month_first(document.text, code)
    facts = _facts(pages, month_first)
    sums = sums_of(pages)
    made: list[Entity] = []
    for name, found in {**facts, **sums.found}.items():
        base = _CONFIRMED if name in sums.confirmed else _SURE[name]
        shown = "receipt_date" if name == "invoice_date" and kind == "receipt" else name
        made.append(_entity(pages, shown, found, base, _normal(found.value, code)))
    if at is not None:
        made.append(_entity(pages, "currency", at, _SURE["currency"], NormalizedValue(code)))
    for number, place in pages:
        made += [_line_item(pages, number, item, code) for item in items_of(document, number, place)]
    return _numbered(made, first_id)


def _facts(pages: Pages, month_first: bool) -> dict[str, Found]:
    def first_date(text: str) -> Iterator[tuple[date, int, int]]:
        for day in dates_in(text, month_first=month_first):
            yield day.value, day.start, day.end

    due = _best(pages, words.DUE_DATE, first_date)
    issued = _best(pages, words.INVOICE_DATE, first_date, unlike=words.DUE_DATE)
    issued = issued or _first_date(pages, first_date, due)
    found = {
        "invoice_id": _best(pages, words.INVOICE_ID, _ids),
        "invoice_date": issued,
        "due_date": due,
        "purchase_order": _best(pages, words.ORDER, _ids),
        "supplier_name": _supplier(pages),
    }
    return {name: one for name, one in found.items() if one is not None}


def _ids(text: str) -> Iterator[tuple[str, int, int]]:
    """Numbers of documents: the first word with a digit in it that is no date, close to the beginning."""
    days = list(dates_in(text))
    for match in list(_ID.finditer(text))[:3]:
        value = match[0].rstrip("./-")
        is_day = any(day.start <= match.start() < day.end for day in days)
        if any(character.isdigit() for character in value) and not is_day and len(value) > 1:
            yield value, match.start(), match.start() + len(value)
            return


def _best(
    pages: Pages,
    names: Sequence[re.Pattern[str]],
    values: Values,
    unlike: Sequence[re.Pattern[str]] = (),
) -> Found | None:
    """The first value on the first page by the surest name that has one."""
    for rank, name in enumerate(names):
        for number, place in pages:
            for piece in place.pieces:
                match = name.search(piece.text)
                if match is None or any(other.search(piece.text) for other in unlike):
                    continue
                found = beside(place, piece, match, values)
                if found is not None:
                    return Found(found[0], number, found[1], found[2], rank)
    return None


def _first_date(pages: Pages, values: Values, due: Found | None) -> Found | None:
    for number, place in pages:
        for piece in place.pieces:
            for value, start, end in values(piece.text):
                if due is None or piece.start + start != due.start:
                    return Found(value, number, piece.start + start, piece.start + end, 9)
        return None
    return None


def _supplier(pages: Pages) -> Found | None:
    """A company named near the top that is not the one addressed."""
    for number, place in pages:
        for piece in place.pieces:
            match = words.FROM.search(piece.text)
            rest = piece.text[match.end() :].strip(" :") if match else ""
            if match and rest and words.COMPANY.search(rest):
                start = piece.start + piece.text.index(rest, match.end())
                return Found(rest, number, start, start + len(rest), 0)
        for piece in place.pieces:
            if words.COMPANY.search(piece.text) and len(piece.text) < 70 and not _is_addressee(place, piece):
                name = re.split(r"\s[-–·•|]\s|\s?[·•|]\s?|,\s", piece.text)[0]
                return Found(name, number, piece.start, piece.start + len(name), 1)
        return None
    return None


def _is_addressee(place: PagePieces, piece: Piece) -> bool:
    if words.ADDRESSEE.search(piece.text):
        return True
    near = [
        other
        for other in place.pieces
        if other.rect[3] <= piece.rect[1] + 0.3 * piece.height
        and piece.rect[1] - other.rect[3] < 3 * piece.height
        and abs(other.rect[0] - piece.rect[0]) < 3 * piece.height
    ]
    return any(words.ADDRESSEE.search(other.text) for other in near)


def _currency(pages: Pages) -> tuple[str, Found | None]:
    """The currency written most often, and where it stands first."""
    found: list[Found] = []
    for number, place in pages:
        for piece in place.pieces:
            written = currency_in(piece.text)
            if written is not None and written[0]:
                found.append(Found(written[0], number, piece.start + written[1], piece.start + written[2], 0))
    if not found:
        return "", None
    code = str(Counter(one.value for one in found).most_common(1)[0][0])
    return code, next(one for one in found if one.value == code)


def _is_month_first(text: str, currency: str) -> bool:
    """Whether 1/2/2025 is the second of January: as other dates of the document say, else by where it may be from."""
    slashed = [(int(a), int(b)) for a, b in re.findall(r"\b(\d{1,2})/(\d{1,2})/(?:\d{4}|\d\d)\b", text)]
    if any(a > 12 for a, _ in slashed) or not slashed:
        return False
    if any(b > 12 for _, b in slashed):
        return True
    american = re.search(r"\b[A-Z]{2} \d{5}(?:-\d{4})?\b|\bUSA\b|United States", text) is not None
    return currency == "USD" or (american and not currency)


# --- entities


def _normal(value: object, currency: str) -> NormalizedValue | None:
    if isinstance(value, date):
        return NormalizedValue(value.isoformat(), date_value=Date(value.year, value.month, value.day))
    if isinstance(value, Amount):
        return money(value.value, value.currency or currency)
    return None


def money(value: Decimal, currency: str) -> NormalizedValue:
    """An amount as its maker would normalise it: "140.5 USD"."""
    units = int(value)
    shown = f"{value.normalize():f}" if value else "0"
    nanos = int((value - units) * 10**9)
    return NormalizedValue(f"{shown} {currency}".strip(), money_value=Money(currency, units, nanos))


def _entity(pages: Pages, kind: str, found: Found, sure: float, normal: NormalizedValue | None) -> Entity:
    mention = pages.text[found.start : found.end]
    return entity(pages.places[found.page], kind, found.page, [(found.start, found.end)], mention, sure, normal)


def entity(
    place: PagePieces,
    kind: str,
    page: int,
    parts: Sequence[tuple[int, int]],
    mention: str,
    sure: float,
    normal: NormalizedValue | None = None,
    properties: tuple[Entity, ...] = (),
) -> Entity:
    layout = place.layout(parts)
    return Entity(
        text_anchor=TextAnchor(tuple(Span(*part) for part in parts), mention if len(parts) == 1 else ""),
        type=kind,
        mention_text=mention,
        confidence=sure * layout.confidence,
        page_refs=(PageRef(page, bounding_poly=layout.box),),
        normalized_value=normal,
        properties=properties,
    )


def _line_item(pages: Pages, page: int, item: Item, currency: str) -> Entity:
    place = pages.places[page]
    inner = []
    for name, start, end, value in item.parts:
        normal = None
        if value is not None:
            normal = NormalizedValue(f"{value.normalize():f}") if name == "quantity" else money(value, currency)
        mention = " ".join(pages.text[start:end].split())
        inner.append(entity(place, f"line_item/{name}", page, [(start, end)], mention, _SURE["line_item"], normal))
    parts = [(start, end) for _, start, end, _ in item.parts]
    mention = " ".join(one.mention_text for one in inner)
    return entity(place, "line_item", page, parts, mention, _SURE["line_item"], properties=tuple(inner))


def _numbered(entities: Sequence[Entity], first: int) -> tuple[Entity, ...]:
    """Ids depth first, as the service counts them."""
    number = first
    done = []
    for one in entities:
        own, number = number, number + 1
        inner = []
        for part in one.properties:
            inner.append(msgspec.structs.replace(part, id=str(number)))
            number += 1
        done.append(msgspec.structs.replace(one, id=str(own), properties=tuple(inner)))
    return tuple(done)
