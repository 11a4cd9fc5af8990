"""Orientation, skew, scale, tiles, widths: decisions and geometry without any model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.engines.local import deskew, detection, orientation, recognition, scale
from docfleet.engines.local.inference import RECOGNISER, model_path, vocabulary
from docfleet.engines.local.vocabulary import is_latin, latin_indices, only_latin

from .drawing import draw_page


def strip(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([x, y, width, 0, 0, height], np.float32)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_page_is_never_turned_without_clear_gain(as_it_is: float, other: float) -> None:
    turn = orientation.choose_upside(as_it_is, other)
    assert turn.degrees == 0 or other > as_it_is + 0.1


@given(st.floats(0.88, 1))
def test_lines_that_read_well_are_not_tried_the_other_way(sure: float) -> None:
    assert not orientation.needs_other_way(sure)
    assert orientation.choose_upside(sure, None).degrees == 0


def test_standing_lines_turn_to_the_way_that_reads() -> None:
    assert orientation.choose_standing(0.95, 0.4, 0.3).degrees == 90
    assert orientation.choose_standing(0.4, 0.95, 0.3).degrees == 270
    assert orientation.choose_standing(0.5, 0.55, 0.3).degrees == 0


def test_standing_share_counts_length_of_clear_lines() -> None:
    strips = np.stack([strip(0, 0, 20, 300), strip(40, 0, 20, 300), strip(80, 0, 200, 20), strip(0, 400, 30, 30)])
    assert orientation.standing_share(strips) == pytest.approx(0.75)


def test_turning_a_strip_four_times_gives_it_back() -> None:
    first = np.array([10, 20, 100, 5, -1, 20], np.float32)
    turned = first
    for _ in range(4):
        turned = detection.turn_strip(turned, 90)
    assert turned == pytest.approx(first)
    assert detection.turn_strip(detection.turn_strip(first, 90), 90) == pytest.approx(detection.turn_strip(first, 180))


@given(st.integers(1, 6000))
def test_tiles_cover_everything_and_waste_little(length: int) -> None:
    tiles = detection.plan_tiles(length)
    assert tiles.side % 32 == 0
    assert tiles.starts[0] == 0
    assert tiles.starts[-1] + tiles.side >= length
    assert all(b - a < tiles.side for a, b in zip(tiles.starts, tiles.starts[1:], strict=False))
    assert tiles.side * len(tiles.starts) <= 1.35 * length + 160


@given(st.floats(1, 20_000))
def test_lines_get_few_widths_near_their_own(natural: float) -> None:
    width = recognition.line_width(natural)
    assert 8 <= width <= 3200
    if 200 < natural < 3500:
        assert 0.66 < width / natural <= 1.0


@given(st.lists(st.integers(8, 3200), max_size=80))
def test_each_line_is_in_one_batch_that_holds_it(widths: list[int]) -> None:
    batches = recognition.plan_batches(widths)
    assert sorted(index for members, _ in batches for index in members) == list(range(len(widths)))
    assert all(widths[index] <= width for members, width in batches for index in members)


def test_regions_of_a_map_become_strips_in_image_pixels() -> None:
    probability = np.zeros((160, 320), np.float32)
    probability[40:52, 30:230] = 0.9
    probability[100:103, 30:33] = 0.2
    regions = detection.find_regions(probability, 0.5, 0.5, corner=(1000, 2000))
    assert len(regions) == 1
    ox, oy, ux, uy, vx, vy = detection.level_strip(regions[0], 0.0).tolist()
    assert (uy, vx) == (0, 0)
    assert 1000 + 30 < ox < 1000 + 60
    assert 2000 + 50 < oy < 2000 + 80
    assert 400 <= ux <= 450
    assert 24 <= vy <= 70


@pytest.mark.parametrize("degrees", [-20.0, -3.0, 0.0, 1.5, 8.0])
def test_skew_is_the_angle_of_the_lines(degrees: float) -> None:
    probability = np.zeros((400, 600), np.float32)
    for y in range(100, 300, 40):
        box = cv2.boxPoints(((300.0, float(y)), (300.0, 10.0), degrees))
        cv2.fillPoly(probability, [box.astype(np.int32)], 1.0)
    assert deskew.estimate_skew(detection.find_regions(probability, 1, 1)) == pytest.approx(degrees, abs=0.5)


def test_strips_read_top_down_and_left_to_right() -> None:
    strips = np.stack([strip(300, 12, 100, 20), strip(10, 80, 100, 20), strip(10, 10, 100, 20)])
    assert detection.reading_order(strips) == [2, 0, 1]


@pytest.mark.parametrize("letters", [14, 24, 60])
def test_text_size_follows_the_letters(letters: int) -> None:
    pixels, _ = draw_page(letters=letters, size=(1800, 1300))
    measured = scale.measure_text(pixels)
    assert 0.4 * letters < measured.glyph_height < 0.9 * letters
    x0, y0, x1, y1 = measured.bounds
    assert 0 < x0 < 2 * letters < x1 < 1800
    assert 0 < y0 < 2.5 * letters < y1 < 1300


def test_blank_paper_has_no_text() -> None:
    assert scale.measure_text(np.full((500, 400), 255, np.uint8)).bounds == (0, 0, 0, 0)


@given(st.floats(0, 300), st.integers(1, 20_000), st.integers(1, 20_000))
def test_searches_are_bounded(glyphs: float, width: int, height: int) -> None:
    plan = scale.plan_search(glyphs, width, height)
    assert 0 < plan.scale <= 2
    assert plan.scale**2 * width * height <= 2_600_001


def test_latin_symbols_are_found_in_the_vocabulary() -> None:
    symbols = vocabulary(model_path(RECOGNISER))
    some = latin_indices(symbols)
    assert some[0] == 0
    assert some[-1] == len(symbols) - 1
    assert {"A", "z", "é", "ß", "Ł", "€", "7", "%", " "} <= {symbols[index] for index in some}
    assert len(some) < 1200
    assert not is_latin("中")
    assert not is_latin("\uff0c")


@pytest.mark.parametrize(("hints", "answer"), [((), False), (("en", "de-CH"), True), (("en", "zh"), False)])
def test_only_latin_hints_rule_other_scripts_out(hints: tuple[str, ...], answer: bool) -> None:
    assert only_latin(hints) is answer
