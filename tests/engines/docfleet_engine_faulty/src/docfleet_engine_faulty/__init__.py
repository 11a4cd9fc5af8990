"""Engines with one fault each."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from docfleet.domain.geometry import Frame
from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage

Answer = Callable[[Sequence[PageImage]], Any]


class FaultyEngine:
    """Answers whatever it was made with; sound otherwise."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="faulty", version="0.0.1", max_pages_per_call=3)

    def recognise(self, pages: Sequence[PageImage]) -> Any:
        return self._answer(pages)

    def close(self) -> None:
        pass


def sound(page: PageImage, *words: Word) -> RecognisedPage:
    return RecognisedPage(words=WordPage(page.width, page.height, Frame(page.width, page.height), list(words)))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_for_ever() -> None:
    while True:
        time.sleep(60)


def factory_error(options: dict[str, Any]) -> FaultyEngine:
    raise KeyError("model.bin")


def factory_kill(options: dict[str, Any]) -> None:
    die()


def factory_hang(options: dict[str, Any]) -> None:
    sleep_for_ever()


def wrong_protocol(options: dict[str, Any]) -> object:
    return object()


def wrong_capabilities(options: dict[str, Any]) -> object:
    class Nameless(FaultyEngine):
        capabilities = "all of them"  # type: ignore[assignment]

    return Nameless(lambda pages: [])


def raises(options: dict[str, Any]) -> FaultyEngine:
    def answer(pages: Sequence[PageImage]) -> Any:
        raise ZeroDivisionError("inside the engine")

    return FaultyEngine(answer)


def too_few(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [sound(page) for page in pages[:-1]])


def too_many(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [sound(page) for page in (*pages, pages[0])])


def garbage(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [{"text": "hello"} for _ in pages])


def outside(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [sound(page, Word("far", (0, 0, page.width * 3, 5))) for page in pages])


def overconfident(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [sound(page, Word("sure", (0, 0, 5, 5), 97.0)) for page in pages])


def not_a_number(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [sound(page, Word("where", (0, 0, float("nan"), 5))) for page in pages])


def empty_answer(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [RecognisedPage() for _ in pages])


def wrong_size(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: [RecognisedPage(words=WordPage(1, 1, Frame(1, 1), [])) for _ in pages])


def kills(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: die())


def hangs(options: dict[str, Any]) -> FaultyEngine:
    return FaultyEngine(lambda pages: sleep_for_ever())
