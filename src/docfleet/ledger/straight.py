"""Statements that run for every document, or several times a second: on Postgres, the driver gets them as text.

From a built statement to a row, SQLAlchemy takes twice the time that the driver and the database take together. The
transaction, the connection and its errors stay SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import Executable


class Straight:
    """A built statement, translated on first use. On Postgres, rows hold what the driver returns: states are text."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement

    def rows(self, session: Session, values: Mapping[str, Any]) -> list[Any]:
        """Executes it in the session's transaction; each row is a named tuple.

        `values`: for the statement's parameters, enumerations as their values. Raises `DBAPIError` as SQLAlchemy does.
        """
        return self.rows_on(session.connection(), values)

    def rows_on(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """The same on a connection, in whatever transaction that is in."""
        if connection.dialect.name != "postgresql":
            return list(connection.execute(self._statement, values))
        from psycopg.rows import namedtuple_row

        text, constants = self._translated
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor(row_factory=namedtuple_row) as cursor:
                if connection.engine.dispatch.before_cursor_execute:
                    # whoever listens to the engine hears of these statements too
                    connection.dispatch.before_cursor_execute(connection, cursor, text, values, None, False)
                cursor.execute(text, {**constants, **values})
                return list(cursor.fetchall())
        except connection.dialect.loaded_dbapi.Error as error:
            is_lost = connection.dialect.is_disconnect(error, driver, None)
            if is_lost:
                connection.invalidate(error)
            raise DBAPIError(text, None, error, hide_parameters=True, connection_invalidated=is_lost) from error

    @cached_property
    def _translated(self) -> tuple[str, dict[str, Any]]:
        """The text with the driver's marks, and the values of its parameters that are always the same."""
        statement: Any = self._statement
        compiled = statement.compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
        given = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
        processed = compiled._bind_processors
        return str(compiled), {
            name: processed[name](value) if name in processed else value for name, value in given.items()
        }
