"""Every field of google.cloud.documentai.v1.Document, found by walking its descriptor, survives the round trip."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import documentai
from google.protobuf import duration_pb2, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from docfleet.documentai_format import DROPPED, from_json, to_json
from docfleet.documentai_format.mapping import Shape, enum_name, fields_of, structs

Message = documentai.Document.pb()
VARIANTS = 8
"""As many as the largest `oneof` has members; each variant also takes the next value of every enum."""
DEPTH = 2
"""How often a message that holds itself (entities, layout blocks) is filled within itself."""


class Filler:
    """Fills messages with values that differ from field to field, and remembers which fields it has filled."""

    def __init__(self, variant: int) -> None:
        self.variant = variant
        self.filled: set[str] = set()
        self._numbers = itertools.count(1)
        self._turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)

    def fill(self, message: Any, ancestors: tuple[str, ...] = ()) -> Any:
        descriptor = message.DESCRIPTOR
        if descriptor.full_name == "google.protobuf.Any":
            message.Pack(duration_pb2.Duration(seconds=next(self._numbers)))
            return message
        ancestors = (*ancestors, descriptor.full_name)
        for field in self._chosen(descriptor):
            deep = field.message_type and ancestors.count(field.message_type.full_name) >= DEPTH
            if deep or field.name in DROPPED:
                continue
            self.filled.add(field.full_name)
            for _ in range(2 if field.is_repeated else 1):
                self._set(message, field, ancestors)
        return message

    def _chosen(self, descriptor: Descriptor) -> Iterator[FieldDescriptor]:
        """The fields that stand alone, and of each `oneof` the member whose turn it is."""
        for oneof in descriptor.oneofs:
            turn = self.variant + next(self._turns[descriptor.full_name + oneof.name])
            yield oneof.fields[turn % len(oneof.fields)]
        yield from (field for field in descriptor.fields if not field.containing_oneof)

    def _set(self, message: Any, field: FieldDescriptor, ancestors: tuple[str, ...]) -> None:
        if field.message_type:
            held = getattr(message, field.name)
            self.fill(held.add() if field.is_repeated else held, ancestors)
        elif field.is_repeated:
            getattr(message, field.name).append(self._value(field))
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field: FieldDescriptor) -> Any:
        number = next(self._numbers)
        if field.enum_type:
            values = field.enum_type.values
            return values[1 + self.variant % (len(values) - 1)].number
        return (
            {
                FieldDescriptor.CPPTYPE_STRING: f"{field.name} {number} \U0001d4b3",
                FieldDescriptor.CPPTYPE_BOOL: True,
                FieldDescriptor.CPPTYPE_INT32: number,
                FieldDescriptor.CPPTYPE_INT64: 2**53 + number,
                FieldDescriptor.CPPTYPE_FLOAT: number / 3,
                FieldDescriptor.CPPTYPE_DOUBLE: number / 7,
            }[field.cpp_type]
            if field.type != FieldDescriptor.TYPE_BYTES
            else bytes([number % 256, 251, 255])
        )


def without_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_dropped(item) for key, item in value.items() if key not in DROPPED}
    return [without_dropped(item) for item in value] if isinstance(value, list) else value


def all_fields(descriptor: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    if descriptor.full_name in seen or descriptor.full_name == "google.protobuf.Any":
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        if field.name not in DROPPED:
            yield field
            if field.message_type:
                yield from all_fields(field.message_type, seen)


def filled(variant: int) -> Any:
    message = Filler(variant).fill(Message())
    # a duration and a time stamp have limits of their own
    for entity in walk_entities(message):
        value = entity.normalized_value.datetime_value
        if value.HasField("utc_offset"):
            value.utc_offset.seconds, value.utc_offset.nanos = -3600, -5
    return message


def walk_entities(holder: Any) -> Iterator[Any]:
    revisions = [entity for revision in getattr(holder, "entities_revisions", ()) for entity in revision.entities]
    for entity in [*getattr(holder, "entities", ()), *getattr(holder, "properties", ()), *revisions]:
        yield entity
        yield from walk_entities(entity)


def test_the_filler_misses_no_field() -> None:
    reached: set[str] = set()
    for variant in range(VARIANTS):
        filler = Filler(variant)
        filler.fill(Message())
        reached |= filler.filled
    assert reached == {field.full_name for field in all_fields(Message.DESCRIPTOR, set())}


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_every_field_survives(variant: int) -> None:
    message = filled(variant)
    raw = json_format.MessageToJson(message)
    document = from_json(raw.encode())
    assert document.unread == ()
    written = to_json(document)
    assert json.loads(written) == json.loads(raw)
    assert json_format.Parse(written, Message()) == message


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_every_spelling_reads_the_same(variant: int) -> None:
    message = filled(variant)
    plain = from_json(json_format.MessageToJson(message).encode())
    snake = json_format.MessageToJson(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    client = documentai.Document.to_json(documentai.Document.wrap(message))
    for spelling in (snake, client):
        document = from_json(spelling.encode())
        assert json_format.Parse(to_json(document), Message()) == message
        for field in document.__struct_fields__:
            if field != "unread":
                assert getattr(document, field) == getattr(plain, field)
    assert json.loads(to_json(from_json(client.encode()))) == without_dropped(json.loads(client))


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_a_present_but_empty_message_is_not_an_absent_one(variant: int) -> None:
    message = filled(variant)
    hollow(message)
    raw = json_format.MessageToJson(message)
    assert json.loads(to_json(from_json(raw.encode()))) == json.loads(raw)
    assert json_format.Parse(to_json(from_json(raw.encode())), Message()) == message


def hollow(message: Any) -> None:
    """Clears every scalar that has no presence, and keeps every message."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.full_name != "google.protobuf.Any":
            for held in value if field.is_repeated else [value]:
                hollow(held)
        elif not field.message_type and not field.has_presence:
            message.ClearField(field.name)


def test_enums_are_in_the_order_of_their_numbers() -> None:
    protos: dict[str, set[tuple[str, ...]]] = {}
    for field in all_fields(Message.DESCRIPTOR, set()):
        if field.enum_type:
            assert [value.number for value in field.enum_type.values] == list(range(len(field.enum_type.values)))
            protos.setdefault(field.json_name, set()).add(tuple(value.name for value in field.enum_type.values))
    ours = [field for owner in structs() for field in fields_of(owner) if field.shape is Shape.ENUM]
    assert len(ours) == len(protos)
    for field in ours:
        assert tuple(enum_name(member) for member in field.of) in protos[field.path[-1]]
