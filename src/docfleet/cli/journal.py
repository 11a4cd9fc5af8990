"""What `docfleet submit` remembers between runs, so that the same command goes on instead of beginning anew.

One JSON line for each batch opened and each document accepted. Without it nothing is lost: a document is sent under an
Idempotency-Key made from its content, name and batch, and the same bytes are not read twice.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import msgspec

JOURNAL_FILE = ".docfleet-submitted.jsonl"
_KEPT_SECONDS = 7 * 86_400.0
"""How long what was submitted without --out is remembered."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    batch: str = ""
    """Name of the batch, in the line of a batch."""
    batch_id: str = ""
    sealed: bool = False
    key: str = ""
    """Of a document: what `document_key` makes."""
    document_id: str = ""
    name: str = ""
    folder: str = ""
    at: float = 0.0


class Journal:
    """Lines are appended at once, from any thread; one that was torn by a crash is passed over."""

    def __init__(self, path: Path | None, kept_seconds: float | None = None) -> None:
        """`path` None: remember nothing beyond this run."""
        self._path = path
        self._lock = threading.Lock()
        self._is_first_write = path is not None and path.exists()
        self._batches: dict[str, Line] = {}
        self._documents: dict[str, Line] = {}
        self._folders: dict[str, str] = {}
        for line in _lines_in(path) if path else ():
            if kept_seconds is None or line.at > time.time() - kept_seconds:
                self._take(line)

    def batch(self, name: str) -> str | None:
        """Id of the open batch of this name."""
        line = self._batches.get(name)
        return line.batch_id if line is not None and not line.sealed else None

    def document(self, key: str) -> Line | None:
        return self._documents.get(key)

    def folders(self) -> dict[str, str]:
        """Result folders that are given away: folder name with case folded -> name of the input."""
        return dict(self._folders)

    def note_batch(self, name: str, batch_id: str, *, sealed: bool = False) -> None:
        self._write(Line(batch=name, batch_id=batch_id, sealed=sealed, at=time.time()))

    def note_document(self, key: str, document_id: str, batch_id: str, name: str, folder: str) -> None:
        line = Line(key=key, document_id=document_id, batch_id=batch_id, name=name, folder=folder, at=time.time())
        self._write(line)

    def _write(self, line: Line) -> None:
        with self._lock:
            self._take(line)
            if self._path is not None:
                with self._path.open("ab") as file:
                    # a crash may have torn the line before: this one begins on its own
                    file.write((b"\n" if self._is_first_write else b"") + msgspec.json.encode(line) + b"\n")
                self._is_first_write = False

    def _take(self, line: Line) -> None:
        if line.key:
            self._documents[line.key] = line
            if line.folder:
                self._folders[line.folder.casefold()] = line.name
        elif line.batch_id:
            self._batches[line.batch] = line


def _lines_in(path: Path) -> list[Line]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for text in data.splitlines():
        try:
            lines.append(msgspec.json.decode(text, type=Line))
        except msgspec.MsgspecError:
            continue
    return lines


def open_journal(out: Path | None, url: str) -> Journal:
    """In the output folder; without one, in the user's state folder, for a week. Raises `OSError`."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        return Journal(out / f"{JOURNAL_FILE[:-6]}-{_short(url)}.jsonl")
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(home) / "docfleet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Journal(None)  # nowhere to remember: Idempotency-Keys do it for a day
    return Journal(folder / f"submitted-{_short(url)}.jsonl", _KEPT_SECONDS)


def document_key(sha256: str, name: str, batch: str, options: object) -> str:
    """The same for the same bytes under the same name in the same batch, read the same way."""
    said = msgspec.json.encode((sha256, name, batch, options), order="sorted")
    return hashlib.sha256(said).hexdigest()[:40]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
