"""`docfleet ledger`: the tables of the ledger, brought up to date before a rollout, and waited for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from docfleet.errors import LedgerUnavailable
from docfleet.ledger.schema import SchemaState, state_of, upgrade_at
from docfleet.runtime import ledger_address
from docfleet.settings import read_settings

ledger = typer.Typer(
    help="Migrate the ledger's tables, wait for them, or say where they stand.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PAUSE_SECONDS = 2.0

Seconds = Annotated[
    float | None, typer.Option(min=0.0, help="Give up after so many seconds.  \\[default: as long as it takes]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@ledger.command("migrate")
def migrate(seconds: Seconds = None, as_json: AsJson = False) -> None:
    """Make the tables, or bring them up to date. Waits for the database, and gives way to whoever holds the tables.

    Every piece does so by itself when it starts; run it first where many start at once, as in a rollout. Workers of the
    version before go on meanwhile and afterwards: a migration only adds. Run twice, the second changes nothing.

    Example:  docfleet ledger migrate --seconds 900
    """
    address = _address()
    _show(_patiently(lambda: upgrade_at(address), seconds), as_json)


@ledger.command("wait")
def wait(seconds: Seconds = None, as_json: AsJson = False) -> None:
    """Wait until the tables are those this version needs. Changes nothing.

    Example:  docfleet ledger wait && docfleet worker --pool pdf
    """
    address = _address()
    _show(_patiently(lambda: _look(address), seconds), as_json)


@ledger.command("status")
def status(as_json: AsJson = False) -> None:
    """Say where the tables stand. Exit code 1: this version cannot work on them yet."""
    state = state_of(_address())
    _show(state, as_json)
    if not state.can_be_worked_on:
        raise typer.Exit(1)


def _address() -> str | Path:
    return ledger_address(read_settings().service)


def _look(address: str | Path) -> SchemaState:
    state = state_of(address)
    if not state.can_be_worked_on:
        raise LedgerUnavailable(f"The ledger's tables are {_named(state)}; this version needs {state.head}.")
    return state


def _patiently(step: Callable[[], SchemaState], seconds: float | None) -> SchemaState:
    """Repeats `step` while it raises `LedgerUnavailable`; raises that when the time is over."""
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    told = ""
    while True:
        try:
            return step()
        except LedgerUnavailable as error:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
            message = error.message.splitlines()[0]
            if message != told:
                told = message
                print(f"{told}: trying again", file=sys.stderr, flush=True)
        time.sleep(_PAUSE_SECONDS)


def _named(state: SchemaState) -> str:
    return f"those of step {state.revision}" if state.revision else "not there"


def _show(state: SchemaState, as_json: bool) -> None:
    if as_json:
        facts = {"revision": state.revision, "needed": state.head, "can_be_worked_on": state.can_be_worked_on}
        print(json.dumps(facts))
    else:
        print(f"The ledger's tables are {_named(state)}; this version needs {state.head}.")
