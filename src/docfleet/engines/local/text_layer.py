"""The text layer of a PDF page, from characters to words.

A PDF stores glyphs, not words: spaces may be missing, doubled or invented, words letter-spaced, bold type printed
twice, accents drawn over their letters. Everything here works on whole columns of numbers; Python touches words, not
characters.
"""

from __future__ import annotations

import unicodedata

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.geometry import Frame
from docfleet.domain.page_facts import PageFacts
from docfleet.domain.text_layer import TextLayer
from docfleet.domain.words import Word, WordPage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GENERATED, LINE_HYPHEN, INVISIBLE, UNMAPPED = 1, 2, 4, 8

GAP_EM = 0.16
"""A gap this wide, in font sizes, separates words even where the file has no space. Word spaces are seldom below 0.2,
kerning and tracking seldom above 0.12."""
SPACE_EM = 0.03
"""A space from the file counts when it really moves the pen by this much."""
DOUBLE_EM = 0.42
"""Two equal letters in one box at least this wide are a ligature; narrower, one of them is an overprint."""
_DOUBLES = (ord("f"), ord("t"))
LONGEST_LIGATURE = 8
"""Characters one glyph stands for: ffi has 3, some Arabic ligatures are whole words."""
BOLD_WEIGHT = 600
REPLACEMENT = 0xFFFD

# Symbol and Wingdings bullets live in the private use area; a reader sees a bullet, so the text gets one.
_PRIVATE = {
    0xF0B7: 0x2022, 0xF0A7: 0x25AA, 0xF06E: 0x25A0, 0xF0A8: 0x25A1, 0xF071: 0x2751, 0xF0D8: 0x27A2, 0xF0FC: 0x2713,
    0xF0FE: 0x2611, 0xF06C: 0x25CF, 0xF0E0: 0x2192, 0xF02D: 0x2013, 0xF0BE: 0x2013, 0xF0B0: 0x00B0, 0xF0B1: 0x00B1,
}  # fmt: skip
_SPACING_ACCENTS = {
    0x60: 0x300, 0xB4: 0x301, 0x5E: 0x302, 0x2C6: 0x302, 0x7E: 0x303, 0x2DC: 0x303, 0xAF: 0x304, 0x2D8: 0x306,
    0x2D9: 0x307, 0xA8: 0x308, 0x2DA: 0x30A, 0x2DD: 0x30B, 0x2C7: 0x30C, 0xB8: 0x327, 0x2DB: 0x328,
}  # fmt: skip
_ACCENT_END = 0x2DE
_WHITE_END = 0x3001
_IS_WHITE = np.zeros(_WHITE_END + 1, dtype=bool)
_IS_WHITE[[0x20, 0x09, 0x0A, 0x0D, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]] = True
_IS_ACCENT = np.array([code in _SPACING_ACCENTS for code in range(_ACCENT_END + 1)])
_PRIVATE_CODES = np.array(sorted(_PRIVATE), dtype=np.int64)


class _Chars(msgspec.Struct):
    """Visible characters in content order. `u` runs along the reading direction, `v` across it."""

    codes: Ints
    boxes: Floats
    em: Floats
    u0: Floats
    u1: Floats
    v: Floats
    angles: Ints
    spaced: Bools
    """White space from the file stands before this character."""
    doubled: Bools
    """It was printed more than once on the same spot."""
    unmapped: Bools
    source: Ints
    """Index into the text layer."""
    slanted: Bools
    """Reads along neither axis."""


def words(facts: PageFacts, layer: TextLayer) -> WordPage:
    """The words of a page's text layer in content order; text of right-to-left scripts stays in logical order.

    Ligatures and presentation forms are folded, fake-bold overprints and text outside the page dropped, letter-spaced
    words joined. A soft hyphen at the end of a word stays as U+00AD. Words of invisible text (an earlier OCR's layer)
    have `ocr` set and the page's plausibility as confidence; words with unmapped glyphs show U+FFFD and lose
    confidence.
    """
    page = WordPage(facts.width, facts.height, Frame(facts.width, facts.height), [], layer.rulings)
    chars = _select(facts, layer)
    if chars is None:
        return page
    starts, lines = _word_starts(chars)
    starts = _join_letter_spaced(chars, starts, lines)
    return msgspec.structs.replace(page, words=_build(facts, layer, chars, starts))


