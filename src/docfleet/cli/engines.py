"""`docfleet engines`: which engines are installed, and which of them start."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docfleet.engines.registry import EngineEntry, available
from docfleet.runtime import engine_options
from docfleet.settings import read_settings


def engines(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="How long one engine may take to start.")] = 30.0,
) -> None:
    """List the engines that are installed, and whether each can start here.

    Each is started in a process of its own, so that a broken one harms nobody. An engine of another package is found
    by its entry point in the group docfleet.engines.
    """
    options = engine_options(read_settings())
    rows = [_facts(entry) for entry in available(check=True, seconds=seconds, options=options).values()]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("engine", "version", "package", "state"):
        table.add_column(column, overflow="fold")
    for row in rows:
        state = Text("ready", style="green") if not row["error"] else Text(str(row["error"]), style="red")
        table.add_row(str(row["engine"]), str(row["version"]), str(row["package"]), state)
    Console().print(table)


def _facts(entry: EngineEntry) -> dict[str, str | float]:
    found = entry.capabilities
    return {
        "engine": entry.name,
        "version": found.version if found else "",
        "package": entry.package,
        "cost_per_page_usd": found.cost_per_page_usd if found else 0.0,
        "error": entry.error,
    }
