"""The engine that reads nothing: for runs that want text layers only, and for measuring everything but recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docfleet.domain.geometry import Frame
from docfleet.domain.words import WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.errors import UsageError


def engine(options: Mapping[str, Any] | None = None) -> NullEngine:
    """The engine. Raises `UsageError` when given options, since it has none."""
    if options:
        raise UsageError(f"The null engine takes no options, but was given {', '.join(sorted(options))}.")
    return NullEngine()


class NullEngine:
    """Answers every page with no words."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="null", version="1", max_pages_per_call=1000)

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        """One empty answer a page; see `Engine`."""
        return [
            RecognisedPage(words=WordPage(page.width, page.height, Frame(page.width, page.height), words=[]))
            for page in pages
        ]

    def close(self) -> None:
        """Nothing to free."""
