"""Bringing a ledger to the tables this docfleet knows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine, inspect, text

from docfleet.errors import LedgerError
from docfleet.ledger.dialect import connect, is_busy, lock_for_migration, translating_errors

HEAD = "0008"
"""The newest migration. A test keeps it true, so that opening a current ledger need not load Alembic (0.2 s)."""
_ADDING = re.compile(r"\d{4}")
"""Steps of this form only add: whoever knows the tables of an earlier one can work on those of a later one."""


class SchemaState(msgspec.Struct, frozen=True):
    """Where the tables of a ledger stand, beside those that this docfleet knows."""

    revision: str
    """Newest step that was taken; empty: there are no tables."""
    head: str = HEAD

    @property
    def can_be_worked_on(self) -> bool:
        """Whether they are those of this docfleet, or of a newer one that has only added to them."""
        return self.revision == self.head or (
            _ADDING.fullmatch(self.revision) is not None and self.revision > self.head
        )


def state_of(address: str | Path, busy_seconds: float = 5.0) -> SchemaState:
    """Looks without changing anything. Raises `LedgerUnavailable`, `LedgerError`."""
    if isinstance(address, Path) and not address.exists():
        return SchemaState("")
    with _engine(address, busy_seconds) as engine:
        return SchemaState(_revision(engine) or "")


def upgrade_at(address: str | Path, busy_seconds: float = 5.0) -> SchemaState:
    """Makes or migrates the tables in one transaction, or changes nothing; where they stand then.

    Gives way to whoever holds the tables for longer than `busy_seconds`: raises `LedgerUnavailable` then, and is to be
    called again. Raises `LedgerError` for a ledger of a newer docfleet that this one cannot work on.
    """
    with _engine(address, busy_seconds) as engine:
        bring_up_to_date(engine, busy_seconds)
        return SchemaState(_revision(engine) or "")


@contextmanager
def _engine(address: str | Path, busy_seconds: float) -> Iterator[Engine]:
    engine = connect(address, busy_seconds, durable=True)
    try:
        yield engine
    finally:
        engine.dispose()


def bring_up_to_date(engine: Engine, busy_seconds: float) -> None:
    """Makes or migrates the tables, unless they are current; safe when several processes do it at once.

    A ledger of a newer docfleet that only added to the tables is left as it is: while a fleet is updated, and after it
    was set back, earlier workers go on. Raises `LedgerError` for one that did more.
    """
    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine, busy_seconds)
    if SchemaState(_revision(engine) or "").can_be_worked_on:
        return
    # one transaction: another process sees all of it or nothing
    with translating_errors(), engine.begin() as connection:
        lock_for_migration(connection)
        from docfleet.ledger.migrations import upgrade  # loads Alembic, which only this rare path needs

        upgrade(connection)


def _revision(engine: Engine) -> str | None:
    with translating_errors(), engine.execution_options(reading=True).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _switch_to_wal(engine: Engine, busy_seconds: float) -> None:
    """Readers then never wait for writers. Stays with the file. The change ignores the busy timeout, hence the loop."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            with translating_errors():
                raw = engine.raw_connection()
                try:
                    [mode] = raw.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
                finally:
                    raw.close()
        except LedgerError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode not in ("wal", "memory"):
            raise LedgerError(f"the ledger's file system does not allow write-ahead logging (journal mode {mode})")
        return
