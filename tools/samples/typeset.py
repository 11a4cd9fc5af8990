"""Typst sources to PDF, and from the clean PDF the truth: its words with boxes, and its pixels."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_raw
import typst
from PIL import Image

SOURCES = Path(__file__).parent
FIXED_TIME = 1_772_409_600
"""2 March 2026, 00:00 UTC: the date every sample carries."""
LINE_END_HYPHEN = "\ufffe"
"""What pdfium makes of a hyphen that is there only because the line ends."""

Corner = tuple[float, float]


@dataclass(frozen=True)
class TrueWord:
    """A run of characters without white space; `corners` are normalised to the page, clockwise from the top left of the
    text as it is read."""

    text: str
    corners: tuple[Corner, Corner, Corner, Corner]

    @property
    def rect(self) -> tuple[float, float, float, float]:
        xs = [x for x, _ in self.corners]
        ys = [y for _, y in self.corners]
        return (min(xs), min(ys), max(xs), max(ys))


Lines = list[list[TrueWord]]


def compile_pdf(
    name: str, data: Any = None, pictures: Mapping[str, bytes] | None = None, *, tagged: bool = True
) -> bytes:
    """The PDF of `name`.typ. `data` becomes the source's `data`; `pictures` are inputs that name image files.

    Only the fonts inside the typesetter are used, and the time is fixed, so that every machine draws the same bytes.
    """
    inputs = {} if data is None else {"data": json.dumps(data)}
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES.glob("*.typ"):
            shutil.copy(source, folder)
        for key, picture in (pictures or {}).items():
            Path(folder, f"{key}.jpg").write_bytes(picture)
            inputs[key] = f"{key}.jpg"
        pdf = typst.compile(
            str(Path(folder, f"{name}.typ")),
            sys_inputs=inputs,
            ignore_system_fonts=True,
            timestamp=FIXED_TIME,
            pdf_tags=tagged,
        )
    if not isinstance(pdf, bytes):
        raise TypeError(f"{name}: the typesetter did not answer with one PDF")
    return pdf


def read_lines(pdf: bytes) -> list[Lines]:
    """For each page its lines of words, in the order in which the document was set.

    Boxes are loose: as wide as the characters' advances, as high as the font's ascent and descent.
    """
    document = pdfium.PdfDocument(pdf)
    try:
        return [_lines_of(document[index]) for index in range(len(document))]
    finally:
        document.close()


def _lines_of(page: pdfium.PdfPage) -> Lines:
    width, height = page.get_size()
    text = page.get_textpage()
    lines: Lines = [[]]
    letters: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []

    def end_word() -> None:
        if letters:
            x0, y0 = min(b[0] for b in boxes) / width, 1 - max(b[3] for b in boxes) / height
            x1, y1 = max(b[2] for b in boxes) / width, 1 - min(b[1] for b in boxes) / height
            lines[-1].append(TrueWord("".join(letters), ((x0, y0), (x1, y0), (x1, y1), (x0, y1))))
            letters.clear()
            boxes.clear()

    for index in range(text.count_chars()):
        character = chr(pdfium_raw.FPDFText_GetUnicode(text, index))
        if character == LINE_END_HYPHEN or character == "\x02":
            character = "-"
        if character.isspace():
            end_word()
            if character == "\n" and lines[-1]:
                lines.append([])
        else:
            letters.append(character)
            boxes.append(text.get_charbox(index, loose=True))
            if pdfium_raw.FPDFText_IsHyphen(text, index) == 1:
                end_word()
                lines.append([])
    end_word()
    return [line for line in lines if line]


def render(pdf: bytes, page: int, dpi: float, *, colour: bool = False) -> Image.Image:
    """Page `page` (from 0) as a picture, grey ("L") or RGB."""
    document = pdfium.PdfDocument(pdf)
    try:
        picture: Image.Image = document[page].render(scale=dpi / 72).to_pil()
    finally:
        document.close()
    return picture.convert("RGB" if colour else "L")


def picture_bounds(pdf: bytes, page: int) -> tuple[float, float, float, float]:
    """Where the first picture of page `page` (from 0) stands: x0, y0, x1, y1 normalised to the page."""
    document = pdfium.PdfDocument(pdf)
    try:
        sheet = document[page]
        width, height = sheet.get_size()
        image = next(sheet.get_objects(filter=[pdfium_raw.FPDF_PAGEOBJ_IMAGE]))
        left, bottom, right, top = image.get_bounds()
    finally:
        document.close()
    return (left / width, 1 - top / height, right / width, 1 - bottom / height)
