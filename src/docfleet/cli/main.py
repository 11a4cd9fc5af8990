"""The `docfleet` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from docfleet import __version__
from docfleet.cli.loading import lazy_group
from docfleet.domain.file_names import printable
from docfleet.errors import DocfleetError, StoreError
from docfleet.telemetry import configure_logs, logger
from docfleet.telemetry.logs import guard_process

COMMANDS = {
    "process": "docfleet.cli.process:process",
    "inspect": "docfleet.cli.inspect:inspect",
    "submit": "docfleet.cli.submit:submit",
    "status": "docfleet.cli.status:status",
    "fetch": "docfleet.cli.fetch:fetch_results",
    "cancel": "docfleet.cli.cancel:cancel",
    "retry": "docfleet.cli.retry:retry",
    "overview": "docfleet.cli.overview:overview",
    "dead-letters": "docfleet.cli.dead_letters:dead_letters",
    "fleet": "docfleet.cli.fleet:fleet",
    "quotas": "docfleet.cli.quotas:quotas",
    "costs": "docfleet.cli.costs:costs",
    "budgets": "docfleet.cli.budgets:budgets",
    "report": "docfleet.cli.report:report",
    "engines": "docfleet.cli.engines:engines",
    "codes": "docfleet.cli.codes:codes",
    "serve": "docfleet.cli.serve:serve",
    "up": "docfleet.cli.up:up",
    "api": "docfleet.cli.api:api",
    "console": "docfleet.cli.console:console",
    "dispatcher": "docfleet.cli.dispatcher:dispatcher",
    "worker": "docfleet.cli.worker:worker",
    "ledger": "docfleet.cli.ledger:ledger",
    "documentai-server": "docfleet.cli.documentai_server:documentai_server",
    "keys": "docfleet.cli.keys:keys",
    "master-key": "docfleet.cli.master_key:master_key",
    "tenants": "docfleet.cli.keys:tenants",
}
"""Command -> where it is (a function, or a `typer.Typer` with commands of its own), in the order of `--help`."""

app = typer.Typer(
    name="docfleet",
    cls=lazy_group(COMMANDS),
    help="Turns PDFs, scans and images into text, searchable PDFs and structured data.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all read, 1 some documents failed, 2 wrong use, 130 interrupted.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"docfleet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    log_level: Annotated[
        str, typer.Option(help="Least severe log events to show: debug, info, warning or error.", envvar="DOCFLEET_LOG")
    ] = "warning",
) -> None:
    if log_level not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter("choose debug, info, warning or error", param_hint="--log-level")
    configure_logs(log_level)


def main() -> None:
    """Runs the command; an error of ours, or of the disk, becomes a sentence and its exit code, never a traceback."""
    guard_process()
    try:
        app()
    except DocfleetError as error:
        print(f"docfleet: {printable(error.message)}", file=sys.stderr)
        if error.remedy:
            print(error.remedy, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f": {printable(str(error.filename))}" if error.filename else ""
        print(f"docfleet: {error.strerror or type(error).__name__}{where}", file=sys.stderr)
        print(StoreError.remedy, file=sys.stderr)
        sys.exit(StoreError.exit_code)
    except Exception:
        # a defect: where it happened helps, the values may be somebody's documents
        logger("cli").exception("process_broke")
        sys.exit(1)
