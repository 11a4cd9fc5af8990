"""Parts of a REST answer: the system parameters `fields` and `X-Goog-FieldMask`, over whatever a method answers.

Both name parts of the response by path, in either spelling: `document.text,document.pages.pageNumber`. In `fields`
slashes separate as well, and brackets gather: `document(text,pages/pageNumber)`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from docfleet.documentai_server.refusals import Code, FieldViolation, Refusal

_TOKEN = re.compile(r"[^,()./\s]+|[,()./]")
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_DEEPEST = 20

Selected = dict[str, "Selected"]
"""What is kept: names in lowerCamelCase; an empty one keeps all that is below."""


def selected(body: bytes, chosen: str, descriptor: Any) -> bytes:
    """`body`, the JSON of a message of `descriptor`'s kind, with nothing but what is `chosen`.

    Raises `Refusal` for a name there is not.
    """
    tree = _tree(chosen)
    _check(tree, descriptor, chosen)
    return body if not tree else msgspec.json.encode(_kept(msgspec.json.decode(body), tree))


def _tree(chosen: str) -> Selected:
    root: Selected = {}
    stack = [root]
    at = root
    fresh = True
    for token in _TOKEN.findall(chosen):
        if token == ",":
            at, fresh = stack[-1], True
        elif token == "(":
            stack.append(at)
            fresh = True
        elif token == ")":
            if len(stack) == 1:
                raise _refused(chosen)
            stack.pop()
            fresh = False
        elif token not in "./":
            at = (stack[-1] if fresh else at).setdefault(_UNDERSCORE.sub(lambda found: found[1].upper(), token), {})
            fresh = False
            if len(stack) > _DEEPEST:
                raise _refused(chosen)
    if len(stack) > 1:
        raise _refused(chosen)
    return {} if "*" in root else root


def _check(tree: Selected, descriptor: Any, chosen: str) -> None:
    if descriptor.full_name.startswith("google.protobuf."):
        return
    known = {field.json_name.rstrip("_"): field for field in descriptor.fields}
    for name, inner in tree.items():
        if name == "*":
            continue
        if name not in known:
            raise _refused(name)
        below = known[name].message_type
        if inner and below is None:
            raise _refused(chosen)
        if inner and not below.GetOptions().map_entry:
            _check(inner, below, chosen)


def _kept(value: Any, tree: Selected) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_kept(one, tree) for one in value]
    return {name: _kept(value[name], inner) for name, inner in tree.items() if name in value}


def _refused(name: str) -> Refusal:
    said = f"Invalid field selection {name[:100]}"
    return Refusal(Code.INVALID_ARGUMENT, "Request contains an invalid argument.", FieldViolation("fields", said))
