"""What a JSON from elsewhere says otherwise than docfleet would, taken down and written back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from docfleet.domain.anchors import Unread

_ABSENT = object()


def differences(written: bytes, raw: Any) -> tuple[Unread, ...]:
    """Every place where the JSON `written` by docfleet differs from `raw`, the same document as it came."""
    ours = msgspec.json.decode(written)
    return () if ours == raw else tuple(_walk(ours, raw, ()))


def _walk(ours: Any, raw: Any, path: tuple[str | int, ...]) -> Iterator[Unread]:
    if type(ours) is dict and type(raw) is dict:
        for key, item in raw.items():
            mine = ours.get(key, _ABSENT)
            if mine is _ABSENT:
                yield Unread((*path, key), item)
            elif mine != item:
                yield from _walk(mine, item, (*path, key))
        for key, mine in ours.items():
            if key not in raw:
                yield Unread((*path, key), None, present=False, instead=mine)
    elif type(ours) is list and type(raw) is list and len(ours) == len(raw):
        for position, (mine, item) in enumerate(zip(ours, raw, strict=True)):
            if mine != item:
                yield from _walk(mine, item, (*path, position))
    else:
        yield Unread(path, raw, instead=ours)


def written_back(written: bytes, unread: tuple[Unread, ...]) -> bytes:
    """`written` with each of `unread` in its place, where docfleet still writes what it wrote when that was noted."""
    root = msgspec.json.decode(written)
    for note in unread:
        holder: Any = root
        last: Any = note.path[-1]
        try:
            for step in note.path[:-1]:
                holder = holder[step]
            mine = holder[last] if type(holder) is list else holder.get(last)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
        if mine == note.instead:
            if note.present:
                holder[last] = note.value
            else:
                holder.pop(last, None)
    return msgspec.json.encode(root)
