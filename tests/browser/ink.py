"""Whether what is drawn over a picture lies on what is dark in it, measured on the screen."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

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
    page.wait_for_timeout(150)
    page.wait_for_selector(".df-stage[data-picture=shown]")


def measure(page: Any, darker_than: int = 128) -> Ink:
    shapes = page.evaluate(SHAPES)
    sheet = page.locator(".df-sheet").bounding_box()
    page.evaluate("document.querySelector('.df-sheet svg').style.visibility = 'hidden'")
    picture = Image.open(io.BytesIO(page.screenshot(clip=sheet))).convert("L")
    page.evaluate("document.querySelector('.df-sheet svg').style.visibility = ''")
    scale = picture.width / sheet["width"]
    dark = np.asarray(picture) < darker_than
    covered = Image.new("1", picture.size)
    with_ink = 0
    for shape in shapes:
        points = [((x - sheet["x"]) * scale, (y - sheet["y"]) * scale) for x, y in shape]
        ImageDraw.Draw(covered).polygon(points, fill=1)
        own = Image.new("1", picture.size)
        ImageDraw.Draw(own).polygon(points, fill=1)
        with_ink += bool((np.asarray(own) & dark).any())
    near = np.asarray(covered.convert("L").filter(ImageFilter.MaxFilter(5))) > 0
    return Ink(len(shapes), with_ink / max(1, len(shapes)), float((dark & near).sum() / max(1, dark.sum())))
