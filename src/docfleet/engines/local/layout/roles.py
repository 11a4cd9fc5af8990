"""What a paragraph is: title, heading, list item, header, footer, side note, caption or body."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from docfleet.domain.document import Role
from docfleet.domain.geometry import Rect
from docfleet.engines.local.layout.boxes import Bools, Boxes, Ints, median
from docfleet.engines.local.layout.cells import Grid
from docfleet.engines.local.layout.paragraphs import TextParagraph, list_marker
from docfleet.engines.local.layout.segments import Segments

HEADING_STEPS = ((1.7, 1), (1.35, 2), (1.12, 3))
"""(size relative to the body, level): ratios, so that the pages of one document agree."""
OCR_HEADING = 1.4
"""Heights read from pixels vary; a heading must stand out by this much."""
BOLD_LEVEL = 4
MAINLY = 0.6
"""Share of the page's characters in wide paragraphs from which on there is a main text."""
MARGIN = 0.1
"""Share of the page's height in which running headers and footers stand."""
PAGE_NUMBER = re.compile(
    r"^[-–—\s]*((page|seite|página|pagina|sida|side|strana|sivu|p\.)\s*)?\d{1,4}(\s*(/|of|von|de|di|van|av|z)\s*\d{1,4})?[-–—\s]*$",
    re.I,
)
CAPTION = re.compile(
    r"^(fig(ure|ura|\.)?|table|tab(\.|elle|leau|la|ela|ell)?|abb(\.|ildung)|chart|graph|grafik|kaavio|kuva|obr\.|rys\.)\s*\.?\s*[\dIVX]+",
    re.I,
)


class Bands(msgspec.Struct, frozen=True):
    """Which segments are running header and footer; the rest is the page's own text."""

    header: Bools
    footer: Bools


def find_bands(b: Boxes, s: Segments, tables: list[Grid], number: int) -> Bands:
    """Running header and footer: few rows of ordinary type in the margin, with clear space towards the text."""
    m = len(s.x0)
    header, footer = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
    if m < 6 or b.height <= 0:
        return Bands(header, footer)
    body = median(s.em)
    order = np.argsort(s.yc, kind="stable")
    header = _band(b, s, order, body, min((t.rect[1] for t in tables), default=np.inf), top=True, strict=number == 1)
    footer = _band(
        b, s, order[::-1], body, min((b.height - t.rect[3] for t in tables), default=np.inf), top=False, strict=False
    )
    if (header | footer).sum() > 0.5 * m:
        header[:], footer[:] = False, False
    return Bands(header, footer & ~header)


def _band(b: Boxes, s: Segments, order: Ints, body: float, table: float, *, top: bool, strict: bool) -> Bools:
    """Takes rows from the page's edge inwards while they lie in the margin; the last clear gap ends the band."""
    taken = np.zeros(len(order), dtype=bool)
    near = s.y1 if top else b.height - s.y0
    far = s.y0 if top else b.height - s.y1
    limit = MARGIN * b.height
    candidates = [k for k in order[:12].tolist() if near[k] <= limit]
    if not candidates or len(candidates) == len(order):
        return taken
    rows = 0
    edge = -1.0
    for place, k in enumerate(candidates):
        if far[k] > edge - 0.3 * s.em[k]:
            rows += 1
        edge = max(edge, float(near[k]))
        following = order[place + 1 :]
        ahead = min(float(far[following].min()), table) if len(following) else table
        gap = ahead - edge if np.isfinite(ahead) else 0.0
        big = float(s.em[candidates[: place + 1]].max())
        if rows > 3 or big > (0.95 if strict else 1.12) * body:
            break
        if gap > 1.5 * body:
            taken[candidates[: place + 1]] = True
    return taken


