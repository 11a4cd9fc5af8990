"""Image files as documents: headers first, pixels only when a page is rendered.

Every page is given upright by its EXIF or TIFF orientation, as 8-bit grey or RGB, with transparency on white.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from docfleet.domain.geometry import Rect
from docfleet.domain.media import HEIC, MEDIA_TYPES, TIFF
from docfleet.domain.page_facts import PageFacts
from docfleet.errors import Damaged, NoPages, PageTooLarge, TooManyPages, UnsupportedType
from docfleet.sandbox.faults import vendor_calls

warnings.simplefilter("ignore")  # Pillow warns of odd files; nobody reads the child's stderr
Image.MAX_IMAGE_PIXELS = None  # our own limit, checked before anything is decoded

_ORIENTATION_TAG = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
_MIN_SIDE = 1
_PAPER_LONG_SIDE = 11.69
"""Inches, A4."""
_RECEIPT_WIDTH = 3.15
"""Inches: 80 mm, the common roll."""
_RECEIPT_ASPECT = 2.2
_SCREEN_DPI = 96.0
_SCREEN_LONG_SIDE = 1100
"""Pixels: an image no longer than this was made for screens."""
_SANE_DPI = (60.0, 2400.0)
_SANE_LONG_SIDE = (0.5, 48.0)
"""Inches: what a resolution tag may imply and be believed."""
_MIN_ASPECT = 1.05
"""Across to down resolution (or the other way round) from which pixels count as not square."""
_MAX_ASPECT = 4.2
"""What a resolution tag may say and be believed: faxes go from 204 by 98 to 204 by 391, and to 408 by 98."""
_MIN_READABLE_SHARE = 0.5
"""Of a truncated image's rows."""


