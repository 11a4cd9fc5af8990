"""Whether what is drawn over a picture lies on what is dark in it, measured on the screen."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

SHAPES = """() => [...document.querySelectorAll('.df-sheet svg [data-layer=tokens] polygon')].map((shape) => {
  const matrix = shape.getScreenCTM();
  return [...shape.points].map((point) => {
    const at = new DOMPoint(point.x, point.y).matrixTransform(matrix);
    return [at.x, at.y];
  });
})"""


class Ink:
    """Of a page as the browser shows it."""

    def __init__(self, boxes: int, boxes_with_ink: float, ink_in_boxes: float) -> None:
        self.boxes = boxes
        self.boxes_with_ink = boxes_with_ink
        """Share of the boxes with something dark in them."""
        self.ink_in_boxes = ink_in_boxes
        """Share of the dark pixels that lie in a box (or a pixel or two beside it)."""

    def __repr__(self) -> str:
        return f"{self.boxes} boxes, {self.boxes_with_ink:.3f} with ink, {self.ink_in_boxes:.3f} of the ink within"


def show_page(page: Any, number: int) -> None:
    """Turns to a page of the viewer and waits until its picture is there, all of it on the screen."""
    page.fill(".df-pager input", str(number))
    page.press(".df-pager input", "Enter")
    page.wait_for_selector(f".df-viewer[data-page='{number}'] .df-stage[data-picture=shown]")
    page.click("button[title^='Fit the page']")
    page.wait_for_selector(".df-stage[data-picture=shown]")


def measure(page: Any, darker_than: int = 128) -> Ink:
    shapes = page.evaluate(SHAPES)
    sheet = page.locator(".df-sheet").bounding_box()
    page.evaluate("document.querySelector('.df-sheet svg').style.visibility = 'hidden'")
    picture = Image.open(io.BytesIO(page.screenshot(clip=sheet))).convert("L")
    page.evaluate("document.querySelector('.df-sheet svg').style.visibility = ''")
    scale = picture.width / sheet["width"]
    dark = np.asarray(picture) < darker_than
    covered = np.zeros(dark.shape, bool)
    with_ink = 0
    for shape in shapes:
        points = [((x - sheet["x"]) * scale, (y - sheet["y"]) * scale) for x, y in shape]
        left, top = (max(0, int(min(point[axis] for point in points))) for axis in (0, 1))
        right, bottom = (int(max(point[axis] for point in points)) + 2 for axis in (0, 1))
        own = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(own).polygon([(x - left, y - top) for x, y in points], fill=1)
        there = dark[top:bottom, left:right]
        inside = np.asarray(own)[: there.shape[0], : there.shape[1]] > 0
        with_ink += bool((inside & there).any())
        covered[top:bottom, left:right] |= inside
    near = _grown(covered)
    return Ink(len(shapes), with_ink / max(1, len(shapes)), float((dark & near).sum() / max(1, dark.sum())))


def _grown(covered: npt.NDArray[np.bool_], pixels: int = 2) -> npt.NDArray[np.bool_]:
    """What is covered and what lies at most so many pixels beside it."""
    grown = covered.copy()
    for axis in (0, 1):
        before = grown.copy()
        for by in range(1, pixels + 1):
            for step in (by, -by):
                moved = np.roll(before, step, axis)
                edge = slice(None, by) if step > 0 else slice(-by, None)
                moved[edge if axis == 0 else (slice(None), edge)] = False
                grown |= moved
    return grown
