"""Measures what the cascade decides on, as cheaply as the page allows.

A page of text and rules is measured from its objects alone. Only images, drawings that could be outlined writing, and
pages with next to no text are rendered, small and grey.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from docfleet.domain.geometry import Rect
from docfleet.domain.page_facts import PageFacts
from docfleet.domain.plausibility import language_of_codes, plausibility_of_codes
from docfleet.errors import PageTooLarge
from docfleet.sandbox.ink import Cells, Grey, cover_cells, find_writing, is_plain
from docfleet.sandbox.pdf_drawing import Drawing, DrawnImage
from docfleet.sandbox.pdf_page import PdfPage
from docfleet.sandbox.pdf_text import GENERATED, INVISIBLE, PALE, UNMAPPED, Characters

_MEASURING_DPI = 72.0
_MAX_MEASURING_PIXELS = 800_000
"""A little more than A4 at the resolution above: on larger pages everything is larger, or there is much of it."""
_MIN_REGION = (36.0, 8.0)
"""Points: an image with a shorter long or short side holds no text worth reading."""
_FEW_CHARACTERS = 20
_GLYPH_PATHS = 40
"""Drawings of the size of letters that make outlined writing likely."""
_MANY_PALE = 0.3
_DARK_GROUND = 225
"""Grey level below which white text shows."""
_MOST_FONTS = 8
_FONT_CHARACTERS = 60
_BROKEN_LANGUAGE = 0.15
_COVERAGE_GRID = 128
_TEXT_MARGIN = 2.0
_MIN_INK_CELLS = 6


def measure(page: PdfPage, characters: Characters, drawing: Drawing) -> PageFacts:
    """The facts of one page."""
    solid = (characters.flags & GENERATED == 0) & ~_is_white(characters.codes)
    visible = solid & (characters.flags & INVISIBLE == 0) & _on_page(page, characters.boxes)
    if drawing.images:
        visible &= ~_hidden_by_images(characters, drawing)
    total = int(solid.sum())
    visible &= ~_hidden_by_colour(page, characters, total)
    unmapped = int((solid & _is_unmapped(characters)).sum())
    ink, regions, text_in_images = 0.0, tuple[Rect, ...](), 0.0
    if _needs_pixels(drawing, total):
        ink, regions, text_in_images = _measure_pixels(page, characters.boxes[solid], drawing)
    return PageFacts(
        width=page.width,
        height=page.height,
        dpi=_largest_image_dpi(drawing.images),
        characters=total,
        visible_characters=int(visible.sum()),
        unmapped_ratio=unmapped / total if total else 0.0,
        plausibility=plausibility_of_codes(characters.codes),
        broken_ratio=_broken_ratio(characters, solid),
        image_coverage=_coverage(page, drawing.images),
        path_count=drawing.path_count,
        ink_outside_text=ink,
        image_regions=regions,
        text_in_images=text_in_images,
    )


def _is_white(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    return np.asarray(
        ((codes >= 9) & (codes <= 13)) | (codes == 32) | (codes == 0xA0) | (codes == 0x3000)
        | ((codes >= 0x2000) & (codes <= 0x200B)) | (codes == 0xFEFF)
    )  # fmt: skip


def _is_unmapped(characters: Characters) -> npt.NDArray[np.bool_]:
    codes = characters.codes
    private = ((codes >= 0xE000) & (codes <= 0xF8FF)) | (codes >= 0xF0000)
    return np.asarray(
        (characters.flags & UNMAPPED != 0)
        | private
        | (codes == 0xFFFD)
        | (codes < 32)
        | ((codes >= 0x7F) & (codes < 0xA0))
    )


def _on_page(page: PdfPage, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return np.asarray((x >= 0) & (y >= 0) & (x <= page.width) & (y <= page.height))


def _hidden_by_images(characters: Characters, drawing: Drawing) -> npt.NDArray[np.bool_]:
    """Characters under an opaque image that was painted after them."""
    unique, inverse = np.unique(characters.objects, return_inverse=True)
    order = np.array([drawing.text_order.get(int(pointer), -1) for pointer in unique], np.int64)[inverse]
    boxes = characters.boxes
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    hidden = np.zeros(len(boxes), np.bool_)
    for image in drawing.images:
        if image.opaque:
            x0, y0, x1, y1 = image.rect
            hidden |= (order >= 0) & (order < image.order) & (x > x0) & (x < x1) & (y > y0) & (y < y1)
    return hidden


def _hidden_by_colour(page: PdfPage, characters: Characters, total: int) -> npt.NDArray[np.bool_]:
    """White characters on white ground; looked for only where much of the text is white."""
    pale = characters.flags & PALE != 0
    if int(pale.sum()) < _MANY_PALE * max(total, 1):
        return np.zeros(len(pale), np.bool_)
    try:
        grey, scale = _render_small(page)
    except PageTooLarge:
        return np.zeros(len(pale), np.bool_)
    dark = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1), np.int64)
    dark[1:, 1:] = (grey < _DARK_GROUND).cumsum(axis=0).cumsum(axis=1)
    corners = np.nan_to_num(characters.boxes * scale)
    x0, x1 = (np.clip(np.floor(corners[:, side]), 0, grey.shape[1]).astype(np.intp) for side in (0, 2))
    y0, y1 = (np.clip(np.ceil(corners[:, side]), 0, grey.shape[0]).astype(np.intp) for side in (1, 3))
    ground = dark[y1, x1] - dark[y0, x1] - dark[y1, x0] + dark[y0, x0]
    return np.asarray(pale & (ground <= 0))


def _broken_ratio(characters: Characters, solid: npt.NDArray[np.bool_]) -> float:
    """Share of the page's characters in fonts whose text is no language: encodings break font by font."""
    fonts = characters.fonts[solid]
    names, counts = np.unique(fonts, return_counts=True)
    if len(names) < 2:
        return 0.0
    broken = 0
    for font, count in sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: -item[1])[
        :_MOST_FONTS
    ]:
        if count < _FONT_CHARACTERS:
            break
        own = np.where(characters.fonts == font, characters.codes, np.uint32(32))
        if language_of_codes(_each_word_once(own)) < _BROKEN_LANGUAGE:
            broken += count
    return round(broken / len(fonts), 4)


