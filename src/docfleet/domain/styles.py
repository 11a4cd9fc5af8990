"""How text looks, and what a reviewer changed in it."""

from __future__ import annotations

import msgspec

from docfleet.domain.anchors import TextAnchor


class Color(msgspec.Struct, frozen=True):
    """Red, green and blue, 0..1; `alpha` None: opaque."""

    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0
    alpha: float | None = None


class FontSize(msgspec.Struct, frozen=True):
    size: float = 0.0
    unit: str = ""
    """As in CSS: in, px, pt."""


class TextStyle(msgspec.Struct, frozen=True):
    """The look of a stretch of the document's text, in CSS words."""

    text_anchor: TextAnchor | None = None
    color: Color | None = None
    background_color: Color | None = None
    font_weight: str = ""
    text_style: str = ""
    text_decoration: str = ""
    font_size: FontSize | None = None
    font_family: str = ""


class TokenStyle(msgspec.Struct, frozen=True):
    """The look of one token."""

    font_size: int = 0
    """Points."""
    pixel_font_size: float = 0.0
    letter_spacing: float = 0.0
    """Points."""
    font_type: str = ""
    bold: bool = False
    italic: bool = False
    underlined: bool = False
    strikeout: bool = False
    subscript: bool = False
    superscript: bool = False
    smallcaps: bool = False
    font_weight: int = 0
    """100..1000; 400 is normal, 700 bold."""
    handwritten: bool = False
    text_color: Color | None = None
    background_color: Color | None = None


class TextChange(msgspec.Struct, frozen=True):
    """A correction: the anchored text is to be replaced by `changed_text`."""

    text_anchor: TextAnchor | None = None
    changed_text: str = ""
