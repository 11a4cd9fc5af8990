"""The local OCR engine: PP-OCR's models on this processor, one thread, page images in and words out.

A page goes through: square pixels and three channels -> detection of lines -> which way up, how far askew -> lines cut
out level -> recognition in batches -> words with boxes in the upright frame.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cv2
import msgspec
import numpy as np

from docfleet.domain.geometry import Frame, Rect
from docfleet.domain.words import Word, WordPage
from docfleet.engines.base import Capabilities, PageImage, RecognisedPage
from docfleet.engines.local import deskew, detection, model, orientation, vocabulary, words
from docfleet.engines.local.inference import Precision
from docfleet.engines.local.pixels import Floats, Pixels, scaled
from docfleet.engines.local.recognition import LineReading, cut_strip, read_lines
from docfleet.errors import EngineFailed, UsageError

_MOST_PIXELS = 16_000_000
"""Larger images are scaled down first: no text that a page holds needs more."""
_SAMPLES = 6
"""Lines read both ways to find out which way up a page is."""
_STANDING_PAGE = 0.75
"""A page whose lines stand to this share is turned by 90 or 270 degrees."""
_ASKEW = 2.5
"""Degrees by which a line may differ from its page before it is cut out at its own angle."""


class RapidOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `engine` takes."""

    precision: Precision = Precision.AUTO
    runtime: str = "auto"
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
        image = square_image(page)
        latin = vocabulary.only_latin(page.languages)
        degrees, image, regions = self._upright(image, latin)
        skew = deskew.estimate_skew(regions)
        frame = Frame.turned(page.width, page.height, degrees, skew)
        strips = _strips(regions, skew)
        lines = self._lines(image, strips, latin)
        to_units = (frame.width / image.shape[1], frame.height / image.shape[0])
        found = [
            word
            for number, (strip, angle, cut, reading) in enumerate(lines)
            for word in _words_of(strip, angle, cut, reading, number, frame, to_units, skew)
        ]
        return WordPage(page.width, page.height, frame, found, orientation=degrees, skew_degrees=skew)

    def _detect(self, image: Pixels) -> list[detection.Region]:
        scale = min(1.0, 1600 / max(image.shape[:2]))
        probability, x_scale, y_scale = detection.probability_map(self._detector, image, scale)
        return detection.find_regions(probability, x_scale, y_scale)

    def _upright(self, image: Pixels, latin: bool) -> tuple[int, Pixels, list[detection.Region]]:
        """How far the text is turned, and the image turned back with its regions."""
        regions = self._detect(image)
        if not regions:
            return 0, image, regions
        strips = np.stack([detection.level_strip(region, 0.0) for region in regions])
        standing = orientation.standing_share(strips) > _STANDING_PAGE
        chosen = orientation.sample_strips(strips, _SAMPLES, standing)
        samples = strips[chosen]
        if standing:
            sure = [self._sureness(image, samples, turn, latin) for turn in (90, 270, 0)]
            turn = orientation.choose_standing(*sure)
        else:
            as_it_is = self._sureness(image, samples, 0, latin)
            other = self._sureness(image, samples, 180, latin) if orientation.needs_other_way(as_it_is) else None
            turn = orientation.choose_upside(as_it_is, other)
        if turn.degrees == 0:
            return 0, image, regions
        undo = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
        image = cv2.rotate(image, undo[turn.degrees])
        return turn.degrees, image, self._detect(image)

    def _sureness(self, image: Pixels, strips: Floats, degrees: int, latin: bool) -> float:
        """Mean confidence of the strips read as if turned clockwise by `degrees`, weighted by characters."""
        cuts = [cut_strip(image, detection.turn_strip(strip, degrees)) for strip in strips]
        readings = read_lines(self._recogniser, cuts, latin)
        weight = sum(len(reading.text) for reading in readings)
        return sum(reading.confidence * len(reading.text) for reading in readings) / weight if weight else 0.0

    def _lines(self, image: Pixels, strips: Floats, latin: bool) -> list[tuple[Floats, int, Pixels, LineReading]]:
        """Strips that hold text, in reading order: strip, direction of reading, pixels, reading."""
        if not len(strips):
            return []
        lengths, heights = detection.strip_sizes(strips)
        order = detection.reading_order(strips)
        angles = [90 if heights[index] >= 1.5 * lengths[index] else 0 for index in order]
        turned = [detection.turn_strip(strips[index], angle) for index, angle in zip(order, angles, strict=True)]
        cuts = [cut_strip(image, strip) for strip in turned]
        readings = read_lines(self._recogniser, cuts, latin)
        lines = []
        for strip, angle, cut, reading in zip(turned, angles, cuts, readings, strict=True):
            if reading.text.strip() and reading.confidence >= self._options.least_confidence:
                lines.append((strip, angle, cut, reading))
        return lines


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


def _words_of(
    strip: Floats,
    angle: int,
    cut: Pixels,
    reading: LineReading,
    number: int,
    frame: Frame,
    to_units: tuple[float, float],
    skew: float,
) -> list[Word]:
    return [
        Word(
            text=word.text,
            box=_upright_box(strip, word, frame, to_units, skew),
            confidence=min(1.0, max(0.0, word.confidence)),
            line=number,
            angle=angle,
            ocr=True,
        )
        for word in words.split_words(reading, cut)
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
