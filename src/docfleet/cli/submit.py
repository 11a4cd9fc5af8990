"""`docfleet submit`: documents to a service, and their results back."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from docfleet.cli.connection import INTERRUPTED, AsJson, CaFile, KeyFile, To, connect, labels_of, print_json
from docfleet.cli.gathering import gather
from docfleet.cli.journal import open_journal
from docfleet.cli.passwords import PasswordFile, read_passwords
from docfleet.cli.sending import Sending
from docfleet.cli.transfer import Transfer
from docfleet.cli.wording import counted
from docfleet.client import Client
from docfleet.domain.features import ALL_FEATURES
from docfleet.domain.file_names import name_as_text, printable
from docfleet.domain.urgency import Urgency
from docfleet.errors import UsageError
from docfleet.pipeline.outcome import IndexRow

_SHOWN_FAILURES = 10
_RETRY_SECONDS = 300.0
"""A long upload is not given up for a restart of the service."""


def submit(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders (read recursively), globs or zip archives.", show_default=False)
    ],
    to: To = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every document has ended.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Fetch the results into this folder; waits.")] = None,
    priority: Annotated[
        Urgency | None, typer.Option(help="critical, high, normal or bulk.  \\[default: normal]")
    ] = None,
    batch: Annotated[str, typer.Option(help="Name of the batch.  \\[default: that of the input]")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="A label, name=value, for every document; may be repeated.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Wanted by then: minutes from now, as in 30, or 2026-03-14T12:00:00Z.")
    ] = None,
    formats: Annotated[
        str | None, typer.Option(help="Result formats, as in json,md.  \\[default: those of the service]")
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Languages to expect, as in en,de.  \\[default: found out]")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="auto decides page by page, ocr reads all pixels, text takes text layers only."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine for pages without a sound text layer.")] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What to look for beside the text: {', '.join(ALL_FEATURES)}, or none; may be repeated.  "
            "\\[default: all]"
        ),
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Take results of the same bytes that were read before.")
    ] = True,
    password_file: PasswordFile = None,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Uploads and downloads at a time.")] = 4,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show failures only.")] = False,
) -> None:
    """Submit documents to a service; wait for them; fetch their results.

    The same command goes on where it stopped: what was accepted is not sent again, and results that are there are not
    fetched again. Ctrl-C while waiting stops the waiting and not the work. The API key is read from DOCFLEET_API_KEY,
    from --key-file, or, for a server run from here, from its data folder.

    [bold]Examples[/bold]

      docfleet submit inbox/ --to http://127.0.0.1:8080 --out results/

      docfleet submit scan.tif --wait --priority critical --label customer=4711

      docfleet submit inbox/ --batch march --formats json,pdf

    Exit codes: 0 all accepted (with --wait or --out: all read), 1 some refused or failed, 2 wrong use or no service,
    130 interrupted.
    """
    if out is not None and (out / "ledger").is_dir():
        raise UsageError(f"{out} is an output folder of docfleet process; choose another for the service's results.")
    labels = labels_of(label)
    passwords = read_passwords(password_file)
    options = _options(priority, deadline, formats, languages, mode, engine, feature, reuse)
    console = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    with (
        connect(to, key_file, ca_file, retry_seconds=_RETRY_SECONDS) as client,
        tempfile.TemporaryDirectory(prefix="docfleet-submit-") as unpacked,
    ):
        client.me()  # a wrong address or key is told before anything is hashed
        items = list(gather(inputs, Path(unpacked), out, passwords))
        if not items:
            raise UsageError(f"There is no file to submit in {name_as_text(', '.join(inputs))}.")
        sending = Sending(
            client,
            open_journal(out, client.url),
            items,
            batch=batch or _batch_name(inputs),
            labels=labels,
            options=options,
            passwords=passwords,
            out=out,
            concurrency=concurrency,
        )
        waits = wait or out is not None
        try:
            _run(sending, console, options["formats"], waits=waits, silent=as_json or quiet)
        except KeyboardInterrupt:
            sending.stop.set()
            sending.write_index()
            shutil.rmtree(unpacked, ignore_errors=True)
            _end_interrupted(sending, console, out, as_json=as_json)
        sending.write_index()
    rows = sending.rows()
    if as_json:
        print_json(_summary(sending, rows, time.monotonic() - started, interrupted=False))
    else:
        _tell(console, client, sending, rows, time.monotonic() - started, out, waits=waits, quiet=quiet)
    if any(row.outcome in ("failed", "partial", "cancelled") for row in rows):
        raise typer.Exit(1)


def _options(
    priority: Urgency | None,
    deadline: str | None,
    formats: str | None,
    languages: str | None,
    mode: str | None,
    engine: str | None,
    feature: list[str] | None,
    reuse: bool,
) -> dict[str, Any]:
    return {
        "priority": str(priority) if priority else None,
        "deadline": _deadline(deadline),
        "formats": _names(formats),
        "languages": _names(languages),
        "mode": mode,
        "engine": engine,
        "features": feature or None,
        "reuse": reuse,
    }


def _names(given: str | None) -> list[str] | None:
    return [part.strip() for part in given.split(",") if part.strip()] if given else None


def _deadline(given: str | None) -> datetime | None:
    if given is None:
        return None
    if given.isdecimal():
        return datetime.now(UTC) + timedelta(minutes=int(given))
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"The deadline {given} is neither minutes nor a time like 2026-03-14T12:00:00Z.") from error
    return moment if moment.tzinfo else moment.astimezone()


def _batch_name(inputs: Sequence[str]) -> str:
    return name_as_text(Path(inputs[0]).resolve().name)[:200] or "documents"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run(sending: Sending, console: Console, formats: list[str] | None, *, waits: bool, silent: bool) -> None:
    to_send = sending.to_send
    size = sum(item.size_bytes for item in to_send)
    with Transfer(console, len(to_send), size, silent=silent, wait=waits) as shown:
        sending.send(shown)
        if waits:
            for _ in sending.wait(shown, formats):
                pass


def _end_interrupted(sending: Sending, console: Console, out: Path | None, *, as_json: bool) -> NoReturn:
    """Says how to go on, and ends at once: what is being sent must not hold up who has had enough."""
    rows = sending.rows()
    if as_json:
        print_json(_summary(sending, rows, 0.0, interrupted=True))
    else:
        again = printable(name_as_text(shlex.join(["docfleet", *sys.argv[1:]])))
        console.print(
            f"Interrupted. What was accepted ({len(rows)} of {len(sending.items)}) is being read all the same.",
            style="yellow",
        )
        console.print(Text(f"Go on with the same command: {again}"), soft_wrap=True)
        if sending.batch_id:
            console.print(Text(f"Or look: docfleet status --batch {sending.batch_id}"), soft_wrap=True)
            console.print(
                Text(f"Or fetch: docfleet fetch --batch {sending.batch_id} --out {out or 'results'}"), soft_wrap=True
            )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _summary(sending: Sending, rows: Sequence[IndexRow], seconds: float, *, interrupted: bool) -> dict[str, Any]:
    return {
        "batch": sending.batch_id,
        "interrupted": interrupted,
        "seconds": round(seconds, 3),
        "outcomes": dict(Counter(row.outcome for row in rows)),
        "ids": {told.item.name: told.document.id for told in sending.sent.values() if told.document is not None},
        "documents": rows,
    }


def _tell(
    console: Console,
    client: Client,
    sending: Sending,
    rows: Sequence[IndexRow],
    seconds: float,
    out: Path | None,
    *,
    waits: bool,
    quiet: bool,
) -> None:
    failed = [row for row in rows if row.outcome not in ("succeeded", "pending")]
    for row in failed[:_SHOWN_FAILURES]:
        style = "yellow" if row.outcome == "partial" else "red"
        console.print(
            Text.assemble(
                (f"{row.outcome:9} ", style), (printable(row.file), "bold"), f"  {row.code}: {printable(row.message)}"
            ),
            soft_wrap=True,
        )
        if row.remedy:
            console.print(Text(f"          {row.remedy}", style="dim"), soft_wrap=True)
    if len(failed) > _SHOWN_FAILURES:
        console.print(f"          … and {len(failed) - _SHOWN_FAILURES} more; --json lists all", style="dim")
    if quiet:
        return
    counts = Counter(row.outcome for row in rows)
    known = sum(told.was_known for told in sending.sent.values())
    said = ", ".join(f"{count} {'accepted' if name == 'pending' else name}" for name, count in counts.items())
    console.print(
        f"{counted(len(rows), 'input')} ({said}) in {seconds:.1f} s"
        + (f"; {known} {'was' if known == 1 else 'were'} sent before" if known else "")
    )
    if out is not None:
        console.print(Text(printable(f"Results: {out}/   index: {out / 'index.csv'}")), soft_wrap=True)
    elif not waits and sending.batch_id:
        console.print(Text(f"Look: docfleet status --batch {sending.batch_id} --to {client.url}"), soft_wrap=True)
