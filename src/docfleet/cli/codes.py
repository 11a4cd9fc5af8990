"""`docfleet codes`: every outcome that is no success, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from docfleet.errors import document_error_codes


def codes(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the codes a document can fail with, what each means and what to do."""
    known = {
        code: {"message": (cls.__doc__ or "").strip(), "remedy": cls.remedy, "retryable": cls.retryable}
        for code, cls in document_error_codes().items()
    }
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(known), indent=1).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("code", style="cyan", no_wrap=True)
    table.add_column("what happened", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for code, facts in known.items():
        table.add_row(code, str(facts["message"]), str(facts["remedy"]))
    Console().print(table)
