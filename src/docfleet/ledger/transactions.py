"""How the ledger's database is written and read: transactions, tried again where that helps, and what spares them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from docfleet.errors import LedgerError, LedgerUnavailable
from docfleet.ledger.dialect import allow_slow_reader, is_busy, translating_errors
from docfleet.ledger.outbox import write_outbox

T = TypeVar("T")


class Transactions:
    """One database. Every use raises `LedgerError` when it fails."""

    def __init__(self, engine: Engine, jitter: Callable[[], float], fencing: bool) -> None:
        self._engine = engine
        self._reading = self._following = engine.execution_options(reading=True)
        if engine.dialect.name == "postgresql":
            # what a statement sees is the same there; a transaction costs two more round trips
            self._reading = self._following.execution_options(isolation_level="AUTOCOMMIT")
        self._committing = self._reading if fencing and engine.dialect.name == "postgresql" else None
        self._jitter = jitter
        self._info = {"fencing": fencing, "turns": {}}

    @property
    def engine(self) -> Engine:
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """A session in one write transaction: committed at the end of the block, undone when it raises."""
        opened = Session(self._engine, expire_on_commit=False, info=self._info)
        with translating_errors(), opened as session, session.begin():
            yield session
            write_outbox(session)

    @contextmanager
    def reading(self, slowly: bool = False) -> Iterator[Session]:
        """A session that changes nothing and keeps no writer waiting; `slowly`: rows are fetched little by little.

        SQLite: it sees one state of the ledger. Postgres: each statement sees the state at its beginning.
        """
        engine = self._following if slowly else self._reading
        with translating_errors(), Session(engine, expire_on_commit=False, info=self._info) as session, session.begin():
            if slowly:
                allow_slow_reader(session)
            yield session

    def _write(self, change: Callable[[Session], T], repeatable: bool = False) -> T:
        """One transaction; again when another got in its way (a deadlock ends with one side undone).

        `repeatable`: it may have been committed already when the connection is lost, so it is tried once more then.
        """
        for attempt in range(3):
            try:
                with self.unit_of_work() as session:
                    return change(session)
            except LedgerError as error:
                may_help = is_busy(error) or (repeatable and attempt == 0 and isinstance(error, LedgerUnavailable))
                if attempt == 2 or not may_help:
                    raise
                time.sleep(0.05 * self._jitter())
        raise AssertionError("unreachable")

    def _at_once(self, change: Callable[[Connection], T | None]) -> T | None:
        """Postgres: one statement that commits itself, which spares three round trips; None: take the longer way."""
        if self._committing is None:
            return None
        try:
            with translating_errors(), self._committing.connect() as connection:
                return change(connection)
        except LedgerError as error:
            if is_busy(error):
                return None
            raise