def assign_roles(b: Boxes, paragraphs: list[TextParagraph], number: int) -> None:
    """Sets `role` and `level` of body paragraphs; paragraphs that have another role already keep it."""
    open_ones = [p for p in paragraphs if p.role is Role.BODY]
    if not open_ones:
        return
    body, body_bold = _body_type(open_ones)
    main = _main_extent(open_ones, b.width)
    title_seen = number != 1
    largest = max(p.em for p in open_ones)
    for p in open_ones:
        if list_marker(p.lines[0].text) and not (p.lines[0].bold and not body_bold and _short(p)):
            p.role = Role.LIST_ITEM
        elif CAPTION.match(p.lines[0].text) and _is_caption(p, body):
            p.role = Role.CAPTION
        elif main is not None and _beside(p, main):
            p.role = Role.SIDE_NOTE
        elif level := _heading_level(p, body, body_bold):
            p.role, p.level = Role.HEADING, level
            if not title_seen and p.em >= 0.98 * largest and level <= 2 and p.y0 < 0.5 * b.height:
                p.role, p.level, title_seen = Role.TITLE, 1, True
    _list_levels(paragraphs)


def _body_type(paragraphs: list[TextParagraph]) -> tuple[float, bool]:
    """Type size most characters are set in, and whether most characters are bold."""
    sizes = np.array([line.em for p in paragraphs for line in p.lines])
    lengths = np.array([len(line.text) for p in paragraphs for line in p.lines], dtype=np.float64)
    bold = np.array([line.bold for p in paragraphs for line in p.lines])
    order = np.argsort(sizes)
    middle = int(np.searchsorted(np.cumsum(lengths[order]), lengths.sum() / 2))
    return float(sizes[order][min(middle, len(sizes) - 1)]), bool((lengths * bold).sum() > 0.5 * lengths.sum())


def _main_extent(paragraphs: list[TextParagraph], width: float) -> Rect | None:
    """The rectangle of the main text, if the page is mainly running text that something can stand beside."""
    wide = [p for p in paragraphs if p.x1 - p.x0 > 0.4 * width and len(p.lines) > 1]
    if sum(len(p.text) for p in wide) < MAINLY * sum(len(p.text) for p in paragraphs):
        return None
    return min(p.x0 for p in wide), min(p.y0 for p in wide), max(p.x1 for p in wide), max(p.y1 for p in wide)


def _beside(p: TextParagraph, main: Rect) -> bool:
    return (p.x0 > main[2] or p.x1 < main[0]) and p.y0 < main[3] and p.y1 > main[1]


def _short(p: TextParagraph) -> bool:
    return len(p.lines) <= 3 and sum(len(line.text) for line in p.lines) <= 200


def _heading_level(p: TextParagraph, body: float, body_bold: bool) -> int:
    """1 to 4, or 0 when the paragraph is no heading."""
    if not _short(p) or sum(ch.isalpha() for ch in p.text) < 3 or any(line.parts > 1 for line in p.lines):
        return 0
    ratio = p.em / body
    for least, level in HEADING_STEPS:
        if ratio >= max(least, OCR_HEADING if p.lines[0].ocr else 0.0):
            return level
    text = p.lines[-1].text
    all_bold = all(line.bold for line in p.lines) and not body_bold
    return (
        BOLD_LEVEL if all_bold and ratio > 0.9 and not text.endswith((".", ",", ";", ":")) and len(p.text) < 120 else 0
    )


def _is_caption(p: TextParagraph, body: float) -> bool:
    line = p.lines[0]
    matched = CAPTION.match(line.text)
    after = line.text[matched.end() :].lstrip()[:1] if matched else ""
    return len(p.lines) <= 5 and (
        after in (":", ".", "–", "—", "-", "") or line.em < 0.95 * body or line.bold or line.italic
    )


def _list_levels(paragraphs: list[TextParagraph]) -> None:
    """Depth of list items by their left edges, counted anew for every run of items in one column."""
    edges: list[float] = []
    column = -1
    for p in paragraphs:
        if p.role is not Role.LIST_ITEM:
            if p.role is not Role.BODY or not edges or p.x0 <= edges[0]:
                edges = []
            continue
        if p.column != column:
            edges, column = [], p.column
        edge = p.lines[0].x0  # that of the marker: further lines may stand left of it as well as right
        while edges and edge < edges[-1] - 0.5 * p.em:
            edges.pop()
        if not edges or edge > edges[-1] + 0.7 * p.em:
            edges.append(edge)
        p.level = len(edges) - 1
