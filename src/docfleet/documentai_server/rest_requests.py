"""REST requests as messages: the official paths, bodies with documents in them, query parameters."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from google.protobuf import json_format

from docfleet.documentai_server.methods import Method, Rule
from docfleet.documentai_server.refusals import Code, FieldViolation, Refusal
from docfleet.documentai_server.rest_violations import kind_of, malformed

_FIELD = re.compile(r"\{(\w+)=([^}]*)\}")
_DOCUMENTS = {"rawDocument": "raw_document", "inlineDocument": "inline_document"}
"""Keys whose `content` is a whole file: decoded apart from the rest."""
_SYSTEM = frozenset({"alt", "key", "prettyPrint", "fields", "callback", "access_token", "quotaUser", "userIp"})


class Match(msgspec.Struct, frozen=True):
    method: Method
    rule: Rule
    fields: Mapping[str, str]
    """Of the request, from the path."""


class Router:
    """Finds the method of a path."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._rules = [
            (rule.verb, re.compile(_regex(rule.pattern)), method, rule) for method in methods for rule in method.rules
        ]

    def find(self, verb: str, path: str) -> Match | None:
        for known, pattern, method, rule in self._rules:
            if known == verb and (found := pattern.fullmatch(path)):
                return Match(method, rule, found.groupdict())
        return None


def _regex(pattern: str) -> str:
    parts = []
    at = 0
    for found in _FIELD.finditer(pattern):
        template = "[^/:]+".join(map(re.escape, found[2].split("*")))
        parts += [re.escape(pattern[at : found.start()]), f"(?P<{found[1]}>{template})"]
        at = found.end()
    return "".join([*parts, re.escape(pattern[at:])])


def request_of(match: Match, query: Iterable[tuple[str, str]], body: bytes) -> Any:
    """The request message. Raises `Refusal` for what is none."""
    request = match.method.request_class()()
    if match.rule.body == "*":
        _fill(request, body)
    elif match.rule.body:
        _fill(getattr(request, match.rule.body), body)
    fields = request.DESCRIPTOR.fields_by_name
    for name, value in query:
        snake = re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: "_" + found[0].lower(), name)
        if name.startswith("$") or name in _SYSTEM:
            continue
        if snake not in fields:
            raise _unknown(name)
        _set(request, snake, name, value)
    for name, value in match.fields.items():
        setattr(request, name, value)
    return request


def _fill(message: Any, body: bytes) -> None:
    try:
        data = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(Code.INVALID_ARGUMENT, f"Invalid JSON payload received. {error}") from error
    if not isinstance(data, dict):
        raise Refusal(Code.INVALID_ARGUMENT, "Invalid JSON payload received. An object is expected.")
    contents = dict(_contents(data))
    mask = _mask(data)
    try:
        json_format.ParseDict(data, message)
    except (json_format.ParseError, RecursionError) as error:
        raise malformed(data, message.DESCRIPTOR, str(error)) from error
    for name, content in contents.items():
        getattr(message, name).content = content
    if mask and "field_mask" in message.DESCRIPTOR.fields_by_name:
        message.field_mask.paths.extend(mask)


def _contents(data: dict[str, Any]) -> Iterable[tuple[str, bytes]]:
    """Takes the files out of a body and decodes them: base64, the web's alphabet too, padded or not."""
    for camel, snake in _DOCUMENTS.items():
        document = data.get(camel, data.get(snake))
        if not isinstance(document, dict) or not isinstance(document.get("content"), str):
            continue
        text = document.pop("content")
        try:
            yield snake, _decoded(text)
        except (binascii.Error, ValueError) as error:
            shown = text if len(text) <= 100 else text[:100] + "…"
            said = f"Invalid value at '{snake}.content' (TYPE_BYTES), Base64 decoding failed for \"{shown}\""
            raise Refusal(Code.INVALID_ARGUMENT, said, FieldViolation(f"{snake}.content", said)) from error


def _decoded(text: str) -> bytes:
    data = text.encode("ascii")
    if b"-" in data or b"_" in data:
        data = data.translate(bytes.maketrans(b"-_", b"+/"))
    if len(data) % 4:
        data += b"=" * (-len(data) % 4)
    return base64.b64decode(data, validate=True)


def _mask(data: dict[str, Any]) -> list[str]:
    """Takes a field mask out of a body: paths in either spelling, which the JSON of a FieldMask does not allow."""
    for key in ("fieldMask", "field_mask"):
        value = data.get(key)
        if isinstance(value, str):
            del data[key]
            return [path for path in value.split(",") if path]
    return []


def _set(request: Any, field: str, name: str, value: str) -> None:
    descriptor = request.DESCRIPTOR.fields_by_name[field]
    try:
        if descriptor.cpp_type == descriptor.CPPTYPE_STRING:
            setattr(request, field, value)
        elif descriptor.cpp_type == descriptor.CPPTYPE_BOOL:
            setattr(request, field, value.lower() in ("true", "1"))
        else:
            setattr(request, field, int(value))
    except (TypeError, ValueError) as error:
        said = f"Invalid value at '{field}' ({kind_of(descriptor)}), \"{value[:100]}\""
        raise Refusal(Code.INVALID_ARGUMENT, said, FieldViolation(field, said)) from error


def _unknown(name: str) -> Refusal:
    shown = name[:100]
    said = (
        f'Invalid JSON payload received. Unknown name "{shown}": Cannot bind query parameter. '
        f"Field '{shown}' could not be found in request message."
    )
    return Refusal(Code.INVALID_ARGUMENT, said, FieldViolation("", said))
