"""Words to put into searchable PDFs, and what readers make of the result."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pikepdf
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from docfleet.domain.geometry import Frame
from docfleet.domain.searchable import LayerMode, LayerPage, LayerWord
from docfleet.sandbox.searchable import write_searchable


def word(text: str, x0: float, y0: float, x1: float, y1: float, line: int = 0, angle: int = 0) -> LayerWord:
    """A word in a box of the page as shown (0..1), read at `angle` degrees clockwise."""
    quad = Frame(1, 1).corners((x0, y0, x1, y1), angle)
    return LayerWord(text, quad, line)


def searchable(
    source: Path,
    out: Path,
    layers: Mapping[int, Iterable[LayerWord]],
    mode: LayerMode = LayerMode.REPLACE,
    mime_type: str = "application/pdf",
    password: str | None = None,
    **limits: int,
) -> dict[str, Any]:
    file = out.with_suffix(".layers")
    lines = [msgspec.json.encode(LayerPage(number, tuple(words), mode)) + b"\n" for number, words in layers.items()]
    file.write_bytes(b"".join(lines))
    return write_searchable(str(source), str(out), str(file), password, mime_type, **limits)


def check(path: Path) -> None:
    """What `qpdf --check` finds; raises when the file has any problem."""
    with pikepdf.open(path) as pdf:
        assert pdf.check_pdf_syntax() == []


def rendered(path: Path, page: int = 1, longest: int = 700) -> npt.NDArray[np.uint8]:
    with pdfium.PdfDocument(path) as document:
        shown = document[page - 1]
        scale = min(1.0, longest / max(shown.get_size()))
        return np.array(shown.render(scale=scale).to_numpy())


def pdftotext(path: Path, page: int = 1) -> list[str]:
    """The words Poppler copies from a page, in its order, without direction marks."""
    command = ["pdftotext", "-f", str(page), "-l", str(page), "-raw", str(path), "-"]
    text = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    return text.translate(dict.fromkeys(map(ord, "\u202a\u202b\u202c\u200e\u200f\f"))).split()


def copied(path: Path, page: int = 1) -> str:
    """The text PDFium copies from a page."""
    with pdfium.PdfDocument(path) as document:
        return str(document[page - 1].get_textpage().get_text_range())


def boxes_of(path: Path, text: str, page: int = 1) -> tuple[float, float, float, float]:
    """The box (page as shown, 0..1, y down) around the characters of the first `text` that PDFium finds on a page."""
    with pdfium.PdfDocument(path) as document:
        shown = document[page - 1]
        chars = shown.get_textpage()
        start = chars.get_text_range().index(text)
        points = []
        for index in range(start, start + len(text)):
            left, bottom, right, top = chars.get_charbox(index)
            points += [to_shown(shown, x, y) for x in (left, right) for y in (bottom, top)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def to_shown(page: pdfium.PdfPage, x: float, y: float) -> tuple[float, float]:
    """PDFium's own way from user space to the page as shown."""
    size = 1_000_000
    across, down = ctypes.c_int(), ctypes.c_int()
    assert pdfium_c.FPDF_PageToDevice(page.raw, 0, 0, size, size, 0, x, y, across, down)
    return across.value / size, down.value / size
