"""`docfleet status`: how documents and batches in a service stand."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from docfleet.cli.connection import (
    STYLES,
    AsJson,
    CaFile,
    KeyFile,
    To,
    clock_time,
    connect,
    documents_table,
    find_batch,
    labels_of,
    pages_shown,
    print_json,
    show,
)
from docfleet.client import Batch, Client, Document, PageStatus
from docfleet.domain.file_names import printable
from docfleet.domain.work import DocumentState
from docfleet.errors import UsageError


def status(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Documents; without any the newest are listed.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="A batch, by its id or name, and its documents.")] = None,
    batches: Annotated[bool, typer.Option("--batches", help="List the newest batches.")] = False,
    state: Annotated[DocumentState | None, typer.Option(help="List documents in this state only.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="List documents with this label, name=value, only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many a listing shows.")] = 20,
    to: To = "",
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how documents and batches in a service stand.

    One document is shown with its pages: each page's state, engine, why that one, how sure.

    [bold]Examples[/bold]

      docfleet status

      docfleet status --batch march --state failed

      docfleet status 0197c6a2f1e37b4c9d5e6f70
    """
    labels_of(label)
    if ids and (batch or batches or state or label):
        raise UsageError("Say ids, or what to list.")
    with connect(to, key_file, ca_file) as client:
        if batches:
            _batches(list(islice(client.batches(), limit)), as_json)
        elif ids:
            _documents(client, ids, as_json)
        else:
            _listing(client, batch, {"state": state, "label": label}, limit, as_json)


def _documents(client: Client, ids: list[str], as_json: bool) -> None:
    documents = [client.document(one) for one in ids]
    if as_json:
        print_json({"documents": [{**_plain(one), "page_list": one.pages()} for one in documents]})
        return
    for document in documents:
        show(_one(document, document.pages()))


def _plain(document: Document) -> dict[str, Any]:
    return dict(msgspec.to_builtins(document.facts))


def _one(document: Document, pages: list[PageStatus]) -> Group:
    facts = document.facts
    lines = [
        Text.assemble(
            (printable(facts.name), "bold"), "  ", (facts.state, STYLES.get(facts.state, "cyan")), f"  {facts.id}"
        ),
        Text(
            f"{facts.media_type}, {facts.size_bytes:,} bytes, {facts.priority}"
            + f", submitted {clock_time(facts.created_at)}"
            + (f", finished {clock_time(facts.finished_at)}" if facts.finished_at else "")
            + (f", same as {facts.duplicate_of}" if facts.duplicate_of else ""),
            style="dim",
        ),
    ]
    if facts.code:
        lines.append(Text(f"{facts.code}: {printable(facts.message or '')}", style=STYLES.get(facts.state, "red")))
        if facts.remedy:
            lines.append(Text(f"  {facts.remedy}", style="dim"))
    return Group(*lines, *map(_page, pages))


def _page(page: PageStatus) -> Text:
    sure = f"  sure {page.confidence:.2f}" if page.confidence is not None else ""
    style = {"read": "green", "waiting": "dim", "running": "cyan"}.get(page.state, "red")
    return Text.assemble(
        (f"page {page.number:<4} ", "bold"), (page.state, style), f"  {page.engine or ''}{sure}",
        (f"  {printable(page.detail or '')}", "dim"),
    )  # fmt: skip


def _listing(client: Client, batch: str | None, filters: dict[str, Any], limit: int, as_json: bool) -> None:
    asked = {**filters, "limit": min(limit, 1000)}
    found = find_batch(client, batch) if batch else None
    documents = list(islice(found.documents(**asked) if found else client.documents(**asked), limit))
    if as_json:
        print_json({"batch": found.facts if found else None, "documents": [one.facts for one in documents]})
        return
    if found:
        show(_batch_line(found))
    show(documents_table(documents) if documents else "There is no such document.")


def _batch_line(batch: Batch) -> Text:
    facts = batch.facts
    counts = ", ".join(f"{count} {state}" for state, count in facts.documents.items() if count) or "no documents"
    how = "finished" if facts.finished_at else "sealed" if facts.sealed_at else "open"
    return Text.assemble(
        (printable(facts.name or "batch"), "bold"),
        f"  {how}  {facts.id}  {counts}, {pages_shown(facts.pages)} pages",
    )


def _batches(batches: list[Batch], as_json: bool) -> None:
    if as_json:
        print_json({"batches": [batch.facts for batch in batches]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "batch", "made", "stands", "documents", "pages"):
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "made"))
    for batch in batches:
        facts = batch.facts
        table.add_row(
            facts.id,
            printable(facts.name),
            clock_time(facts.created_at),
            "finished" if facts.finished_at else "sealed" if facts.sealed_at else "open",
            ", ".join(f"{count} {state}" for state, count in facts.documents.items() if count),
            pages_shown(facts.pages),
        )
    show(table if batches else "There is no batch.")
