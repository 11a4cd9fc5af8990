"""One document, read in this process: the Python door to docfleet."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from docfleet.documentai_format import join
from docfleet.domain.document import Document
from docfleet.domain.file_names import name_as_text
from docfleet.domain.media import Kind
from docfleet.errors import Damaged, TooManyBytes, UnsupportedType, UsageError
from docfleet.pipeline.identify import identify
from docfleet.pipeline.recognise import read_pages
from docfleet.runtime import Runtime
from docfleet.settings import Settings, read_settings


def process_document(
    source: str | os.PathLike[str] | bytes,
    *,
    languages: Sequence[str] | None = None,
    passwords: Sequence[str] = (),
    engine: str | None = None,
    settings: Settings | None = None,
    runtime: Runtime | None = None,
) -> Document:
    """Reads one document: a path or its bytes in, a typed `Document` out.

    The bytes are parsed in a child process under the limits of the settings; nothing is written. `languages` are BCP 47
    hints, `passwords` are tried in turn on an encrypted file, `engine` reads the pages that have no sound text layer.
    To read many documents, make one `docfleet.runtime.Runtime(settings)` and pass it each time: models are then loaded
    once (`languages`, `engine` and `settings` are the runtime's own and may not be given beside it).

    `Document.readings` tells for each page which engine read it, why, how sure it is, and the page's own `outcome`: a
    page that cannot be read does not raise, it is empty and its reading's outcome is the error's code.

    Raises `docfleet.errors.DocumentError` (its `code` is stable) when the document as a whole cannot be read, and
    `docfleet.errors.UsageError` when there is no such file or engine.

    >>> document = process_document("invoice.pdf")              # doctest: +SKIP
    >>> document.text, document.pages[0].tables, document.readings[0].engine     # doctest: +SKIP
    """
    if runtime is not None:
        if languages is not None or engine is not None or settings is not None:
            raise UsageError("Give languages, engine and settings to the runtime, not beside it.")
        return _process(source, passwords, runtime)
    if settings is None:
        hints = tuple(languages) if languages is not None else None
        settings = read_settings(reading={"languages": hints, "engine": engine})
    elif languages is not None or engine is not None:
        raise UsageError("Give languages and engine in the settings, or leave the settings out.")
    with Runtime(settings) as own:
        return _process(source, passwords, own)


def _process(source: str | os.PathLike[str] | bytes, passwords: Sequence[str], runtime: Runtime) -> Document:
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory(prefix="docfleet-") as folder:
            path = Path(folder) / "document"
            path.write_bytes(source)
            return _read(path, "", passwords, runtime)
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"There is no file {name_as_text(str(path))}.")
    return _read(path, name_as_text(path.name), passwords, runtime)


def _read(path: Path, uri: str, passwords: Sequence[str], runtime: Runtime) -> Document:
    limit = runtime.settings.limits.max_file_bytes
    if (size := path.stat().st_size) > limit:
        raise TooManyBytes(f"The file has {size:,} bytes; the limit is {limit:,}.")
    media = identify(path)
    if media.kind is Kind.ARCHIVE:
        raise UnsupportedType("This is an archive; process_document reads one document at a time.")
    opened = runtime.sandbox.open(path, media.mime_type, tuple(passwords))
    numbers = range(1, opened.pages + 1)
    pages = list(read_pages(runtime.sandbox, runtime.plan, numbers, repaired=opened.repaired))
    if pages and all(page.reading.outcome == Damaged.code for page in pages):
        raise Damaged(pages[0].reading.detail)
    document = join((page.text, page.page) for page in pages)
    return msgspec.structs.replace(
        document, mime_type=opened.mime_type, uri=uri, readings=tuple(page.reading for page in pages)
    )
