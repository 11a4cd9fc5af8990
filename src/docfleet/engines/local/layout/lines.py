"""Segments of a column to lines."""

from __future__ import annotations

import msgspec

from docfleet.engines.local.layout.boxes import Boxes, Ints
from docfleet.engines.local.layout.segments import Segments

JOIN_EM = 1.9
"""Widest gap inside a line once columns are known: justified text has such spaces, tables have wider ones."""


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

    @property
    def height(self) -> float:
        return self.y1 - self.y0


def build_lines(b: Boxes, s: Segments, column: Ints) -> list[TextLine]:
    """The lines of one column. `column` lists segments from top to bottom, left to right within a row."""
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
    return found


def _continues(b: Boxes, line: TextLine, x0: float, y0: float, y1: float, em: float) -> bool:
    gap = x0 - line.x1
    low = min(line.em, em)
    if not -0.5 * low < gap < JOIN_EM * low:
        return False
    if min(line.y1, y1) - max(line.y0, y0) < 0.5 * min(line.height, y1 - y0):
        return False
    if not len(b.verticals):
        return True
    x, y = (b.verticals[:, 0] + b.verticals[:, 2]) / 2, (y0 + y1) / 2
    between = (x > line.x1 - 1) & (x < x0 + 1) & (b.verticals[:, 1] <= y) & (b.verticals[:, 3] >= y)
    return not between.any()


def describe(b: Boxes, line: TextLine) -> None:
    """Fills in what the words of a line say about it: text, weight, size."""
    words = [b.words[k] for k in b.index[line.members].tolist()]
    line.text = " ".join([w.text for w in words])
    line.bold = False not in [w.bold for w in words]
    line.italic = False not in [w.italic for w in words]
    line.ocr = words[0].ocr
    if len(words) > 1:
        line.em = sorted([b.flat[k][4] for k in line.members])[len(words) // 2]
