"""Who leads: of several dispatchers of a region one does the work, and another follows when it is gone.

Nothing depends on it: every change of the ledger is guarded by itself, so two leaders only publish hints twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from docfleet.dispatch.connecting import connect

if TYPE_CHECKING:
    import psycopg

IDLE_SECONDS = 10.0
_SURE_SECONDS = 0.25
"""Who has just heard that it leads need not ask again: the dispatcher wakes many times a second."""


class Leader(Protocol):
    def leads(self) -> bool:
        """Whether this process leads now; tries to become leader when it does not. Never raises, takes seconds."""
        ...

    def resign(self) -> None: ...


class PostgresLeader:
    """Leads while its own connection holds the region's advisory lock; the server frees it with the connection."""

    def __init__(self, url: str, region: str, idle_seconds: float = IDLE_SECONDS) -> None:
        """`idle_seconds`: who does not say for so long that it leads, leads no more."""
        self._url = url
        self._idle_seconds = idle_seconds
        self._key = int.from_bytes(hashlib.sha256(f"docfleet dispatcher {region}".encode()).digest()[:8], signed=True)
        self._connection: psycopg.Connection[Any] | None = None
        self._holds = False
        self._sure_until = 0.0

    def leads(self) -> bool:
        import psycopg

        asked_at = time.monotonic()
        if self._holds and asked_at < self._sure_until and not self._was_told():
            return True
        try:
            if self._connection is None:
                self._connection = connect(self._url)
                if self._connection.info.server_version >= 140000:
                    # a leader that is frozen, process or machine, answers the network still
                    self._connection.execute(f"SET idle_session_timeout = '{self._idle_seconds:g}s'")
            if self._holds:
                self._connection.execute("SELECT 1")
            else:
                found = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
                self._holds = bool(found and found[0])
            self._sure_until = asked_at + _SURE_SECONDS
        except psycopg.Error:
            self.resign()
        return self._holds

    def _was_told(self) -> bool:
        """The server says nothing by itself, but for the end of the connection."""
        if self._connection is None or self._connection.closed:
            return True
        waiting = select.poll()
        waiting.register(self._connection.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def resign(self) -> None:
        connection, self._connection, self._holds = self._connection, None, False
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()


class FileLeader:
    """Leads while it holds the lock on a file: for the dispatchers of one machine, beside an SQLite ledger."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def leads(self) -> bool:
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def resign(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
