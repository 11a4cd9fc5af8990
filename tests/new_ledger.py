"""A new ledger on SQLite for a test: migrations take a quarter of a second, so a process of tests runs them once."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from docfleet.ledger import Ledger


def new_ledger(path: Path) -> Path:
    """The path, where an empty ledger with its tables is now; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())
    return path


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory(prefix="dfnew-") as folder:
        path = Path(folder) / "ledger.db"
        Ledger.open(path).close()
        assert [file.name for file in path.parent.iterdir()] == [path.name], "the log is part of the file once closed"
        return path.read_bytes()
