"""A document written page by page, so that its length costs no memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from docfleet.documentai_format.paging import anchored
from docfleet.documentai_format.writing import page_json, text_json
from docfleet.domain.document import Page

DIGITS = 6
"""Decimals of the normalised coordinates and confidences we write: a thousandth of a point on an A4 page."""

_TEXT_IN_MEMORY = 1 << 20


class DocumentWriter:
    """Writes Document AI JSON: everything about the document, then its pages, then `text`.

    `target` is a path, which appears under its name only when `close` has succeeded, or a binary file, which is left
    open. Text waits in a temporary file once it is longer than a megabyte; pages are not kept at all. As a context
    manager it closes on success and discards on an exception. Raises OSError as files do, and ValueError after close.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[bytes], mime_type: str = "", uri: str = "") -> None:
        self._path = Path(target) if isinstance(target, (str, os.PathLike)) else None
        if self._path is not None:
            self._partial = self._path.with_name(f"{self._path.name}.partial")
            self._file: Any = self._partial.open("wb")
        else:
            self._file = target
        self._text = tempfile.SpooledTemporaryFile(max_size=_TEXT_IN_MEMORY)  # noqa: SIM115 (lives as long as this)
        self._offset = 0
        self._pages = 0
        self._closed = False
        heads = [(b'"uri":', uri), (b'"mimeType":', mime_type)]
        self._file.write(b"{" + b"".join(key + text_json(value) + b"," for key, value in heads if value) + b'"pages":[')

    @property
    def pages(self) -> int:
        """Pages written so far."""
        return self._pages

    @property
    def text_length(self) -> int:
        """Code points of text so far."""
        return self._offset

    def page(self, text: str, page: Page) -> None:
        """Adds one page, anchored in its own `text`."""
        if self._closed:
            raise ValueError("this document is closed")
        written = page_json(anchored(text, page), self._offset, DIGITS)
        self._file.write(b"," + written if self._pages else written)
        self._text.write(text_json(text)[1:-1])
        self._offset += len(text)
        self._pages += 1

    def close(self) -> None:
        """Writes the text and, where a path was given, puts the file under its name. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with self._text as text:
            text.seek(0)
            self._file.write(b'],"text":"')
            shutil.copyfileobj(text, self._file)
            self._file.write(b'"}')
        if self._path is not None:
            self._file.close()
            os.replace(self._partial, self._path)

    def discard(self) -> None:
        """Forgets the document: nothing appears under its name."""
        if self._closed:
            return
        self._closed = True
        self._text.close()
        if self._path is not None:
            self._file.close()
            self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
