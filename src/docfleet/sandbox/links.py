"""Plain names for files whose own name is no UTF-8.

Neither the wire nor qpdf's and PDFium's openers take such names; a symbolic link beside them does.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from docfleet.domain.file_names import is_text


class Links:
    """Symbolic links in a temporary folder, made when the first is needed, gone with `drop`."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._made: dict[str, str] = {}

    def reach(self, path: str | Path) -> str:
        """The absolute path, or that of a link to it when its name is no UTF-8."""
        absolute = os.path.abspath(path)
        if is_text(absolute):
            return absolute
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="docfleet-")
        if absolute not in self._made:
            link = os.path.join(self._folder.name, f"{len(self._made)}{_text_suffix(absolute)}")
            os.symlink(absolute, link)
            self._made[absolute] = link
        return self._made[absolute]

    def drop(self) -> None:
        """Removes the links."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None
        self._made.clear()


def _text_suffix(path: str) -> str:
    suffix = os.path.splitext(path)[1]
    return suffix if is_text(suffix) else ""
