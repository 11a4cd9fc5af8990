"""The local OCR engine: PP-OCR's models on this processor, one thread, page images in and words out.

A page goes through: square pixels and three channels -> detection of lines -> which way up, how far askew -> lines cut
out level -> recognition in batches -> words with boxes in the upright frame.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import cv2
import msgspec
import numpy as np

from docfleet.domain.geometry import Frame, Rect
from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.engines.local import deskew, detection, model, orientation, vocabulary, words
from docfleet.engines.local.inference import Precision
from docfleet.engines.local.pixels import Floats, Pixels, scaled
from docfleet.engines.local.recognition import NARROWED, LineReading, cut_strip, natural_width, page_share, read_lines
from docfleet.engines.local.scale import measure_text, plan_search
from docfleet.errors import EngineFailed, UsageError

_MOST_PIXELS = 16_000_000
"""Larger images are scaled down first: no text that a page holds needs more."""
_SAMPLES = 6
"""Lines read both ways to find out which way up a page is."""
_STANDING_PAGE = 0.75
"""A page whose lines stand to this share is turned by 90 or 270 degrees."""
_CONDENSED = 0.95
"""Pages of type so narrow that their lines must be read at this share of their width have their samples read again."""
_UNSURE = 0.65
"""Lines less sure than this get a second, closer look."""
_ASKEW = 2.5
"""Degrees by which a line may differ from its page before it is cut out at its own angle."""


class RapidOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `engine` takes."""

    precision: Precision = Precision.AUTO
    runtime: Literal["auto", "openvino", "onnxruntime"] = "auto"
    """"auto" (OpenVINO where it loads), "openvino" or "onnxruntime"."""
    least_confidence: float = 0.5
    """Lines less sure than this are dropped as no text."""


def engine(options: Mapping[str, Any] | None = None) -> RapidEngine:
    """The engine, models loaded. Raises `UsageError` for wrong options, `EngineUnavailable` without its models."""
    try:
        parsed = msgspec.convert(dict(options or {}), RapidOptions)
    except msgspec.ValidationError as problem:
        raise UsageError(f"Wrong options for the rapidocr engine: {problem}.") from problem
    return RapidEngine(parsed)


class Line(msgspec.Struct, frozen=True):
    """One strip and what it says."""

    strip: Floats
    """Turned so that it is read along its first side."""
    angle: int
    """Direction of reading on the upright page: 0, 90 or 270."""
    cut: Pixels
    reading: LineReading


class Sheet(msgspec.Struct, frozen=True):
    """A page image and the strips of text found on it."""

    image: Pixels
    strips: Floats
    skew: float
    share: float
    """Of their natural width, at which its lines are read."""
    known: dict[int, Line]
    """Strips that were read already, to find out which way up the page is."""


