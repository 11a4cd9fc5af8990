"""`docfleet fetch`: results of documents in a service into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from docfleet.cli.connection import AsJson, CaFile, KeyFile, To, chosen, connect, print_json
from docfleet.cli.fetching import (
    Folders,
    add_to_index,
    clean_drafts,
    fetch,
    fetch_original,
    folders_given,
    remember_folders,
    row_of,
    wanted_folder,
)
from docfleet.client import Client, Document
from docfleet.client.parallel import in_parallel
from docfleet.domain.file_names import printable
from docfleet.pipeline.outcome import IndexRow


def fetch_results(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Documents.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("results"),
    batch: Annotated[str | None, typer.Option(help="Every document of this batch, by its id or name.")] = None,
    formats: Annotated[
        str | None, typer.Option(help="Result formats, as in json,md.  \\[default: all there are]")
    ] = None,
    original: Annotated[bool, typer.Option("--original", help="The submitted file too, as original.pdf.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every document has ended.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Downloads at a time.")] = 4,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Fetch results into a folder: a folder for each document, index.csv and index.json.

    What is there already is not fetched again; a download that broke off goes on where it was.

    [bold]Examples[/bold]

      docfleet fetch 0197c6a2f1e37b4c9d5e6f70 --out results/

      docfleet fetch --batch march --out results/ --formats json,pdf --wait

    Exit codes: 0 all are there, 1 some failed or have not ended, 2 wrong use or no service.
    """
    wanted = [part.strip() for part in formats.split(",") if part.strip()] if formats else None
    with connect(to, key_file, ca_file) as client:
        documents = list(chosen(client, ids, batch))
        out.mkdir(parents=True, exist_ok=True)
        # the oldest first, so that names that clash are given out in the order of submission
        documents.sort(key=lambda document: document.id)
        folders = Folders(out, folders_given(out))
        places = {document.id: folders.give(wanted_folder(document), document.id) for document in documents}

        def take(document: Document) -> IndexRow:
            fetched = document.is_finished and fetch(document, out, places[document.id], wanted)
            if original:
                fetch_original(document, out / places[document.id])
            return row_of(document, document.name, places[document.id], fetched=fetched)

        remember_folders(places, out)
        rows = list(in_parallel(take, _ended(client, documents, wait=wait), concurrency))
        clean_drafts(out)
        add_to_index(rows, out, list(places.values()))
    if as_json:
        print_json({"out": str(out), "documents": rows})
    else:
        console = Console(stderr=True, highlight=False)
        for row in rows:
            if row.outcome != "succeeded":
                console.print(Text(printable(_why(row))), soft_wrap=True)
        console.print(Text(printable(f"{sum(bool(row.folder) for row in rows)} of {len(rows)} fetched: {out}/")))
    if any(row.outcome != "succeeded" for row in rows):
        raise typer.Exit(1)


def _why(row: IndexRow) -> str:
    said = f"{row.outcome:9} {row.file}"
    return f"{said}  {row.code}: {row.message}" if row.code else said


def _ended(client: Client, documents: list[Document], *, wait: bool) -> Iterator[Document]:
    return client.as_finished(documents) if wait else iter(documents)
