"""Engines with one fault each."""

from __future__ import annotations

import ctypes
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


KILLS_WIDTH, HANGS_WIDTH, EATS_WIDTH, HOLDS_WIDTH, SLOW_WIDTH, RAISES_WIDTH, FORKS_WIDTH, CLOSES_WIDTH = range(411, 419)
"""Widths (in page units: pixels of an image, points of a PDF page) that mark the pages `poison` does harm on."""


def poison(options: dict[str, Any]) -> FaultyEngine:
    """Sound, but for pages of a marked width:

    411 kills its process · 412 hangs for ever with the interpreter's lock · 413 eats memory till something ends it ·
    414 holds the lock for height/10 seconds, then answers · 415 takes height/100 seconds · 416 raises ·
    417 dies and leaves a child behind that has inherited all it had open · 418 closes all files that are not its own.
    """

    def answer(pages: Sequence[PageImage]) -> Any:
        for page in pages:
            harm = _HARM.get(round(page.width))
            if harm is not None:
                harm(page)
        return [sound(page) for page in pages]

    return FaultyEngine(answer)


def _hold_lock(seconds: float) -> None:
    """Sleeps in native code without letting go of the interpreter's lock."""
    ctypes.PyDLL(None).usleep(int(min(seconds, 4000) * 1e6))


def _hang(page: PageImage) -> None:
    while True:
        _hold_lock(1000)


def _eat(page: PageImage) -> None:
    eaten = []
    while True:
        eaten.append(b"\xff" * (16 << 20))
        time.sleep(0.01)


def _raise(page: PageImage) -> None:
    raise ZeroDivisionError("inside the engine")


def _fork(page: PageImage) -> None:
    if os.fork() == 0:
        sleep_for_ever()
    os._exit(9)


def _close(page: PageImage) -> None:
    os.closerange(3, 1000)
    time.sleep(60)


_HARM: dict[int, Callable[[PageImage], None]] = {
    KILLS_WIDTH: lambda page: die(),
    HANGS_WIDTH: _hang,
    EATS_WIDTH: _eat,
    HOLDS_WIDTH: lambda page: _hold_lock(page.height / 10),
    SLOW_WIDTH: lambda page: time.sleep(page.height / 100),
    RAISES_WIDTH: _raise,
    FORKS_WIDTH: _fork,
    CLOSES_WIDTH: _close,
}
