"""`docfleet dead-letters`: what was given up, and what is to become of it."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer
from rich.table import Table

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, clock_time, connect, print_json, show
from docfleet.domain.file_names import printable
from docfleet.errors import UsageError

dead_letters = typer.Typer(
    help="What was given up after it failed too often, and what is to become of it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Code = Annotated[str | None, typer.Option(help="Only those with this outcome code.")]
Step = Annotated[str | None, typer.Option(help="Only those of this step: plan, local, cloud or assemble.")]
DocumentId = Annotated[str | None, typer.Option("--document", help="Only those of this document, by its id.")]
All = Annotated[bool, typer.Option("--all", help="All of them; needed when nothing else is said.")]


@dead_letters.command("list")
def list_letters(
    code: Code = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters with their cause, the newest first."""
    with connect(to, key_file, ca_file) as client:
        found = list(islice(client.dead_letters.list(code), limit))
    if as_json:
        print_json({"dead_letters": found})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("document", "name", "pages", "step", "code", "since", "cause"):
        table.add_column(column, overflow="fold", no_wrap=column in ("document", "since"))
    for one in found:
        pages = f"{one.first_page}-{one.last_page}" if one.first_page else "all"
        cause = printable(" ".join(part for part in (one.message, one.detail) if part))
        table.add_row(
            one.document_id, printable(one.document_name), pages, one.step, one.code, clock_time(one.at), cause
        )
    show(table if found else "There is no dead letter.")


@dead_letters.command()
def groups(to: To = "", key_file: KeyFile = None, ca_file: CaFile = None, as_json: AsJson = False) -> None:
    """Count dead letters by cause."""
    with connect(to, key_file, ca_file) as client:
        found = client.dead_letters.groups()
    if as_json:
        print_json({"groups": found})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("count", "documents", "code", "step", "oldest", "newest", "for example"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(
            str(one.count), str(one.documents), one.code, one.step, clock_time(one.oldest_at),
            clock_time(one.newest_at), printable(one.example_message),
        )  # fmt: skip
    show(table if found else "There is no dead letter.")


@dead_letters.command()
def retry(
    code: Code = None,
    step: Step = None,
    document: DocumentId = None,
    everything: All = False,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Try dead letters again: those that fit all that is said."""
    _check(code, step, document, everything)
    with connect(to, key_file, ca_file) as client:
        count = client.dead_letters.retry(code=code, step=step, document_id=document, all=everything)
    _tell(count, "tried again", as_json)


@dead_letters.command()
def discard(
    code: Code = None,
    step: Step = None,
    document: DocumentId = None,
    everything: All = False,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Take dead letters off the list for good; their documents stay as they ended."""
    _check(code, step, document, everything)
    with connect(to, key_file, ca_file) as client:
        count = client.dead_letters.discard(code=code, step=step, document_id=document, all=everything)
    _tell(count, "discarded", as_json)


def _check(code: str | None, step: str | None, document: str | None, everything: bool) -> None:
    if everything == bool(code or step or document):
        raise UsageError("Say which: --code, --step, --document, or --all.")


def _tell(count: int, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"count": count})
    else:
        typer.echo(f"{count} {what}.")
