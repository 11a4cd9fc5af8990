"""`--password-file`, of whichever command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docfleet.errors import UsageError

PasswordFile = Annotated[
    Path | None, typer.Option(help="Text file with one password a line, tried in turn on encrypted documents.")
]


def read_passwords(path: Path | None) -> list[str]:
    """Raises `UsageError` for a file that cannot be read."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The password file {path} cannot be read: {error}.") from error
    return [line for line in text.splitlines() if line]
