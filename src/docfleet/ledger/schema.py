"""Bringing a ledger to the tables this docfleet knows."""

from __future__ import annotations

import time

from sqlalchemy import Engine, inspect, text

from docfleet.errors import LedgerError
from docfleet.ledger.dialect import is_busy, lock_for_migration, translating_errors

HEAD = "0006"
"""The newest migration. A test keeps it true, so that opening a current ledger need not load Alembic (0.2 s)."""


def bring_up_to_date(engine: Engine, busy_seconds: float) -> None:
    """Makes or migrates the tables, unless they are current; safe when several processes do it at once.

    Raises `LedgerError` for a ledger made by a newer docfleet.
    """
    if engine.dialect.name == "sqlite":
        _switch_to_wal(engine, busy_seconds)
    if _revision(engine) == HEAD:
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
