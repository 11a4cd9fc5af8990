"""Answers that hold a document and an error: which of its pages were not read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_UNIMPLEMENTED = 12
"""The error is about something that was not looked for, and not about a page."""
CODE = "page_unread"


class Unread(msgspec.Struct, frozen=True):
    """The answer says that something of it failed."""

    message: str
    pages: tuple[int, ...]
    """Positions of the pages it may be about: those without any text. One that is alone is meant; of several some may
    just be blank, which shows when each is sent by itself."""


def unread_of(code: int, message: str, texts: Sequence[str]) -> Unread | None:
    """`code` and `message`: those of `Document.error`; `texts`: of its pages. None: every page was read."""
    if code in (0, _UNIMPLEMENTED):
        return None
    pages = tuple([position for position, text in enumerate(texts) if not text.strip()])
    return Unread(message, pages) if pages else None
