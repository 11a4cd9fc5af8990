"""Any string made fit for print: only characters that the typesetter's own fonts can draw.

The report is PDF/A, which forbids undrawable characters, and the typesetter has been seen to panic on combining marks
that stand alone. So text from outside passes an allowlist: letters, digits, punctuation and symbols found drawable by
setting each of them as PDF/A (a test repeats that). What is not on it is shown as a hollow box, never an error.
"""

from __future__ import annotations

import re
import unicodedata

MISSING = "▯"
ELLIPSIS = "…"
_ZERO_WIDTH_SPACE = "\u200b"

DRAWABLE = (
    (0x0020, 0x007E),
    (0x00A1, 0x00AC),
    (0x00AE, 0x02FF),
    (0x0370, 0x0377),
    (0x037A, 0x037F),
    (0x0384, 0x038A),
    (0x038C, 0x038C),
    (0x038E, 0x03A1),
    (0x03A3, 0x0482),
    (0x048A, 0x04FF),
    (0x0510, 0x0513),
    (0x051A, 0x051D),
    (0x0531, 0x0556),
    (0x0559, 0x058A),
    (0x058D, 0x058F),
    (0x05D0, 0x05EA),
    (0x0606, 0x060C),
    (0x061B, 0x061B),
    (0x061F, 0x061F),
    (0x0621, 0x063A),
    (0x0640, 0x064A),
    (0x0660, 0x066D),
    (0x0674, 0x0674),
    (0x0679, 0x067B),
    (0x067E, 0x0680),
    (0x0683, 0x0684),
    (0x0686, 0x0687),
    (0x0691, 0x0691),
    (0x0698, 0x0698),
    (0x06A4, 0x06A4),
    (0x06A9, 0x06A9),
    (0x06AF, 0x06AF),
    (0x06BE, 0x06BE),
    (0x06CC, 0x06CC),
    (0x06F0, 0x06F9),
    (0x10D0, 0x10FF),
    (0x1E00, 0x1F15),
    (0x1F18, 0x1F1D),
    (0x1F20, 0x1F45),
    (0x1F48, 0x1F4D),
    (0x1F50, 0x1F57),
    (0x1F59, 0x1F59),
    (0x1F5B, 0x1F5B),
    (0x1F5D, 0x1F5D),
    (0x1F5F, 0x1F7D),
    (0x1F80, 0x1FB4),
    (0x1FB6, 0x1FC4),
    (0x1FC6, 0x1FD3),
    (0x1FD6, 0x1FDB),
    (0x1FDD, 0x1FEF),
    (0x1FF2, 0x1FF4),
    (0x1FF6, 0x1FFE),
    (0x2010, 0x2027),
    (0x2030, 0x2040),
    (0x2042, 0x2042),
    (0x2044, 0x2052),
    (0x2054, 0x205E),
    (0x2070, 0x2071),
    (0x2074, 0x208E),
    (0x2090, 0x209C),
    (0x20A0, 0x20C0),
    (0x2100, 0x211E),
    (0x2120, 0x2120),
    (0x2122, 0x2122),
    (0x2124, 0x2124),
    (0x2126, 0x2151),
    (0x2153, 0x2184),
    (0x2189, 0x2189),
    (0x2190, 0x22FF),
    (0x2500, 0x25FF),
    (0xFB00, 0xFB06),
)
"""First and last code point of each range that can be drawn."""

_DRAWABLE = frozenset(chr(code) for first, last in DRAWABLE for code in range(first, last + 1))
_SILENT = frozenset({"Cf", "Mn", "Me", "Mc"})
"""Dropped, not boxed: direction overrides, joiners and marks that do not compose; none of them is a letter."""


def printable(text: str) -> str:
    """`text` on one line, composed (NFC), with white space folded and every undrawable character shown as a box.

    Direction overrides are dropped, so a name cannot pretend to end otherwise than it does. The result passes
    unchanged through a second call.
    """
    composed = unicodedata.normalize("NFC", text)
    shown = "".join(_show(character) for character in composed)
    return " ".join(shown.split())


def _show(character: str) -> str:
    if character in _DRAWABLE:
        return character
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _SILENT else MISSING


def shorten(text: str, limit: int) -> str:
    """`text` cut at its end to at most `limit` characters, an ellipsis included."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def shorten_middle(text: str, limit: int) -> str:
    """`text` cut in its middle to at most `limit` characters: of a file name, its start and its ending stay."""
    if len(text) <= limit:
        return text
    tail = min((limit - 1) // 2, 16)
    return text[: limit - 1 - tail].rstrip() + ELLIPSIS + text[len(text) - tail :].lstrip()


def breakable(text: str, run: int = 20) -> str:
    """`text` with a chance to break the line after every `run` characters without white space."""
    return re.sub(rf"(\S{{{run}}})(?=\S)", rf"\1{_ZERO_WIDTH_SPACE}", text)


def fit_text(text: str, limit: int, run: int = 20) -> str:
    """`text` printable, at most `limit` characters, and breakable within runs longer than `run`."""
    return breakable(shorten(printable(text), limit), run)


def fit_name(name: str, limit: int) -> str:
    """`name` printable and at most `limit` characters, cut in its middle."""
    return shorten_middle(printable(name), limit)


def words(code: str) -> str:
    """A stable code as words: "password_required" -> "Password required"."""
    spaced = code.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]
