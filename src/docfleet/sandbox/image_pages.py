"""Image files as PDF pages: the same pixels, packed as compactly as PDF can without loss.

| image | in the PDF |
|---|---|
| JPEG | the file itself (DCT), turned by its EXIF orientation, Adobe's inverted CMYK undone |
| JPEG 2000, grey or sRGB without alpha | the file itself (JPX) |
| PNG without alpha or interlacing | its own compressed data (Flate) |
| two colours, black and white | CCITT Group 4 |
| anything else | Flate with PNG predictors, its palette or ICC profile kept; alpha laid on white |
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

import msgspec
import numpy as np
from PIL import Image, ImageFile, ImageOps

from docfleet.domain.media import HEIC, MEDIA_TYPES, TIFF
from docfleet.errors import PageTooLarge, UnsupportedType
from docfleet.sandbox.image_streams import jpeg_frame, jpx_colours, png_colours, png_parts
from docfleet.sandbox.images import guess_dpi

_MAX_POINTS = 14_400.0
_MIN_POINTS = 3.0
_MAX_PROFILE = 4_000_000
_GROUP4 = b"/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns %d /Rows %d /BlackIs1 false >>"


class ImagePage(msgspec.Struct, frozen=True):
    """One page: its size in points and its image as a PDF stream."""

    width: float
    height: float
    matrix: bytes = b""
    """Operands of `cm` that put the image's unit square onto the page."""
    data: bytes = b""
    """Encoded pixels; empty for an unreadable page."""
    pixels: tuple[int, int] = (0, 0)
    colours: str = "DeviceRGB"
    """Device colour space of the samples."""
    palette: bytes = b""
    """RGB triples, for an indexed image."""
    bits: int = 8
    more: bytes = b""
    """Filter and what else belongs into the image dictionary."""
    profile: bytes = b""
    """Compressed ICC profile of the colour space."""

    @property
    def unreadable(self) -> bool:
        return not self.data

    @property
    def components(self) -> int:
        return {"DeviceGray": 1, "DeviceRGB": 3, "DeviceCMYK": 4}[self.colours]

    @property
    def profile_dictionary(self) -> bytes:
        return b"<< /N %d /Alternate /%s /Filter /FlateDecode >>" % (self.components, self.colours.encode())

    def dictionary(self, profile: int | None) -> bytes:
        """The image dictionary; `profile` is the number of the profile's object."""
        colours = b"/" + self.colours.encode() if profile is None else b"[ /ICCBased %d 0 R ]" % profile
        if self.palette:
            last = len(self.palette) // 3 - 1
            colours = b"[ /Indexed %s %d <%s> ]" % (colours, last, self.palette.hex().encode())
        return b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace %s /BitsPerComponent %d %s >>" % (
            *self.pixels,
            colours,
            self.bits,
            self.more,
        )


def image_pages(source: str, mime_type: str, max_page_pixels: int) -> Iterator[ImagePage]:
    """The pages of an image file, one at a time: all of a TIFF's, the first picture of anything that moves.

    Pictures cut short give what is there. A TIFF page that cannot be decoded at all, or has more pixels than the limit,
    becomes a blank one. Raises what Pillow raises when the file is no image of that type, or when the only picture in
    it cannot be decoded, `PageTooLarge` when that has too many pixels, and `UnsupportedType`.
    """
    media = MEDIA_TYPES.get(mime_type)
    if media is None or not media.pillow_formats:
        raise UnsupportedType(f"A file of type {mime_type} cannot become a searchable PDF.")
    if media is HEIC:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    with Image.open(source, formats=media.pillow_formats) as image:
        frames = getattr(image, "n_frames", 1) if media is TIFF else 1
        for index in range(frames):
            try:
                image.seek(index)
                if image.width * image.height > max_page_pixels:
                    raise PageTooLarge(f"The image has {image.width} x {image.height} pixels, more than the limit.")
                page = _page(source, image)
            except (OSError, SyntaxError, ValueError, EOFError, PageTooLarge):
                if frames == 1:
                    raise
                page = ImagePage(*_page_size(image, image.size))
            yield page


