"""What every exporter is handed, and what it promises.

Pages come as a `PageSource`: an iterable of ``(text, page)``, in page order, each page anchored in its own text. It may
be iterated more than once and yields pages from disk, so an exporter keeps at most one page: memory does not grow with
the document. Exporters write into a folder that the pipeline renames into place when all of them are done; only who
writes a single file on its own needs `replacing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Protocol, cast

import msgspec

from docfleet.domain.document import Page
from docfleet.domain.searchable import LayerPage

PageSource = Iterable[tuple[str, Page]]
"""Pages in order, each with the text it is anchored in; iterable more than once."""


class SandboxCall(Protocol):
    """Runs a registered job in the sandbox child (`Sandbox.call`)."""

    def __call__(self, name: str, seconds: float, **arguments: Any) -> dict[str, Any]: ...


class ExportJob(msgspec.Struct, frozen=True):
    """Everything an export may draw on."""

    pages: PageSource
    folder: Path
    """Exists; results go here."""
    mime_type: str = ""
    uri: str = ""
    title: str = ""
    source: Path | None = None
    """The submitted file, for the searchable PDF."""
    password: str | None = None
    """The one that opens `source`."""
    layers: Iterable[LayerPage] = ()
    """Pages with words read from pixels, for the searchable PDF (see `searchable_layer`)."""
    sandbox: SandboxCall | None = None
    """Needed for the searchable PDF."""
    max_page_pixels: int = 100_000_000
    """Larger pages of image files are not decoded for the searchable PDF."""
    page_count: int = 0
    """For time limits; 0: not known."""


class Reads(StrEnum):
    """What a format looks at; the pipeline hands it no more, since decoding pages is most of the work."""

    PAGES = "pages"
    TEXT = "text"
    """The text alone: every page comes without elements."""
    TABLES = "tables"
    """Only the pages that have tables come."""


class ExportFormat(msgspec.Struct, frozen=True):
    """A result format by name."""

    name: str
    file_name: str
    """What appears in the result folder; a folder's name ends with "/"."""
    media_type: str
    write: Callable[[ExportJob], list[Path]]
    """Writes the format into `ExportJob.folder` and returns the files written."""
    reads: Reads = Reads.PAGES


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` at the end, or vanishes on an error."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def open_text(path: Path) -> IO[str]:
    """`path` opened to write UTF-8 with "\\n" line ends; what UTF-8 cannot hold (lone surrogates) becomes "?"."""
    return cast("IO[str]", path.open("w", encoding="utf-8", errors="replace", newline="\n"))
