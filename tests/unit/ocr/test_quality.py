"""Each defect is found on a page damaged that way, and not on a sound one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from docfleet.engines.local.quality import image_quality

from .drawing import LETTER, Pixels, draw_page


def sound() -> Pixels:
    return draw_page(LETTER * 3, (1000, 1400))[0]


def damaged(how: str) -> Pixels:
    page = sound()
    noise = np.random.default_rng(1).normal(0, 40, page.shape)
    glaring = (page * 0.8).astype(np.uint8)
    cv2.circle(glaring, (500, 500), 250, 255, -1)
    desk = np.full((1500, 1200), 60, np.uint8)
    desk[:1400, 100:1100] = page
    return {
        "blurry": cv2.GaussianBlur(page, (0, 0), 6),
        "noisy": np.clip(page + noise, 0, 255).astype(np.uint8),
        "dark": (page * 0.25).astype(np.uint8),
        "faint": (205 + page * 0.15).astype(np.uint8),
        "text_too_small": cv2.resize(page, None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA),
        "text_cutoff": np.ascontiguousarray(page[:, 100:]),
        "document_cutoff": desk,
        "glare": glaring,
    }[how]


def test_a_sound_page_has_no_defects() -> None:
    quality = image_quality(sound())
    assert quality.score > 0.9
    assert quality.defects == ()


@pytest.mark.parametrize(
    "how", ["blurry", "noisy", "dark", "faint", "text_too_small", "text_cutoff", "document_cutoff", "glare"]
)
def test_damage_is_named(how: str) -> None:
    quality = image_quality(damaged(how))
    assert dict(quality.defects).get(f"quality/defect_{how}", 0) >= 0.5
    assert quality.score < 0.9


@pytest.mark.parametrize("shape", [(1, 1), (30, 5000), (5000, 3), (500, 400, 3)])
def test_odd_shapes_get_an_answer(shape: tuple[int, ...]) -> None:
    assert image_quality(np.full(shape, 255, np.uint8)).score == 1.0
