"""`docfleet process`: documents in, trusted results out."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from docfleet.cli.passwords import PasswordFile, read_passwords
from docfleet.cli.progress import display
from docfleet.cli.wording import counted
from docfleet.domain.cascade import CLOUD_ENGINES
from docfleet.domain.file_names import name_as_text, printable
from docfleet.engines.registry import available
from docfleet.errors import UsageError
from docfleet.exports.registry import EXPORTS, choose_exports
from docfleet.ledger import IndexRow as LedgerRow
from docfleet.ledger import Ledger
from docfleet.pipeline.collect import collect
from docfleet.pipeline.outcome import IndexRow, write_index
from docfleet.reports.batch import write_batch_report
from docfleet.settings import Settings, read_settings
from docfleet.telemetry import shown_level
from docfleet.worker.batch import BATCH_KEY, BatchEnd, BatchRun, worker_count
from docfleet.worker.results import PENDING, RunFacts, index_rows, report_of
from docfleet.worker.steps import LEDGER_FILE

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells count it: 128 + SIGINT."""
_SHOWN_FAILURES = 10
_SAME_SIGNAL_SECONDS = 0.5
"""Supervisors signal a process and then its group: within this time that is one order to stop, not two."""
_SHOW_CURSOR = "\x1b[?25h"


def process(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders (read recursively), globs or zip archives.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)],
    formats: Annotated[
        str | None, typer.Option(help=f"Result formats, of {', '.join(EXPORTS)}.  \\[default: json, md, txt, pdf, csv]")
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Languages to expect, as in en,de.  \\[default: found out]")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Engine for pages without a sound text layer.  \\[default: rapidocr]")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="auto decides page by page, ocr reads all pixels, text takes text layers only.  \\[default: auto]"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Worker processes.  \\[default: one for each core]")
    ] = None,
    escalate: Annotated[
        str | None,
        typer.Option(metavar="ENGINE", help="Cloud engine for pages read too poorly here, as in documentai."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option(min=0, help="Most this run may spend on a cloud engine.  \\[default: no limit]")
    ] = None,
    password_file: PasswordFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the documents again that failed in an earlier run.")
    ] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.pdf.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON summary for machines, and nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
) -> None:
    """Read documents and write text, searchable PDFs and structured data for each of them.

    Each document gets a folder in --out; index.csv and index.json list every input with its outcome, report.pdf
    sums the batch up. The same command continues where it stopped, after Ctrl-C as after a crash: what was read is
    not read again.

    [bold]Examples[/bold]

      docfleet process samples/ --out results/

      docfleet process inbox/ scan.tif '*.pdf' --out results/ --formats json,pdf --languages en,de

      docfleet process sealed.pdf --out results/ --password-file pw.txt

      docfleet process inbox/ --out results/ --retry-failed

      docfleet process inbox/ --out results/ --escalate documentai --max-usd 5

    Exit codes: 0 all read, 1 some documents failed, 2 wrong use, 130 interrupted.
    """
    settings = _settings(formats, languages, engine, mode, workers, report, escalate, max_usd)
    passwords = read_passwords(password_file)
    files = collect(inputs, exclude=out)
    if not files:
        raise UsageError(f"There is no file to read in {name_as_text(', '.join(inputs))}.")
    console = Console(stderr=True, highlight=False)
    run = BatchRun(settings, files, out, passwords, retry_failed=retry_failed, log_level=shown_level())
    started = datetime.now(UTC)
    with _ctrl_c() as stop, display(console, silent=as_json or quiet) as shown:
        end = run.run(shown.show, stop)
    rows, mine = _write_summary(settings, out, started, end)
    if as_json:
        typer.echo(msgspec.json.encode(_summary(mine, end, out)).decode())
    else:
        _tell(console, rows, mine, end, out, quiet=quiet, report=settings.output.report and not end.interrupted)
    if end.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(row.outcome != "succeeded" for row in mine):
        raise typer.Exit(1)


