"""Which part of a result a request wants, by RFC 9110 (range requests and conditional requests)."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.IGNORECASE)
_DIGITS = 18
"""More digits than any size has."""
_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._ -]+")


class Part(msgspec.Struct, frozen=True):
    """Bytes from `start` up to, not including, `end`; of all of it when `whole`."""

    start: int
    end: int
    whole: bool


def choose_part(header: str | None, size: int) -> Part | None:
    """The part a `Range` header asks for; None: it cannot be satisfied (416).

    What is malformed, has another unit or asks for several parts is ignored, as RFC 9110 allows: the whole is sent.

    >>> choose_part("bytes=-5", 100)
    Part(start=95, end=100, whole=False)
    """
    whole = Part(0, size, True)
    found = _RANGE.fullmatch(header) if header else None
    if found is None:
        return whole
    first, last = found.groups()
    if len(first) > _DIGITS or len(last) > _DIGITS or not (first or last):
        return whole
    if not first:
        length = min(int(last), size)
        return Part(size - length, size, False) if length else None
    if last and int(last) < int(first):
        return whole
    if int(first) >= size:
        return None
    return Part(int(first), min(int(last) + 1, size) if last else size, False)


def names_tag(header: str, tag: str, *, weakly: bool) -> bool:
    """Whether `tag` is among the entity tags of a header (`*` is any). `weakly`: W/ makes no difference."""
    if header.strip() == "*":
        return True
    position = 0
    while match := _TAG.match(header, position):
        if match[2] == tag and (weakly or not match[1]):
            return True
        position = match.end()
    return False


def content_disposition(name: str) -> str:
    """`attachment` with a file name: plain where it is harmless, else percent-encoded UTF-8 (RFC 8187, RFC 6266).

    >>> content_disposition('a".pdf\\r\\nX: y')
    "attachment; filename*=UTF-8''a%22.pdf%0D%0AX%3A%20y"
    """
    if _PLAIN_NAME.fullmatch(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