class ImageDocument:
    """An image file; every frame of a TIFF is a page, animations count as one."""

    def __init__(self, path: str, mime_type: str, max_pages: int, max_pixels: int) -> None:
        media = MEDIA_TYPES.get(mime_type)
        if media is None or not media.pillow_formats:
            raise UnsupportedType()
        if media is HEIC:
            _register_heif()
        self.media = media
        self.max_pixels = max_pixels
        with vendor_calls(media.label):
            # Given a name, Pillow maps plain TIFF files with the sides of a turned page swapped (seen in 12.3).
            self.file = open(path, "rb")  # noqa: SIM115 - closed by close()
            self.image: ImageFile.ImageFile = Image.open(self.file, formats=media.pillow_formats)
            # Frames of an animation are one moving page; those of other formats are previews of the first.
            self.pages = int(getattr(self.image, "n_frames", 1)) if media is TIFF else 1
        if self.pages < 1:
            raise NoPages()
        if self.pages > max_pages:
            raise TooManyPages(f"The document has {self.pages} pages; the limit is {max_pages}.")

    def close(self) -> None:
        self.image.close()
        self.file.close()

    def facts(self, number: int) -> PageFacts:
        """Size and resolution of one page, from its header. Raises `PageTooLarge`, `Damaged`."""
        with vendor_calls(self.media.label):
            self._seek(number)
            width, height = self._upright_size()
            stated = self._stated_dpi()
            dpi = guess_dpi(width, height, stated)
        square = square_size(width, height, stated, dpi, self.max_pixels)
        if square is None:
            return PageFacts(width=float(width), height=float(height), is_image=True, dpi=dpi, image_coverage=1.0)
        return PageFacts(
            width=float(square[0]),
            height=float(square[1]),
            is_image=True,
            dpi=round(dpi * math.sqrt(square[0] * square[1] / (width * height)), 2),
            file_pixels=(width, height),
            image_coverage=1.0,
        )

    def render(self, number: int, dpi: float, grey: bool, region: Rect | None) -> tuple[npt.NDArray[np.uint8], float]:
        """(pixels, their resolution) of one page, square and not enlarged beyond that; `region` in units of the page.

        Raises `PageTooLarge`, `Damaged`.
        """
        facts = self.facts(number)
        with vendor_calls(self.media.label):
            image = self._decode(number)
            # Pillow turns TIFF pages itself while it decodes them.
            upright = _to_eight_bits(image if self.media is TIFF else ImageOps.exif_transpose(image), grey)
            if facts.file_pixels is not None:
                size = (int(facts.width), int(facts.height))
                upright = upright.resize(size, Image.Resampling.BICUBIC)
            if region is not None:
                upright = upright.crop(_whole_pixels(region, upright.size))
            scale = min(1.0, dpi / facts.dpi)
            if scale < 0.95:
                size = (max(1, round(upright.width * scale)), max(1, round(upright.height * scale)))
                upright = upright.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)
            else:
                scale = 1.0
            return np.asarray(upright, np.uint8), facts.dpi * scale

    def _seek(self, number: int) -> None:
        if not 1 <= number <= self.pages:
            raise Damaged(f"Page {number} cannot be loaded.")
        if self.image.tell() != number - 1:
            self.image.seek(number - 1)
        width, height = self.image.size
        if width < _MIN_SIDE or height < _MIN_SIDE:
            raise Damaged(f"Page {number} has no pixels.")
        if width * height > self.max_pixels:
            raise PageTooLarge(f"Page {number} has {width} x {height} pixels; the limit is {self.max_pixels:,}.")

    def _upright_size(self) -> tuple[int, int]:
        width, height = self.image.size
        if self.media is TIFF:  # Pillow gives the upright size itself
            return width, height
        if self._orientation() in _TURNED:
            return height, width
        return width, height

    def _orientation(self) -> int:
        try:
            return int(self.image.getexif().get(_ORIENTATION_TAG, 1))
        except (SyntaxError, ValueError, TypeError, OSError, LookupError, AttributeError):
            return 1  # a broken EXIF block is no broken picture

    def _stated_dpi(self) -> tuple[float, float] | None:
        stated: Any = self.image.info.get("dpi")
        try:
            across, down = float(stated[0]), float(stated[1])
        except (TypeError, ValueError, LookupError, ZeroDivisionError):
            return None
        return (down, across) if self._orientation() in _TURNED else (across, down)

    def _decode(self, number: int) -> Image.Image:
        """The page's pixels; of a truncated file those that are there, when they are most of it."""
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            self.image.load()
            return self.image
        except (OSError, SyntaxError, ValueError, EOFError, LookupError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            self._open_anew()
            self._seek(number)
            self.image.load()
            if _readable_share(self.image) < _MIN_READABLE_SHARE:
                raise Damaged(f"Most of page {number} is missing.")
        except BaseException:
            # Pillow takes what it could not decode for loaded: asked once more it would give a black page
            self._open_anew()
            raise
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        return self.image

    def _open_anew(self) -> None:
        self.file.seek(0)
        self.image = Image.open(self.file, formats=self.media.pillow_formats)


def guess_dpi(width: int, height: int, stated: tuple[float, float] | None) -> float:
    """Pixels per inch of a page of `width` x `height` pixels: what the file states when that is sane, else a guess.

    Cameras and editors write 72 or 96 without meaning it, which would make a photographed page as large as a poster.
    """
    long_side, short_side = max(width, height), min(width, height)
    if stated is not None:
        across, down = stated
        inches = long_side / max(across, 1e-6)
        plausible = _SANE_DPI[0] <= across <= _SANE_DPI[1] and _SANE_DPI[0] <= down <= _SANE_DPI[1]
        # 72 and 96 are what software writes when nobody knows.
        unmeant = across in (72.0, 96.0) and inches > 1.3 * _PAPER_LONG_SIDE
        if plausible and not unmeant and _SANE_LONG_SIDE[0] <= inches <= _SANE_LONG_SIDE[1]:
            return round(math.sqrt(across * down), 2)
    if long_side <= _SCREEN_LONG_SIDE:
        return _SCREEN_DPI
    if long_side > _RECEIPT_ASPECT * short_side:
        return round(min(max(short_side / _RECEIPT_WIDTH, 72.0), 1200.0), 2)
    return round(min(max(long_side / _PAPER_LONG_SIDE, 72.0), 1200.0), 2)


def square_size(
    width: int, height: int, stated: tuple[float, float] | None, dpi: float, max_pixels: int
) -> tuple[int, int] | None:
    """The size in square pixels of an image whose file states unlike resolutions across and down; None for others.

    The coarser direction is stretched, so that nothing is lost; where that makes too many pixels, the finer shrinks.
    """
    if stated is None or min(stated) <= 0:
        return None
    across, down = stated
    aspect = across / down
    believed = abs(dpi - math.sqrt(across * down)) < 0.01
    if not believed or not _MIN_ASPECT <= max(aspect, 1 / aspect) <= _MAX_ASPECT:
        return None
    stretched = (width, round(height * aspect)) if aspect > 1 else (round(width / aspect), height)
    if stretched[0] * stretched[1] <= max_pixels:
        return stretched
    return (max(1, round(width / aspect)), height) if aspect > 1 else (width, max(1, round(height * aspect)))


def _readable_share(image: Image.Image) -> float:
    """Share of rows above the flat remainder with which decoders fill what is missing."""
    pixels = np.asarray(image.convert("L"))
    last = pixels[-1]
    if int(last.max()) != int(last.min()):
        return 1.0
    same = np.all(pixels == last[0], axis=1)
    different = np.flatnonzero(~same)
    return float(different[-1] + 1) / len(pixels) if len(different) else 0.0


def _to_eight_bits(image: Image.Image, grey: bool) -> Image.Image:
    """Grey or RGB with eight bits a channel, transparency on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _squeeze_depth(image)
    if image.mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        ground.alpha_composite(image)
        image = ground.convert("RGB")
    if grey:
        return (
            image
            if image.mode == "L"
            else image.convert("RGB").convert("L")
            if image.mode == "P"
            else image.convert("L")
        )
    if image.mode in ("1", "L"):
        return image.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _squeeze_depth(image: Image.Image) -> Image.Image:
    """More than eight bits a pixel to eight: by the range of 16 bits, or by what is there when it fits no range."""
    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False, posinf=0.0, neginf=0.0)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if low >= 0 and 255 < high <= 65_535:
        low, high = 0.0, 65_535.0
    elif low >= 0 and 1 < high <= 255:
        low, high = 0.0, 255.0
    span = (high - low) or 1.0
    return Image.fromarray(((values - low) * (255.0 / span)).astype(np.uint8), "L")


def _whole_pixels(region: Rect, size: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0 = max(0, min(size[0] - 1, int(region[0]))), max(0, min(size[1] - 1, int(region[1])))
    x1, y1 = min(size[0], max(x0 + 1, round(region[2]))), min(size[1], max(y0 + 1, round(region[3])))
    return x0, y0, x1, y1


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedType("HEIC images need the pillow-heif library, which is not installed.") from error
    pillow_heif.register_heif_opener(thumbnails=False)
