"""Lists, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from docfleet.documentai_server.refusals import invalid

T = TypeVar("T")


def page_of(
    items: Sequence[T], key: Callable[[T], str], size: int, token: str, *, default: int, most: int
) -> tuple[Sequence[T], str]:
    """The items after `token`, at most `size` of them (0: `default`), and the token of the page that follows.

    `items` are in the order of `key`. Raises `Refusal` for a negative size and for a token that is none of ours.
    """
    if size < 0:
        raise invalid("page_size", "The page size must not be negative.")
    after = _read(token)
    start = next((at for at, item in enumerate(items) if key(item) > after), len(items)) if token else 0
    count = min(size or default, most)
    page = items[start : start + count]
    more = start + count < len(items)
    return page, _write(key(page[-1])) if more and page else ""


def _write(key: str) -> str:
    return base64.urlsafe_b64encode(b"k" + key.encode()).decode().rstrip("=")


def _read(token: str) -> str:
    if not token:
        return ""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if raw[:1] != b"k":
            raise ValueError
        return raw[1:].decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("page_token", "The page token is invalid.") from error
