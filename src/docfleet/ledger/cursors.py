"""Cursors of listings: opaque to clients, and checked when they come back."""

from __future__ import annotations

import base64
import binascii
import re

from docfleet.errors import BadRequest

_AFTER = re.compile(r"([a-z]):([0-9a-f]{1,32})")


def to_cursor(kind: str, position: str) -> str:
    """`kind`: one lower-case letter, so that a cursor of one listing is none of another."""
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def from_cursor(kind: str, cursor: str, longest: int = 32) -> str:
    """The position of hexadecimal digits. Raises BadRequest for what is no cursor of this listing."""
    if len(cursor) <= 64 and cursor.isascii():
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
        found = _AFTER.fullmatch(text)
        if found is not None and found[1] == kind and len(found[2]) <= longest:
            return found[2]
    raise BadRequest("This is no cursor of this listing: take `next_cursor` of the page before, unchanged.")
