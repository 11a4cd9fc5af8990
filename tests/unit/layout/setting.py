"""Sets text on synthetic pages: words with the boxes a typesetter would give them."""

from __future__ import annotations

import itertools

from docfleet.domain.document import Page
from docfleet.domain.geometry import Frame
from docfleet.domain.words import Ruling, Word, WordPage

WORD = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore"


def set_line(text: str, x: float, y: float, em: float = 10.0, *, bold: bool = False, ocr: bool = False) -> list[Word]:
    """A line's words from `x` on, its box from `y` to `y + 1.2 em`; letters are half a font size wide."""
    words = []
    for part in text.split(" "):
        if part:
            box = (x, y, x + 0.5 * em * len(part), y + 1.2 * em)
            words.append(Word(part, box, size=0.0 if ocr else em, bold=bold, ocr=ocr))
        x += 0.5 * em * (len(part) + 1) - 0.2 * em
    return words


def set_column(mark: str, x: float, y: float, width: float, lines: int, em: float = 10.0) -> list[Word]:
    """A justified column of prose; its first word is `mark0`, and each line begins with `mark` and its number."""
    supply = itertools.cycle(WORD.split())
    found: list[Word] = []
    for n in range(lines):
        texts = [f"{mark}{n}"]
        while 0.5 * em * sum(map(len, texts)) + 0.3 * em * len(texts) + 0.5 * em * 6 < width:
            texts.append(next(supply))
        natural = 0.5 * em * sum(map(len, texts))
        space = (width - natural) / (len(texts) - 1)
        at = x
        for text in texts:
            found.append(Word(text, (at, y, at + 0.5 * em * len(text), y + 1.2 * em), size=em))
            at += 0.5 * em * len(text) + space
        y += 1.25 * em
    return found


def page_of(
    words: list[Word], rulings: list[Ruling] | None = None, width: float = 595, height: float = 842
) -> WordPage:
    return WordPage(width, height, Frame(width, height), words, rulings or [])


def line_texts(text: str, page: Page) -> list[str]:
    return ["".join(text[s.start : s.end] for s in line.layout.spans).rstrip("\n") for line in page.lines]


def paragraph_texts(text: str, page: Page) -> list[str]:
    return ["".join(text[s.start : s.end] for s in p.layout.spans).rstrip("\n") for p in page.paragraphs]


def positions(text: str, *marks: str) -> list[int]:
    """Where each mark stands in the text; every mark must be there."""
    padded = " " + text.replace("\n", " ")
    found = [padded.find(f" {mark} ") for mark in marks]
    assert -1 not in found, [mark for mark, at in zip(marks, found, strict=True) if at < 0]
    return found


def check_partitions(text: str, page: Page) -> None:
    """Tokens, lines, paragraphs and blocks each cut the whole text into contiguous pieces, in order."""
    for kind in (page.tokens, page.lines, page.paragraphs, page.blocks):
        at = 0
        for element in kind:
            (span,) = element.layout.spans
            assert span.start == at
            assert span.end > span.start
            at = span.end
        assert at == len(text)
    assert all(text[line.layout.spans[0].end - 1] == "\n" for line in page.lines)
    assert text.count("\n") == len(page.lines)
