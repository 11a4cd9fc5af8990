"""Segments of a column to lines."""

from __future__ import annotations

import msgspec

from docfleet.engines.local.layout.boxes import Boxes, Ints
from docfleet.engines.local.layout.segments import Segments

JOIN_EM = 1.9
"""Widest gap inside a line once columns are known: justified text has such spaces, tables have wider ones."""
ROW_WORDS = 9
"""Texts of one row that have no more words than this each are read as one line."""
ROW_SIZES = 1.5


class TextLine(msgspec.Struct):
    """One line in reading coordinates."""

    members: list[int]
    """Positions in the `Boxes`, in reading order."""
    x0: float
    y0: float
    x1: float
    y1: float
    em: float
    bold: bool = False
    italic: bool = False
    text: str = ""
    ocr: bool = False
    parts: int = 1
    """Texts far apart on one row, such as a key and its value."""
    last_part: int = 0
    """Words of the last of several parts."""

    @property
    def height(self) -> float:
        return self.y1 - self.y0


def build_lines(b: Boxes, s: Segments, column: Ints, *, whole_rows: bool = True) -> list[TextLine]:
    """The lines of one column. `column` lists segments from top to bottom, left to right within a row.

    `whole_rows`: short texts far apart on one row are one line (a key and its value), else one each (a running header
    and its page number).
    """
    found: list[TextLine] = []
    x0, y0, x1, y1 = s.x0.tolist(), s.y0.tolist(), s.x1.tolist(), s.y1.tolist()
    em = s.em.tolist()
    for i in column.tolist():
        members = s.members[i].tolist()
        if found and _continues(b, found[-1], x0[i], y0[i], y1[i], em[i]) and not s.rtl[i]:
            last = found[-1]
            last.members += members
            last.x1, last.em = max(last.x1, x1[i]), max(last.em, em[i])
            last.y0, last.y1 = min(last.y0, y0[i]), max(last.y1, y1[i])
        else:
            found.append(TextLine(members, x0[i], y0[i], x1[i], y1[i], em[i]))
    for line in found:
        describe(b, line)
    return _join_rows(b, found) if whole_rows else found


def _join_rows(b: Boxes, lines: list[TextLine]) -> list[TextLine]:
    """Short texts on one row of a column are one line however far apart: a key and its value, an item and its price."""
    joined: list[TextLine] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last is None or not _shares_row(b, last, line):
            joined.append(line)
            continue
        last.members += line.members
        last.text += " " + line.text
        last.x1 = max(last.x1, line.x1)
        last.y0, last.y1 = min(last.y0, line.y0), max(last.y1, line.y1)
        last.bold, last.italic = last.bold and line.bold, last.italic and line.italic
        last.last_part, last.parts = len(line.members), last.parts + 1
    return joined


def _shares_row(b: Boxes, left: TextLine, right: TextLine) -> bool:
    low = min(left.em, right.em)
    if right.x0 < left.x1 - 0.5 * low or max(left.em, right.em) > ROW_SIZES * low:
        return False
    if min(left.y1, right.y1) - max(left.y0, right.y0) < 0.6 * min(left.height, right.height):
        return False
    if max(left.last_part or len(left.members), len(right.members)) > ROW_WORDS:
        return False
    if b.rtl[left.members].any() or b.rtl[right.members].any():
        return False
    return not _ruled_apart(b, left.x1, right.x0, (right.y0 + right.y1) / 2)


def _continues(b: Boxes, line: TextLine, x0: float, y0: float, y1: float, em: float) -> bool:
    gap = x0 - line.x1
    low = min(line.em, em)
    if not -0.5 * low < gap < JOIN_EM * low:
        return False
    if min(line.y1, y1) - max(line.y0, y0) < 0.5 * min(line.height, y1 - y0):
        return False
    return not _ruled_apart(b, line.x1, x0, (y0 + y1) / 2)


def _ruled_apart(b: Boxes, left: float, right: float, y: float) -> bool:
    if not len(b.verticals):
        return False
    x = (b.verticals[:, 0] + b.verticals[:, 2]) / 2
    between = (x > left - 1) & (x < right + 1) & (b.verticals[:, 1] <= y) & (b.verticals[:, 3] >= y)
    return bool(between.any())


def describe(b: Boxes, line: TextLine) -> None:
    """Fills in what the words of a line say about it: text, weight, size."""
    words = [b.words[k] for k in b.index[line.members].tolist()]
    line.text = " ".join([w.text for w in words])
    line.bold = False not in [w.bold for w in words]
    line.italic = False not in [w.italic for w in words]
    line.ocr = words[0].ocr
    if len(words) > 1:
        line.em = sorted([b.flat[k][4] for k in line.members])[len(words) // 2]
