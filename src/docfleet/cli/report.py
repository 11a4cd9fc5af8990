"""`docfleet report`: reports as PDF, of a month, a batch, a document."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docfleet.cli.connection import (
    AsJson,
    CaFile,
    KeyFile,
    To,
    clock_time,
    connect,
    find_batch,
    print_json,
    show,
)
from docfleet.client.reports import Report
from docfleet.domain.file_names import printable
from docfleet.errors import NotFound

report = typer.Typer(
    help="Reports as PDF: the month for management, a batch, a document.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write.  \\[default: a name of its own]", show_default=False)
]


@report.command()
def month(
    month: Annotated[str | None, typer.Option(help="As in 2026-11, UTC.  \\[default: this month]")] = None,
    out: Out = None,
    by_hand_usd: Annotated[
        float | None, typer.Option(min=0.0, help="What a document costs by hand; 0: no comparison.")
    ] = None,
    by_hand_minutes: Annotated[float | None, typer.Option(min=0.0, help="Minutes to type a page by hand.")] = None,
    by_hand_hour: Annotated[float | None, typer.Option(min=0.0, help="What an hour of that costs, in USD.")] = None,
    investment: Annotated[float | None, typer.Option(min=0.0, help="Spent once, to be earned back, in USD.")] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep it in the service, too, for everybody to fetch, with what is said here."),
    ] = False,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
) -> None:
    """Make the monthly report for management.

    What is not said is assumed as the service is set; every assumption stands in the report.

    Example:  docfleet report month --month 2026-10 --by-hand-usd 0.75 --out october.pdf
    """
    with connect(to, key_file, ca_file) as client:
        wanted = month or datetime.now(UTC).strftime("%Y-%m")
        if keep:
            made = client.reports.make(
                wanted, by_hand_usd_per_document=by_hand_usd, by_hand_minutes_per_page=by_hand_minutes,
                by_hand_usd_per_hour=by_hand_hour, investment_usd=investment,
            )  # fmt: skip
            pdf = client.reports.fetch(made.id)
        else:
            pdf = client.reports.month(
                wanted, by_hand_usd_per_document=by_hand_usd, by_hand_minutes_per_page=by_hand_minutes,
                by_hand_usd_per_hour=by_hand_hour, investment_usd=investment,
            )  # fmt: skip
    _write(out or Path(f"docfleet-{wanted}.pdf"), pdf)


@report.command()
def batch(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Its id or name.")],
    out: Out = None,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
) -> None:
    """Make the report on a batch, as it stands.

    Example:  docfleet report batch march --out march.pdf
    """
    with connect(to, key_file, ca_file) as client:
        found = find_batch(client, batch)
        pdf = client.reports.batch(found.id)
    _write(out or Path(f"batch-{found.id[:12]}.pdf"), pdf)


@report.command()
def document(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the document.")],
    out: Out = None,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
) -> None:
    """Make the report on a document, as it stands: outcome, pages, fields, history, hashes."""
    with connect(to, key_file, ca_file) as client:
        pdf = client.reports.document(document_id)
    _write(out or Path(f"document-{document_id[:12]}.pdf"), pdf)


@report.command("list")
def list_reports(
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List the monthly reports that the service keeps, the newest month first."""
    with connect(to, key_file, ca_file) as client:
        found = list(islice(client.reports.list(), limit))
    if as_json:
        print_json({"reports": found})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "month", "state", "made", "size", "note"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "made"))
    for one in found:
        table.add_row(
            one.id, one.period, one.state, clock_time(one.made_at), f"{one.size_bytes:,}" if one.size_bytes else "",
            printable(_note(one)),
        )  # fmt: skip
    show(table if found else "There is no report.")


def _note(one: Report) -> str:
    if one.message:
        return f"{one.message} Tried {one.failures} times, next at {clock_time(one.next_try_at)}."
    return "" if one.complete else "made while the month was under way"


@report.command()
def fetch(
    which: Annotated[str, typer.Argument(metavar="ID|MONTH", help="Id of a kept report, or its month as in 2026-11.")],
    out: Out = None,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
) -> None:
    """Fetch a monthly report that the service keeps.

    Example:  docfleet report fetch 2026-10
    """
    with connect(to, key_file, ca_file) as client:
        if re.fullmatch(r"\d{4}-\d{2}", which):
            found = next((one for one in client.reports.list() if one.period == which), None)
            if found is None:
                raise NotFound(f"No report on {which} is kept.")
        else:
            found = client.reports.get(which)
        pdf = client.reports.fetch(found.id)
    _write(out or Path(f"docfleet-{found.period}.pdf"), pdf)


def _write(path: Path, pdf: bytes) -> None:
    """In one step, over an older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name[:100]}.part")
    half.write_bytes(pdf)
    half.replace(path)
    Console(stderr=True, highlight=False).print(Text(printable(f"{path}  {len(pdf):,} bytes")), soft_wrap=True)
