"""Pages and lines drawn for the tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from docfleet.engines.base import PageImage

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

LETTER = (
    "Dear Mrs Anderson, thank you for your letter",
    "of 14 March. We have looked at the account",
    "number 4471 and found that two payments of",
    "128.50 were entered twice. The amount will",
    "be returned within thirty working days.",
    "Please write to us if anything is unclear.",
    "Yours sincerely, the customer department",
)


def draw_page(
    lines: tuple[str, ...] = LETTER,
    size: tuple[int, int] = (1000, 700),
    letters: int = 30,
    paper: int = 250,
    ink: int = 20,
) -> tuple[Pixels, list[tuple[str, Box]]]:
    """A grey page (width, height) of lines, and each of its words with its box."""
    image = Image.new("L", size, paper)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(letters)
    words = []
    for row, line in enumerate(lines):
        x, y = float(letters * 2), letters * 2 + row * letters * 2
        for word in line.split():
            draw.text((x, y), word, font=font, fill=ink)
            words.append((word, draw.textbbox((x, y), word, font=font)))
            x += draw.textlength(word + " ", font=font)
    return np.asarray(image), [(text, (box[0], box[1], box[2], box[3])) for text, box in words]


def page_of(pixels: Pixels, width: float = 0.0, height: float = 0.0) -> PageImage:
    return PageImage(1, pixels, 150.0, width or float(pixels.shape[1]), height or float(pixels.shape[0]))
