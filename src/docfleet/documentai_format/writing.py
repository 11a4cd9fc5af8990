"""Our model to Document AI's JSON.

The general writer is compiled from the mapping and writes any struct; the five long element lists of a page take the
short cut in `elements`, which writes the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from docfleet.documentai_format.elements import element_list
from docfleet.documentai_format.form import Form, json_number
from docfleet.documentai_format.mapping import Field, Shape, enum_name, fields_of
from docfleet.documentai_format.spans import with_covered
from docfleet.documentai_format.unread import written_back
from docfleet.domain.anchors import Span
from docfleet.domain.document import Block, Document, Line, Page, Paragraph, Symbol, Table, Token

Writer = Callable[[Any, Form], Any]

_ELEMENTS = frozenset({Block, Paragraph, Line, Token, Symbol})
_SURROGATE = re.compile("[\ud800-\udfff]")
_encode = msgspec.json.Encoder().encode


def to_json(document: Document, *, digits: int | None = None) -> bytes:
    """`document` as Document AI v1 JSON, UTF-8, without white space.

    Positions are code points. Defaults are omitted, 64-bit integers are strings, bytes base64, enums names. `digits`
    limits the decimals of coordinates and confidences; None keeps every float as it is. Own attributes
    (`mapping.OWN`) are not written. Unpaired surrogates, which no UTF-8 can hold, become U+FFFD.
    """
    written = _encode(_write_struct(document, Form(0, digits)))
    return written_back(written, document.unread) if document.unread else written


def page_json(page: Page, offset: int = 0, digits: int | None = None) -> bytes:
    """One element of `pages`, its anchors moved by `offset` code points."""
    return _encode(_write_struct(page, Form(offset, digits)))


def text_json(text: str) -> bytes:
    """`text` as a JSON string; as many code points as it has."""
    return _encode(plain_text(text))


def plain_text(text: str) -> str:
    """`text` with every unpaired surrogate replaced by U+FFFD, position by position."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _write_struct(value: Any, form: Form) -> dict[str, Any]:
    if value.__class__ is Table:
        value = with_covered(value)
    written: dict[str, Any] = {}
    for field, omit, write in _writers(value.__class__):
        item = getattr(value, field.attribute)
        if item is None or (item == omit and not field.nullable):
            continue
        shown = write(item, form)
        if field.shape is Shape.OBJECT and not shown and not field.nullable:
            continue
        holder = written
        for key in field.path[:-1]:
            holder = holder.setdefault(key, {})
        holder[field.path[-1]] = shown
    return written


@cache
def _writers(owner: type) -> tuple[tuple[Field, Any, Writer], ...]:
    """Each field with the value that is omitted (the proto's default, whatever ours is) and its writer."""
    return tuple((f, omitted(owner, f), _writer(f)) for f in fields_of(owner))


def omitted(owner: type, field: Field) -> Any:
    if field.repeated:
        return ()
    if field.shape is Shape.ENUM:
        return next(iter(field.of))
    # both ends of a span are moved before they are written, so neither is omitted here
    return None if field.shape is Shape.OBJECT or owner is Span else field.of()


def _writer(field: Field) -> Writer:
    if field.of is Span and field.repeated:
        return lambda spans, form: [_span(span, form.offset) for span in spans]
    if field.of in _ELEMENTS and field.repeated:
        return lambda items, form: msgspec.Raw(
            element_list(items, form, lambda item: _encode(_write_struct(item, form)))
        )
    if field.attribute == "confidence":
        return lambda value, form: json_number(value, form.digits)
    write = _SHAPES[field.shape]
    return (lambda items, form: [write(item, form) for item in items]) if field.repeated else write


def _span(span: Span, offset: int) -> dict[str, str]:
    start, end = span.start + offset, span.end + offset
    return ({"startIndex": str(start)} if start else {}) | ({"endIndex": str(end)} if end else {})


def _point(point: tuple[float, float], form: Form) -> dict[str, Any]:
    x, y = json_number(point[0], form.digits), json_number(point[1], form.digits)
    return ({"x": x} if x else {}) | ({"y": y} if y else {})


def _pixel(point: tuple[int, int], _: Form) -> dict[str, int]:
    return ({"x": point[0]} if point[0] else {}) | ({"y": point[1]} if point[1] else {})


def _defect(defect: tuple[str, float], form: Form) -> dict[str, Any]:
    name, confidence = defect[0], json_number(defect[1], form.digits)
    return ({"type": plain_text(name)} if name else {}) | ({"confidence": confidence} if confidence else {})


def _row(cells: tuple[Any, ...], form: Form) -> dict[str, Any]:
    return {"cells": [_write_struct(cell, form) for cell in cells]} if cells else {}


_SHAPES: dict[Shape, Writer] = {
    Shape.TEXT: lambda value, _: plain_text(value),
    Shape.INTEGER: lambda value, _: int(value),
    Shape.INTEGER_STRING: lambda value, _: str(int(value)),
    Shape.NUMBER: lambda value, _: json_number(value),
    Shape.BOOLEAN: lambda value, _: bool(value),
    Shape.BYTES: lambda value, _: base64.b64encode(value).decode(),
    Shape.ENUM: lambda value, _: enum_name(value),
    Shape.OBJECT: _write_struct,
    Shape.POINT: _point,
    Shape.PIXEL: _pixel,
    Shape.DEFECT: _defect,
    Shape.ROW: _row,
    Shape.ANY: lambda value, _: value,
}
