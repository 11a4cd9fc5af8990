"""What every engine promises, asked of every engine there is: the built-in ones and one from a package of its own."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from docfleet.engines.asking import ask, find_problem
from docfleet.engines.base import Engine, PageImage, RecognisedPage
from docfleet.engines.registry import BUILTIN, load
from docfleet.errors import EngineUnavailable

WIDTH, HEIGHT = 420.0, 297.0
LINES = ("Invoice number 4711", "Total amount 128.50", "Thank you for your order")


# Document AI needs a counterpart: test_documentai_engine_server.py
ALONE = [name for name in BUILTIN if name != "documentai"]


@pytest.fixture(scope="module", params=[*ALONE, "shout"])
def engine(request: pytest.FixtureRequest, shout_installed: None) -> Iterator[Engine]:
    try:
        built = load(request.param)
    except EngineUnavailable as reason:
        if request.param != "tesseract":
            raise
        pytest.skip(f"Tesseract is optional and not installed: {reason}")
    yield built
    built.close()


def draw(lines: tuple[str, ...] = LINES, width: int = 1166, height: int = 825) -> npt.NDArray[np.uint8]:
    image = Image.new("L", (width, height), 255)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=42)
    for number, line in enumerate(lines):
        pen.text((90, 90 + 110 * number), line, fill=0, font=font)
    return np.asarray(image)


def page(pixels: npt.NDArray[np.uint8], number: int = 1, width: float = WIDTH, height: float = HEIGHT) -> PageImage:
    pixels = pixels.copy()
    pixels.flags.writeable = False
    return PageImage(number, pixels, dpi=200.0, width=width, height=height, languages=("en",))


def texts(answer: RecognisedPage) -> list[str]:
    if answer.page is not None:
        return answer.text.split()
    assert answer.words is not None
    return [word.text for word in answer.words.words]


def reads(engine: Engine) -> bool:
    return engine.capabilities.name not in ("null", "shout")


def test_capabilities_are_data(engine: Engine) -> None:
    capabilities = engine.capabilities
    assert capabilities.name
    assert capabilities.version
    assert capabilities.max_pages_per_call >= 1
    assert capabilities.cost_per_page_usd >= 0
    assert capabilities == engine.capabilities
    assert msgspec.json.encode(capabilities)


def test_one_sound_answer_a_page_in_order(engine: Engine) -> None:
    counts = (1, 3, 2)
    pages = [page(draw(LINES[:count]), number) for number, count in enumerate(counts, 1)]
    answers = ask(engine, pages)
    assert [find_problem(one, answer) for one, answer in zip(pages, answers, strict=True)] == ["", "", ""]
    if engine.capabilities.name != "null":
        sizes = [len(texts(answer)) for answer in answers]
        assert sizes[0] < sizes[2] < sizes[1]


def test_full_calls_are_answered(engine: Engine) -> None:
    most = min(engine.capabilities.max_pages_per_call, 4)
    answers = engine.recognise([page(draw(LINES[:1]), number) for number in range(1, most + 1)])
    assert len(answers) == most


def test_no_pages_are_no_answers(engine: Engine) -> None:
    assert engine.recognise([]) == []


def test_what_is_read_is_what_was_written_where_it_was_written(engine: Engine) -> None:
    if not reads(engine):
        pytest.skip("this engine does not read")
    (answer,) = ask(engine, [page(draw())])
    assert " ".join(texts(answer)) == " ".join(LINES)
    assert answer.words is not None
    words = answer.words.words
    assert [word.line for word in words] == sorted(word.line for word in words)
    assert len({word.line for word in words}) == len(LINES)
    assert all(word.ocr and 0.5 < word.confidence <= 1 for word in words)
    x0, y0, x1, y1 = words[0].box
    assert (x0, y0) == pytest.approx((90 * WIDTH / 1166, 97 * HEIGHT / 825), abs=6)
    assert 10 < x1 - x0 < 80
    assert 5 < y1 - y0 < 25


@pytest.mark.parametrize("shade", [255, 250, 128, 0])
@pytest.mark.parametrize("shape", [(825, 1166), (825, 1166, 3)])
def test_a_blank_page_has_no_words(engine: Engine, shade: int, shape: tuple[int, ...]) -> None:
    (answer,) = ask(engine, [page(np.full(shape, shade, np.uint8))])
    assert texts(answer) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (2, 3), (1, 900), (900, 1), (9, 9), (17, 40, 3)])
def test_tiny_images_are_answered(engine: Engine, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    one = page(noise, width=float(shape[1]), height=float(shape[0]))
    assert len(ask(engine, [one])) == 1


def test_grey_and_colour_give_the_same_words(engine: Engine) -> None:
    grey = draw()
    answers = ask(engine, [page(grey), page(np.stack([grey] * 3, axis=2))])
    assert texts(answers[0]) == texts(answers[1])


def test_the_same_page_gives_the_same_answer(engine: Engine) -> None:
    first, second = (ask(engine, [page(draw())])[0] for _ in range(2))
    assert msgspec.structs.replace(first, seconds=0) == msgspec.structs.replace(second, seconds=0)


def test_boxes_are_in_page_units(engine: Engine) -> None:
    small, large = ask(engine, [page(draw()), page(draw(), 2, WIDTH * 10, HEIGHT * 10)])
    assert small.words is not None
    assert large.words is not None
    for one, ten in zip(small.words.words, large.words.words, strict=True):
        assert [side * 10 for side in one.box] == pytest.approx(list(ten.box), rel=0.02, abs=3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_text_is_read_where_orientation_is_found(engine: Engine, degrees: int) -> None:
    if not engine.capabilities.finds_orientation:
        pytest.skip("this engine does not find orientation, and says so")
    many = tuple(f"{line} and some more words {n}" for n, line in enumerate(LINES * 2))
    upright = draw(many, 1400, 825)
    turned = np.rot90(upright, -degrees // 90)
    width, height = (840.0, 495.0) if degrees == 180 else (495.0, 840.0)
    (answer,) = ask(engine, [page(turned, width=width, height=height)])
    assert answer.words is not None
    assert answer.words.orientation == degrees
    assert " ".join(texts(answer)) == " ".join(many)
    first = answer.words.words[0]
    corner = answer.words.frame.corners(first.box, first.angle)[0]
    x, y = 90 * 0.6, 97 * 0.6
    assert corner == pytest.approx({90: (495 - y, x), 180: (840 - x, 495 - y), 270: (y, 840 - x)}[degrees], abs=12)


def test_closing_twice_is_harmless(engine: Engine) -> None:
    another = load(engine.capabilities.name)
    another.close()
    another.close()