class RapidEngine:
    """See the module. Not thread-safe; one per process."""

    def __init__(self, options: RapidOptions) -> None:
        self._options = options
        cv2.setNumThreads(1)
        runtime = None if options.runtime == "onnxruntime" else model.load_runtime(options.precision)
        self._detector = model.load_detector(runtime)
        self._recogniser = model.WholeRecogniser() if runtime is None else model.SplitRecogniser(runtime)
        self.runtime_name = "onnxruntime-fp32" if runtime is None else runtime.name

    @property
    def capabilities(self) -> Capabilities:
        try:
            number = version("rapidocr")
        except PackageNotFoundError:
            number = "unknown"
        return Capabilities(name="rapidocr", version=number, max_pages_per_call=8, finds_orientation=True)

    def recognise(self, pages: Sequence[PageImage]) -> list[RecognisedPage]:
        """One answer a page; see `Engine`."""
        return [self._answer(page) for page in pages]

    def close(self) -> None:
        vars(self).pop("_detector", None)
        vars(self).pop("_recogniser", None)

    def _answer(self, page: PageImage) -> RecognisedPage:
        start = time.process_time()
        try:
            found = self._read(page)
        except (RuntimeError, ValueError, cv2.error) as problem:
            raise EngineFailed(f"The local reader failed on page {page.number}.") from problem
        return RecognisedPage(words=found, seconds=time.process_time() - start)

    def _read(self, page: PageImage) -> WordPage:
        latin = vocabulary.only_latin(page.languages)
        degrees, sheet = self._upright(square_image(page), latin)
        frame = Frame.turned(page.width, page.height, degrees, sheet.skew)
        to_units = (frame.width / sheet.image.shape[1], frame.height / sheet.image.shape[0])
        found = [
            word
            for number, line in enumerate(self._lines(sheet, latin))
            for word in _words_of(line, number, frame, to_units, sheet.skew)
        ]
        return WordPage(page.width, page.height, frame, found, orientation=degrees, skew_degrees=sheet.skew)

    def _search(self, image: Pixels) -> Sheet:
        """Finds the strips of text."""
        measured = measure_text(image)
        x0, y0, x1, y1 = measured.bounds
        if x1 <= x0 or y1 <= y0:
            return Sheet(image, np.zeros((0, 6), np.float32), 0.0, NARROWED, {})
        plan = plan_search(measured.glyph_height, x1 - x0, y1 - y0)
        probability, x_scale, y_scale = detection.probability_map(self._detector, image[y0:y1, x0:x1], plan.scale)
        regions = detection.find_regions(probability, x_scale, y_scale, (x0, y0))
        skew = deskew.estimate_skew(regions)
        return Sheet(image, _strips(regions, skew), skew, NARROWED, {})

    def _upright(self, image: Pixels, latin: bool) -> tuple[int, Sheet]:
        """How far the text is turned, and the page turned back."""
        sheet = self._search(image)
        if not len(sheet.strips):
            return 0, sheet
        standing = orientation.standing_share(sheet.strips) > _STANDING_PAGE
        chosen = orientation.sample_strips(sheet.strips, _SAMPLES, standing)
        samples = [sheet.strips[index] for index in chosen]
        as_it_is = self._cut_and_read(image, samples, latin)
        sure = _sureness(as_it_is)
        if standing:
            turned = [self._sureness_turned(image, samples, degrees, latin) for degrees in (90, 270)]
            turn = orientation.choose_standing(turned[0], turned[1], sure)
        else:
            other = self._sureness_turned(image, samples, 180, latin) if orientation.needs_other_way(sure) else None
            turn = orientation.choose_upside(sure, other)
        if turn.degrees == 0:
            known = {} if standing else dict(zip(chosen, as_it_is, strict=True))
            return 0, msgspec.structs.replace(sheet, known=known, share=_share_of(as_it_is))
        undo = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
        return turn.degrees, self._search(np.asarray(cv2.rotate(image, undo[turn.degrees]), np.uint8))

    def _sureness_turned(self, image: Pixels, strips: Sequence[Floats], degrees: int, latin: bool) -> float:
        """How surely the strips read as if turned clockwise by `degrees`."""
        turned = [detection.turn_strip(strip, degrees) for strip in strips]
        return _sureness(self._cut_and_read(image, turned, latin))

    def _cut_and_read(
        self, image: Pixels, strips: Sequence[Floats], latin: bool, share: float = NARROWED
    ) -> list[Line]:
        cuts = [cut_strip(image, strip, share) for strip in strips]
        readings = read_lines(self._recogniser, cuts, latin)
        lines = [Line(s, 0, c, r) for s, c, r in zip(strips, cuts, readings, strict=True)]
        return [self._closer_look(image, line, latin) for line in lines]

    def _closer_look(self, image: Pixels, line: Line, latin: bool) -> Line:
        """The same line, or, where it read badly after being narrowed, read again at full width if that is surer."""
        if line.reading.confidence >= _UNSURE or not line.reading.text:
            return line
        wide = cut_strip(image, line.strip, 1.0)
        if wide.shape[1] <= line.cut.shape[1]:
            return line
        again = read_lines(self._recogniser, [wide], latin)[0]
        return Line(line.strip, 0, wide, again) if again.confidence > line.reading.confidence else line

    def _lines(self, sheet: Sheet, latin: bool) -> list[Line]:
        """Lines that hold text, in reading order."""
        if not len(sheet.strips):
            return []
        lengths, heights = detection.strip_sizes(sheet.strips)
        standing = heights >= 1.5 * lengths
        known = dict(sheet.known) if sheet.share <= _CONDENSED else {}
        lying = [index for index in range(len(sheet.strips)) if index not in known and not standing[index]]
        lines = self._cut_and_read(sheet.image, [sheet.strips[index] for index in lying], latin, sheet.share)
        known.update(zip(lying, lines, strict=True))
        for index in np.flatnonzero(standing).tolist():
            known[index] = self._standing_line(sheet.image, sheet.strips[index], latin)
        ordered = [known[index] for index in detection.reading_order(sheet.strips)]
        return [line for line in ordered if self._is_text(line.reading)]

    def _standing_line(self, image: Pixels, strip: Floats, latin: bool) -> Line:
        """A line that runs down or up the page, read the way that is surer."""
        ways = []
        for angle in (90, 270):
            line = self._cut_and_read(image, [detection.turn_strip(strip, angle)], latin)[0]
            ways.append(msgspec.structs.replace(line, angle=angle))
            if line.reading.confidence >= _UNSURE:
                break
        return max(ways, key=lambda line: line.reading.confidence)

    def _is_text(self, reading: LineReading) -> bool:
        return bool(reading.text.strip()) and reading.confidence >= self._options.least_confidence