def _select(facts: PageFacts, layer: TextLayer) -> _Chars | None:
    """Characters that a reader of the page can see, cleaned; None when there are none."""
    codes = layer.codes.astype(np.int64)
    flags = layer.flags
    if not len(codes):
        return None
    boxes = np.nan_to_num(layer.boxes.astype(np.float64), nan=-1e9, posinf=1e9, neginf=-1e9)
    boxes = _share_ligatures(codes, boxes, layer)
    codes, low_surrogate = _join_surrogates(codes)
    white = _is_white(codes)
    zero_width = (codes >= 0x200B) & (codes <= 0x200F) | (codes == 0xFEFF) | (codes >= 0x202A) & (codes <= 0x202E)
    control = (codes < 32) & (codes > 0) & ((flags & (LINE_HYPHEN | UNMAPPED)) == 0)
    cx, cy = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    outside = (cx < -1) | (cy < -1) | (cx > facts.width + 1) | (cy > facts.height + 1)
    generated = (flags & GENERATED) != 0
    keep = ~(white | zero_width | control | outside | low_surrogate | generated)
    source = np.flatnonzero(keep)
    if not len(source):
        return None
    spaces = np.cumsum(white & ~generated)
    em = _font_sizes(layer.sizes.astype(np.float64)[source], boxes[source])
    codes = np.where((flags & LINE_HYPHEN) != 0, np.where(codes == 0xAD, 0xAD, 0x2D), codes)[source]
    unmapped = ((flags[source] & UNMAPPED) != 0) | (codes == 0)
    private = (codes >= _PRIVATE_CODES[0]) & (codes <= _PRIVATE_CODES[-1])
    if private.any():
        private &= np.isin(codes, _PRIVATE_CODES)
        codes[private] = [_PRIVATE[code] for code in codes[private].tolist()]
        unmapped &= ~private
    codes = np.where(
        unmapped & (codes < 32) | (codes > 0x10FFFF) | (codes >= 0xD800) & (codes <= 0xDFFF), REPLACEMENT, codes
    )
    drop, doubled = _overprints(codes, boxes[source], em, (flags[source] & INVISIBLE) != 0)
    if drop.any():
        kept = ~drop
        source, codes, em, unmapped, doubled = source[kept], codes[kept], em[kept], unmapped[kept], doubled[kept]
    boxes = boxes[source]
    spaced = np.diff(spaces[source], prepend=0) > 0
    u0, u1, v, angles, slanted = _reading_axes(boxes, em, layer.angles[source].astype(np.int64) % 360)
    return _Chars(codes, boxes, em, u0, u1, v, angles, spaced, doubled, unmapped, source, slanted)


def _share_ligatures(codes: Ints, boxes: Floats, layer: TextLayer) -> Floats:
    """Boxes with those of ligatures divided among their letters.

    A glyph that stands for several characters (ffi) gives each of them its whole box. Letters in a row that share one
    box to the last digit are such a glyph, unless they are one letter printed twice on the same spot (fake bold): of
    double letters only ff and tt are ever one glyph, as wide as two.
    """
    same = (boxes[1:] == boxes[:-1]).all(axis=1) & (boxes[1:, 2] > boxes[1:, 0])
    if not same.any():
        return boxes
    same &= ((layer.flags[1:] | layer.flags[:-1]) & (GENERATED | UNMAPPED)) == 0
    single = _is_white(codes) | _is_combining(codes) | _is_accent(codes)
    same &= ~single[1:] & ~single[:-1]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    boxes = boxes.copy()
    for begin, end in zip(edges[::2].tolist(), (edges[1::2] + 1).tolist(), strict=True):
        letters = codes[begin:end]
        box = boxes[begin].copy()
        turn = (int(layer.angles[begin]) + 45) // 90 % 4
        low, high = (box[1], box[3]) if turn % 2 else (box[0], box[2])
        double = int(letters[0]) in _DOUBLES and high - low > DOUBLE_EM * float(layer.sizes[begin])
        double &= (
            not same[max(begin - 2, 0) : begin - 1].any() and not same[end : end + 1].any()
        )  # else all are printed twice
        if end - begin > LONGEST_LIGATURE or ((letters == letters[0]).all() and not double):
            continue
        cuts = np.linspace(low, high, end - begin + 1)
        backwards = (turn in (2, 3)) != bool(_is_rtl(letters).any())
        first, last = (cuts[::-1][1:], cuts[::-1][:-1]) if backwards else (cuts[:-1], cuts[1:])
        boxes[begin:end, 1 if turn % 2 else 0] = first
        boxes[begin:end, 3 if turn % 2 else 2] = last
    return boxes


