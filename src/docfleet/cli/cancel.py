"""`docfleet cancel`: give documents up."""

from __future__ import annotations

from typing import Annotated

import typer

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, connect, find_batch, json_of_error, print_json
from docfleet.errors import Conflict, Gone, NotFound, UsageError


def cancel(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Documents.")] = None,
    batch: Annotated[str | None, typer.Option(help="Every document of this batch, by its id or name.")] = None,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give documents up that have not ended. What has ended stays as it is.

    [bold]Examples[/bold]

      docfleet cancel 0197c6a2f1e37b4c9d5e6f70

      docfleet cancel --batch march

    Exit codes: 0 cancelled, 1 some could not be, 2 wrong use.
    """
    if bool(ids) == (batch is not None):
        raise UsageError("Say which documents: their ids, or --batch.")
    with connect(to, key_file, ca_file) as client:
        if batch is not None:
            found = find_batch(client, batch).cancel()
            if as_json:
                print_json({"batch": found.facts})
            else:
                typer.echo(f"Cancelled what had not ended of {found.id}.")
            return
        done, refused = [], []
        for one in ids or ():
            try:
                done.append(client.document(one).cancel().facts)
            except (Conflict, Gone, NotFound) as error:
                refused.append({"id": one, **json_of_error(error)})
    if as_json:
        print_json({"documents": done, "refused": refused})
    else:
        for facts in done:
            typer.echo(f"{facts.id}  {facts.state}")
        for told in refused:
            typer.echo(f"{told['id']}  {told['message']}", err=True)
    if refused:
        raise typer.Exit(1)
