"""Where something stands in the text of its document."""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True, gc=False):
    """Code points `start` (included) to `end` (excluded) of the document's text."""

    start: int
    end: int


class TextAnchor(msgspec.Struct, frozen=True):
    """Spans, and the text itself where the maker repeats it."""

    spans: tuple[Span, ...] = ()
    content: str = ""


class Unread(msgspec.Struct, frozen=True):
    """A place where a document from elsewhere is written otherwise than docfleet would write it.

    A default written out, an enum as a number, a field newer than the model. It is written back to the JSON as long as
    the model still says `instead` there, so it can never overrule a value that was changed.
    """

    path: tuple[str | int, ...]
    """Keys and positions from the root of the JSON."""
    value: object
    """What was there."""
    present: bool = True
    """False: nothing was there, though docfleet would write `instead`."""
    instead: object = None
    """What docfleet writes there; None: nothing."""