def _settings(
    formats: str | None,
    languages: str | None,
    engine: str | None,
    mode: str | None,
    workers: int | None,
    report: bool,
    escalate: str | None,
    max_usd: float | None,
) -> Settings:
    if escalate is None and engine is not None and engine not in CLOUD_ENGINES:
        # who names a local engine wants that one
        escalate = ""
    settings = read_settings(
        reading={"languages": languages, "engine": engine, "mode": mode},
        work={"workers": workers},
        output={"formats": formats, "report": None if report else False},
        cascade={"cloud_engine": escalate},
        money={"run_limit_usd": max_usd},
    )
    choose_exports(settings.output.formats)
    if settings.reading.engine not in available():
        raise UsageError(
            f"There is no engine {settings.reading.engine}; installed are: {', '.join(sorted(available()))}."
        )
    cloud = settings.cascade.cloud_engine
    if cloud and (cloud not in CLOUD_ENGINES or cloud not in available()):
        raise UsageError(f"There is no cloud engine {cloud}; there are: {', '.join(sorted(CLOUD_ENGINES))}.")
    return settings


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second Ctrl-C ends the program at once."""
    stop = threading.Event()

    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif time.monotonic() - first > _SAME_SIGNAL_SECONDS:
            # Threads may be deep in native code that takes badly to an orderly exit; the ledger stands any end.
            if sys.stderr.isatty():
                sys.stderr.write(_SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(INTERRUPTED)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_summary(
    settings: Settings, out: Path, started: datetime, end: BatchEnd
) -> tuple[list[IndexRow], list[IndexRow]]:
    """Writes the index and the report; returns all rows, and those this run was asked for."""
    with Ledger.open(out / "ledger" / LEDGER_FILE) as ledger:
        batch_id = ledger.find_batch(BATCH_KEY)
        ledger_rows: list[LedgerRow] = list(ledger.rows_for_index(batch_id)) if batch_id else []
        rows = index_rows(ledger_rows)
        write_index(rows, out)
        if settings.output.report and not end.interrupted:
            own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
            facts = RunFacts(
                title=out.resolve().name or "documents",
                command=name_as_text(shlex.join(["docfleet", *sys.argv[1:]])),
                started=started,
                seconds=end.seconds,
                cpu_seconds=cpu,
                workers=worker_count(settings),
                engine=settings.reading.engine,
            )
            write_batch_report(report_of(ledger, ledger_rows, rows, facts), out / "report.pdf")
    mine = [told for told, row in zip(rows, ledger_rows, strict=True) if row.path in end.paths]
    return rows, mine


def _summary(mine: Sequence[IndexRow], end: BatchEnd, out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "interrupted": end.interrupted,
        "seconds": round(end.seconds, 3),
        "spent_usd": end.spent_usd,
        "outcomes": dict(Counter(row.outcome for row in mine)),
        "documents": mine,
    }


def _tell(
    console: Console,
    rows: Sequence[IndexRow],
    mine: Sequence[IndexRow],
    end: BatchEnd,
    out: Path,
    *,
    quiet: bool,
    report: bool,
) -> None:
    failed = [row for row in mine if row.outcome not in ("succeeded", PENDING)]
    for row in failed[:_SHOWN_FAILURES]:
        style = "yellow" if row.outcome == "partial" else "red"
        line = Text.assemble(
            (f"{row.outcome:9} ", style), (printable(row.file), "bold"), f"  {row.code}: {printable(row.message)}"
        )
        console.print(line, soft_wrap=True)
        if row.remedy:
            console.print(Text(f"          {row.remedy}", style="dim"), soft_wrap=True)
    if len(failed) > _SHOWN_FAILURES:
        console.print(f"          … and {len(failed) - _SHOWN_FAILURES} more; see {out / 'index.csv'}", style="dim")
    if quiet:
        return
    counts = Counter(row.outcome for row in mine)
    pages = sum(row.pages for row in mine if not row.duplicate_of)
    said = ", ".join(f"{counts[name]} {name}" for name in ("succeeded", "partial", "failed", PENDING) if counts[name])
    console.print(f"{counted(len(mine), 'input')} ({said}), {counted(pages, 'page')} in {end.seconds:.1f} s")
    if end.spent_usd:
        console.print(f"Spent on a cloud engine in this run: {end.spent_usd:.4f} USD at list prices.")
    if end.interrupted:
        console.print("Interrupted. The same command continues where it stopped.", style="yellow")
    elif len(rows) > len(mine):
        console.print(f"The index also lists {counted(len(rows) - len(mine), 'input')} of earlier runs.", style="dim")
    places = f"Results: {out}/   index: {out / 'index.csv'}" + (f"   report: {out / 'report.pdf'}" if report else "")
    console.print(Text(printable(places)), soft_wrap=True)
