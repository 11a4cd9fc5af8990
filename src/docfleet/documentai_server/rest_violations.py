"""What is wrong with a JSON body, said as Google's front says it: every unknown name and every wrong value, by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docfleet.documentai_server.refusals import Code, FieldViolation, Refusal

_INVALID = "Invalid JSON payload received."
_KINDS = (
    "", "DOUBLE", "FLOAT", "INT64", "UINT64", "INT32", "FIXED64", "FIXED32", "BOOL", "STRING", "GROUP", "MESSAGE",
    "BYTES", "UINT32", "ENUM", "SFIXED32", "SFIXED64", "SINT32", "SINT64",
)  # fmt: skip
"""By the number of a descriptor's type."""
_MOST = 20
_DEEPEST = 50


def malformed(data: dict[str, Any], descriptor: Any, otherwise: str) -> Refusal:
    """The refusal of a body `data` that is no message of `descriptor`'s kind; `otherwise` is said where nothing is
    found that would explain it."""
    found: list[tuple[str, str]] = []
    for violation in _violations(data, descriptor, "", 0):
        found.append(violation)
        if len(found) == _MOST:
            break
    if not found:
        return Refusal(Code.INVALID_ARGUMENT, f"{_INVALID} {otherwise}")
    (field, said), *others = found
    text = "\n".join([said, *(other for _, other in others)])
    return Refusal(Code.INVALID_ARGUMENT, text, FieldViolation(field, said, tuple(others)))


def kind_of(descriptor: Any) -> str:
    """Of a field, as Google's front names it: "TYPE_BOOL", or with the name of its message or enum."""
    kind = f"TYPE_{_KINDS[descriptor.type]}"
    of = descriptor.message_type or descriptor.enum_type
    return f"type.googleapis.com/{of.full_name}" if of is not None else kind


def _violations(data: dict[str, Any], descriptor: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    names = {field.json_name: field for field in descriptor.fields} | {field.name: field for field in descriptor.fields}
    taken: dict[str, str] = {}
    for name, value in data.items():
        # some messages of the client's have a name with an underscore that is none on the wire
        field = names.get(name) or names.get(f"{name}_")
        if field is None:
            at = f" at '{path}'" if path else ""
            yield path, f'{_INVALID} Unknown name "{name[:100]}"{at}: Cannot find field.'
            continue
        inner = f"{path}.{field.name.rstrip('_')}" if path else field.name.rstrip("_")
        group = field.containing_oneof
        if group is not None and value is not None:
            if group.name in taken:
                said = f"oneof field '{group.name}' is already set. Cannot set '{name[:100]}'"
                yield path or group.name, f"Invalid value at '{path or group.name}' (oneof), {said}"
                continue
            taken[group.name] = name
        yield from _of_field(value, field, inner, depth)


def _of_field(value: Any, field: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if value is None or depth > _DEEPEST:
        return
    if not field.is_repeated:
        yield from _of_value(value, field, path, depth)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            yield path, _wrong(path, field, value)
    elif isinstance(value, list):
        for position, one in enumerate(value):
            yield from _of_value(one, field, f"{path}[{position}]", depth)
    else:
        yield from _of_value(value, field, path, depth)


def _of_value(value: Any, field: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    message = field.message_type
    if message is not None and message.full_name.startswith("google.protobuf."):
        return
    if message is not None:
        if isinstance(value, dict):
            yield from _violations(value, message, path, depth + 1)
        else:
            yield path, _wrong(path, field, value)
    elif not _fits(value, field):
        yield path, _wrong(path, field, value)


def _fits(value: Any, field: Any) -> bool:
    match _KINDS[field.type]:
        case "BOOL":
            return isinstance(value, bool)
        case "STRING" | "BYTES":
            return isinstance(value, str)
        case "ENUM":
            known = isinstance(value, str) and value in field.enum_type.values_by_name
            return known or (isinstance(value, int) and not isinstance(value, bool))
        case kind:
            return not isinstance(value, bool) and _is_number(value, whole=kind not in ("DOUBLE", "FLOAT"))


def _is_number(value: Any, *, whole: bool) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not whole or number == number // 1


def _wrong(path: str, field: Any, value: Any) -> str:
    shown = f'"{value[:100]}"' if isinstance(value, str) else str(value)[:100]
    shown = {"True": "true", "False": "false"}.get(shown, shown)
    return f"Invalid value at '{path}' ({kind_of(field)}), {shown}"
