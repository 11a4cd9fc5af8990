"""`docfleet keys` and `docfleet tenants`: straight on the ledger, for whoever operates the service."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from docfleet.domain.access import LOCAL_TENANT, Permission, Role
from docfleet.domain.file_names import printable
from docfleet.errors import UsageError
from docfleet.ledger.access import Access
from docfleet.runtime import Runtime, ledger_address
from docfleet.settings import read_settings

_DAY = 86400.0
_OPTIONS: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
keys = typer.Typer(help="Make, list and revoke API keys. Works on the ledger, without the API.", **_OPTIONS)
tenants = typer.Typer(help="Make and list tenants. Works on the ledger, without the API.", **_OPTIONS)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Tenant = Annotated[str, typer.Option(help="Whose keys.")]


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What it is for, as in 'scanner in room 7'.")],
    tenant: Tenant = LOCAL_TENANT,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.SUBMITTER,
    scope: Annotated[list[Permission] | None, typer.Option(help="Narrows it to this; may be given again.")] = None,
    days: Annotated[float | None, typer.Option(min=0.0, help="It expires after so many days.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, once: it is kept nowhere.

    Example:  docfleet keys create "nightly import" --tenant acme --role submitter --days 365
    """
    with _access(making=True) as access:
        if tenant == LOCAL_TENANT:
            access.ensure_tenant(LOCAL_TENANT, "This machine")
        expires_at = time.time() + days * _DAY if days is not None else None
        view, secret = access.make_key(tenant, name, role, tuple(scope or ()), expires_at)
    if as_json:
        print(json.dumps({**msgspec.to_builtins(view), "secret": secret}))
    else:
        print(secret)


@keys.command("list")
def list_keys(tenant: Tenant = LOCAL_TENANT, as_json: AsJson = False) -> None:
    """List the keys of a tenant, with role, expiry and last use."""
    with _access() as access:
        views = access.keys(tenant)
    if as_json:
        print(json.dumps([msgspec.to_builtins(view) for view in views]))
        return
    rows = []
    for view in views:
        ends = f"revoked {_day(view.revoked_at)}" if view.revoked_at else _day(view.expires_at)
        role = view.role + (f" ({', '.join(view.scopes)})" if view.scopes else "")
        rows.append((view.id, view.name, role, _day(view.created_at), ends, _day(view.last_used_at)))
    _print_table(("id", "name", "role", "made", "ends", "last used"), rows)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Of the key, as `docfleet keys list` shows it.")],
    tenant: Tenant = LOCAL_TENANT,
) -> None:
    """Revoke a key. It stops working within five seconds, everywhere."""
    with _access() as access:
        access.revoke(tenant, key_id)
    print(f"{key_id} is revoked.")


@tenants.command("create")
def create_tenant(
    tenant_id: Annotated[str, typer.Argument(metavar="ID", help="A short lower-case name, as in acme.")],
    name: Annotated[str | None, typer.Option(help="Its full name.  \\[default: the id]")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant: an organisation that sees its own documents and nothing else.

    Example:  docfleet tenants create acme --name "Acme Ltd" && docfleet keys create admin --tenant acme --role admin
    """
    with _access(making=True) as access:
        view = access.make_tenant(tenant_id, name or tenant_id)
    print(json.dumps(msgspec.to_builtins(view)) if as_json else f"The tenant {view.id} is made.")


@tenants.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List the tenants."""
    with _access() as access:
        views = access.tenants()
    if as_json:
        print(json.dumps([msgspec.to_builtins(view) for view in views]))
        return
    rows = [(view.id, view.name, _day(view.created_at), _day(view.disabled_at)) for view in views]
    _print_table(("id", "name", "made", "disabled"), rows)


@contextmanager
def _access(*, making: bool = False) -> Iterator[Access]:
    """Raises `UsageError` where there is no ledger, unless something shall be made: then a new one is, and said."""
    settings = read_settings()
    place = ledger_address(settings.service)
    if isinstance(place, Path) and not place.exists():
        if not making:
            raise UsageError(
                f"There is no ledger at {place}: run this where the service runs, or set DOCFLEET_SERVICE__DATA_FOLDER "
                "or DOCFLEET_SERVICE__LEDGER_URL as it has them."
            )
        print(f"A new ledger is made: {place}", file=sys.stderr)
    with Runtime(settings) as runtime:
        yield runtime.access


def _day(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M") if seconds else ""


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)