def _each_word_once(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """A column of the same few codes ("MTuWThF") is no broken language: repetition proves nothing."""
    words = dict.fromkeys(codes.astype("<u4").tobytes().decode("utf-32-le", "replace").split())
    return np.frombuffer(" ".join(words).encode("utf-32-le"), np.uint32)


def _largest_image_dpi(images: list[DrawnImage]) -> float:
    if not images:
        return 0.0
    largest = max(images, key=lambda image: _area(image.rect))
    area = _area(largest.full_rect)
    return round((largest.pixel_width * largest.pixel_height / area) ** 0.5 * 72.0, 1) if area > 0 else 0.0


def _area(rect: Rect) -> float:
    return (rect[2] - rect[0]) * (rect[3] - rect[1])


def _coverage(page: PdfPage, images: list[DrawnImage]) -> float:
    """Share of the page under any image, counted on a grid so that overlaps count once."""
    if not images or page.width <= 0 or page.height <= 0:
        return 0.0
    rects = np.array([image.rect for image in images], np.float32)
    rects *= np.array((1 / page.width, 1 / page.height) * 2, np.float32) * _COVERAGE_GRID
    small = float(sum(_area(image.rect) for image in images)) / (page.width * page.height)
    covered = cover_cells((_COVERAGE_GRID, _COVERAGE_GRID), rects, 8.0)
    return min(small, float(covered.mean())) if len(images) > 1 else min(1.0, small)


def _needs_pixels(drawing: Drawing, characters: int) -> bool:
    if any(_could_hold_text(image.rect) for image in drawing.images):
        return True
    if drawing.glyph_like >= max(_GLYPH_PATHS, characters // 8):
        return True
    return characters < _FEW_CHARACTERS and (drawing.path_count > 0 or drawing.text_count > 0 or bool(drawing.images))


def _could_hold_text(rect: Rect) -> bool:
    wide, high = rect[2] - rect[0], rect[3] - rect[1]
    return max(wide, high) >= _MIN_REGION[0] and min(wide, high) >= _MIN_REGION[1]


def _measure_pixels(
    page: PdfPage, text_boxes: npt.NDArray[np.float32], drawing: Drawing
) -> tuple[float, tuple[Rect, ...], float]:
    """(ink_outside_text, image_regions, text_in_images) from a small rendering."""
    try:
        grey, scale = _render_small(page)
    except PageTooLarge:
        return 0.0, (), 0.0
    writing = find_writing(grey)
    in_text = cover_cells(writing.shape, text_boxes, scale, _TEXT_MARGIN)
    images = _merge([image.rect for image in drawing.images if _could_hold_text(image.rect)])
    regions = tuple(rect for rect in images if not is_plain(grey, rect, scale))
    in_images = cover_cells(writing.shape, np.array(images, np.float32).reshape(-1, 4), scale)
    in_regions = cover_cells(writing.shape, np.array(regions, np.float32).reshape(-1, 4), scale)
    return (
        _share(writing & ~in_text & ~in_images, writing & ~in_images),
        regions,
        _share(writing & ~in_text & in_regions, in_regions),
    )


def _share(part: Cells, whole: Cells) -> float:
    total = int(whole.sum())
    return round(int(part.sum()) / total, 4) if total >= _MIN_INK_CELLS else 0.0


def _render_small(page: PdfPage) -> tuple[Grey, float]:
    width, height, dpi = page.render_size(_MEASURING_DPI, _MAX_MEASURING_PIXELS, None)
    grey = np.empty((height, width), np.uint8)
    page.render_into(grey, (width, height), dpi, grey=True, region=None)
    return grey, dpi / 72.0


def _merge(rects: list[Rect]) -> list[Rect]:
    """Unites rectangles that touch: scanners and printers cut one picture into strips. At most a few hundred."""
    merged: list[Rect] = []
    for rect in rects[:400]:
        joined = rect
        changed = True
        while changed:
            changed = False
            for other in merged:
                if _touch(joined, other):
                    merged.remove(other)
                    joined = (
                        min(joined[0], other[0]), min(joined[1], other[1]),
                        max(joined[2], other[2]), max(joined[3], other[3]),
                    )  # fmt: skip
                    changed = True
                    break
        merged.append(joined)
    return merged


def _touch(one: Rect, other: Rect) -> bool:
    gap = 1.0
    return (
        one[0] <= other[2] + gap and other[0] <= one[2] + gap and one[1] <= other[3] + gap and other[1] <= one[3] + gap
    )
