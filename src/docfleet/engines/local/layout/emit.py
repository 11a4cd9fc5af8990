"""Laid-out paragraphs to the page's text and its `Page`: spans, boxes, confidences."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.document import Break, Layout, Orientation, Span, Token
from docfleet.domain.geometry import BoundingBox
from docfleet.domain.words import Word, WordPage
from docfleet.engines.local.layout.boxes import LIMIT, Floats, is_rtl
from docfleet.engines.local.layout.outline import Outline
from docfleet.engines.local.layout.tokens import split_word

LEAST_SIDE = 1e-3
"""Page units; a page with a shorter side has no sane normalised boxes."""


class Emitted(msgspec.Struct, frozen=True):
    text: str
    tokens: tuple[Token, ...]
    starts: list[int]
    """Code point where each word of the outline's order begins; one more entry for the end."""
    lines: list[Layout]
    paragraphs: list[Layout]
    blocks: list[Layout]
    whole: Layout


def emit(page: WordPage, outline: Outline) -> Emitted:
    """Tokens, lines, paragraphs and blocks; each kind partitions the text. At least one word is needed."""
    words = [page.words[i] for i in outline.order.tolist()]
    rects = _rects(words)
    angles = [w.angle % 360 // 90 * 90 if w.angle else 0 for w in words]
    facing = [Orientation.of_degrees(page.orientation // 90 * 90 + turn) for turn in (0, 90, 180, 270)]
    lengths = np.array([max(len(w.text), 1) for w in words], dtype=np.float64)
    certain = np.nan_to_num(np.array([w.confidence for w in words], dtype=np.float64)).clip(0.0, 1.0)
    sure = certain * lengths

    text, tokens, starts = _tokens(page, words, rects, angles, facing, certain.tolist(), outline)

    def layouts(firsts: list[int]) -> list[Layout]:
        at = np.array(firsts, dtype=np.int64)
        low = np.minimum.reduceat(rects[:, :2], at, axis=0)
        high = np.maximum.reduceat(rects[:, 2:], at, axis=0)
        confidence = (np.add.reduceat(sure, at) / np.add.reduceat(lengths, at)).tolist()
        turns = [angles[k] for k in firsts]
        ends = [starts[k] for k in firsts[1:]] + [starts[-1]]
        boxes = boxes_of(page, np.hstack((low, high)), turns)
        return [
            Layout((Span(starts[k], end),), box, mean, facing[turn // 90])
            for k, end, box, mean, turn in zip(firsts, ends, boxes, confidence, turns, strict=True)
        ]

    whole = layouts([0])[0]
    return Emitted(
        text, tuple(tokens), starts,
        layouts(outline.lines), layouts(outline.paragraphs), layouts(outline.blocks), whole,
    )  # fmt: skip


def _rects(words: list[Word]) -> Floats:
    raw = np.nan_to_num(np.array([w.box for w in words], dtype=np.float64)).clip(-LIMIT, LIMIT)
    return np.hstack((np.minimum(raw[:, :2], raw[:, 2:]), np.maximum(raw[:, :2], raw[:, 2:])))


def boxes_of(page: WordPage, rects: Floats, angles: Sequence[int]) -> list[BoundingBox]:
    """Rectangles of the upright frame as normalised corners, clipped to the page."""
    width = page.width if LEAST_SIDE < page.width < LIMIT else 1.0
    height = page.height if LEAST_SIDE < page.height < LIMIT else 1.0
    if page.frame.is_identity and not any(angles):
        scaled = (rects / np.array([width, height, width, height])).clip(0.0, 1.0).tolist()
        return [BoundingBox(((x0, y0), (x1, y0), (x1, y1), (x0, y1))) for x0, y0, x1, y1 in scaled]
    a, b, c, d, e, f = page.frame.to_page
    x, y = rects[:, [0, 2, 2, 0]], rects[:, [1, 1, 3, 3]]
    px, py = ((a * x + b * y + c) / width).clip(0.0, 1.0), ((d * x + e * y + f) / height).clip(0.0, 1.0)
    ring: npt.NDArray[np.float64] = np.stack((px, py), axis=2)
    found = []
    for points, angle in zip(ring.tolist(), angles, strict=True):
        k = angle // 90 % 4
        found.append(BoundingBox(tuple([(p[0], p[1]) for p in points[k:] + points[:k]])))
    return found


def _tokens(
    page: WordPage,
    words: list[Word],
    rects: Floats,
    angles: list[int],
    facing: list[Orientation],
    certain: list[float],
    outline: Outline,
) -> tuple[str, list[Token], list[int]]:
    line_ends = {k - 1 for k in outline.lines}
    line_ends.add(len(words) - 1)
    wide, joined = outline.wide, outline.joined
    texts = [w.text.replace("\u00ad", "-") if "\u00ad" in w.text else w.text for w in words]
    pieces = [split_word(text) for text in texts]
    boxes = iter(boxes_of(page, *_piece_rects(words, rects, angles, pieces)))
    parts: list[str] = []
    tokens: list[Token] = []
    starts: list[int] = []
    at = 0
    for k, (word, text, split) in enumerate(zip(words, texts, pieces, strict=True)):
        starts.append(at)
        if k in line_ends:
            space, pause = "\n", Break.HYPHEN if k in joined else Break.WIDE_SPACE
        elif word.glued:
            space, pause = "", Break.NONE
        else:
            space, pause = " ", Break.WIDE_SPACE if k in wide else Break.SPACE
        parts.append(text + space)
        towards = facing[angles[k] // 90]
        sure = certain[k]
        if len(split) > 1:
            for piece in split[:-1]:
                tokens.append(Token(Layout((Span(at, at + len(piece)),), next(boxes), sure, towards)))
                at += len(piece)
        end = at + len(split[-1]) + len(space)
        tokens.append(Token(Layout((Span(at, end),), next(boxes), sure, towards), pause))
        at = end
    starts.append(at)
    return "".join(parts), tokens, starts


def _piece_rects(
    words: list[Word], rects: Floats, angles: list[int], pieces: list[tuple[str, ...]]
) -> tuple[Floats, list[int]]:
    """The rectangle and angle of every token: those of its word, or its share of it by number of characters."""
    if max(map(len, pieces)) == 1:
        return rects, angles
    found: list[Sequence[float]] = []
    turns: list[int] = []
    for k, (rect, turn, split) in enumerate(zip(rects.tolist(), angles, pieces, strict=True)):
        if len(split) == 1:
            found.append(rect)
            turns.append(turn)
        else:
            found += _slices(rect, words[k].text, turn // 90, split)
            turns += [turn] * len(split)
    return np.array(found, dtype=np.float64), turns


def _slices(
    rect: list[float], text: str, turn: int, pieces: tuple[str, ...]
) -> list[tuple[float, float, float, float]]:
    x0, y0, x1, y1 = rect
    total = sum(map(len, pieces))
    found = []
    done = 0
    backwards = turn in (2, 3) or (turn == 0 and not text.isascii() and is_rtl(text))
    for piece in pieces:
        a, b = done / total, (done + len(piece)) / total
        done += len(piece)
        if backwards:
            a, b = 1 - b, 1 - a
        if turn % 2:
            found.append((x0, y0 + a * (y1 - y0), x1, y0 + b * (y1 - y0)))
        else:
            found.append((x0 + a * (x1 - x0), y0, x0 + b * (x1 - x0), y1))
    return found