def _is_white(codes: Ints) -> Bools:
    found: Bools = _IS_WHITE[np.minimum(codes, _WHITE_END)]
    return found


def _join_surrogates(codes: Ints) -> tuple[Ints, Bools]:
    """Characters beyond U+FFFF may come as two UTF-16 halves; the first gets the whole, the second is marked."""
    low = (codes >= 0xDC00) & (codes <= 0xDFFF)
    if not low.any():
        return codes, low
    second = np.flatnonzero(low[1:] & (codes[:-1] >= 0xD800) & (codes[:-1] <= 0xDBFF)) + 1
    codes = codes.copy()
    codes[second - 1] = 0x10000 + ((codes[second - 1] - 0xD800) << 10) + (codes[second] - 0xDC00)
    mark = np.zeros(len(codes), dtype=bool)
    mark[second] = True
    return codes, mark


def _font_sizes(sizes: Floats, boxes: Floats) -> Floats:
    """Font sizes where they are believable, else what the boxes suggest. Page units, never 0."""
    across = np.minimum(boxes[:, 3] - boxes[:, 1], 10_000.0)
    along = np.minimum(boxes[:, 2] - boxes[:, 0], 10_000.0)
    seen = np.maximum(across, along)
    fine = np.isfinite(sizes) & (sizes > 0.1 * seen) & (sizes < 5 * seen)
    return np.maximum(np.where(fine, sizes, across), 0.01)


def _overprints(codes: Ints, boxes: Floats, em: Floats, invisible: Bools) -> tuple[Bools, Bools]:
    """Characters to drop because the same one stands at the same spot, and the survivors of such pairs.

    Of a visible and an invisible copy the visible one survives, else the first in content order.
    """
    n = len(codes)
    drop, doubled = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    width = boxes[:, 2] - boxes[:, 0]
    reach = np.minimum(0.15 * em, np.maximum(0.3 * width, 0.02 * em))
    cell = max(0.4 * float(np.median(em)), 0.01)
    x = (boxes[:, 0] * 16).clip(0, 0x1FFFFF).astype(np.int64)
    for shift in (0.0, 0.5):  # two grids, so that no pair falls between cells in both
        row = (boxes[:, 3] / cell + shift).clip(0, 0x1FFFFF).astype(np.int64)
        order = np.argsort((codes << 42) | (row << 21) | x, kind="stable")
        a, b = order[:-1], order[1:]
        same = (codes[a] == codes[b]) & (row[a] == row[b]) & ~drop[a] & ~drop[b]
        same &= (np.abs(boxes[b, 0] - boxes[a, 0]) < reach[a]) & (np.abs(boxes[b, 3] - boxes[a, 3]) < 0.15 * em[a])
        if same.any():
            a, b = a[same], b[same]
            b_goes = np.where(invisible[a] == invisible[b], b > a, invisible[b])
            drop[np.where(b_goes, b, a)] = True
            both = invisible[a] == invisible[b]
            doubled[np.where(b_goes, a, b)[both]] = True
    return drop, doubled


