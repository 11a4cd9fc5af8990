"""What is inside an image file that a PDF can take over as it is."""

from __future__ import annotations

import struct
import zlib

import msgspec

_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive Huffman coding: what PDF's DCT filter decodes."""
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_DEVICE_COLOURS = {1: "DeviceGray", 3: "DeviceRGB", 4: "DeviceCMYK"}


class JpegFrame(msgspec.Struct, frozen=True):
    width: int
    height: int
    colours: str
    inverted: bool
    """CMYK as Adobe writes it: 255 is no ink."""
    untransformed: bool
    """RGB stored as it is, without a mark that tells PDF readers so."""


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """What a JPEG file holds, from its markers; None when PDF's DCT filter does not decode it (ITU T.81, annex B)."""
    position = 2
    adobe: int | None = None
    jfif = False
    while data[:2] == b"\xff\xd8" and position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment = data[position + 4 : position + 2 + length]
        if marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        if marker == 0xE0 and segment[:4] == b"JFIF":
            jfif = True
        if marker in _START_OF_FRAME:
            return _frame(segment, adobe, jfif)
        if marker in _OTHER_FRAMES or marker in (0xD9, 0xDA) or length < 2:
            return None
        position += 2 + length
    return None


def _frame(segment: bytes, adobe: int | None, jfif: bool) -> JpegFrame | None:
    if len(segment) < 6:
        return None
    bits, height, width, count = struct.unpack_from(">BHHB", segment)
    if bits != 8 or not height or not width or count not in _DEVICE_COLOURS or len(segment) < 6 + 3 * count:
        return None
    identifiers = bytes(segment[6 + 3 * i] for i in range(count))
    untransformed = count == 3 and adobe is None and not jfif and identifiers == b"RGB"
    return JpegFrame(width, height, _DEVICE_COLOURS[count], count == 4 and adobe is not None, untransformed)


def jpx_colours(data: bytes, mode: str) -> str | None:
    """Device colour space of a JPEG 2000 file that may be taken over; None when it has to be decoded.

    Taken over: JP2 files of 8-bit grey or sRGB samples (ISO 15444-1, I.5.3.3: enumerated colour spaces 17 and 16).
    """
    at = data.find(b"colr\x01", 0, 4096)
    if data[4:8] != b"jP  " or at < 0 or len(data) < at + 11 or b"cdef" in data[:4096]:
        return None
    (space,) = struct.unpack_from(">I", data, at + 7)
    return {(16, "RGB"): "DeviceRGB", (17, "L"): "DeviceGray"}.get((space, mode))


class PngParts(msgspec.Struct, frozen=True):
    width: int
    height: int
    bits: int
    kind: int
    """PNG colour type: 0 grey, 2 RGB, 3 palette."""
    palette: bytes
    data: bytes
    """Zlib stream of filtered rows."""

    @property
    def components(self) -> int:
        return 3 if self.kind == 2 else 1


def png_colours(parts: PngParts) -> str:
    return "DeviceGray" if parts.kind == 0 else "DeviceRGB"


def png_parts(data: bytes) -> PngParts | None:
    """A PNG's compressed rows (PNG specification, 3rd edition); None when it is interlaced, damaged or has alpha."""
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if kind not in (0, 2, 3) or interlaced:
        return None
    palette = b""
    rows: list[bytes] = []
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        if name == b"tRNS":
            return None
        if name == b"PLTE":
            palette = body[: len(body) // 3 * 3]
        elif name == b"IDAT":
            rows.append(body)
        elif name == b"IEND":
            break
        position += 12 + length
    parts = PngParts(width, height, bits, kind, palette if kind == 3 else b"", b"".join(rows))
    return parts if _is_whole(parts) and (kind != 3 or palette) else None


def _is_whole(parts: PngParts) -> bool:
    """Whether the rows unpack to as many bytes as the header says; unpacked piece by piece, never as a whole."""
    expected = parts.height * (1 + (parts.width * parts.components * parts.bits + 7) // 8)
    unpacker = zlib.decompressobj()
    total, pending = 0, parts.data
    try:
        while not unpacker.eof and total <= expected:
            piece = unpacker.decompress(pending, 1 << 20)
            pending = unpacker.unconsumed_tail
            if not piece and not pending:
                break
            total += len(piece)
    except zlib.error:
        return False
    return total == expected and unpacker.eof
