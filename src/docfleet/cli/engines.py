"""`docfleet engines`: which engines are installed, and which of them start."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from docfleet.engines.registry import available, load
from docfleet.errors import DocfleetError


def engines(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the engines that are installed, and whether each can start here.

    An engine of another package is found by its entry point in the group [cyan]docfleet.engines[/cyan].
    """
    rows = [_facts(name) for name in sorted(available())]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("engine", "version", "state", "cost per page"):
        table.add_column(column)
    for row in rows:
        table.add_row(str(row["engine"]), str(row["version"]), str(row["state"]), f"${row['cost_per_page_usd']:.4f}")
    Console().print(table)


def _facts(name: str) -> dict[str, str | float]:
    try:
        engine = load(name, {})
    except DocfleetError as error:
        return {"engine": name, "version": "", "state": error.message, "cost_per_page_usd": 0.0}
    try:
        facts = engine.capabilities
        return {
            "engine": name,
            "version": facts.version,
            "state": "ready",
            "cost_per_page_usd": facts.cost_per_page_usd,
        }
    finally:
        engine.close()
