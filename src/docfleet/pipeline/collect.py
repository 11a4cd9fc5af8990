"""What the user named, as a list of files: files, folders (recursive), globs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from docfleet.errors import UsageError

IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
"""Left by operating systems in folders; nobody means to submit them. Hidden files are passed over as well."""


class SourceFile(msgspec.Struct, frozen=True):
    path: Path
    shown: str
    """As the user would name it: the path given, or the folder given and the way below it."""


def collect(inputs: Sequence[str], exclude: Path | None = None) -> list[SourceFile]:
    """Every file that `inputs` name, each once, in a stable order.

    Folders are walked recursively; hidden files in them and everything below `exclude` (the output folder) are passed
    over. A file that is named itself is always taken. Raises `UsageError` for a name that matches nothing.
    """
    found: dict[Path, SourceFile] = {}
    for given in inputs:
        for source in _expand(given, exclude.resolve() if exclude else None):
            found.setdefault(source.path.resolve(), source)
    return list(found.values())


def _expand(given: str, exclude: Path | None) -> Iterator[SourceFile]:
    path = Path(given).expanduser()
    if path.is_dir():
        yield from _walk(path, exclude)
    elif os.path.lexists(path):
        yield SourceFile(path, given)
    elif glob.has_magic(given):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UsageError(f"No file matches {given}.")
        for match in matches:
            if Path(match).is_dir():
                yield from _walk(Path(match), exclude)
            else:
                yield SourceFile(Path(match), match)
    else:
        raise UsageError(f"There is no file or folder {given}.")


def _walk(folder: Path, exclude: Path | None) -> Iterator[SourceFile]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not _ignored(name) and (exclude is None or (Path(here) / name).resolve() != exclude)
        )
        for name in sorted(files):
            if not _ignored(name):
                path = Path(here) / name
                yield SourceFile(path, str(path))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name in IGNORED_NAMES
