"""What a file is, by its content: signatures first, a learned detector only to name what docfleet does not read."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import IO, Any

from docfleet.domain.media import HEAD_BYTES, PDF, ZIP, MediaType, recognise_signature
from docfleet.errors import Empty, SourceChanged, SourceUnreadable, TooManyBytes, UnsupportedType

_DEEP_HEADER_WINDOW = 65_536
"""Gateways and printers put junk before a PDF; beyond PDF_HEADER_WINDOW signature and detector must agree."""


def identify(path: Path, max_bytes: int | None = None) -> MediaType:
    """The type of the file at `path`.

    Raises `Empty` for a file without bytes (or of white space and zero bytes alone), `UnsupportedType` naming what the
    file is instead, `TooManyBytes` past `max_bytes`, `SourceUnreadable` without permission, `SourceChanged`
    when it cannot be read for another reason.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if max_bytes is not None and size > max_bytes:
                raise TooManyBytes(f"The file has {size:,} bytes; the limit is {max_bytes:,}.")
            head = file.read(_DEEP_HEADER_WINDOW)
            blank = _is_blank(head, file)
    except PermissionError as error:
        raise SourceUnreadable() from error
    except OSError as error:
        raise SourceChanged(f"The file cannot be read: {error.strerror or 'input/output error'}.") from error
    if not head:
        raise Empty()
    if blank:
        raise Empty("The file holds nothing but white space or zero bytes.")
    if head.startswith(_EMPTY_ZIP):
        raise Empty("The archive holds no files.")
    media = recognise_signature(head[:HEAD_BYTES])
    if media is not None and media is not ZIP:
        return media
    name, label = _ask_detector(path)
    if media is ZIP and name in _PLAIN_ZIP_NAMES and not _is_package(head):
        return ZIP
    if name == "pdf" and b"%PDF-" in head:
        return PDF
    raise UnsupportedType(_sentence(label))


_EMPTY_ZIP = b"PK\x05\x06" + bytes(8)
"""An end-of-directory record that counts no entries, and nothing before it."""
_BLANK = b"\x00 \t\r\n"


def _is_blank(head: bytes, rest: IO[bytes]) -> bool:
    """Whether there is nothing but white space and zero bytes, as in a file whose copying broke off."""
    while head:
        if head.strip(_BLANK):
            return False
        head = rest.read(1 << 20)
    return True


_PLAIN_ZIP_NAMES = frozenset({"zip", "unknown", "empty", "undefined"})
_PACKAGE_MARKS = (b"[Content_Types].xml", b"mimetypeapplication/", b"META-INF/MANIFEST.MF", b"AndroidManifest.xml")


def _is_package(head: bytes) -> bool:
    """A zip that is one document of another program (office file, e-book, program) and no archive of documents."""
    return any(mark in head[:HEAD_BYTES] for mark in _PACKAGE_MARKS)


def _sentence(label: str) -> str:
    if not label:
        return "The file is of no type that docfleet knows."
    return f"This is {_article(label)} {label}; docfleet reads PDF files and images."


def _article(label: str) -> str:
    """By sound: abbreviations are spelt out ("an SVG image", "a UDF image")."""
    first = label.split()[0]
    vowels = "AEFHILMNORSX" if len(first) > 1 and first.isupper() else "AEIOUaeiou"
    return "an" if first[0] in vowels else "a"


@cache
def _detector() -> Any:
    # Half a second and an ONNX session: worth it only for files no signature names.
    from magika import Magika

    return Magika()


def _ask_detector(path: Path) -> tuple[str, str]:
    """(stable name, words for a person) of what the learned detector takes the file for; without one: unknown."""
    try:
        result = _detector().identify_path(path)
    except ModuleNotFoundError:  # an image that carries no inference runtime
        return "unknown", ""
    if not result.ok:
        return "unknown", ""
    output = result.output
    name = str(output.label)
    if name in ("unknown", "undefined"):
        return name, ""
    return name, _WORDS.get(name, str(output.description))


_WORDS = {
    "docx": "Microsoft Word document",
    "doc": "Microsoft Word document",
    "xlsx": "Microsoft Excel workbook",
    "xlsb": "Microsoft Excel workbook",
    "xls": "Microsoft Excel workbook",
    "pptx": "Microsoft PowerPoint presentation",
    "ppt": "Microsoft PowerPoint presentation",
    "odt": "OpenDocument text",
    "ods": "OpenDocument spreadsheet",
    "odp": "OpenDocument presentation",
    "html": "web page (HTML)",
    "eml": "e-mail message",
    "txt": "plain text file",
    "csv": "CSV table",
    "zip": "zip package of another program",
}
