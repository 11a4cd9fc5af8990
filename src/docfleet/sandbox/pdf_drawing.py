"""What is drawn on a PDF page besides text: images, and lines that could be the rules of a table."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Collection
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.domain.geometry import Rect
from docfleet.domain.words import Ruling
from docfleet.sandbox import pdfium
from docfleet.sandbox.pdf_page import PdfPage

_MAX_OBJECTS = 200_000
_MAX_FORM_DEPTH = 12
_MAX_RULINGS = 5_000
_MAX_SEGMENTS = 4_000
"""Of one path; a drawing with more is a picture and no ruling."""
_SEGMENT_BUDGET = 40_000
"""Of one page."""
_THIN = 4.0
"""Points: a drawn rectangle at most this thick is a line."""
_MIN_LENGTH = 5.0
_MIN_CLIPPED = 40.0
"""Points: shorter lines are taken as they are; whether they are clipped costs more to ask than it tells."""
_MAX_CANDIDATES = 20_000
_MAX_CLIP_SEGMENTS = 200
_LEVEL = 0.6
"""Points a line may rise over its length and still be level."""
_GLYPH_SIZE = 30.0
"""Points: letters of running text are smaller."""
_INVISIBLE_WHITE = 250

_exhaust = deque[object](maxlen=0).extend
"""Makes all calls of a `map`, without a word of Python in between."""

_Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


class DrawnImage(msgspec.Struct, frozen=True):
    rect: Rect
    """Page frame, what shows of it."""
    full_rect: Rect
    """Page frame, before clipping."""
    pixel_width: int
    pixel_height: int
    order: int
    """Place in the order of painting; larger is on top."""
    opaque: bool


class Drawing(msgspec.Struct):
    images: list[DrawnImage]
    path_count: int
    glyph_like: int
    """Paths of the size of letters, and parts of long paths that could be letters."""
    rulings: list[Ruling]
    text_order: dict[int, int]
    """Text object -> place in the order of painting; filled only where images are."""
    text_count: int = 0
    """Text objects, those that show no characters among them."""


class _Walk:
    """One pass over a page's objects, forms included."""

    def __init__(self, page: PdfPage, known_texts: Collection[int]) -> None:
        self.page = page
        self.known_texts = known_texts
        self.images: list[tuple[int, _Matrix, int]] = []
        self.paths: list[tuple[list[int], _Matrix]] = []
        self.texts: list[tuple[int, int]] = []
        self.order = 0
        self.left = _MAX_OBJECTS

    def visit_page(self) -> None:
        handle = self.page.handle
        count = min(pdfium.count_objects(handle), self.left)
        self._visit(list(map(pdfium.page_object, repeat(handle, max(count, 0)), range(count))), _IDENTITY, 0)

    def _visit(self, objects: list[int | None], matrix: _Matrix, depth: int) -> None:
        self.left -= len(objects)
        paths: list[int] = []
        known, texts, object_type = self.known_texts, self.texts, pdfium.object_type
        for pointer in objects:
            if not pointer:
                continue
            kind = pdfium.PAGE_OBJECT_TEXT if pointer in known else object_type(pointer)
            if kind == pdfium.PAGE_OBJECT_PATH:
                paths.append(pointer)
            elif kind == pdfium.PAGE_OBJECT_TEXT:
                texts.append((pointer, self.order))
            elif kind == pdfium.PAGE_OBJECT_IMAGE:
                self.images.append((pointer, matrix, self.order))
            elif kind == pdfium.PAGE_OBJECT_FORM and depth < _MAX_FORM_DEPTH and self.left > 0:
                self._visit_form(pointer, matrix, depth)
            self.order += 1
        if paths:
            self.paths.append((paths, matrix))

    def _visit_form(self, pointer: int, matrix: _Matrix, depth: int) -> None:
        count = min(pdfium.count_form_objects(pointer), self.left)
        own = (ctypes.c_float * 6)()
        pdfium.object_matrix(pointer, ctypes.addressof(own))
        inner = _multiply(tuple(own), matrix)
        self._visit(list(map(pdfium.form_object, repeat(pointer, max(count, 0)), range(count))), inner, depth + 1)