def _reading_axes(boxes: Floats, em: Floats, angles: Ints) -> tuple[Floats, Floats, Floats, Ints, Bools]:
    """Start and end along the reading direction, middle across it, angle to the nearest right angle, slanted or not."""
    x0, y0, x1, y1 = boxes.T
    straight = np.zeros(len(angles), dtype=bool)
    if not angles.any():
        return x0, x1, (y0 + y1) / 2, angles, straight
    snapped = ((angles + 45) // 90 * 90) % 360
    is90, is180, is270 = snapped == 90, snapped == 180, snapped == 270
    u0 = np.select([is90, is180, is270], [y0, -x1, -y1], x0)
    u1 = np.select([is90, is180, is270], [y1, -x0, -y0], x1)
    v = np.select([is90, is180, is270], [-(x0 + x1), -(y0 + y1), x0 + x1], y0 + y1) / 2
    off = np.abs((angles - snapped + 180) % 360 - 180)
    slanted = off > 8
    if slanted.any():
        radians = np.radians(angles)
        along = np.cos(radians) * (x0 + x1) / 2 + np.sin(radians) * (y0 + y1) / 2
        across = np.cos(radians) * (y0 + y1) / 2 - np.sin(radians) * (x0 + x1) / 2
        u0, u1 = np.where(slanted, along - 0.25 * em, u0), np.where(slanted, along + 0.25 * em, u1)
        v = np.where(slanted, across, v)
    return u0, u1, v, snapped, slanted


def _is_rtl(codes: Ints) -> Bools:
    if int(codes.max(initial=0)) < 0x590:
        return np.zeros(len(codes), dtype=bool)
    strong: Bools = (codes >= 0x590) & (codes <= 0x8FF) & ~((codes >= 0x660) & (codes <= 0x669))
    strong |= (codes >= 0xFB1D) & (codes <= 0xFDFF) | (codes >= 0xFE70) & (codes <= 0xFEFC)
    return strong


def _is_accent(codes: Ints) -> Bools:
    found: Bools = _IS_ACCENT[np.minimum(codes, _ACCENT_END)]
    return found


def _is_combining(codes: Ints) -> Bools:
    if int(codes.max(initial=0)) < 0x300:
        return np.zeros(len(codes), dtype=bool)
    marks: Bools = (
        (codes >= 0x300) & (codes <= 0x36F)
        | (codes >= 0x591) & (codes <= 0x5C7) & (codes != 0x5BE)
        | (codes >= 0x64B) & (codes <= 0x65F)
        | (codes >= 0x900) & (codes <= 0x903)
        | (codes >= 0x93A) & (codes <= 0x94F) & (codes != 0x93D)
        | (codes >= 0xE31)
        & (codes <= 0xE4E)
        & ~((codes >= 0xE32) & (codes <= 0xE33))
        & ~((codes >= 0xE3F) & (codes <= 0xE46))
    )
    return marks


def _word_starts(c: _Chars) -> tuple[Bools, Bools]:
    """(this character begins a word, this character begins a new line or place)."""
    n = len(c.codes)
    starts, lines = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    if n == 1:
        return starts, lines
    em = np.minimum(c.em[1:], c.em[:-1])
    gap = c.u0[1:] - c.u1[:-1]
    rtl = _is_rtl(c.codes)
    if rtl.any():
        gap = np.where(rtl[1:] & rtl[:-1], c.u0[:-1] - c.u1[1:], gap)
    jump = (np.abs(np.diff(c.v)) > 0.5 * em) | (gap < -0.6 * em) | (np.diff(c.angles) != 0)
    accent = _is_accent(c.codes)
    mark = _is_combining(c.codes[1:]) | accent[1:] | accent[:-1]
    jump &= ~(mark & (gap < 0) & (gap > -1.2 * em) & (np.abs(np.diff(c.v)) < em))
    wide = gap > np.where(c.slanted[1:], 0.45, GAP_EM) * em
    spaced = c.spaced[1:] & (gap > SPACE_EM * em)
    lines[1:] = jump | (gap > 2.5 * em)
    starts[1:] = jump | wide | spaced
    return starts, lines


def _join_letter_spaced(c: _Chars, starts: Bools, lines: Bools) -> Bools:
    """Joins runs of single letters set apart by even gaps (`T O T A L`), splitting where a gap is clearly wider."""
    first = np.flatnonzero(starts)
    lengths = np.diff(first, append=len(starts))
    single = lengths == 1
    if single.sum() < 4:
        return starts
    # a run is a chain of one-letter words, each on the same line as the one before
    linked = single[1:] & single[:-1] & ~lines[first[1:]]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], linked, [False])).astype(np.int8)))
    starts = starts.copy()
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        run = first[begin : end + 1]
        _join_run(c, starts, run)
    return starts


def _join_run(c: _Chars, starts: Bools, run: Ints) -> None:
    text = [chr(code) for code in c.codes[run].tolist()]
    letters = sum(ch.isalpha() for ch in text)
    if len(run) < 4 or letters < 0.8 * len(run):
        return
    if (np.diff(c.codes[run]) == 1).sum() >= len(run) // 2:  # A B C D: a list of letters, not a word
        return
    gaps = c.u0[run[1:]] - c.u1[run[:-1]]
    usual = float(np.quantile(gaps, 0.3))
    if not 0 < usual < 1.2 * float(c.em[run].mean()):
        return
    joined = run[1:][gaps < 1.6 * usual]
    starts[joined] = False


