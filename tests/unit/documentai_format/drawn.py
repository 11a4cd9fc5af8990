"""Pages and documents drawn at random, as engines and other makers could hand them over.

Hypothesis draws the text and a seed; the many numbers of a page come from the seed, since drawing each of them through
Hypothesis would take a minute a test.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from docfleet.domain.anchors import Span
from docfleet.domain.document import (
    Barcode,
    Block,
    Break,
    DetectedBarcode,
    DetectedLanguage,
    Dimension,
    FormField,
    ImageQuality,
    Layout,
    Line,
    Orientation,
    Page,
    Paragraph,
    Symbol,
    Table,
    TableCell,
    Token,
    VisualElement,
)
from docfleet.domain.geometry import BoundingBox, Point
from docfleet.domain.styles import Color, TokenStyle

texts = st.text(st.characters(codec="utf-8"), max_size=40)
"""Any text at all, characters beyond the Basic Multilingual Plane among them."""

_ODD_NUMBERS = (0.0, 1.0, 1, -0.25, 1.5, 4e-7, 5e-7, 1e-12, 0.9999999, 0.11437909, 1758.0, 1e12, 7.033348e-06)
_PIXELS = ((0, 0), (1758, 0), (1758, 9), (0, 9))


def number(rng: random.Random) -> float:
    return rng.choice(_ODD_NUMBERS) if rng.random() < 0.15 else rng.random()


def point(rng: random.Random) -> Point:
    return (number(rng), number(rng))


def box(rng: random.Random) -> BoundingBox | None:
    kind = rng.random()
    if kind < 0.1:
        return None
    if kind < 0.2:
        return BoundingBox(tuple(point(rng) for _ in range(rng.randrange(6))))
    if kind < 0.3:
        return BoundingBox((point(rng), point(rng), point(rng), point(rng)), _PIXELS)
    if kind < 0.5:
        return BoundingBox((point(rng), point(rng), point(rng), point(rng)))
    return BoundingBox.of_rect(number(rng), number(rng), number(rng), number(rng))


def span(rng: random.Random, length: int) -> Span:
    start, end = sorted((rng.randint(0, length), rng.randint(0, length)))
    return Span(start, end)


def layout(rng: random.Random, length: int) -> Layout:
    spans = rng.choices([1, 0, 2], [8, 1, 1])[0]
    return Layout(
        spans=tuple(span(rng, length) for _ in range(spans)),
        box=box(rng),
        confidence=number(rng),
        orientation=rng.choice(list(Orientation)),
        content='quoted "text"\n' if rng.random() < 0.1 else "",
    )


def languages(rng: random.Random) -> tuple[DetectedLanguage, ...]:
    codes = rng.choice(["", "", "e", "dn"])
    return tuple(DetectedLanguage({"e": "en", "d": "zh-Hant", "n": "nan"}[code], number(rng)) for code in codes)


def page(rng: random.Random, length: int) -> Page:
    """A page with every kind of element, all anchors within `length`."""

    def some(make: Callable[[], Any]) -> tuple[Any, ...]:
        return tuple(make() for _ in range(rng.randrange(4)))

    def lay() -> Layout:
        return layout(rng, length)

    def speak() -> tuple[DetectedLanguage, ...]:
        return languages(rng)

    def style() -> TokenStyle | None:
        return TokenStyle(bold=True, text_color=Color(red=number(rng))) if rng.random() < 0.2 else None

    def rows() -> tuple[tuple[TableCell, ...], ...]:
        return some(lambda: some(lambda: TableCell(lay(), rng.randint(1, 2), rng.randint(1, 3), speak())))

    whole = Layout((Span(0, length),) if length else (), BoundingBox.of_rect(0, 0, 1, 1))
    return Page(
        number=rng.randint(1, 9),
        dimension=rng.choice([None, Dimension(595.25, 842.0, "pt")]),
        layout=rng.choice([whole, None]),
        languages=speak(),
        blocks=some(lambda: Block(lay(), speak())),
        paragraphs=some(lambda: Paragraph(lay(), speak())),
        lines=some(lambda: Line(lay(), speak())),
        tokens=some(lambda: Token(lay(), rng.choice(list(Break)), speak(), style())),
        symbols=some(lambda: Symbol(lay(), speak())),
        tables=some(lambda: Table(lay(), rows(), rows(), speak())),
        form_fields=some(lambda: FormField(lay(), rng.choice([None, lay()]), speak(), speak(), "filled_checkbox")),
        visual_elements=some(lambda: VisualElement(lay(), "image")),
        barcodes=some(lambda: DetectedBarcode(lay(), rng.choice([None, Barcode("QR_CODE", "URL", "x")]))),
        quality=rng.choice([None, ImageQuality(number(rng), (("quality/defect_blurry", number(rng)),))]),
    )


@st.composite
def page_of(draw: st.DrawFn) -> tuple[str, Page]:
    """A text and a page whose every anchor lies in it, and which covers all of it."""
    text = draw(texts)
    return text, page(random.Random(draw(st.integers(0, 2**32))), len(text))
