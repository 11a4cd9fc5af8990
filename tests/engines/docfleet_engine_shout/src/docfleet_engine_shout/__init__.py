"""An engine as a stranger would write one, from `docfleet.engines.base` alone: each band of ink shouts one word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from docfleet.domain.geometry import Frame
from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage


def engine(options: dict[str, object]) -> ShoutEngine:
    return ShoutEngine(str(options.get("word", "SHOUT")))


class ShoutEngine:
    """Answers each band of dark rows with `word`."""

    def __init__(self, word: str) -> None:
        self._word = word

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="shout", version="1.2.3", max_pages_per_call=4)

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        assert len(pages) <= 4
        return [self._shout(page) for page in pages]

    def close(self) -> None:
        pass

    def _shout(self, page: PageImage) -> RecognisedPage:
        grey = page.pixels if page.pixels.ndim == 2 else page.pixels.min(axis=2)
        dark = grey < 128
        if dark.all():
            dark = np.zeros_like(dark)
        across, down = page.width / grey.shape[1], page.height / grey.shape[0]
        edges = np.flatnonzero(np.diff(np.concatenate(([0], dark.any(axis=1).astype(np.int8), [0]))))
        words = []
        for line, (top, bottom) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            columns = np.flatnonzero(dark[top:bottom].any(axis=0))
            box = (columns[0] * across, top * down, (columns[-1] + 1) * across, bottom * down)
            words.append(Word(self._word, tuple(float(side) for side in box), 0.5, line, ocr=True))
        return RecognisedPage(words=WordPage(page.width, page.height, Frame(page.width, page.height), words))