def _build(facts: PageFacts, layer: TextLayer, c: _Chars, starts: Bools) -> list[Word]:
    first = np.flatnonzero(starts)
    ends = np.append(first[1:], len(starts)).tolist()
    low = np.minimum.reduceat(c.boxes[:, :2], first, axis=0)
    high = np.maximum.reduceat(c.boxes[:, 2:], first, axis=0)
    boxes = np.hstack((low, np.maximum(low, high))).clip(-1e6, 1e6).tolist()
    text = c.codes.astype("<u4").tobytes().decode("utf-32-le")
    fold = np.logical_or.reduceat(_needs_folding(c.codes), first)
    source = c.source[first]
    invisible = (layer.flags[source] & INVISIBLE) != 0
    bad = np.add.reduceat(c.unmapped.astype(np.float64), first) / np.diff(first, append=len(starts))
    confidence = np.where(invisible, max(0.0, min(1.0, facts.plausibility)), 1.0) * (1.0 - bad)
    fonts = [
        (name, weight >= BOLD_WEIGHT or "bold" in name.lower(), italic)
        for name, weight, italic in zip(layer.font_names, layer.font_weights, layer.font_italics, strict=False)
    ] or [("", False, False)]
    last = len(fonts) - 1
    found = []
    for a, b, box, folds, sure, angle, size, font, twice, hidden in zip(
        first.tolist(), ends, boxes, fold.tolist(), confidence.tolist(), c.angles[first].tolist(),
        c.em[first].tolist(), layer.fonts[source].tolist(), c.doubled[first].tolist(), invisible.tolist(), strict=True,
    ):  # fmt: skip
        word = _folded(c, a, b) if folds else text[a:b]
        name, bold, italic = fonts[font if 0 <= font <= last else 0]
        found.append(Word(word, tuple(box), sure, -1, angle, size, name, bold or twice, italic, False, hidden))
    return found


def _needs_folding(codes: Ints) -> Bools:
    """Anything whose meaning depends on a rule below: ligatures, presentation forms, soft hyphens, accents."""
    found: Bools = (
        (codes >= 0xFB00) & (codes <= 0xFDFF)
        | (codes >= 0xFE70) & (codes <= 0xFEFC)
        | _is_combining(codes)
        | (codes == 0xAD)
        | (codes == 0x2010)
        | (codes == 0x2011)
        | _is_accent(codes)
    )
    return found


def _folded(c: _Chars, a: int, b: int) -> str:
    """The word's text with presentation forms folded one by one: NFKC of the whole would also turn ² into 2."""
    out: list[str] = []
    codes = c.codes[a:b].tolist()
    for i, code in enumerate(codes):
        accent = _SPACING_ACCENTS.get(code)
        if accent is not None and len(codes) > 1 and (base := _accent_base(c, a, b, a + i)) is not None:
            out.append(("+" if base > a + i else "") + chr(accent))
        elif code == 0xAD:
            out.append("\u00ad" if i == len(codes) - 1 and i else "-")
        elif code in (0x2010, 0x2011):
            out.append("-")
        elif 0xFB00 <= code <= 0xFDFF or 0xFE70 <= code <= 0xFEFC:
            out.append(unicodedata.normalize("NFKC", chr(code)))
        else:
            out.append(chr(code))
    for i in range(len(out) - 1):
        if len(out[i]) == 2 and out[i][0] == "+":  # drawn before its letter: the mark goes behind it
            out[i], out[i + 1] = {"ı": "i", "ȷ": "j"}.get(out[i + 1], out[i + 1]), out[i][1]
    return unicodedata.normalize("NFC", "".join(out))


def _accent_base(c: _Chars, a: int, b: int, i: int) -> int | None:
    """The letter a spacing accent was drawn over: the next or the previous one, if the accent's middle lies in it."""
    middle = (c.u0[i] + c.u1[i]) / 2
    for j in (i + 1, i - 1):
        if a <= j < b and c.u0[j] <= middle <= c.u1[j] and chr(int(c.codes[j])).isalpha():
            return j
    return None
