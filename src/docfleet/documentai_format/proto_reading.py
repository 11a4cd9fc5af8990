"""Document AI's protobuf to our model.

Messages are the raw ones (`documentai_v1.Document.pb()` of a response), of any version whose JSON names are those of
`mapping`; they are only walked, nothing of Google's is imported. The general reader follows the mapping; the five long
element lists of a page take the short cut in `proto_elements`.

Not kept, beyond `DROPPED`: fields the model does not know, and whether an empty `text_anchor`, `detected_break`,
`page_anchor` or element `layout` was set. A cell's span of 0 reads as 1.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any

from docfleet.documentai_format.floats import shortest
from docfleet.documentai_format.mapping import Field, Shape, fields_of
from docfleet.documentai_format.paging import bounds, shift
from docfleet.documentai_format.proto_elements import ELEMENTS, read_elements
from docfleet.documentai_format.spans import without_covered
from docfleet.domain.anchors import Span
from docfleet.domain.document import Document, Page, Table
from docfleet.errors import FormatError

Reader = Callable[[Any, int], Any]
"""(value of a protobuf field, code points to subtract from every position) -> value of the attribute."""
Places = dict[str, Any]
"""JSON name -> (attribute, reader), or a table again where our model is flatter."""


def from_proto(message: Any) -> Document:
    """A raw Document AI `Document` as ours, all of it.

    Equal to `from_json(..., lossless=False)` of the same document in JSON: 32-bit floats become the shortest decimals
    that mean them (in the JSON of batches Document AI writes some with a digit more). Raises `FormatError` when it is
    nested too deeply, and when it is no protobuf message.
    """
    document: Document = _read(Document, message)
    return document


def pages_from_proto(message: Any) -> list[tuple[str, Page]]:
    """Each page of a raw Document AI `Document` with its own text, anchored in that: `split(from_proto(message))`.

    The light way where only pages are wanted: nothing is moved twice, and what belongs to the whole document (entities,
    styles, the file) is not read. Raises `FormatError` as `from_proto` does.
    """
    if not hasattr(message, "ListFields"):
        raise _no_message(message)
    text: str = message.text
    pages: list[tuple[str, Page]] = []
    end = 0
    for raw in message.pages:
        segments = raw.layout.text_anchor.text_segments
        offset = min((segment.start_index for segment in segments), default=end)
        page: Page = _read(Page, raw, offset)
        first, last = bounds(page, end - offset)
        end = offset + last
        pages.append((text[offset + first : end], shift(page, -first)))
    return pages


def _read(owner: type, message: Any, offset: int = 0) -> Any:
    try:
        return _read_struct(owner, message, offset)
    except RecursionError as error:
        raise FormatError("This document is nested too deeply.") from error
    except AttributeError as error:
        raise _no_message(message) from error


def _no_message(value: Any) -> FormatError:
    return FormatError(f"This is no Document AI message but {type(value).__name__}.")


def _read_struct(owner: type, message: Any, offset: int) -> Any:
    values: dict[str, Any] = dict(_required(owner))
    _fill(values, _table(owner), message, offset)
    if owner is Span:
        return Span(values["start"] - offset, values["end"] - offset)
    return without_covered(owner(**values)) if owner is Table else owner(**values)


def _fill(values: dict[str, Any], table: Places, message: Any, offset: int) -> None:
    for descriptor, item in message.ListFields():
        place = table.get(descriptor.json_name)
        if place is None:
            continue
        if type(place) is tuple:
            values[place[0]] = place[1](item, offset)
        else:
            _fill(values, place, item, offset)


@cache
def _table(owner: type) -> Places:
    table: Places = {}
    for field in fields_of(owner):
        inner = table
        for key in field.path[:-1]:
            inner = inner.setdefault(key, {})
        inner[field.path[-1]] = (field.attribute, _reader(field))
    return table


@cache
def _required(owner: type) -> dict[str, Any]:
    """What attributes without a default are when the message leaves them out: zero."""
    fields = [field for field in fields_of(owner) if field.required]
    return {field.attribute: () if field.repeated else field.of() for field in fields}


def _reader(field: Field) -> Reader:
    if field.repeated and field.of in ELEMENTS:
        kind = field.of
        general = _struct_reader(kind)
        return lambda items, offset: read_elements(kind, items, offset, general)
    read = _SHAPES[field.shape](field.of)
    if field.repeated:
        return lambda items, offset: tuple([read(item, offset) for item in items])
    return read


def _as_it_is(_: Any) -> Reader:
    return lambda value, _: value


def _text(_: Any) -> Reader:
    # google.protobuf.Duration, which is a string in JSON
    return lambda value, _: value if type(value) is str else value.ToJsonString()


def _number(_: Any) -> Reader:
    # google.protobuf.FloatValue, which is a number in JSON
    return lambda value, _: shortest(value if type(value) is float else value.value)


def _enum(enum: type[StrEnum]) -> Reader:
    """A value newer than the model reads as the unknown one."""
    members = list(enum)
    return lambda number, _: members[number] if 0 <= number < len(members) else members[0]


def _struct_reader(owner: type) -> Reader:
    return lambda value, offset: _read_struct(owner, value, offset)


def _row(owner: type) -> Reader:
    return lambda value, offset: tuple([_read_struct(owner, cell, offset) for cell in value.cells])


def _any(_: Any) -> Reader:
    return lambda value, _: _any_object(value)


def _any_object(value: Any) -> dict[str, object]:
    """`google.protobuf.Any` in JSON; of a kind nobody has loaded, its bytes."""
    json_format = import_module("google.protobuf.json_format")

    try:
        shown: dict[str, object] = json_format.MessageToDict(value)
    except (TypeError, ValueError, json_format.Error):
        return {"@type": value.type_url, "value": base64.b64encode(value.value).decode()}
    return shown


_SHAPES: dict[Shape, Callable[[Any], Reader]] = {
    Shape.TEXT: _text,
    Shape.INTEGER: _as_it_is,
    Shape.INTEGER_STRING: _as_it_is,
    Shape.NUMBER: _number,
    Shape.BOOLEAN: _as_it_is,
    Shape.BYTES: _as_it_is,
    Shape.ENUM: _enum,
    Shape.OBJECT: _struct_reader,
    Shape.POINT: lambda _: lambda point, _: (shortest(point.x), shortest(point.y)),
    Shape.PIXEL: lambda _: lambda point, _: (point.x, point.y),
    Shape.DEFECT: lambda _: lambda defect, _: (defect.type_, shortest(defect.confidence)),
    Shape.ROW: _row,
    Shape.ANY: _any,
}
