"""Sets a template of this package with Typst and gives back the bytes of a PDF.

Templates are package data and get their data as one JSON string, which they show as text: nothing in it is ever
evaluated as markup. Only the fonts inside the typesetter's wheel are used, and no packages, so that a report looks the
same on every machine and nothing is downloaded. The PDF is tagged, PDF/A-2a and PDF/UA-1.
"""

from __future__ import annotations

import os
import re
import tempfile
from datetime import UTC, datetime
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import msgspec
import typst

from docfleet.errors import DocfleetError

_TEMPLATES = files("docfleet.reports") / "templates"


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)


def typeset(template: str, data: msgspec.Struct, made: datetime) -> bytes:
    """The PDF that `template` (a file name such as "batch.typ") makes of `data`.

    `made` is written into the PDF as its date, so the same data and date give the same bytes. Text that cannot be set
    costs its non-ASCII characters, never the report. Raises DocfleetError when the template itself cannot be set.
    """
    return typeset_json(template, msgspec.json.encode(data).decode(), made)


def typeset_json(template: str, text: str, made: datetime) -> bytes:
    """As `typeset`, of data that is JSON already."""
    try:
        return _compile(template, text, made)
    except DocfleetError:
        plain = re.sub(r"[^\x20-\x7e\n]", "?", text)
        return _compile(template, plain, made)


def draw(template: str, data: msgspec.Struct, made: datetime, ppi: float = 144.0) -> bytes:
    """The first page that `template` makes of `data`, as a PNG image. Raises DocfleetError as `typeset` does."""
    return _compile(template, msgspec.json.encode(data).decode(), made, ppi)


def _compile(template: str, data: str, made: datetime, ppi: float | None = None) -> bytes:
    """A PDF, or with `ppi` the first page as a PNG image."""
    with as_file(_TEMPLATES) as folder:
        compiler = typst.Compiler(root=folder, font_paths=_fonts(), ignore_system_fonts=True)
        at = (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
        try:
            made_of = compiler.compile(
                input=folder / template,
                format="pdf" if ppi is None else "png",
                ppi=ppi,
                sys_inputs={"data": data},
                pdf_standards=["a-2a", "ua-1"] if ppi is None else [],
                timestamp=at,
            )
        except RuntimeError as error:
            # TypstError, and what is wrong with the template file itself.
            raise DocfleetError(f"The report could not be set: {error}") from error
        except BaseException as error:
            # A panic of the typesetter arrives as a BaseException of a class that cannot be imported.
            if type(error).__name__ != "PanicException":
                raise
            raise DocfleetError("The report could not be set: the typesetter crashed.") from error
    if isinstance(made_of, list):
        made_of = made_of[0] if made_of else None
    if not isinstance(made_of, bytes):
        raise DocfleetError("The report could not be set: the typesetter gave nothing back.")
    return made_of


def write_whole(path: Path, content: bytes) -> None:
    """Writes `content` to `path` in one step: a reader sees the old file or the new one, never half of it.

    Makes missing folders. Raises OSError as the file system does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
