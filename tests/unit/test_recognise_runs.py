"""Pages handed to engines in runs: in order, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from docfleet.domain.cascade import CascadePolicy
from docfleet.domain.geometry import Frame
from docfleet.domain.page_facts import PageFacts
from docfleet.domain.words import WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.errors import Damaged, EngineBusy, EngineFailed, EngineRefused
from docfleet.pipeline.recognise import ReadingPlan, read_pages
from docfleet.sandbox import PageBundle, PageFault, Rendered


class Paper:
    """Stands for a sandbox with a document: page 3 is damaged, page 6 blank, page 8 cannot be rendered."""

    def pages(self, numbers: Sequence[int]) -> Iterator[PageBundle | PageFault]:
        for number in numbers:
            if number == 3:
                yield PageFault(number, Damaged())
            else:
                yield PageBundle(number, PageFacts(200, 300, is_image=number != 6, dpi=72.0))

    def render(self, number: int, dpi: float) -> Rendered:
        if number == 8:
            raise Damaged("no picture")
        return Rendered(np.full((30, 20), 255, np.uint8), dpi)


class Gathering:
    def __init__(self, most: int, gathers: bool = True, bad: dict[int, Any] | None = None) -> None:
        self.capabilities = Capabilities("test", "1", max_pages_per_call=most, gathers_pages=gathers)
        self.calls: list[list[int]] = []
        self._bad = bad or {}

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        numbers = [page.number for page in pages]
        self.calls.append(numbers)
        for number in numbers:
            if number in self._bad:
                raise self._bad[number]
        return [RecognisedPage(words=WordPage(p.width, p.height, Frame(p.width, p.height), [])) for p in pages]

    def close(self) -> None:
        pass


def outcomes(engine: Gathering) -> dict[int, str]:
    paper: Any = Paper()
    plan = ReadingPlan(lambda: engine, CascadePolicy())
    read = list(read_pages(paper, plan, range(1, 11)))
    assert [page.reading.page for page in read] == list(range(1, 11))
    return {page.reading.page: page.reading.outcome for page in read}


SOUND = dict.fromkeys(range(1, 11), "read") | {3: "damaged", 8: "damaged"}


@pytest.mark.parametrize(
    ("most", "gathers", "calls"),
    [
        (30, True, [[1, 2, 4, 5, 7, 9, 10]]),
        (3, True, [[1, 2, 4], [5, 7, 9], [10]]),
        (8, False, [[1], [2], [4], [5], [7], [9], [10]]),
        (1, True, [[1], [2], [4], [5], [7], [9], [10]]),
    ],
)
def test_runs_are_as_long_as_the_engine_takes(most: int, gathers: bool, calls: list[list[int]]) -> None:
    engine = Gathering(most, gathers)
    assert outcomes(engine) == SOUND
    assert engine.calls == calls


@pytest.mark.parametrize("error", [EngineFailed("x"), EngineRefused("x")])
def test_a_page_that_fails_is_found_alone(error: Exception) -> None:
    engine = Gathering(30, bad={5: error, 10: error})
    assert outcomes(engine) == SOUND | {5: error.code, 10: error.code}  # type: ignore[attr-defined]
    alone = [call for call in engine.calls if call == [5]]
    assert len(alone) == (2 if isinstance(error, EngineFailed) else 1)


def test_an_engine_that_takes_nothing_now_is_not_asked_again_for_the_run() -> None:
    engine = Gathering(4, bad={2: EngineBusy("later")})
    expected = SOUND | dict.fromkeys((1, 2, 4, 5), "engine_busy")
    assert outcomes(engine) == expected
    assert engine.calls == [[1, 2, 4, 5], [7, 9, 10]]
