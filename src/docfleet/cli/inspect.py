"""`docfleet inspect`: what was read, page by page, why that way, how sure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from docfleet.domain.file_names import printable
from docfleet.errors import UsageError
from docfleet.pipeline.outcome import OUTCOME_FILE, DocumentOutcome, PageOutcome

_EXCERPT_LINES = 12


def inspect(
    folder: Annotated[
        Path, typer.Argument(help="Result folder of one document, such as results/invoice-01.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print outcome.json as it is.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Show all of the text instead of its beginning.")] = False,
) -> None:
    """Show what was read in one document: each page's engine, why that one, how sure, and the text.

    [bold]Examples[/bold]

      docfleet inspect results/invoice-01

      docfleet inspect results/contract --text

      docfleet inspect results/contract --json
    """
    path = folder / OUTCOME_FILE
    if not path.is_file():
        raise UsageError(f"{folder} is not the result folder of a document: it has no {OUTCOME_FILE}.")
    data = path.read_bytes()
    if as_json:
        typer.echo(data.decode("utf-8", "replace"))
        return
    try:
        outcome = msgspec.json.decode(data, type=DocumentOutcome)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is not an outcome of this version: {error}") from error
    console = Console()
    console.print(_summary(outcome))
    console.print(_pages(outcome))
    excerpt = _text(folder, whole=text)
    if excerpt is not None:
        console.print(Panel(excerpt, title="text", title_align="left", border_style="dim"))


def _summary(outcome: DocumentOutcome) -> Group:
    colour = {"succeeded": "green", "partial": "yellow"}.get(outcome.outcome, "red")
    head = Text.assemble((printable(outcome.file), "bold"), "  ", (outcome.outcome, colour))
    facts = Text(
        f"{outcome.media_type}{', repaired' if outcome.repaired else ''}, {outcome.bytes:,} bytes, "
        f"{len(outcome.pages)} page(s), "
        f"confidence {outcome.confidence:.2f}, {outcome.seconds:.2f} s, ${outcome.cost_usd:.4f}",
        style="dim",
    )
    parts = [head, facts]
    if outcome.message:
        parts.append(Text(printable(outcome.message), style=colour))
    return Group(*parts)


def _pages(outcome: DocumentOutcome) -> Group:
    """Two lines a page: the facts, and why it was read that way."""
    return Group(
        *(
            line
            for page in outcome.pages
            for line in (_facts(page), Text(f"          {printable(page.detail)}", style="dim"))
        )
    )


def _facts(page: PageOutcome) -> Text:
    number = f"page {page.page:<4} "
    if page.outcome != "read":
        return Text.assemble((number, "bold"), (f"{page.engine}  {page.outcome}", "red"), "  not read in full")
    facts = [f"sure {page.confidence:.2f}", f"{page.characters} characters"]
    if page.tables:
        facts.append(f"{page.tables} table{'s' if page.tables > 1 else ''}")
    if page.languages:
        facts.append(" ".join(page.languages))
    if page.orientation not in ("", "PAGE_UP", "ORIENTATION_UNSPECIFIED"):
        facts.append(page.orientation.removeprefix("PAGE_").lower())
    if page.quality is not None:
        facts.append(f"image quality {page.quality:.2f}")
    facts += [f"{page.seconds:.2f} s", f"${page.cost_usd:.4f}"]
    return Text.assemble((number, "bold"), (page.engine, "cyan"), "  " + "  ".join(facts))


def _text(folder: Path, *, whole: bool) -> Text | None:
    path = folder / "document.txt"
    if not path.is_file():
        return None
    lines = [printable(line) for line in path.read_text(encoding="utf-8").replace("\f", "\n").splitlines()]
    if whole or len(lines) <= _EXCERPT_LINES:
        return Text("\n".join(lines))
    return Text("\n".join(lines[:_EXCERPT_LINES]) + f"\n… {len(lines) - _EXCERPT_LINES} more lines; --text shows all")