def read_drawing(page: PdfPage, known_texts: Collection[int] = frozenset()) -> Drawing:
    """Images, rulings and counts of the page, in its page frame.

    `known_texts`: objects that are known to be text, which then need not be asked.
    """
    walk = _Walk(page, known_texts)
    walk.visit_page()
    images = [image for item in walk.images if (image := _describe_image(page, *item)) is not None]
    finder = _RulingFinder(page)
    for paths, matrix in walk.paths:
        finder.search(paths, matrix)
    path_count = sum(len(paths) for paths, _ in walk.paths)
    return Drawing(
        images, path_count, finder.glyph_like, finder.rulings(), dict(walk.texts) if images else {}, len(walk.texts)
    )


def _describe_image(page: PdfPage, pointer: int, matrix: _Matrix, order: int) -> DrawnImage | None:
    rects = _bounds([pointer], matrix)
    x0, y0, x1, y1 = page.rects_to_frame(rects)[0].tolist()
    clip = _clip_rect(pointer, matrix)
    if clip is not None:
        rects = _intersect(rects, clip)
        if not len(rects):
            return None
    rect = _within_page(page, page.rects_to_frame(rects)[0])
    if rect is None:
        return None
    size = (ctypes.c_uint * 2)()
    at = ctypes.addressof(size)
    pdfium.image_pixel_size(pointer, at, at + 4)
    opaque = not pdfium.object_has_transparency(pointer)
    return DrawnImage(rect, (x0, y0, x1, y1), size[0], size[1], order, opaque)


