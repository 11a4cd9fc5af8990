"""Page images as one PDF: a page for each, at its own size. Written here, since it is all there is to it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

MIME_TYPE = "application/pdf"
PAGE_BYTES = 600
"""More than a page adds to the file beside its image."""


class JpegPage(msgspec.Struct, frozen=True):
    data: bytes
    width: int
    height: int
    """Pixels."""
    grey: bool
    dpi: float


def jpeg_page(
    pixels: npt.NDArray[np.uint8], dpi: float, most_bytes: int, qualities: Sequence[int] = (92, 75, 50)
) -> JpegPage:
    """The page as JPEG of the first quality that fits into `most_bytes`, or of the last one."""
    image = Image.fromarray(pixels)
    data = b""
    for quality in qualities:
        written = io.BytesIO()
        image.save(written, "JPEG", quality=quality)
        data = written.getvalue()
        if len(data) <= most_bytes:
            break
    return JpegPage(data, image.width, image.height, pixels.ndim == 2, dpi)


def pdf_of(pages: Sequence[JpegPage]) -> bytes:
    """A PDF of so many pages, each filled by its image."""
    objects: list[bytes] = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    kids = []
    for page in pages:
        width, height = page.width * 72 / page.dpi, page.height * 72 / page.dpi
        number = len(objects) + 1
        kids.append(b"%d 0 R" % number)
        drawing = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /I Do Q".encode()
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.3f} {height:.3f}]"
            f"/Resources<</XObject<</I {number + 2} 0 R>>>>/Contents {number + 1} 0 R>>".encode()
        )
        objects.append(_stream(b"", drawing))
        space = b"/DeviceGray" if page.grey else b"/DeviceRGB"
        head = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace%s/BitsPerComponent 8/Filter/DCTDecode"
        objects.append(_stream(head % (page.width, page.height, space), page.data))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(pages), b" ".join(kids))
    return _file(objects)


def _stream(head: bytes, data: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(data), data)


def _file(objects: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))
    return out.getvalue()
