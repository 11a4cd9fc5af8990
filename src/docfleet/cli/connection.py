"""What every command that talks to a service shares: its options, the client, how documents are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docfleet.client import Batch, Client, Document
from docfleet.client.values import PageCounts
from docfleet.domain.file_names import printable
from docfleet.errors import DocfleetError, NotFound, UsageError

INTERRUPTED = 130
STYLES = {"succeeded": "green", "partial": "yellow", "failed": "red", "cancelled": "dim"}

To = Annotated[
    str,
    typer.Option(
        "--to", help="Address of the service, as in http://host:8080.  \\[default: that of a server run here]",
        envvar="DOCFLEET_URL", show_default=False,
    ),
]  # fmt: skip
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="Text file with the API key.  \\[default: DOCFLEET_API_KEY]")
]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", help="Certificates (PEM) to trust instead of the system's.", envvar="DOCFLEET_CA_FILE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")]


def connect(to: str, key_file: Path | None, ca_file: Path | None, *, retry_seconds: float = 10.0) -> Client:
    """A client of the service these options name. Raises `UsageError`."""
    return Client(to, read_key(key_file), ca_file=str(ca_file or ""), retry_seconds=retry_seconds)


def read_key(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The key file {path} cannot be read: {error}.") from error
    if not key:
        raise UsageError(f"The key file {path} is empty.")
    return key


def labels_of(given: Iterable[str] | None) -> dict[str, str]:
    """From `k=v` to labels. Raises `UsageError`."""
    labels: dict[str, str] = {}
    for pair in given or ():
        name, divider, value = pair.partition("=")
        if not divider or not name.strip():
            raise UsageError(f"The label {pair} is not written as name=value.")
        labels[name.strip()] = value.strip()
    return labels


def pages_of(given: str | None) -> list[int] | None:
    """From "1,3-5" to [1, 3, 4, 5]; None stays None. Raises `UsageError`."""
    if given is None:
        return None
    pages: set[int] = set()
    for part in given.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})(?:\s*-\s*(\d{1,7}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise UsageError(f"The pages {given} are not written as in 1,3-5.")
        pages.update(range(first, last + 1))
    return sorted(pages)


def find_batch(client: Client, given: str) -> Batch:
    """The batch of this id, else the newest of this name. Raises `NotFound`."""
    if re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", given):
        try:
            return client.batch(given)
        except NotFound:
            pass
    for batch in client.batches():
        if batch.facts.name == given:
            return batch
    raise NotFound(f"There is no batch {printable(given)}.")


def chosen(client: Client, ids: Iterable[str] | None, batch: str | None) -> Iterator[Document]:
    """The documents of these ids, or of this batch. Raises `UsageError` when neither or both are said."""
    named = list(ids or ())
    if bool(named) == (batch is not None):
        raise UsageError("Say which documents: their ids, or --batch.")
    if batch is not None:
        yield from find_batch(client, batch).documents(limit=1000)
    else:
        yield from map(client.document, named)


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value).decode())


def json_of_error(error: DocfleetError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def pages_shown(pages: PageCounts) -> str:
    """Pages read of all."""
    return "" if pages.total is None else f"{pages.read}/{pages.total}"


def clock_time(moment: datetime | None) -> str:
    """In the time zone of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def documents_table(documents: Iterable[Document]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "document", "state", "pages", "priority", "submitted", "why"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "state", "submitted"))
    for document in documents:
        facts = document.facts
        table.add_row(
            facts.id,
            printable(facts.name),
            Text(facts.state, style=STYLES.get(facts.state, "cyan")),
            pages_shown(facts.pages),
            facts.priority,
            clock_time(facts.created_at),
            printable(facts.code or ""),
        )
    return table


def show(renderable: Any) -> None:
    """Prints to standard output; into a pipe as wide as it takes, so that each row stays a line."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000
    console.print(renderable)
