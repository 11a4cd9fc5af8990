"""Lines to paragraphs, paragraphs to blocks."""

from __future__ import annotations

import itertools
import re

import msgspec

from docfleet.domain.document import Role
from docfleet.engines.local.layout.lines import TextLine

BULLETS = frozenset("•‣⁃▪▫■□●○◦◆◇►▶➢➤➔→✓✔☐☑☒–—*·-")
NUMBERED = re.compile(
    r"^\(?(\d{1,2}|[a-zA-Z]|[ivxIVX]{1,5}|\d{1,2}(\.[1-9]\d?){1,3})[.)]$|^\d{1,2}(\.[1-9]\d?){1,3}\.?$|^\(?(\d{1,2}|[a-z]|[ivx]{1,5})\)$"
)
CONJUNCTIONS = frozenset("and or und oder sowie et ou y o e of en og eller och lub i ja tai".split())
"""What stands before the last item of a list."""
LOOSE_STEP = 1.27
"""Lines this many times the usual step apart belong to different paragraphs."""
SENTENCE_ENDS = (".", "!", "?", ":", ";", ".”", '."', ".)", "。")


class TextParagraph(msgspec.Struct):
    lines: list[TextLine]
    role: Role = Role.BODY
    level: int = 0
    column: int = 0
    """Paragraphs of one column share it."""
    cell: tuple[int, int] | None = None
    """Table and cell whose text this is."""

    @property
    def x0(self) -> float:
        return min(line.x0 for line in self.lines)

    @property
    def x1(self) -> float:
        return max(line.x1 for line in self.lines)

    @property
    def y0(self) -> float:
        return min(line.y0 for line in self.lines)

    @property
    def y1(self) -> float:
        return max(line.y1 for line in self.lines)

    @property
    def em(self) -> float:
        return max(line.em for line in self.lines)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


def list_marker(text: str) -> bool:
    """The line begins with a bullet or a number and goes on behind it."""
    first, _, rest = text.partition(" ")
    if not rest:
        return False
    return (len(first) == 1 and first in BULLETS) or (len(first) <= 12 and NUMBERED.match(first) is not None)


def group_lines(lines: list[TextLine], column: int) -> list[TextParagraph]:
    """Paragraphs of one column, by spacing, type size and weight, indents, list markers and short last lines."""
    if not lines:
        return []
    usual = _usual_step(lines)
    right = max(line.x1 for line in lines)
    found = [TextParagraph([lines[0]], column=column)]
    for i in range(1, len(lines)):
        ahead = lines[i + 1] if i + 1 < len(lines) else None
        if _begins_paragraph(found[-1], lines[i], ahead, usual, right):
            found.append(TextParagraph([lines[i]], column=column))
        else:
            found[-1].lines.append(lines[i])
    return found


def _usual_step(lines: list[TextLine]) -> float:
    """The usual distance from line to line, in font sizes."""
    steps = sorted(
        (b.y1 - a.y1) / min(a.em, b.em)
        for a, b in itertools.pairwise(lines)
        if 0.6 * min(a.em, b.em) < b.y1 - a.y1 < 2.6 * min(a.em, b.em) and a.x0 < b.x1 and b.x0 < a.x1
    )
    return min(steps[len(steps) * 3 // 10], 2.0) if steps else 1.35


def _begins_paragraph(
    paragraph: TextParagraph, line: TextLine, ahead: TextLine | None, usual: float, right: float
) -> bool:
    last = paragraph.lines[-1]
    em = min(last.em, line.em)
    if line.y1 - last.y1 < 0.4 * em or line.x0 > last.x1 or line.x1 < last.x0:
        return True  # beside, above, or nothing in common
    if line.y1 - last.y1 > usual * LOOSE_STEP * em + 0.05 * em and line.y0 - last.y1 > 0.12 * em:
        return True
    tolerance = 1.35 if line.ocr or last.ocr else 1.13
    if max(last.em, line.em) > tolerance * em or last.bold != line.bold:
        return True
    if list_marker(line.text) and not _number_in_sentence(last, line, right):
        return True
    return _indented(paragraph, line, ahead, em) or _after_short_line(paragraph, line, em)


def _number_in_sentence(last: TextLine, line: TextLine, right: float) -> bool:
    """A line that merely happens to begin with "(3)" or "12.": the one before is full and stops in mid-sentence."""
    first, _, rest = line.text.partition(" ")
    if first in BULLETS or abs(line.x0 - last.x0) > 8 * line.em:
        return False
    room = right - last.x1
    full = room < (0.55 * len(first) + 0.3) * line.em or (rest[:1].islower() and room < 0.15 * (right - last.x0))
    return full and last.text[-1:].isalnum() and last.text.rsplit(" ", 1)[-1].lower() not in CONJUNCTIONS


def _indented(paragraph: TextParagraph, line: TextLine, ahead: TextLine | None, em: float) -> bool:
    """A first-line indent: this line is set in, the one before and the one after are not."""
    last = paragraph.lines[-1]
    if not 0.8 * em < line.x0 - last.x0 < 6 * em or ahead is None:
        return False
    if list_marker(paragraph.lines[0].text) and len(paragraph.lines) == 1:
        return False
    centred = abs((line.x0 + line.x1) - (last.x0 + last.x1)) < 0.6 * em
    return abs(ahead.x0 - last.x0) < 0.4 * em and not centred


def _after_short_line(paragraph: TextParagraph, line: TextLine, em: float) -> bool:
    """The line before ended a sentence early although the first word of this one would have fitted."""
    lines = paragraph.lines
    last = lines[-1]
    if len(lines) < 2 or not last.text.endswith(SENTENCE_ENDS) or not line.text[:1].isupper():
        return False
    right = max(each.x1 for each in lines)
    first = len(line.text.split(" ", 1)[0])
    return right - last.x1 > (0.55 * first + 1.5) * em and right - last.x1 > 0.12 * (right - paragraph.x0)


def group_paragraphs(paragraphs: list[TextParagraph]) -> list[list[TextParagraph]]:
    """Blocks: neighbours of one column and kind with little space between."""
    blocks: list[list[TextParagraph]] = []
    for paragraph in paragraphs:
        if blocks and _same_block(blocks[-1][-1], paragraph):
            blocks[-1].append(paragraph)
        else:
            blocks.append([paragraph])
    return blocks


def _same_block(a: TextParagraph, b: TextParagraph) -> bool:
    if a.column != b.column or a.role is not b.role or a.role in (Role.TITLE, Role.HEADING):
        return False
    if a.role is Role.TABLE:
        return True
    gap = b.lines[0].y0 - a.lines[-1].y1
    return -0.6 * b.em < gap < 0.5 * max(a.em, b.em) and a.x0 < b.x1 and b.x0 < a.x1
