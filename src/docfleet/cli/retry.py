"""`docfleet retry`: try documents again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from docfleet.cli.connection import (
    AsJson,
    CaFile,
    KeyFile,
    To,
    chosen,
    connect,
    json_of_error,
    pages_of,
    print_json,
)
from docfleet.cli.passwords import PasswordFile, read_passwords
from docfleet.client import DocumentFacts
from docfleet.errors import Conflict, DocfleetError, UsageError

_MAY_BE_RETRIED = frozenset({"partial", "failed"})


def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Documents.")] = None,
    batch: Annotated[
        str | None, typer.Option(help="Every failed or partial document of this batch, by its id or name.")
    ] = None,
    pages: Annotated[str | None, typer.Option(help="Only these pages, as in 1,3-5, of one document.")] = None,
    password_file: PasswordFile = None,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Try documents again that failed or were cancelled; pages that were read stay read.

    [bold]Examples[/bold]

      docfleet retry 0197c6a2f1e37b4c9d5e6f70 --pages 2,5-7

      docfleet retry --batch march

    Exit codes: 0 all are tried again, 1 some cannot be, 2 wrong use.
    """
    wanted, passwords = pages_of(pages), read_passwords(password_file)
    if wanted is not None and len(ids or ()) != 1:
        raise UsageError("--pages is about one document.")
    done, refused = [], []
    with connect(to, key_file, ca_file) as client:
        for document in chosen(client, ids, batch):
            if batch is not None and document.state not in _MAY_BE_RETRIED:
                continue
            try:
                done.append(document.retry(wanted, password=passwords).facts)
            except Conflict as error:
                refused.append((document.id, error))
    _tell(done, refused, as_json)


def _tell(done: list[DocumentFacts], refused: Sequence[tuple[str, DocfleetError]], as_json: bool) -> None:
    if as_json:
        print_json({"documents": done, "refused": [{"id": one, **json_of_error(error)} for one, error in refused]})
    else:
        typer.echo(f"{len(done)} tried again.")
        for one, error in refused:
            typer.echo(f"{one}  {error.message}", err=True)
    if refused:
        raise typer.Exit(1)
