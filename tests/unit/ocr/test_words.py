"""Lines into words, on drawn lines whose words stand at known places."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from docfleet.engines.local.recognition import LineReading
from docfleet.engines.local.words import split_words

FONT = ImageFont.load_default(32)


def line(text: str, gap: int) -> tuple[np.ndarray, list[tuple[str, int, int]], list[float]]:
    """A cut of 48 pixels with words `gap` pixels apart; (word, left, right) of each; the middle of each letter."""
    image = Image.new("RGB", (900, 48), "white")
    draw = ImageDraw.Draw(image)
    x, words, middles = 6.0, [], []
    for word in text.split():
        left, right = draw.textbbox((x, 4), word, font=FONT)[::2]
        words.append((word, round(left), round(right)))
        for number in range(len(word)):
            start = x + draw.textlength(word[:number], font=FONT)
            middles.append((start + x + draw.textlength(word[: number + 1], font=FONT)) / 2)
        draw.text((x, 4), word, font=FONT, fill="black")
        x = right + gap
    return np.asarray(image), words, middles


def reading(text: str, places: list[float]) -> LineReading:
    count = len(text)
    return LineReading(text, np.array(places, np.float32) / 900, np.full(count, 0.9, np.float32))


def test_swallowed_spaces_come_back_from_the_gaps() -> None:
    cut, expected, middles = line("total amount due", 24)
    words = split_words(reading("totalamountdue", middles), cut)
    assert [word.text for word in words] == ["total", "amount", "due"]
    for word, (_, left, right) in zip(words, expected, strict=True):
        assert word.left * 900 == pytest.approx(left, abs=3)
        assert word.right * 900 == pytest.approx(right, abs=3)


def test_letters_of_one_word_stay_together() -> None:
    cut, _, middles = line("Illumination", 24)
    assert [word.text for word in split_words(reading("Illumination", middles), cut)] == ["Illumination"]


def test_figures_are_not_broken_at_their_point() -> None:
    cut, _, middles = line("RM 16. 90", 15)
    words = split_words(reading("RM16.90", middles), cut)
    assert words[-1].text == "16.90"


def test_light_text_on_dark_paper_has_the_same_boxes() -> None:
    cut, _, middles = line("total amount", 24)
    dark, light = (split_words(reading("totalamount", middles), pixels) for pixels in (cut, 255 - cut))
    assert [(word.text, word.left, word.right) for word in dark] == [(w.text, w.left, w.right) for w in light]


def test_no_characters_no_words() -> None:
    cut, _, _ = line("x", 5)
    assert split_words(reading("  ", [1.0, 2.0]), cut) == []