def _within_page(page: PdfPage, rect: npt.NDArray[np.float32]) -> Rect | None:
    x0, y0 = max(0.0, float(rect[0])), max(0.0, float(rect[1]))
    x1, y1 = min(page.width, float(rect[2])), min(page.height, float(rect[3]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


class _RulingFinder:
    def __init__(self, page: PdfPage) -> None:
        self.page = page
        self.found: list[npt.NDArray[np.float32]] = []
        self.segments_left = _SEGMENT_BUDGET
        self.glyph_like = 0

    def search(self, paths: list[int], matrix: _Matrix) -> None:
        """Collects the level and upright lines among `paths`, which stand in a form placed by `matrix`."""
        rects = _bounds(paths, matrix)
        wide, high = rects[:, 2] - rects[:, 0], rects[:, 1] - rects[:, 3]
        long, thin = np.maximum(wide, high), np.minimum(wide, high)
        self.glyph_like += int(((thin >= 1.5) & (long >= 3) & (long <= _GLYPH_SIZE)).sum())
        wanted = np.flatnonzero(long >= _MIN_LENGTH)[:_MAX_CANDIDATES]
        chosen = [paths[at] for at in wanted.tolist()]
        filled, stroked = _painted(chosen)
        is_line = ((thin <= _THIN) & (long >= 3 * thin))[wanted]
        clips: dict[int, Rect | None] = {}
        for at in np.flatnonzero((filled | stroked) & (~is_line | (long[wanted] >= _MIN_CLIPPED))).tolist():
            if not is_line[at]:
                if self.segments_left <= 0:
                    break
                inner = self._lines_within(chosen[at], matrix, bool(stroked[at]))
                if len(inner):
                    clip = _clip_rect(chosen[at], matrix)
                    self.found.append(inner if clip is None else _intersect(inner, clip))
                continue
            clips[at] = _clip_rect(chosen[at], matrix)
        lines = rects[wanted]
        self._trim_caps(lines, is_line & stroked & ~filled)
        for at, clip in clips.items():
            if clip is not None:
                lines[at] = _cut(lines[at], clip)
        self.found.append(lines[is_line & (filled | stroked)])

    @staticmethod
    def _trim_caps(lines: npt.NDArray[np.float32], stroked: npt.NDArray[np.bool_]) -> None:
        """PDFium's bounds grow by the pen on all sides, at a line's ends too."""
        wide, high = lines[:, 2] - lines[:, 0], lines[:, 1] - lines[:, 3]
        level, upright = stroked & (wide >= high), stroked & (wide < high)
        lines[level, 0] += high[level] / 2
        lines[level, 2] -= high[level] / 2
        lines[upright, 1] -= wide[upright] / 2
        lines[upright, 3] += wide[upright] / 2

    def rulings(self) -> list[Ruling]:
        """What was collected, in the page frame, within the page."""
        if not self.found:
            return []
        rects = self.page.rects_to_frame(np.concatenate(self.found)[:_MAX_RULINGS])
        x0, x1 = np.clip(rects[:, [0, 2]], 0.0, self.page.width).T
        y0, y1 = np.clip(rects[:, [1, 3]], 0.0, self.page.height).T
        level = x1 - x0 >= y1 - y0
        middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
        ends = np.column_stack((
            np.where(level, x0, middle_x), np.where(level, middle_y, y0),
            np.where(level, x1, middle_x), np.where(level, middle_y, y1),
        ))  # fmt: skip
        return [Ruling(*line) for line in ends[np.maximum(x1 - x0, y1 - y0) >= _MIN_LENGTH].tolist()]

    def _lines_within(self, path: int, matrix: _Matrix, stroked: bool) -> npt.NDArray[np.float32]:
        """Lines of a path that is no line as a whole: stroked sides, or thin rectangles among its filled parts."""
        empty = np.empty((0, 4), np.float32)
        count = pdfium.count_path_segments(path)
        if not 2 <= count <= _MAX_SEGMENTS:
            return empty
        self.segments_left -= count
        segments = list(map(pdfium.path_segment, repeat(path, count), range(count)))
        kinds = np.fromiter(map(pdfium.segment_type, segments), np.int8, count)
        if (kinds == pdfium.SEGMENT_BEZIER).sum() * 2 > count:  # a shape, or letters drawn as outlines
            self.glyph_like += int((kinds == pdfium.SEGMENT_MOVE).sum())
            return empty
        points = _segment_points(segments)
        own = (ctypes.c_float * 6)()
        pdfium.object_matrix(path, ctypes.addressof(own))
        points = _apply(points, _multiply(tuple(own), matrix))
        if stroked:
            closes = np.fromiter(map(pdfium.segment_close, segments), np.bool_, count)
            return _stroked_lines(points, kinds, closes)
        return _thin_parts(points, kinds)


def _stroked_lines(
    points: npt.NDArray[np.float32], kinds: npt.NDArray[np.int8], closes: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    ends = np.flatnonzero(kinds[1:] == pdfium.SEGMENT_LINE) + 1
    starts = ends - 1
    moves = np.flatnonzero(kinds == pdfium.SEGMENT_MOVE)
    closing = np.flatnonzero(closes)
    if len(moves) and len(closing):
        first = moves[np.maximum(np.searchsorted(moves, closing, side="right") - 1, 0)]
        starts, ends = np.concatenate((starts, closing)), np.concatenate((ends, first))
    one, other = points[starts], points[ends]
    rise = np.abs(one - other)
    level = (rise.min(axis=1) <= _LEVEL) & (rise.max(axis=1) >= _MIN_LENGTH)
    one, other = one[level], other[level]
    low, high = np.minimum(one, other), np.maximum(one, other)
    return np.column_stack((low[:, 0], high[:, 1], high[:, 0], low[:, 1])).astype(np.float32)


def _thin_parts(points: npt.NDArray[np.float32], kinds: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    moves = np.flatnonzero(kinds == pdfium.SEGMENT_MOVE)
    if len(moves) < 2 or moves[0] != 0:
        return np.empty((0, 4), np.float32)
    low = np.minimum.reduceat(points, moves, axis=0)
    high = np.maximum.reduceat(points, moves, axis=0)
    span = high - low
    thin = (span.min(axis=1) <= _THIN) & (span.max(axis=1) >= np.maximum(_MIN_LENGTH, 3 * span.min(axis=1)))
    low, high = low[thin], high[thin]
    return np.column_stack((low[:, 0], high[:, 1], high[:, 0], low[:, 1])).astype(np.float32)


def _segment_points(segments: list[int | None]) -> npt.NDArray[np.float32]:
    points = np.zeros((len(segments), 2), np.float32)
    at = points.ctypes.data
    for index, segment in enumerate(segments):
        pdfium.segment_point(segment, at + 8 * index, at + 8 * index + 4)
    return points


def _painted(paths: list[int]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(filled, stroked) of each path, with a colour that shows on white."""
    count = len(paths)
    modes = np.zeros((count, 2), np.int32)
    at = modes.ctypes.data
    _exhaust(map(pdfium.path_draw_mode, paths, range(at, at + 8 * count, 8), range(at + 4, at + 8 * count, 8)))
    filled = (modes[:, 0] != 0) & _shows(pdfium.object_fill_colour, paths)
    stroked = (modes[:, 1] != 0) & _shows(pdfium.object_stroke_colour, paths)
    return filled, stroked


def _shows(get_colour: Any, paths: list[int]) -> npt.NDArray[np.bool_]:
    colours = np.zeros((len(paths), 4), np.uint32)
    at = colours.ctypes.data
    end = at + 16 * len(paths)
    columns = [range(at + shift, end, 16) for shift in (0, 4, 8, 12)]
    known = np.fromiter(map(get_colour, paths, *columns), np.bool_, len(paths))
    return np.asarray(~known | ((colours[:, 3] > 10) & (colours[:, :3].min(axis=1) < _INVISIBLE_WHITE)))


def _bounds(objects: list[int], matrix: _Matrix) -> npt.NDArray[np.float32]:
    """(n, 4) left, top, right, bottom in user space."""
    count = len(objects)
    found = np.zeros((count, 4), np.float32)  # left, bottom, right, top as PDFium gives them
    at = found.ctypes.data
    end = at + 16 * count
    columns = [range(at + shift, end + shift, 16) for shift in (0, 4, 8, 12)]
    _exhaust(map(pdfium.object_bounds, objects, *columns))
    np.nan_to_num(found, copy=False, posinf=1e6, neginf=-1e6)
    if matrix != _IDENTITY:
        corners = [_apply(found[:, pick], matrix) for pick in ([0, 1], [2, 1], [2, 3], [0, 3])]
        stacked = np.stack(corners)
        low, high = stacked.min(axis=0), stacked.max(axis=0)
        found = np.column_stack((low[:, 0], low[:, 1], high[:, 0], high[:, 1])).astype(np.float32)
    return found[:, [0, 3, 2, 1]]


def _clip_rect(pointer: int, matrix: _Matrix) -> Rect | None:
    """The rectangle around what the object's clip lets through, user space; None without a clip."""
    clip = pdfium.object_clip_path(pointer)
    count = pdfium.count_clip_paths(clip) if clip else 0
    if count <= 0:
        return None
    left, bottom, right, top = -1e9, -1e9, 1e9, 1e9
    for index in range(max(0, count - 4), count):
        segments = pdfium.count_clip_segments(clip, index)
        if not 0 < segments <= _MAX_CLIP_SEGMENTS:
            continue
        # A rectangle's first and third corners say it all.
        chosen = (0, 2) if segments in (4, 5) else range(segments)
        points = [_point(pdfium.clip_segment(clip, index, at), matrix) for at in chosen]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        left, right = max(left, min(xs)), min(right, max(xs))
        bottom, top = max(bottom, min(ys)), min(top, max(ys))
    return (left, top, right, bottom)


_point_buffer = (ctypes.c_float * 2)()
_point_address = ctypes.addressof(_point_buffer)


def _point(segment: int, matrix: _Matrix) -> tuple[float, float]:
    pdfium.segment_point(segment, _point_address, _point_address + 4)
    x, y = _point_buffer
    a, b, c, d, e, f = matrix
    return (a * x + c * y + e, b * x + d * y + f)


def _cut(rect: npt.NDArray[np.float32], clip: Rect) -> tuple[float, float, float, float]:
    """`rect` (left, top, right, bottom, y up) within `clip`; without extent when they do not meet."""
    left, top = max(float(rect[0]), clip[0]), min(float(rect[1]), clip[1])
    right, bottom = min(float(rect[2]), clip[2]), max(float(rect[3]), clip[3])
    if right < left - _LEVEL or top < bottom - _LEVEL:
        return (0.0, 0.0, 0.0, 0.0)
    return (left, max(top, bottom), max(left, right), bottom)


def _intersect(rects: npt.NDArray[np.float32], clip: Rect) -> npt.NDArray[np.float32]:
    """Those parts of `rects` (left, top, right, bottom, y up) inside `clip`; what lies outside is dropped."""
    left, top = np.maximum(rects[:, 0], clip[0]), np.minimum(rects[:, 1], clip[1])
    right, bottom = np.minimum(rects[:, 2], clip[2]), np.maximum(rects[:, 3], clip[3])
    kept = (right >= left - _LEVEL) & (top >= bottom - _LEVEL)
    return np.column_stack((left, top, right, bottom))[kept].astype(np.float32)


def _apply(points: npt.NDArray[np.float32], matrix: _Matrix) -> npt.NDArray[np.float32]:
    a, b, c, d, e, f = matrix
    x, y = points[:, 0], points[:, 1]
    return np.column_stack((a * x + c * y + e, b * x + d * y + f)).astype(np.float32)


def _multiply(first: tuple[float, ...], then: _Matrix) -> _Matrix:
    """PDF matrices (a b c d e f): `first`, then `then`."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = then
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)
