"""Kinds of file, and the signatures they are known by. Content decides, never the name.

`recognise_signature` looks at the first bytes only; what it cannot tell apart (a zip archive and an office file, which
is one as well) it leaves to `pipeline.identify`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

HEAD_BYTES = 4096
"""How much of a file's start `recognise_signature` wants to see."""
PDF_HEADER_WINDOW = 1024
"""Readers accept the %PDF- header anywhere in here (PDF 1.7 reference, implementation note 13)."""


class Kind(StrEnum):
    """What is done with a file."""

    PDF = "pdf"
    IMAGE = "image"
    ARCHIVE = "archive"


class MediaType(msgspec.Struct, frozen=True):
    """One type of file docfleet takes."""

    mime_type: str
    kind: Kind
    label: str
    """For people: "PDF document"."""
    extension: str
    """With its dot."""
    pillow_formats: tuple[str, ...] = ()
    """Images: the decoders that may look at it, and no other."""


PDF = MediaType("application/pdf", Kind.PDF, "PDF document", ".pdf")
ZIP = MediaType("application/zip", Kind.ARCHIVE, "zip archive", ".zip")
PNG = MediaType("image/png", Kind.IMAGE, "PNG image", ".png", ("PNG",))
JPEG = MediaType("image/jpeg", Kind.IMAGE, "JPEG image", ".jpg", ("JPEG",))
TIFF = MediaType("image/tiff", Kind.IMAGE, "TIFF image", ".tif", ("TIFF",))
WEBP = MediaType("image/webp", Kind.IMAGE, "WebP image", ".webp", ("WEBP",))
BMP = MediaType("image/bmp", Kind.IMAGE, "BMP image", ".bmp", ("BMP",))
GIF = MediaType("image/gif", Kind.IMAGE, "GIF image", ".gif", ("GIF",))
JPEG2000 = MediaType("image/jp2", Kind.IMAGE, "JPEG 2000 image", ".jp2", ("JPEG2000",))
HEIC = MediaType("image/heic", Kind.IMAGE, "HEIC image", ".heic", ("HEIF",))

MEDIA_TYPES: dict[str, MediaType] = {
    media.mime_type: media for media in (PDF, ZIP, PNG, JPEG, TIFF, WEBP, BMP, GIF, JPEG2000, HEIC)
}
"""Every type docfleet takes, by its MIME type."""

_SIGNATURES: tuple[tuple[bytes, MediaType], ...] = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})


def recognise_signature(head: bytes) -> MediaType | None:
    """The type whose signature stands in `head` (the first HEAD_BYTES of a file), or None.

    A zip that is really an office document is still called a zip here.
    """
    for signature, media in _SIGNATURES:
        if head.startswith(signature):
            return media
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp" and _has_heic_brand(head):
        return HEIC
    if head[:2] == b"BM" and len(head) >= 26 and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return BMP
    if b"%PDF-" in head[: PDF_HEADER_WINDOW + 5]:
        return PDF
    return None


def _has_heic_brand(head: bytes) -> bool:
    """ISO 14496-12, 4.3: a major brand, a version, then compatible brands up to the end of the box."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}
    return b"avif" not in brands and not brands.isdisjoint(_HEIC_BRANDS)
