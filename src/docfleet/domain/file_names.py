"""File names as text: to store, to show, and to print on a terminal.

A POSIX file name is any bytes; Python carries those that are not UTF-8 as lone surrogates, which no database, JSON or
message may hold. Names from outside may also hold what steers a terminal.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

_BYTES_SCHEME = "file://"
"""Stored paths are absolute, so none begins like this by itself."""


def stored_path(path: Path) -> str:
    """The absolute path as text that any store holds: itself, or a file URI where its bytes are no UTF-8.

    >>> stored_path(Path("/in/café.pdf")), stored_path(Path(os.fsdecode(b"/in/caf\\xe9.pdf")))
    ('/in/café.pdf', 'file:///in/caf%E9.pdf')
    """
    text = os.path.abspath(path)
    return text if is_text(text) else _BYTES_SCHEME + quote_from_bytes(os.fsencode(text))


def path_of_stored(stored: str) -> Path:
    """The path that `stored_path` turned into text."""
    if stored.startswith(_BYTES_SCHEME):
        return Path(os.fsdecode(unquote_to_bytes(stored.removeprefix(_BYTES_SCHEME))))
    return Path(stored)


def name_as_text(name: str) -> str:
    """A file name to show and to store: bytes that are no UTF-8 are spelled out.

    >>> name_as_text("café.pdf"), name_as_text(os.fsdecode(b"caf\\xe9.pdf"))
    ('café.pdf', 'caf\\\\xe9.pdf')
    """
    if is_text(name):
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte: from an archive or another system
        return name.encode("utf-8", "backslashreplace").decode()


def is_text(name: str) -> bool:
    """Whether the name is Unicode throughout."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """`text` with nothing left that steers a terminal or turns its direction; line breaks in it included.

    >>> printable("a\\x1b[31mb\\n.pdf")
    'a\\\\x1b[31mb\\\\n.pdf'
    """
    return "".join(_spelled(char) if unicodedata.category(char) in _STEERING else char for char in text)


_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _spelled(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
