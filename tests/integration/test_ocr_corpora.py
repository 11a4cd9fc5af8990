"""The local OCR engine on scans of the shared corpora: turned every way, and read at least as well as promised."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from docfleet.domain.words import WordPage
from docfleet.engines.base import PageImage
from docfleet.engines.local.rapid import RapidEngine, engine

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
# the corpora may not be republished with the project, so a clone elsewhere has none
pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not beside this repository")

TURNS = {0: None, 90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
PAGES = ("ocr_pages/eurotext.tif", "ocr_pages/chart_01.png", "forms/00866042.png", "receipts/000.jpg")


@pytest.fixture(scope="module")
def reader() -> Iterator[RapidEngine]:
    made = engine({})
    yield made
    made.close()


def pixels_of(name: str) -> npt.NDArray[np.uint8]:
    with Image.open(CORPORA / name) as image:
        return np.asarray(image.convert("RGB"))


def read(reader: RapidEngine, pixels: npt.NDArray[np.uint8]) -> WordPage:
    page = PageImage(1, pixels, 150, pixels.shape[1], pixels.shape[0])
    found = reader.recognise([page])[0].words
    assert found is not None
    return found


def words_of(page: WordPage) -> Counter[str]:
    return Counter(word.text for word in page.words)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_orientation_is_found_and_read_alike(reader: RapidEngine, name: str) -> None:
    upright = pixels_of(name)
    expected = words_of(read(reader, upright))
    for degrees, how in TURNS.items():
        page = read(reader, upright if how is None else np.asarray(cv2.rotate(upright, how), np.uint8))
        assert page.orientation == degrees
        same = (words_of(page) & expected).total()
        assert same >= 0.93 * expected.total()


@pytest.mark.slow
def test_upright_pages_stay_upright(reader: RapidEngine) -> None:
    for path in sorted((CORPORA / "forms").glob("*.png"))[::10]:
        assert read(reader, pixels_of(f"forms/{path.name}")).orientation == 0


@pytest.mark.slow
def test_forms_are_read_with_few_words_lost(reader: RapidEngine) -> None:
    lines = (CORPORA / "forms" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    common = total = found = 0
    for record in map(json.loads, lines[::8]):
        truth = Counter(word["text"] for entity in record["form"] for word in entity["words"] if word["text"])
        page = words_of(read(reader, pixels_of(f"forms/{record['file']}")))
        common, total, found = common + (truth & page).total(), total + truth.total(), found + page.total()
    assert 2 * common / (total + found) > 0.74
