"""Document AI's JSON to our model.

Input is read liberally: lowerCamelCase or snake_case keys, enums by name or number, 64-bit integers as strings or
numbers, base64 in either alphabet, null for absent. Whatever the model cannot say (fields newer than it, defaults
written out) is kept beside it in `Document.unread` and written back by `to_json`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec

from docfleet.documentai_format.mapping import DROPPED, Field, Shape, enum_name, fields_of, snake, structs
from docfleet.documentai_format.spans import without_covered
from docfleet.documentai_format.unread import differences
from docfleet.documentai_format.writing import to_json
from docfleet.domain.document import Document, Table
from docfleet.errors import FormatError

Reader = Callable[[Any], Any]
Places = dict[str, Any]
"""JSON key -> (attribute, reader), or a table again where our model is flatter than the JSON."""


_UNTIDY = re.compile(rb'"(?:%s|[A-Za-z0-9]*_\w*)"\s*:' % "|".join(sorted(DROPPED)).encode())
"""A key that `_tidied` may have to drop or rename; found where there is none (in a text), it costs time only."""


_DIGITS = re.compile(r"-?[0-9]{1,20}")


class _Misfit(Exception):
    """A value of the wrong kind; collects the way to it."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.steps: list[str] = []


def from_json(data: bytes, *, lossless: bool = True) -> Document:
    """One Document AI v1 `Document` in JSON, or a process response with a `document` in it.

    `lossless=False` does not collect `Document.unread`: half the time and memory, for documents docfleet wrote.
    Keys in `DROPPED` are left out. Raises `FormatError` when the bytes are no JSON object, when none of its keys is a
    `Document`'s, or when a known field holds a value of the wrong kind; unknown fields are never an error.
    """
    try:
        data = bytes(data).removeprefix(b"\xef\xbb\xbf")
        raw = _document_in(msgspec.json.decode(data))
        if _UNTIDY.search(data):
            raw = _tidied(raw)
        document: Document = _read_struct(Document, raw)
        if lossless:
            document = msgspec.structs.replace(document, unread=differences(to_json(document), raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"This is no JSON: {error}.") from error
    except _Misfit as misfit:
        raise FormatError(f"{'.'.join(reversed(misfit.steps)) or 'The document'}: {misfit} expected.") from misfit
    except RecursionError as error:
        raise FormatError("This JSON is nested too deeply.") from error
    return document


def _document_in(raw: Any) -> Any:
    known = _table(Document)
    if isinstance(raw, dict):
        if isinstance(raw.get("document"), dict) and not any(key in known for key in raw):
            raw = raw["document"]
        if raw and not any(key in known or _camels().get(key) in known or key in DROPPED for key in raw):
            raise FormatError("This JSON is no Document AI document: none of its keys is a document's.")
    return raw


@cache
def _camels() -> dict[str, str]:
    """snake_case -> lowerCamelCase of every key we know; `type_` and `format_` as the Python client names them."""
    keys = {key for owner in structs() for f in fields_of(owner) for key in f.path} | {"cells"}
    return {snake(key): key for key in keys if snake(key) != key} | {"type_": "type", "format_": "format"}


def _tidied(raw: Any) -> Any:
    """`raw` with known keys in lowerCamelCase and without `DROPPED`."""
    if type(raw) is list:
        return [_tidied(item) if type(item) in (dict, list) else item for item in raw]
    if type(raw) is not dict:
        return raw
    camels = _camels()
    tidy = {}
    for key, item in raw.items():
        name = camels.get(key, key)
        if name in DROPPED or (name != key and name in raw):
            continue
        # `details` holds messages of other kinds, whose keys are not ours to spell
        tidy[name] = _tidied(item) if type(item) in (dict, list) and name != "details" else item
    return tidy


def _read_struct(owner: type, raw: Any) -> Any:
    values: dict[str, Any] = dict(_required(owner))
    _fill(values, _table(owner), raw)
    return without_covered(owner(**values)) if owner is Table else owner(**values)


def _fill(values: dict[str, Any], table: Places, raw: Any) -> None:
    if type(raw) is not dict:
        raise _Misfit("an object")
    for key, item in raw.items():
        place = table.get(key)
        if place is None or item is None:
            continue
        try:
            if type(place) is tuple:
                values[place[0]] = place[1](item)
            else:
                _fill(values, place, item)
        except _Misfit as misfit:
            misfit.steps.append(key)
            raise


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
    """What attributes without a default are when the JSON leaves them out: zero, as in the proto."""
    return {f.attribute: f.of() for f in fields_of(owner) if f.required and not f.repeated} | {
        f.attribute: () for f in fields_of(owner) if f.required and f.repeated
    }


def _reader(field: Field) -> Reader:
    read = _SHAPES[field.shape](field.of)
    return _list_reader(read) if field.repeated else read


def _list_reader(read: Reader) -> Reader:
    def read_list(raw: Any) -> tuple[Any, ...]:
        if type(raw) is not list:
            raise _Misfit("a list")
        items = []
        for position, item in enumerate(raw):
            try:
                items.append(read(item))
            except _Misfit as misfit:
                misfit.steps.append(str(position))
                raise
        return tuple(items)

    return read_list


def _text(raw: Any) -> str:
    if type(raw) is not str:
        raise _Misfit("a string")
    return raw


def _integer(raw: Any) -> int:
    whole = type(raw) is int or (type(raw) is float and raw.is_integer())
    if (whole or (type(raw) is str and _DIGITS.fullmatch(raw))) and -(2**63) <= int(raw) < 2**63:
        return int(raw)
    raise _Misfit("a whole number of at most 64 bits")


def _number(raw: Any) -> float:
    if type(raw) is float:
        return raw
    try:
        if type(raw) in (int, str):
            return float(raw)
    except (ValueError, OverflowError):
        pass
    raise _Misfit("a number")


def _boolean(raw: Any) -> bool:
    if type(raw) is not bool:
        raise _Misfit("true or false")
    return raw


def _bytes(raw: Any) -> bytes:
    text = _text(raw).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Misfit("base64") from error


def _enum_reader(enum: type[StrEnum]) -> Reader:
    """By name in any case, bare or qualified, or by number; a value newer than the model reads as the unknown one."""
    members = list(enum)
    known: dict[Any, StrEnum] = {enum_name(member): member for member in members}
    known |= dict(enumerate(members)) | {str(number): member for number, member in enumerate(members)}

    def read(raw: Any) -> StrEnum:
        if type(raw) not in (str, int):
            raise _Misfit("an enum's name or number")
        if raw in known:
            return known[raw]
        return known.get(str(raw).rpartition(".")[2].upper(), members[0])

    return read


def _object(raw: Any) -> dict[str, Any]:
    if type(raw) is not dict:
        raise _Misfit("an object")
    return raw


def _point(raw: Any) -> tuple[float, float]:
    point = _object(raw)
    return (_number(point.get("x") or 0.0), _number(point.get("y") or 0.0))


def _pixel(raw: Any) -> tuple[int, int]:
    point = _object(raw)
    return (_integer(point.get("x") or 0), _integer(point.get("y") or 0))


def _defect(raw: Any) -> tuple[str, float]:
    defect = _object(raw)
    return (_text(defect.get("type") or ""), _number(defect.get("confidence") or 0.0))


def _struct_reader(owner: type) -> Reader:
    return lambda raw: _read_struct(owner, raw)


def _row_reader(owner: type) -> Reader:
    read_cells = _list_reader(_struct_reader(owner))
    return lambda raw: read_cells(_object(raw).get("cells") or [])


_SHAPES: dict[Shape, Callable[[Any], Reader]] = {
    Shape.TEXT: lambda _: _text,
    Shape.INTEGER: lambda _: _integer,
    Shape.INTEGER_STRING: lambda _: _integer,
    Shape.NUMBER: lambda _: _number,
    Shape.BOOLEAN: lambda _: _boolean,
    Shape.BYTES: lambda _: _bytes,
    Shape.ENUM: _enum_reader,
    Shape.OBJECT: _struct_reader,
    Shape.POINT: lambda _: _point,
    Shape.PIXEL: lambda _: _pixel,
    Shape.DEFECT: lambda _: _defect,
    Shape.ROW: _row_reader,
    Shape.ANY: lambda _: _object,
}
