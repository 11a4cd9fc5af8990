"""Whole documents drawn at random: pages, blank ones among them, with everything that can be anchored in them.

As in Document AI's own responses every page covers its text, and entities are numbered depth first from 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate, count
from typing import Any

import msgspec
import numpy as np
from drawn import page, span, texts
from hypothesis import strategies as st

from docfleet.documentai_format import join
from docfleet.documentai_format.floats import shortest
from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.document import Document, Layout
from docfleet.domain.entities import (
    Date,
    DateTime,
    Entity,
    EntityMethod,
    EntityRelation,
    LayoutType,
    Money,
    NormalizedValue,
    PageRef,
    PostalAddress,
    TimeZone,
)
from docfleet.domain.geometry import BoundingBox
from docfleet.domain.styles import Color, FontSize, TextChange, TextStyle

_VALUES = (
    None,
    NormalizedValue("12 CHF", money_value=Money("CHF", 12, -5)),
    NormalizedValue("x", date_value=Date(2026, 2)),
    NormalizedValue("y", datetime_value=DateTime(2026, 2, 3, 4, 5, 6, 7, utc_offset="-3600s")),
    NormalizedValue("z", datetime_value=DateTime(2026, time_zone=TimeZone("Europe/Zurich"))),
    NormalizedValue("", address_value=PostalAddress(region_code="CH", address_lines=("a", "b"))),
    NormalizedValue("no", boolean_value=False),
    NormalizedValue("0", integer_value=0),
    NormalizedValue("0", float_value=0.1),
)


def _within(rng: random.Random, low: int, high: int) -> Span:
    """A stretch that is not empty, where there is room for one."""
    start = rng.randint(low, max(low, high - 1))
    return Span(start, min(high, start + rng.randint(1, 5)))


def _ref(rng: random.Random, number: int) -> PageRef:
    box = BoundingBox.of_rect(0.1, 0.2, 0.3, 0.4) if rng.random() < 0.5 else None
    return PageRef(number, rng.choice(list(LayoutType)), rng.choice(["", "7"]), box, 0.5)


def _entity(rng: random.Random, ends: list[int], numbers: Any, depth: int = 0) -> Entity:
    own = str(next(numbers))
    number = rng.randrange(len(ends) - 1)
    low, high = ends[number], ends[number + 1]
    anchor = None
    if low < high and rng.random() < 0.8:
        spans = tuple(_within(rng, low, high) for _ in range(rng.choice([1, 1, 2])))
        anchor = TextAnchor(spans, rng.choice(["", "text 𝒳"]))
    return Entity(
        text_anchor=anchor,
        type=rng.choice(["total", "line_item", "line_item/amount"]),
        mention_text=rng.choice(["", "12.50", "😀"]),
        mention_id=rng.choice(["", "m1"]),
        confidence=rng.random(),
        page_refs=(_ref(rng, number), *([_ref(rng, rng.randrange(len(ends) - 1))] if rng.random() < 0.2 else [])),
        id=own,
        normalized_value=rng.choice(_VALUES),
        properties=tuple(_entity(rng, ends, numbers, depth + 1) for _ in range(rng.randrange(3) if depth < 2 else 0)),
        redacted=rng.random() < 0.1,
        method=rng.choice(list(EntityMethod)),
    )


def _style(rng: random.Random, length: int) -> TextStyle:
    color = Color(0.1, 0.0, 1.0, alpha=rng.choice([None, 0.0, 0.5]))
    return TextStyle(TextAnchor((_within(rng, 0, length),)), color, None, "bold", "", "underline", FontSize(11.5, "pt"))


def document(rng: random.Random, page_texts: list[str]) -> Document:
    """A document of one page for each text; an empty text is a blank page."""
    drawn = []
    for number, text in enumerate(page_texts, 1):
        one = page(rng, len(text))
        whole = Layout((Span(0, len(text)),) if text else (), BoundingBox.of_rect(0, 0, 1, 1), 0.5)
        blank: dict[str, Any] = {} if text else dict.fromkeys(_HOLDERS, ())
        drawn.append((text, msgspec.structs.replace(one, number=number, layout=whole, **blank)))
    whole_document = join(drawn)
    length = len(whole_document.text)
    ends = list(accumulate((len(text) for text in page_texts), initial=0))
    numbers = count()
    entities = tuple(_entity(rng, ends, numbers) for _ in range(rng.randrange(4) if page_texts else 0))
    total = next(numbers)

    def some(make: Callable[[], Any]) -> tuple[Any, ...]:
        return tuple(make() for _ in range(rng.randrange(3) if length else 0))

    return msgspec.structs.replace(
        whole_document,
        mime_type="application/pdf",
        entities=entities,
        entity_relations=tuple(
            EntityRelation(str(rng.randrange(total)), str(rng.randrange(total)), "pays")
            for _ in range(rng.randrange(3) if total else 0)
        ),
        text_styles=some(lambda: _style(rng, length)),
        text_changes=some(lambda: TextChange(TextAnchor((span(rng, length), _within(rng, 0, length))), "new")),
    )


_HOLDERS = (
    "blocks",
    "paragraphs",
    "lines",
    "tokens",
    "symbols",
    "tables",
    "form_fields",
    "visual_elements",
    "barcodes",
)
"""What a blank page does not have: its anchors would be empty and so belong to no page in particular."""


@st.composite
def documents(draw: st.DrawFn, least_pages: int = 1) -> Document:
    page_texts = draw(st.lists(st.just("") | texts, min_size=least_pages, max_size=4))
    return document(random.Random(draw(st.integers(0, 2**32))), page_texts)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with every leaf changed."""
    if isinstance(value, tuple):
        return tuple([mapped(one, change) for one in value])
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: mapped(getattr(value, name), change) for name in value.__struct_fields__})
    return change(value)


def narrowed(value: Any) -> Any:
    """Every float as protobuf's 32 bits hold it, in the decimals Document AI writes."""
    return mapped(value, lambda leaf: shortest(float(np.float32(leaf))) if type(leaf) is float else leaf)
