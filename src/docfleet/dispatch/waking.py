"""Waiting until there is something to do: the tick is a safety net and not a latency."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from docfleet.dispatch.connecting import connect

if TYPE_CHECKING:
    import psycopg

CHANNEL = "docfleet_work"
"""Accepting a document notifies this Postgres channel in its transaction."""
_LOOK_SECONDS = 0.05
_RECONNECT_SECONDS = 1.0


class Waking(Protocol):
    def wait(self, seconds: float) -> bool:
        """Returns after so many seconds, or sooner when there is new work; True then. Never raises."""
        ...

    def close(self) -> None: ...


class PostgresWaking:
    """Listens to what those who accept documents say. Without a connection it only waits."""

    def __init__(self, url: str, channel: str = CHANNEL) -> None:
        self._url = url
        self._channel = channel
        self._connection: psycopg.Connection[Any] | None = None
        self._next_try = 0.0

    def wait(self, seconds: float) -> bool:
        import psycopg

        deadline = time.monotonic() + seconds
        try:
            if self._connection is None and time.monotonic() >= self._next_try:
                self._next_try = time.monotonic() + _RECONNECT_SECONDS
                self._connection = connect(self._url)
                self._connection.execute(f"LISTEN {self._channel}")
                return True  # something may have been said before it listened
            if self._connection is not None:
                said = list(self._connection.notifies(timeout=max(0.0, deadline - time.monotonic()), stop_after=1))
                return bool(said)
        except psycopg.Error:
            self.close()
        time.sleep(max(0.0, deadline - time.monotonic()))
        return False

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


class SqliteWaking:
    """Looks every few hundredths of a second whether anybody has written to the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen = -1

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            version = self._version()
            if version != self._seen:
                self._seen = version
                return True
            time.sleep(min(left, _LOOK_SECONDS))
        return False

    def _version(self) -> int:
        """Changes with every commit of another connection; a look into shared memory, not into the file."""
        try:
            if self._connection is None:
                # the dispatcher's thread alone uses it, but the one that made it may close it
                where = f"{self._path.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(where, uri=True, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            self.close()
            return self._seen

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