def _sureness(lines: Sequence[Line]) -> float:
    """Mean confidence over characters; 0 without any."""
    weight = sum(len(line.reading.text) for line in lines)
    return sum(line.reading.confidence * len(line.reading.text) for line in lines) / weight if weight else 0.0


def _share_of(samples: Sequence[Line]) -> float:
    widths = [line.cut.shape[1] for line in samples]
    return page_share([line.reading for line in samples], widths, [natural_width(line.strip) for line in samples])


def square_image(page: PageImage) -> Pixels:
    """The page's pixels as (height, width, 3), square, at most _MOST_PIXELS of them."""
    pixels = page.pixels
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_GRAY2RGB)
    height, width = pixels.shape[:2]
    # fax pages have, for instance, 204 pixels an inch across and 98 down
    stretch = (page.height / height) / (page.width / width) if page.width > 0 and page.height > 0 else 1.0
    wanted_w, wanted_h = float(width), float(height)
    if stretch > 1.15:
        wanted_h = min(height * stretch, 20.0 * width + height)
    elif stretch < 1 / 1.15:
        wanted_w = min(width / stretch, 20.0 * height + width)
    shrink = min(1.0, math.sqrt(_MOST_PIXELS / (wanted_w * wanted_h)))
    size = (max(1, round(wanted_w * shrink)), max(1, round(wanted_h * shrink)))
    return scaled(np.ascontiguousarray(pixels), *size)


def _strips(regions: list[detection.Region], skew: float) -> Floats:
    """A strip a region: at the page's angle, or at its own where that differs clearly."""
    strips = []
    for region in regions:
        own = detection.own_angle(region)
        level = detection.level_strip(region, skew)
        if abs(own - skew) > _ASKEW:
            tight = detection.level_strip(region, own)
            lengths, heights = detection.strip_sizes(np.stack([level, tight]))
            areas = lengths * heights
            clear = max(lengths[1], heights[1]) > 4 * min(lengths[1], heights[1])
            level = tight if clear and areas[1] < 0.75 * areas[0] else level
        strips.append(level)
    return np.stack(strips) if strips else np.zeros((0, 6), np.float32)


def _words_of(line: Line, number: int, frame: Frame, to_units: tuple[float, float], skew: float) -> list[Word]:
    return [
        Word(
            text=word.text,
            box=_upright_box(line.strip, word, frame, to_units, skew),
            confidence=min(1.0, max(0.0, word.confidence)),
            line=number,
            angle=line.angle,
            ocr=True,
        )
        for word in words.split_words(line.reading, line.cut)
    ]


def _upright_box(strip: Floats, word: words.LineWord, frame: Frame, to_units: tuple[float, float], skew: float) -> Rect:
    """The word's rectangle in the upright frame, page units, inside the frame."""
    o, u, v = strip[0:2], strip[2:4], strip[4:6]
    corners = np.array([o + u * f + v * g for f in (word.left, word.right) for g in (word.top, word.bottom)])
    x, y = corners[:, 0] * to_units[0], corners[:, 1] * to_units[1]
    if skew:
        t = math.radians(-skew)
        mx, my = frame.width / 2, frame.height / 2
        x, y = (
            (x - mx) * math.cos(t) - (y - my) * math.sin(t) + mx,
            (x - mx) * math.sin(t) + (y - my) * math.cos(t) + my,
        )
    x, y = np.clip(x, 0, frame.width), np.clip(y, 0, frame.height)
    return (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
