"""Asks an engine for pages and believes nothing: what comes back is one sound answer a page, or `EngineFailed`.

Engines may be anybody's code. What one of them raises is translated, what it answers is checked, so that no caller has
to. A hang or a death of the process is beyond this: that is what leases and worker processes are for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Engine, PageImage, RecognisedPage
from docfleet.errors import DocfleetError, EngineFailed

_SLACK = 0.02
"""Share of the page's longer side by which a box may stick out: rounding, and skew undone about the middle."""


def ask(engine: Engine, pages: Sequence[PageImage]) -> list[RecognisedPage]:
    """One answer a page, in order, asked in calls no larger than the engine takes.

    Raises `EngineFailed` when the engine raises, or answers with too few or too many pages or with no sound page.
    """
    answers: list[RecognisedPage] = []
    for call in _calls(pages, engine.capabilities.max_pages_per_call):
        answers += _ask_once(engine, call)
    return answers


def _calls(pages: Sequence[PageImage], most: int) -> Iterator[Sequence[PageImage]]:
    step = max(most, 1)
    return (pages[at : at + step] for at in range(0, len(pages), step))


def _ask_once(engine: Engine, pages: Sequence[PageImage]) -> list[RecognisedPage]:
    name = engine.capabilities.name
    try:
        answers = engine.recognise(pages)
    except DocfleetError:
        raise
    except (Exception, SystemExit) as error:
        raise EngineFailed(f"The engine {name} failed on {_which(pages)}: {type(error).__name__}: {error}") from error
    if not isinstance(answers, list) or len(answers) != len(pages):
        count = f"{len(answers)} answers" if isinstance(answers, list) else "no list of answers"
        raise EngineFailed(f"The engine {name} gave {count} for {_which(pages)}.")
    for page, answer in zip(pages, answers, strict=True):
        if problem := find_problem(page, answer):
            raise EngineFailed(f"The engine {name} gave an unsound answer for page {page.number}: {problem}.")
    return answers


def _which(pages: Sequence[PageImage]) -> str:
    return f"page {pages[0].number}" if len(pages) == 1 else f"{len(pages)} pages from page {pages[0].number}"


def find_problem(page: PageImage, answer: object) -> str:
    """What is wrong with one answer, in words; empty: nothing."""
    if not isinstance(answer, RecognisedPage):
        return f"a {type(answer).__name__} is no page"
    if answer.refused:
        return ""
    if answer.page is not None:
        return "" if isinstance(answer.text, str) else "its text is no text"
    if not isinstance(answer.words, WordPage):
        return "it holds neither words nor a page"
    words = answer.words
    if not _close(words.width, page.width) or not _close(words.height, page.height):
        return f"its page measures {words.width} x {words.height}, not {page.width} x {page.height}"
    try:
        return next((problem for word in words.words if (problem := _find_word_problem(words, word))), "")
    except (TypeError, ValueError, AttributeError) as error:
        return f"a word is malformed ({error})"


def _find_word_problem(words: WordPage, word: Word) -> str:
    if not isinstance(word.text, str) or not word.text or any(c.isspace() for c in word.text):
        return f"{word.text!r} is no word"
    if not 0.0 <= word.confidence <= 1.0:
        return f"a confidence of {word.confidence} is not within 0 and 1"
    x0, y0, x1, y1 = word.box
    if not all(math.isfinite(side) for side in word.box) or x0 > x1 or y0 > y1:
        return f"{word.box} is no box"
    slack = _SLACK * max(words.frame.width, words.frame.height) + 1
    if x0 < -slack or y0 < -slack or x1 > words.frame.width + slack or y1 > words.frame.height + slack:
        return f"the box {word.box} lies outside the page"
    return ""


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-3)
