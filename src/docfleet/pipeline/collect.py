"""What the user named, as a list of files: files, folders (recursive), globs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from docfleet.domain.file_names import name_as_text, stored_path
from docfleet.errors import UsageError

IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
"""Left by operating systems in folders; nobody means to submit them. Hidden files are passed over as well."""


class SourceFile(msgspec.Struct, frozen=True):
    path: Path
    shown: str
    """As the user would name it: the path given, or the folder given and the way below it; always valid Unicode."""
    below: str = ""
    """The way below the folder given, or the file's own name: what may be told to others."""

    @property
    def key(self) -> str:
        """What the ledger knows the file by: its absolute path, links followed, as text."""
        return stored_path(resolved(self.path))


def resolved(path: Path) -> Path:
    """The path with links followed as far as they lead: one that leads in a circle stays as it is."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def collect(inputs: Sequence[str], exclude: Path | None = None) -> list[SourceFile]:
    """Every file that `inputs` name, each once, in a stable order.

    Folders are walked recursively; hidden files in them and everything below `exclude` (the output folder) are passed
    over, and links to folders are not followed; a folder that cannot be listed stands in the list itself. A file that
    is named itself is always taken. Raises `UsageError` for a name that matches nothing.
    """
    found: dict[Path, SourceFile] = {}
    for given in inputs:
        for source in _expand(given, resolved(exclude) if exclude else None):
            found.setdefault(resolved(source.path), source)
    return list(found.values())


def _expand(given: str, exclude: Path | None) -> Iterator[SourceFile]:
    if not given:
        # an empty shell variable must not mean the whole working directory
        raise UsageError("One of the inputs is an empty name.")
    path = Path(given).expanduser()
    if path.is_dir():
        yield from _walk(path, exclude)
    elif os.path.lexists(path):
        yield SourceFile(path, name_as_text(given), name_as_text(path.name))
    elif glob.has_magic(given):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UsageError(f"No file matches {name_as_text(given)}.")
        for match in matches:
            if Path(match).is_dir():
                yield from _walk(Path(match), exclude)
            else:
                yield SourceFile(Path(match), name_as_text(match), name_as_text(Path(match).name))
    else:
        raise UsageError(f"There is no file or folder {name_as_text(given)}.")


def _walk(folder: Path, exclude: Path | None) -> Iterator[SourceFile]:
    unlisted: list[str] = []
    for here, folders, files in os.walk(folder, onerror=lambda error: unlisted.append(error.filename)):
        folders[:] = sorted(
            name
            for name in folders
            if not _ignored(name) and (exclude is None or resolved(Path(here) / name) != exclude)
        )
        for name in sorted(files):
            if not _ignored(name):
                path = Path(here) / name
                yield SourceFile(path, name_as_text(str(path)), name_as_text(str(path.relative_to(folder))))
    # What cannot be listed is an input of its own, so that nobody takes its files for read.
    for name in unlisted:
        yield SourceFile(Path(name), name_as_text(name), name_as_text(Path(name).name))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED_NAMES
