"""`docfleet master-key`: made, rotated, and the old one retired once nothing needs it any more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from docfleet.errors import Conflict
from docfleet.ledger.sealed import SealedKind, count_old, renew_old
from docfleet.runtime import Runtime
from docfleet.settings import read_settings

if TYPE_CHECKING:
    from docfleet.store.encryption import MasterKey

master_key = typer.Typer(
    help="Make, rotate and retire the master key: the one secret that opens all stored documents.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@master_key.command("new")
def new() -> None:
    """Print a new master key, base64. Keep it apart from the documents.

    All pieces of a service get the same one, as DOCFLEET_SERVICE__MASTER_KEY or in the file that
    DOCFLEET_SERVICE__MASTER_KEY_FILE names. Nothing is written here, and nobody can restore a lost one.
    """
    from docfleet.store.encryption import MasterKey

    print(MasterKey.generate().to_base64())


@master_key.command("rotate")
def rotate() -> None:
    """Print the present master key with a fresh one added: the fresh one encrypts, both decrypt.

    Example:  docfleet master-key rotate > rotated.key
    """
    with Runtime(read_settings()) as runtime:
        print(runtime.master_key.rotated().to_base64())


@master_key.command("rewrap")
def rewrap(
    check: Annotated[bool, typer.Option("--check", help="Only say how much is left.")] = False,
    as_json: AsJson = False,
) -> None:
    """Encrypt data keys, passwords and webhook secrets anew by the newest master key. The documents stay as they are.

    The service may run meanwhile. Broken off and started again, it goes on where it was. Exit code 1: not all is done.
    """
    from docfleet.delivery.renewing import renewed

    done, unreadable = Counter[SealedKind](), 0
    with Runtime(read_settings()) as runtime:
        key, ledger = runtime.master_key, runtime.ledger
        if not check:
            for kind, told in renew_old(ledger, key.mark, lambda value: renewed(key, value)):
                done[kind] += told.renewed
                unreadable += told.unreadable
        left = count_old(ledger, key.mark)
    if as_json:
        print(json.dumps({"renewed": done, "left": left, "unreadable": unreadable}))
    else:
        _say(done, left, unreadable, check)
    if any(left.values()):
        raise typer.Exit(1)


@master_key.command("retire")
def retire() -> None:
    """Print the newest master key alone, without the earlier ones. Refused while anything needs one of those.

    Example:  docfleet master-key retire > alone.key
    """
    with Runtime(read_settings()) as runtime:
        _refuse_if_needed(count_old(runtime.ledger, runtime.master_key.mark))
        print(_alone(runtime.master_key))


def _alone(key: MasterKey) -> str:
    return key.without_earlier().to_base64()


def _refuse_if_needed(left: Mapping[SealedKind, int]) -> None:
    if any(left.values()):
        raise Conflict(f"An earlier master key is still needed for {_listed(left)}: run `docfleet master-key rewrap`.")


def _say(done: Mapping[SealedKind, int], left: Mapping[SealedKind, int], unreadable: int, check: bool) -> None:
    console = Console(highlight=False)
    if not check:
        console.print(f"Encrypted anew: {_listed(done) or 'nothing'}.", soft_wrap=True)
    console.print(f"Left of earlier keys: {_listed(left) or 'nothing'}.", soft_wrap=True)
    if unreadable:
        console.print(f"None of the master keys opens {unreadable:,} of them.", soft_wrap=True)


def _listed(counts: Mapping[SealedKind, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
