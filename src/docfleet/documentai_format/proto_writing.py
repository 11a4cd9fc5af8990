"""Our model to Document AI's protobuf.

The general writer follows the mapping and the message's own descriptor; the five long element lists of a page take the
short cut in `proto_bytes`. Google's package is loaded (over a second) at the first call, never at import.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from docfleet.documentai_format.google import Version, as_google
from docfleet.documentai_format.mapping import Field, Shape, fields_of
from docfleet.documentai_format.proto_bytes import element_bytes
from docfleet.documentai_format.proto_elements import ELEMENTS
from docfleet.documentai_format.spans import with_covered
from docfleet.documentai_format.writing import omitted, plain_text
from docfleet.domain.document import Document, Table
from docfleet.errors import FormatError

Writer = Callable[[Any, str, Any], None]
"""(message, name of its field, value of our attribute) sets the field."""


def to_proto(document: Document, version: Version | None = None) -> Any:
    """`document` as a raw `google.cloud.documentai.v1.Document` message.

    As it is, or with a `version` by Google's conventions for responses of that version (`as_google`). Own attributes
    (`mapping.OWN`) and `unread` are not written; unpaired surrogates become U+FFFD. Raises `FormatError` where a number
    does not fit the protobuf's type, and ImportError without google-cloud-documentai.
    """
    message = _document_class()()
    _write(message, document if version is None else as_google(document, version))
    return message


@cache
def _document_class() -> Any:
    return import_module("google.cloud.documentai_v1.types.document").Document.pb()


def _write(message: Any, value: Any) -> None:
    if value.__class__ is Table:
        value = with_covered(value)
    for field, omit, names, write in _plan(value.__class__, message.DESCRIPTOR):
        item = getattr(value, field.attribute)
        if item is None or (item == omit and not field.nullable):
            continue
        holder = message
        for name in names[:-1]:
            holder = getattr(holder, name)
        try:
            write(holder, names[-1], item)
        except (ValueError, TypeError, OverflowError) as error:
            raise FormatError(f"{field.attribute}: {error}") from error


_plans: dict[tuple[type, str], tuple[tuple[Field, Any, tuple[str, ...], Writer], ...]] = {}


def _plan(owner: type, descriptor: Any) -> tuple[tuple[Field, Any, tuple[str, ...], Writer], ...]:
    """Each field with the value that is omitted, the names of the message's fields down to it, and its writer."""
    key = (owner, descriptor.full_name)
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = tuple(_planned(owner, field, descriptor) for field in fields_of(owner))
    return plan


def _planned(owner: type, field: Field, descriptor: Any) -> tuple[Field, Any, tuple[str, ...], Writer]:
    names = []
    for key in field.path:
        (found,) = (one for one in descriptor.fields if one.json_name == key)
        names.append(found.name)
        descriptor = found.message_type
    return field, omitted(owner, field), tuple(names), _writer(field, found)


def _writer(field: Field, descriptor: Any) -> Writer:
    kind = descriptor.message_type.full_name if descriptor.message_type is not None else ""
    if field.repeated and field.of in ELEMENTS:
        return _element_writer(descriptor)
    if kind == "google.protobuf.FloatValue":
        return _set_wrapped
    if kind == "google.protobuf.Duration":
        return lambda message, name, value: getattr(message, name).FromJsonString(value)
    if field.shape is Shape.OBJECT and not field.repeated:
        return _set_object if field.nullable else _fill_object
    if field.shape in _ADDED and field.repeated:
        return _adder(_ADDED[field.shape])
    if field.shape is Shape.ENUM:
        return _enum_setter(field.of)
    convert = plain_text if field.shape is Shape.TEXT else _as_it_is
    if field.repeated:
        return lambda message, name, values: getattr(message, name).extend([convert(value) for value in values])
    return lambda message, name, value: setattr(message, name, convert(value))


def _element_writer(descriptor: Any) -> Writer:
    number = descriptor.number

    def write(message: Any, name: str, values: Any) -> None:
        blank = type(message)()

        def one(value: Any) -> bytes:
            written = getattr(blank, name).add()
            _write(written, value)
            data: bytes = written.SerializeToString()
            return data

        message.MergeFromString(element_bytes(number, values, one))

    return write


def _set_wrapped(message: Any, name: str, value: float) -> None:
    wrapper = getattr(message, name)
    wrapper.value = value
    wrapper.SetInParent()


def _set_object(message: Any, name: str, value: Any) -> None:
    inner = getattr(message, name)
    inner.SetInParent()
    _write(inner, value)


def _fill_object(message: Any, name: str, value: Any) -> None:
    _write(getattr(message, name), value)


def _enum_setter(enum: type[StrEnum]) -> Writer:
    numbers = {member: number for number, member in enumerate(enum)}
    return lambda message, name, value: setattr(message, name, numbers[value])


def _as_it_is(value: Any) -> Any:
    return value


def _adder(write: Callable[[Any, Any], None]) -> Writer:
    def add(message: Any, name: str, values: Any) -> None:
        items = getattr(message, name)
        for value in values:
            write(items.add(), value)

    return add


def _point(message: Any, point: tuple[float, float]) -> None:
    message.x, message.y = point


def _defect(message: Any, defect: tuple[str, float]) -> None:
    message.type_, message.confidence = plain_text(defect[0]), defect[1]


def _row(message: Any, cells: tuple[Any, ...]) -> None:
    for cell in cells:
        _write(message.cells.add(), cell)


def _any(message: Any, value: dict[str, Any]) -> None:
    """`google.protobuf.Any` from JSON; of a kind nobody has loaded, as `from_proto` shows it."""
    json_format = import_module("google.protobuf.json_format")

    try:
        json_format.ParseDict(value, message)
    except json_format.ParseError:
        message.type_url = str(value.get("@type", ""))
        shown = value.get("value")
        message.value = base64.b64decode(shown) if isinstance(shown, str) else msgspec.json.encode(value)


_ADDED: dict[Shape, Callable[[Any, Any], None]] = {
    Shape.OBJECT: _write,
    Shape.POINT: _point,
    Shape.PIXEL: _point,
    Shape.DEFECT: _defect,
    Shape.ROW: _row,
    Shape.ANY: _any,
}
