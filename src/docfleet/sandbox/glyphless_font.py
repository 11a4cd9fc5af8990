"""A font that draws nothing, in which any text can be selected, searched and copied.

One TrueType glyph (a plain rectangle, never painted, since text set in it is invisible) serves all characters. Codes
are given out in order of first use, two bytes each, and a ToUnicode map says what each means; so any Unicode character
works, and the font costs a few bytes for each character used. PDF 32000-1:2008, 9.7 and 9.10.3.
"""

from __future__ import annotations

import struct
import unicodedata
import zlib

ADVANCE = 500
"""Width of every character, in thousandths of the font size."""
ASCENT, DESCENT = 800, -200
_REPLACEMENT = "\ufffd"
_MAX_CODES = 0xFFFF


class GlyphlessFont:
    """Gives out codes for characters; `objects` is the font once all text is set."""

    OBJECTS = 6
    """How many objects it takes."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {_REPLACEMENT: 1}

    def encode(self, text: str) -> str:
        """The PDF hexadecimal string of `text`. Past 65,535 different characters all others are U+FFFD."""
        return "".join([f"{self._code(character):04X}" for character in text])

    def _code(self, character: str) -> int:
        code = self._codes.get(character)
        if code is None:
            if len(self._codes) >= _MAX_CODES or 0xD800 <= ord(character) <= 0xDFFF:
                return 1
            code = self._codes[character] = len(self._codes) + 1
        return code

    def objects(self, first: int) -> list[tuple[bytes, bytes | None]]:
        """The font's objects, numbered from `first` (which is the font itself): (dictionary, compressed stream data).

        A dictionary with a stream lacks /Length, which the writer adds.
        """
        cid, descriptor, program, mapping, gids = range(first + 1, first + 6)
        name = "AAAAAA+DocfleetGlyphless"
        glyphs = b"\0\0" + b"\0\1" * len(self._codes)
        program_bytes = true_type()
        return [
            (
                f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H "
                f"/DescendantFonts [ {cid} 0 R ] /ToUnicode {mapping} 0 R >>".encode(),
                None,
            ),
            (
                f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /DW {ADVANCE} /CIDToGIDMap {gids} 0 R "
                f"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
                f"/FontDescriptor {descriptor} 0 R >>".encode(),
                None,
            ),
            (
                f"<< /Type /FontDescriptor /FontName /{name} /Flags 5 /FontBBox [ 0 {DESCENT} {ADVANCE} {ASCENT} ] "
                f"/ItalicAngle 0 /Ascent {ASCENT} /Descent {DESCENT} /CapHeight {ASCENT} /StemV 80 "
                f"/FontFile2 {program} 0 R >>".encode(),
                None,
            ),
            (f"<< /Length1 {len(program_bytes)} /Filter /FlateDecode >>".encode(), zlib.compress(program_bytes, 9)),
            (b"<< /Filter /FlateDecode >>", zlib.compress(self._to_unicode(), 9)),
            (b"<< /Filter /FlateDecode >>", zlib.compress(glyphs, 9)),
        ]

    def _to_unicode(self) -> bytes:
        lines = [
            "/CIDInit /ProcSet findresource begin",
            "12 dict begin",
            "begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def",
            "/CMapType 2 def",
            "1 begincodespacerange",
            "<0000> <FFFF>",
            "endcodespacerange",
        ]
        entries = [f"<{code:04X}> <{char.encode('utf-16-be').hex().upper()}>" for char, code in self._codes.items()]
        for start in range(0, len(entries), 100):
            part = entries[start : start + 100]
            lines += [f"{len(part)} beginbfchar", *part, "endbfchar"]
        lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end", ""]
        return "\n".join(lines).encode("ascii")


def visual_order(word: str) -> str:
    """A word's characters from left to right, as PDF sets them.

    Words with right-to-left letters are reversed by clusters (a base character and its marks), runs of numbers and
    left-to-right letters inside them are not: the part of the bidirectional algorithm (UAX 9) that single words need.
    """
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in word):
        return word
    clusters: list[str] = []
    for character in word:
        direction = unicodedata.bidirectional(character)
        leftward = clusters and unicodedata.bidirectional(clusters[-1][0]) in ("L", "EN", "AN")
        if clusters and (direction == "NSM" or (leftward and direction in ("L", "EN", "AN", "CS", "ES"))):
            clusters[-1] += character
        else:
            clusters.append(character)
    return "".join(reversed(clusters))


def true_type() -> bytes:
    """The smallest TrueType program readers accept: .notdef, and a rectangle as wide and high as the font's box.

    An outline gives each character a box to select in readers that measure glyphs instead of asking the descriptor.
    OpenType specification, tables head, hhea, maxp, hmtx, loca, glyf, cmap, post.
    """
    points = ((0, DESCENT), (ADVANCE, DESCENT), (ADVANCE, ASCENT), (0, ASCENT))
    glyph = struct.pack(">hhhhh", 1, 0, DESCENT, ADVANCE, ASCENT) + struct.pack(">HH", 3, 0) + b"\1\1\1\1"
    for axis in (0, 1):
        before = 0
        for point in points:
            glyph += struct.pack(">h", point[axis] - before)
            before = point[axis]
    glyph += b"\0" * (-len(glyph) % 4)
    head = struct.pack(
        ">HHiIIHHqqhhhhHHhhh",
        1, 0, 0x10000, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, DESCENT, ADVANCE, ASCENT, 0, 8, 2, 0, 0,
    )  # fmt: skip
    hhea = struct.pack(">HHhhhHhhhhhhhhhhhH", 1, 0, ASCENT, DESCENT, 0, ADVANCE, 0, 0, ADVANCE, 1, *[0] * 7, 2)
    maxp = struct.pack(">HH14H", 1, 0, 2, 4, 1, 0, 0, 1, *[0] * 8)
    cmap = struct.pack(">HHHHI", 0, 1, 1, 0, 12) + struct.pack(">HHHHHH", 6, 12, 0, 32, 1, 1)
    tables = {
        b"cmap": cmap,
        b"glyf": glyph,
        b"head": head,
        b"hhea": hhea,
        b"hmtx": struct.pack(">HhHh", ADVANCE, 0, ADVANCE, 0),
        b"loca": struct.pack(">HHH", 0, 0, len(glyph) // 2),
        b"maxp": maxp,
        b"post": struct.pack(">IIhhIIIII", 0x30000, 0, 0, 0, 1, 0, 0, 0, 0),
    }
    return _with_directory(tables)


def _with_directory(tables: dict[bytes, bytes]) -> bytes:
    directory = struct.pack(">IHHHH", 0x10000, len(tables), 128, 3, 16 * len(tables) - 128)
    body = b""
    start = 12 + 16 * len(tables)
    for tag, data in sorted(tables.items()):
        padded = data + b"\0" * (-len(data) % 4)
        directory += tag + struct.pack(">III", _checksum(padded), start + len(body), len(data))
        body += padded
    whole = directory + body
    at = start + body.index(tables[b"head"]) + 8
    adjustment = (0xB1B0AFBA - _checksum(whole)) & 0xFFFFFFFF
    return whole[:at] + struct.pack(">I", adjustment) + whole[at + 4 :]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 4}I", data))
    return total & 0xFFFFFFFF
