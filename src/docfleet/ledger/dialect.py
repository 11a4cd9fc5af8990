"""All that differs between SQLite and Postgres: connecting, the clock, upserts, locks, and what their errors mean."""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Double, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from docfleet.errors import LedgerError, LedgerUnavailable

MIGRATION_LOCK = 0x646F63666C656574
"""Postgres advisory lock: one process migrates, the others wait. ("docfleet")"""
ISOLATION_LOCK = MIGRATION_LOCK + 1
"""Postgres advisory lock: claims from the isolation lane, which holds one slice, come one after the other."""
TWINS_LOCK = 0x7477696E
"""First half of a Postgres advisory lock: equal documents are accepted one after the other. ("twin")"""


class database_now(FunctionElement[float]):
    """Seconds since 1970, UTC, by the database's clock; moves within a transaction. Millisecond steps on SQLite."""

    type = Double()
    inherit_cache = True
    name = "database_now"


@compiles(database_now, "sqlite")
def _now_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _now_in_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())::double precision"


def connect(address: str | Path, busy_seconds: float, durable: bool) -> Engine:
    """An engine for a Postgres URL, an SQLite URL, or the path of an SQLite file.

    `busy_seconds`: how long a write waits for another's. `durable`: SQLite commits survive a power cut (one more
    fsync each); without, a power cut may undo the last commits, all or nothing, and the work is done again.
    """
    url = _url_of(address)
    if url.get_backend_name() == "sqlite":
        return _connect_sqlite(url, busy_seconds, durable)
    if url.get_backend_name() == "postgresql":
        return _connect_postgres(url, busy_seconds)
    raise LedgerError(f"the ledger runs on SQLite and Postgres, not on {url.get_backend_name()}")


