"""The engine with its real models, on drawn pages."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from docfleet.domain.geometry import Rect
from docfleet.domain.words import WordPage
from docfleet.engines.base import Engine
from docfleet.engines.local.inference import DETECTOR, RECOGNISER, model_digest, model_path
from docfleet.engines.local.quantise import stored_ranges
from docfleet.engines.local.rapid import RapidEngine, engine
from docfleet.errors import UsageError

from .drawing import Box, Pixels, draw_page, page_of


@pytest.fixture(scope="module")
def reader() -> Iterator[RapidEngine]:
    made = engine({})
    yield made
    made.close()


def read(reader: RapidEngine, pixels: Pixels, width: float = 0.0, height: float = 0.0) -> WordPage:
    found = reader.recognise([page_of(pixels, width, height)])[0].words
    assert found is not None
    return found


def text_of(page: WordPage) -> list[str]:
    return [word.text for word in page.words]


def overlap(a: Rect, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def test_it_is_an_engine(reader: RapidEngine) -> None:
    assert isinstance(reader, Engine)
    assert reader.capabilities.name == "rapidocr"
    assert reader.capabilities.finds_orientation


def test_words_are_read_where_they_stand(reader: RapidEngine) -> None:
    pixels, truth = draw_page()
    page = read(reader, pixels)
    assert text_of(page) == [word for word, _ in truth]
    assert page.orientation == 0
    assert page.frame.is_identity
    assert all(word.ocr and word.confidence > 0.6 for word in page.words)
    assert all(overlap(word.box, box) > 0.6 for word, (_, box) in zip(page.words, truth, strict=True))
    assert len({word.line for word in page.words}) == 7


@pytest.mark.parametrize(
    ("degrees", "how"), [(90, cv2.ROTATE_90_CLOCKWISE), (180, cv2.ROTATE_180), (270, cv2.ROTATE_90_COUNTERCLOCKWISE)]
)
def test_turned_pages_are_turned_back(reader: RapidEngine, degrees: int, how: int) -> None:
    pixels, truth = draw_page()
    page = read(reader, np.asarray(cv2.rotate(pixels, how), np.uint8))
    assert page.orientation == degrees
    assert text_of(page) == [word for word, _ in truth]
    assert (page.frame.width, page.frame.height) == (1000, 700)
    assert all(overlap(word.box, box) > 0.6 for word, (_, box) in zip(page.words, truth, strict=True))
    x, y = page.frame.point(*truth[0][1][:2])
    expected = {90: (700 - truth[0][1][1], truth[0][1][0]), 180: (1000 - truth[0][1][0], 700 - truth[0][1][1])}
    expected[270] = (truth[0][1][1], 1000 - truth[0][1][0])
    assert (x, y) == pytest.approx(expected[degrees], abs=1)


@pytest.mark.parametrize("skew", [-6.0, 2.0])
def test_askew_pages_are_levelled(reader: RapidEngine, skew: float) -> None:
    pixels, truth = draw_page()
    matrix = cv2.getRotationMatrix2D((500, 350), -skew, 1)
    turned = np.asarray(cv2.warpAffine(pixels, matrix, (1000, 700), borderValue=250), np.uint8)
    page = read(reader, turned)
    assert page.skew_degrees == pytest.approx(skew, abs=0.6)
    assert text_of(page) == [word for word, _ in truth]
    good = [overlap(word.box, box) > 0.4 for word, (_, box) in zip(page.words, truth, strict=True)]
    assert np.mean(good) > 0.9


def test_boxes_come_in_page_units(reader: RapidEngine) -> None:
    pixels, truth = draw_page()
    page = read(reader, pixels, 500, 350)
    assert all(
        overlap(word.box, tuple(side / 2 for side in box)) > 0.6  # type: ignore[arg-type]
        for word, (_, box) in zip(page.words, truth, strict=True)
    )


def test_fax_pixels_are_made_square(reader: RapidEngine) -> None:
    pixels, truth = draw_page()
    squeezed = np.asarray(cv2.resize(pixels, (1000, 350), interpolation=cv2.INTER_AREA), np.uint8)
    page = read(reader, squeezed, 1000, 700)
    assert len(set(text_of(page)) & {word for word, _ in truth}) > 0.9 * len({word for word, _ in truth})


def test_light_on_dark_and_colour(reader: RapidEngine) -> None:
    pixels, truth = draw_page(paper=15, ink=240)
    assert text_of(read(reader, pixels)) == [word for word, _ in truth]
    coloured = cv2.applyColorMap(pixels, cv2.COLORMAP_OCEAN)
    assert len(text_of(read(reader, np.asarray(coloured, np.uint8)))) >= 0.9 * len(truth)


def test_very_small_text_is_enlarged(reader: RapidEngine) -> None:
    pixels, truth = draw_page()
    small = np.asarray(cv2.resize(pixels, (333, 233), interpolation=cv2.INTER_AREA), np.uint8)
    assert len(set(text_of(read(reader, small))) & {word for word, _ in truth}) > 0.8 * len({w for w, _ in truth})


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 1), 0, np.uint8),
        np.full((30, 5000), 255, np.uint8),
        np.full((5000, 30, 3), 255, np.uint8),
        np.zeros((600, 500), np.uint8),
        np.full((600, 500, 3), 255, np.uint8),
        np.full((2, 900), 128, np.uint8),
    ],
    ids=["pixel", "flat", "tall", "black", "white", "sliver"],
)
def test_images_without_text_are_answers_without_words(reader: RapidEngine, pixels: Pixels) -> None:
    page = read(reader, pixels)
    assert page.words == []
    assert page.orientation == 0


def test_noise_and_read_only_pixels(reader: RapidEngine) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (700, 500), dtype=np.uint8)
    pixels.flags.writeable = False
    assert len(read(reader, pixels).words) < 5


def test_a_huge_page_is_read_at_a_sensible_size(reader: RapidEngine) -> None:
    pixels, truth = draw_page(letters=200, size=(6600, 4700))
    assert len(set(text_of(read(reader, pixels))) & {word for word, _ in truth}) > 0.9 * len({w for w, _ in truth})


def test_every_model_has_ranges_for_int8() -> None:
    for name in (DETECTOR, RECOGNISER):
        assert stored_ranges(model_digest(model_path(name)))


@pytest.mark.parametrize("options", [{"precision": "fp32"}, {"precision": "bf16"}, {"runtime": "onnxruntime"}])
def test_other_arithmetic_reads_the_same(options: dict[str, str]) -> None:
    pixels, truth = draw_page()
    other = engine(options)
    assert text_of(read(other, pixels)) == [word for word, _ in truth]
    other.close()


def test_nothing_reaches_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the engine opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    made = engine({})
    read(made, draw_page()[0])
    made.close()


@pytest.mark.parametrize("options", [{"precision": "int3"}, {"speed": "fast"}, {"runtime": "abacus"}])
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        engine(options)
