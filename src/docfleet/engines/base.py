"""The engine protocol: page images in, words (or laid-out pages) out.

An engine is asked and answers; it owns no threads, reads no settings and opens no files. What it can do is data
(`Capabilities`), so that the cascade can choose without calling it. A third-party package offers one under the entry
point group ``docfleet.engines``: ``name = "package.module:factory"``, where ``factory(options: dict) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.document import Page
from docfleet.domain.words import WordPage


class Capabilities(msgspec.Struct, frozen=True):
    name: str
    version: str
    languages: frozenset[str] | None = None
    """BCP 47 primary tags; None: not limited or not known."""
    max_pages_per_call: int = 1
    gathers_pages: bool = False
    """Each call is dear (a quota, a round trip): pages are gathered until it is full, else asked for one by one."""
    finds_orientation: bool = False
    finds_layout: bool = False
    """Answers with whole `Page`s; otherwise docfleet lays its words out."""
    cost_per_page_usd: float = 0.0


class PageImage(msgspec.Struct, frozen=True):
    """One page as pixels."""

    number: int
    """1-based page number in its document, for messages."""
    pixels: npt.NDArray[np.uint8]
    """(height, width) grey or (height, width, 3) RGB; read-only."""
    dpi: float
    """Pixels per inch of the page; an estimate where the file does not say."""
    width: float
    height: float
    """Size of the page in page units; boxes come back in these."""
    languages: tuple[str, ...] = ()
    """BCP 47 hints; empty: not known."""


class RecognisedPage(msgspec.Struct, frozen=True):
    """An engine's answer for one page: `words`, or, when it finds layout, `text` and `page` (anchored in that text)."""

    words: WordPage | None = None
    text: str = ""
    page: Page | None = None
    seconds: float = 0.0
    """CPU or waiting time spent on this page."""
    cost_usd: float | None = None
    """What this page cost; None: as much as the capabilities say."""
    refused: str = ""
    """Why the engine did not read this page, though it read others of the same call; everything else is then empty."""


@runtime_checkable
class Engine(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        """One answer a page, in order.

        Raises `docfleet.errors.EngineFailed` when the engine cannot answer; a blank page is an answer without words.
        At most `capabilities.max_pages_per_call` pages are passed.
        """
        ...

    def close(self) -> None:
        """Frees models and processes; the engine is not used again."""
        ...