NETWORK_PATIENCE = {
    "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}  # fmt: skip
"""A database that vanished without a word is given up after seconds, not hours."""
STATEMENT_SECONDS = 120
IDLE_SECONDS = 15
"""A process that was frozen within a transaction holds its locks no longer than this."""


def _connect_postgres(url: URL, busy_seconds: float) -> Engine:
    arguments = {name: value for name, value in NETWORK_PATIENCE.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        connect_args=arguments,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            # no JIT: all statements read a few rows by an index, whatever the planner fears of a recursion over a
            # large table; compiling one takes thirty times as long as running it
            cursor.execute(
                f"SET jit = off; SET lock_timeout = {int(busy_seconds * 1000)}; "
                f"SET statement_timeout = '{STATEMENT_SECONDS}s'; "
                f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
            )
        connection.commit()

    _look_before_use(engine)
    return engine


FRESH_SECONDS = 1.0
"""A connection that was used so short a time ago, and on which the database has said nothing since, is alive."""


def _look_before_use(engine: Engine) -> None:
    """A connection that the database has closed meanwhile is replaced before it is used.

    As `pool_pre_ping`, but for the question before every single transaction, which is a fifth of what a short one
    costs: a database that goes away says so, and what was said can be seen without asking.
    """

    @event.listens_for(engine, "checkin")
    def note(connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, fairy: Any) -> None:
        idle = time.monotonic() - record.info.pop("used_at", float("inf"))
        if idle < FRESH_SECONDS and not _has_something_to_read(connection):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # all that are in the pool are replaced: whatever ended this one has ended the others
            raise InvalidatePoolError() from error


def _has_something_to_read(connection: Any) -> bool:
    if connection.closed:
        return True
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def allow_slow_reader(session: Session) -> None:
    """Until the end of the transaction: whoever reads row by row may take his time between them."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _url_of(address: str | Path) -> URL:
    if isinstance(address, str) and "://" in address:
        return make_url(address)
    path = Path(address).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"the ledger's folder cannot be made: {error.strerror}") from error
    return URL.create("sqlite", database=str(path))


def _connect_sqlite(url: URL, busy_seconds: float, durable: bool) -> Engine:
    # isolation_level None: Python's module begins no transaction by itself, so that ours are the only ones
    engine = create_engine(
        url, connect_args={"timeout": busy_seconds, "isolation_level": None, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        # what is deleted or overwritten is gone from the file as well: names, and the keys of erased contents
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A write that began as a read can fail when another wrote in between, however long it waits; so writers say so.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def empty_log(engine: Engine) -> bool:
    """SQLite: moves its write-ahead log into the file and empties it; False while somebody reads.

    The log holds the pages as they were before: without this, what was deleted stays readable there.
    """
    if engine.dialect.name != "sqlite":
        return True
    raw = engine.raw_connection()
    cursor = raw.cursor()
    try:
        [patience] = cursor.execute("PRAGMA busy_timeout").fetchone()
        # writers wait as long as it waits for readers
        cursor.execute("PRAGMA busy_timeout = 100")
        [was_busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {patience}")
    finally:
        raw.close()
    return not was_busy


def lock_for_migration(connection: Connection) -> None:
    """Until the end of the transaction. SQLite: BEGIN IMMEDIATE has locked already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def lock_isolation_lane(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ISOLATION_LOCK})


def twins_of(tenant: str, sha256: str, options_key: str) -> str:
    """The same for documents that may take each other's results."""
    return f"{tenant}/{sha256}/{options_key}"


_LOCK_TWINS = text(f"SELECT pg_advisory_xact_lock({TWINS_LOCK}, hashtext(:twins))")


def lock_twins(session: Session, twins: str) -> None:
    """Whoever has it sees every equal document there is. To be taken before any row is locked."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_LOCK_TWINS, {"twins": twins})


def upserts(table: Table) -> dict[str, Any]:
    """An INSERT that knows ON CONFLICT, by the dialect's name."""
    return {"sqlite": sqlite.insert(table), "postgresql": postgresql.insert(table)}


def upsert(session: Session, table: Any) -> Any:
    return upserts(table)[session.get_bind().dialect.name]


@contextmanager
def translating_errors() -> Iterator[None]:
    """Turns the database's errors into LedgerError; everything else passes.

    A database that cannot be reached, or takes nothing now whatever it is told (locked, full, read-only, overloaded),
    is LedgerUnavailable: no document is to blame for it, and waiting may help.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        if is_lost(error):
            raise LedgerUnavailable(f"the database cannot be reached ({_vendors_error(error)})") from error
        raise (LedgerUnavailable if _refuses(error) else LedgerError)(_explain(error)) from error
    except PoolTimeout as error:
        raise LedgerUnavailable("no connection to the ledger became free in time") from error


_LOST_STATES = ("57P01", "57P02", "57P03", "53300", "25P03")
"""Postgres shuts down, crashed, starts up; has no connection left; ended one that was frozen."""


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, or cannot be made. What was being committed may or may not be."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    vendor = _vendors_error(error)
    if (getattr(vendor, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_CANTOPEN:
        return True
    state = getattr(vendor, "sqlstate", None)
    if state is not None:
        return state.startswith("08") or state in _LOST_STATES
    # psycopg's connection errors have no state; by name, since psycopg is not there without Postgres
    return any(
        kind.__name__ == "OperationalError" and kind.__module__.startswith("psycopg") for kind in type(vendor).__mro__
    )


_REFUSALS = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip
_REFUSING_STATES = ("25006", "40001", "40P01", "53", "55P03", "57014", "58")
"""Postgres: read-only, in each other's way, out of some resource, locked for too long, too slow, a failing system."""


def _refuses(error: BaseException) -> bool:
    """Whether the database would have refused any change, or this one only now."""
    vendor = _vendors_error(error)
    state = getattr(vendor, "sqlstate", None) or ""
    return (getattr(vendor, "sqlite_errorcode", 0) & 0xFF) in _REFUSALS or state.startswith(_REFUSING_STATES)


_SQLITE_CAUSES = {
    sqlite3.SQLITE_BUSY: "the ledger is locked by another process for too long",
    sqlite3.SQLITE_LOCKED: "the ledger is locked by another process for too long",
    sqlite3.SQLITE_FULL: "the disk is full: the ledger cannot be written",
    sqlite3.SQLITE_READONLY: "the ledger is read-only",
    sqlite3.SQLITE_PERM: "the ledger may not be opened",
    sqlite3.SQLITE_CANTOPEN: "the ledger cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk failed under the ledger",
    sqlite3.SQLITE_CORRUPT: "the ledger's file is damaged",
    sqlite3.SQLITE_NOTADB: "the ledger's file is not a database",
    sqlite3.SQLITE_CONSTRAINT: "the ledger refused an illegal change",
}
_POSTGRES_CAUSES = {
    "55P03": "the ledger is locked by another process for too long",
    "40P01": "two changes to the ledger waited for each other",
    "53100": "the disk is full: the ledger cannot be written",
    "25006": "the ledger is read-only",
    "23514": "the ledger refused an illegal change",
}


def _vendors_error(error: BaseException | None) -> BaseException | None:
    """SQLAlchemy wraps what a statement raises, but not what connecting does."""
    return error.orig if isinstance(error, DBAPIError) else error


def _explain(error: BaseException) -> str:
    vendor = _vendors_error(error)
    primary = getattr(vendor, "sqlite_errorcode", 0) & 0xFF
    state = getattr(vendor, "sqlstate", None) or ""
    cause = _SQLITE_CAUSES.get(primary) or _POSTGRES_CAUSES.get(state) or "the ledger's database failed"
    return f"{cause} ({vendor})"


def is_busy(error: LedgerError) -> bool:
    """Whether waiting can help."""
    vendor = _vendors_error(error.__cause__)
    busy_codes = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return (getattr(vendor, "sqlite_errorcode", 0) & 0xFF) in busy_codes or (
        getattr(vendor, "sqlstate", None) in ("55P03", "40P01", "40001")
    )
