"""Where each attribute of our model stands in Document AI's JSON: the one table both directions are compiled from.

A struct becomes a JSON object, an attribute the key of the same name in lowerCamelCase, unless `PATHS` says otherwise.
"""

from __future__ import annotations

import typing
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any

import msgspec

from docfleet.domain.anchors import Span, TextAnchor
from docfleet.domain.document import (
    Block,
    DetectedLanguage,
    Document,
    FormField,
    ImageQuality,
    Layout,
    Line,
    Page,
    Paragraph,
    ShardInfo,
    Symbol,
    Table,
    TableCell,
    Token,
    VisualElement,
)
from docfleet.domain.entities import Entity, Money, PageRef
from docfleet.domain.geometry import BoundingBox

DROPPED = frozenset({"image", "revisions", "provenance"})
"""Keys that are left out on reading, wherever they stand: page pictures, and the history of human review."""

OWN: dict[type, frozenset[str]] = {
    Document: frozenset({"readings", "unread"}),
    Paragraph: frozenset({"role", "level"}),
}
"""Attributes Document AI has no place for; they are not written."""

_LANGUAGES = ("detectedLanguages",)

PATHS: dict[tuple[type, str], tuple[str, ...]] = {
    (Span, "start"): ("startIndex",),
    (Span, "end"): ("endIndex",),
    (TextAnchor, "spans"): ("textSegments",),
    (Layout, "spans"): ("textAnchor", "textSegments"),
    (Layout, "content"): ("textAnchor", "content"),
    (Layout, "box"): ("boundingPoly",),
    (BoundingBox, "corners"): ("normalizedVertices",),
    (BoundingBox, "pixels"): ("vertices",),
    (DetectedLanguage, "code"): ("languageCode",),
    (Token, "break_after"): ("detectedBreak", "type"),
    (Token, "style"): ("styleInfo",),
    (TableCell, "column_span"): ("colSpan",),
    (FormField, "name_languages"): ("nameDetectedLanguages",),
    (FormField, "value_languages"): ("valueDetectedLanguages",),
    (ImageQuality, "score"): ("qualityScore",),
    (ImageQuality, "defects"): ("detectedDefects",),
    (Page, "number"): ("pageNumber",),
    (Page, "quality"): ("imageQualityScores",),
    (Page, "barcodes"): ("detectedBarcodes",),
    (Entity, "page_refs"): ("pageAnchor", "pageRefs"),
    **{
        (owner, "languages"): _LANGUAGES
        for owner in (Page, Block, Paragraph, Line, Token, Symbol, VisualElement, Table, TableCell)
    },
}

STRINGS = frozenset(
    {
        (Span, "start"),
        (Span, "end"),
        (PageRef, "page"),
        (Money, "units"),
        (ShardInfo, "shard_index"),
        (ShardInfo, "shard_count"),
        (ShardInfo, "text_offset"),
    }
)
"""64-bit integers: strings in JSON."""


class Shape(StrEnum):
    """How a value is written in JSON."""

    TEXT = "string"
    INTEGER = "integer"
    INTEGER_STRING = "integer as string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    BYTES = "base64 string"
    ENUM = "enum name"
    OBJECT = "object"
    POINT = "{x, y}"
    PIXEL = "{x, y} in pixels"
    DEFECT = "{type, confidence}"
    ROW = "{cells}"
    ANY = "any object"


class Field(msgspec.Struct, frozen=True):
    """One attribute of a struct and its place in JSON."""

    attribute: str
    path: tuple[str, ...]
    shape: Shape
    of: Any
    """The Python type of one value: a struct for objects, an enum for enums."""
    repeated: bool = False
    nullable: bool = False
    """None means absent; a zero is then written out."""
    required: bool = False


_SCALARS: dict[Any, Shape] = {
    str: Shape.TEXT,
    int: Shape.INTEGER,
    float: Shape.NUMBER,
    bool: Shape.BOOLEAN,
    bytes: Shape.BYTES,
}

_SPECIAL: dict[tuple[type, str], Shape] = {
    (BoundingBox, "corners"): Shape.POINT,
    (BoundingBox, "pixels"): Shape.PIXEL,
    (ImageQuality, "defects"): Shape.DEFECT,
    (Table, "header_rows"): Shape.ROW,
    (Table, "body_rows"): Shape.ROW,
}


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name)


@cache
def fields_of(owner: type) -> tuple[Field, ...]:
    """The fields of one struct of the model, in order, without docfleet's own ones."""
    hints = typing.get_type_hints(owner)
    own = OWN.get(owner, frozenset())
    return tuple(
        _field(owner, info.name, hints[info.name], info.required)
        for info in msgspec.structs.fields(owner)
        if info.name not in own
    )


def _field(owner: type, name: str, hint: Any, required: bool) -> Field:
    path = PATHS.get((owner, name), (camel(name),))
    parts = typing.get_args(hint)
    nullable = NoneType in parts
    if nullable:
        (hint,) = (part for part in parts if part is not NoneType)
    repeated = typing.get_origin(hint) is tuple
    if repeated:
        hint = typing.get_args(hint)[0]
    shape = _SPECIAL.get((owner, name)) or _shape(hint)
    if (owner, name) in STRINGS:
        shape = Shape.INTEGER_STRING
    if shape is Shape.ROW:
        hint = TableCell
    return Field(name, path, shape, hint, repeated, nullable, required)


def _shape(hint: Any) -> Shape:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if typing.get_origin(hint) is dict:
        return Shape.ANY
    if issubclass(hint, StrEnum):
        return Shape.ENUM
    if issubclass(hint, msgspec.Struct):
        return Shape.OBJECT
    raise TypeError(f"no place in JSON for {hint!r}")


@cache
def structs() -> tuple[type, ...]:
    """Every struct that is written, the document first, each after the one that holds it."""
    found: dict[type, None] = {}
    todo: list[type] = [Document]
    while todo:
        owner = todo.pop(0)
        if owner not in found:
            found[owner] = None
            todo += [f.of for f in fields_of(owner) if f.shape in (Shape.OBJECT, Shape.ROW)]
    return tuple(found)


def enum_name(member: StrEnum) -> str:
    """The proto's name of an enum value."""
    return member.value or "TYPE_UNSPECIFIED"