def _page(source: str, image: Image.Image) -> ImagePage:
    if image.format in ("JPEG", "MPO") and (page := _jpeg_page(source, image)):
        return page
    if image.format == "JPEG2000" and (page := _jpx_page(source, image)):
        return page
    if image.format == "PNG" and _orientation(image) == 1 and (page := _png_page(source, image)):
        return page
    # TIFF and HEIC come turned from their decoders; the tag is then gone.
    return _decoded_page(image)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except (SyntaxError, ValueError, TypeError, OSError, LookupError, AttributeError):
        return 1  # a broken EXIF block is no broken picture


def _jpeg_page(source: str, image: Image.Image) -> ImagePage | None:
    with open(source, "rb") as file:
        data = file.read()
    frame = jpeg_frame(data)
    if frame is None:
        return None
    orientation = _orientation(image)
    turned = orientation in (5, 6, 7, 8)
    shown = (frame.height, frame.width) if turned else (frame.width, frame.height)
    width, height = _page_size(image, shown, turned)
    more = b"/Filter /DCTDecode"
    if frame.inverted:
        more += b" /Decode [ 1 0 1 0 1 0 1 0 ]"
    if frame.untransformed:
        more += b" /DecodeParms << /ColorTransform 0 >>"
    return ImagePage(
        width,
        height,
        _matrix(width, height, orientation),
        data,
        (frame.width, frame.height),
        frame.colours,
        more=more,
        profile=_profile(image, frame.colours),
    )


def _jpx_page(source: str, image: Image.Image) -> ImagePage | None:
    with open(source, "rb") as file:
        data = file.read()
    colours = jpx_colours(data, image.mode)
    if colours is None:
        return None
    width, height = _page_size(image, image.size)
    matrix = _matrix(width, height)
    return ImagePage(width, height, matrix, data, image.size, colours, more=b"/Filter /JPXDecode")


def _png_page(source: str, image: Image.Image) -> ImagePage | None:
    with open(source, "rb") as file:
        parts = png_parts(file.read())
    if parts is None or is_two_tone(image):
        return None
    width, height = _page_size(image, image.size)
    return ImagePage(
        width,
        height,
        _matrix(width, height),
        parts.data,
        image.size,
        png_colours(parts),
        parts.palette,
        parts.bits,
        _flate(parts.components, parts.bits, image.size[0]),
        _profile(image, png_colours(parts)),
    )


def _decoded_page(image: Image.Image) -> ImagePage:
    _load(image)
    upright = ImageOps.exif_transpose(image)
    turned = upright.size != image.size
    picture = flattened(upright)
    width, height = _page_size(image, picture.size, turned)
    matrix = _matrix(width, height)
    if is_two_tone(picture):
        more = _GROUP4 % picture.size
        return ImagePage(width, height, matrix, _group4(picture), picture.size, "DeviceGray", bits=1, more=more)
    if picture.mode == "CMYK":
        profile = _profile(image, "DeviceCMYK")
        more = _flate(4, 8, picture.size[0])
        return ImagePage(
            width, height, matrix, _predicted(picture), picture.size, "DeviceCMYK", more=more, profile=profile
        )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    parts = png_parts(buffer.getvalue())
    if parts is None:
        raise ValueError("The image could not be packed.")
    colours = png_colours(parts)
    more = _flate(parts.components, parts.bits, picture.size[0])
    profile = _profile(image, colours)
    return ImagePage(width, height, matrix, parts.data, picture.size, colours, parts.palette, parts.bits, more, profile)


def _load(image: Image.Image) -> None:
    """Decodes; of a picture that is cut short, what is there (as for reading, see `images`)."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def flattened(image: Image.Image) -> Image.Image:
    """The image in a mode PDF can hold (1, L, I;16, P, RGB, CMYK), alpha laid on white."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        return white.convert("L" if image.mode in ("LA", "La", "L", "1") else "RGB")
    if image.mode == "P" and image.getpalette() is not None:
        return image
    if image.mode in ("1", "L", "RGB", "CMYK", "I;16"):
        return image
    if image.mode in ("I", "F", "I;16B", "I;16L", "I;16N"):
        return _scaled_grey(image)
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """8 or 16-bit grey of samples that fit; other ranges are spread over 8 bits: what can be shown of them."""
    samples = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = float(samples.min()), float(samples.max())
    if low >= 0 and 1 < high <= 0xFF:
        return Image.fromarray(samples.round().astype(np.uint8))
    if image.mode != "F" and low >= 0 and high <= 0xFFFF:
        return Image.fromarray(samples.astype(np.uint16))
    spread = (samples - low) * (255.0 / (high - low)) if high > low else samples * 0
    return Image.fromarray(spread.astype(np.uint8))


def is_two_tone(image: Image.Image) -> bool:
    """Whether the image holds nothing but full black and white."""
    if image.mode == "1":
        return True
    if image.mode == "P":
        palette = image.getpalette() or []
        used = [index for index, count in enumerate(image.histogram()[:256]) if count]
        return all(palette[3 * i : 3 * i + 3] in ([0, 0, 0], [255, 255, 255]) for i in used)
    return image.mode == "L" and sum(image.histogram()[1:255]) == 0


def _group4(image: Image.Image) -> bytes:
    """CCITT Group 4 data, taken out of a one-strip TIFF that libtiff makes.

    The picture goes in with black and white exchanged: libtiff codes ones as black runs, and Pillow's ones are white.
    """
    buffer = io.BytesIO()
    bits = image.convert("L").point(lambda value: 255 * (value <= 127), mode="1")
    bits.save(buffer, "TIFF", compression="group4", strip_size=1 << 30)
    with Image.open(buffer) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined]
        offsets, counts = tags[273], tags[279]
    if len(offsets) != 1:
        raise ValueError("The image could not be packed in one strip.")
    return buffer.getvalue()[offsets[0] : offsets[0] + counts[0]]


def _predicted(image: Image.Image) -> bytes:
    """Flate data of 8-bit samples, each row as its difference from the row above (PNG filter "Up")."""
    rows = np.asarray(image).reshape(image.size[1], -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filters = np.full((rows.shape[0], 1), 2, dtype=np.uint8)
    return zlib.compress(np.hstack([filters, rows - above]).tobytes(), 6)


def _flate(components: int, bits: int, columns: int) -> bytes:
    return b"/Filter /FlateDecode /DecodeParms << /Predictor 15 /Colors %d /BitsPerComponent %d /Columns %d >>" % (
        components,
        bits,
        columns,
    )


def _profile(image: Image.Image, colours: str) -> bytes:
    """The image's ICC profile, compressed; empty when it has none that fits its colours."""
    profile = image.info.get("icc_profile") or b""
    space = {"DeviceGray": b"GRAY", "DeviceRGB": b"RGB ", "DeviceCMYK": b"CMYK"}[colours]
    if not 128 < len(profile) <= _MAX_PROFILE or profile[16:20] != space or profile[36:40] != b"acsp":
        return b""
    return zlib.compress(profile, 9)


def _matrix(width: float, height: float, orientation: int = 1) -> bytes:
    """`cm` operands that fill the page with the image, shown as its EXIF orientation says."""
    w, h = width, height
    operands = {
        2: (-w, 0, 0, h, w, 0),
        3: (-w, 0, 0, -h, w, h),
        4: (w, 0, 0, -h, 0, h),
        5: (0, -h, -w, 0, w, h),
        6: (0, -h, w, 0, 0, h),
        7: (0, h, w, 0, 0, 0),
        8: (0, h, -w, 0, w, 0),
    }.get(orientation, (w, 0, 0, h, 0, 0))
    return b" ".join(number_bytes(value) for value in operands)


def number_bytes(value: float) -> bytes:
    """A PDF number with at most 4 decimals."""
    return (f"{value:.4f}".rstrip("0").rstrip(".") or "0").encode("ascii")


def _page_size(image: Image.Image, pixels: tuple[int, int], turned: bool = False) -> tuple[float, float]:
    """Points, of a picture shown `pixels` wide and high; `turned` when the file has width and height exchanged."""
    x_dpi, y_dpi = resolution(image.info.get("dpi"), pixels, turned)
    width, height = pixels[0] * 72 / x_dpi, pixels[1] * 72 / y_dpi
    scale = min(1.0, _MAX_POINTS / max(width, height))
    return (max(width * scale, _MIN_POINTS), max(height * scale, _MIN_POINTS))


def resolution(stated: object, pixels: tuple[int, int], turned: bool) -> tuple[float, float]:
    """Pixels per inch across and down: for each axis what the file states where `guess_dpi` believes it (a fax has
    different ones), else its guess for both."""
    try:
        x, y = (float(value) for value in stated)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        x = y = 0.0
    across, down = (y, x) if turned else (x, y)
    dpi = guess_dpi(*pixels, (across, down) if across > 0 and down > 0 else None)
    return (across, down) if abs(dpi - (across * down) ** 0.5) < 0.01 else (dpi, dpi)
