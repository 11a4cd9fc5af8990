"""Long-running operations and the documents of batches, in a small SQLite file: what was accepted outlives the process.

The file has one owner at a time. An operation's documents end one by one; whoever starts again after a crash goes on
with those that have not, and since the objects a document becomes have fixed names, nothing is there twice.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from docfleet.documentai_server.numbering import project_number
from docfleet.documentai_server.operation_rows import item, metadata, operation
from docfleet.errors import LedgerUnavailable, UsageError


class State(StrEnum):
    """BatchProcessMetadata.State, and of every other operation the last two that matter."""

    WAITING = "WAITING"
    """Accepted; none of its documents has been taken."""
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    """All have ended, and at least one well."""
    CANCELLING = "CANCELLING"
    """To be cancelled as soon as those under way have stopped."""
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    """No document could be read."""


TRANSITIONS = {
    State.WAITING: {State.RUNNING, State.CANCELLED, State.FAILED},
    State.RUNNING: {State.SUCCEEDED, State.FAILED, State.CANCELLING, State.CANCELLED},
    State.CANCELLING: {State.CANCELLED},
    State.SUCCEEDED: set[State](),
    State.CANCELLED: set[State](),
    State.FAILED: set[State](),
}
OPEN = (State.WAITING, State.RUNNING, State.CANCELLING)
"""States of an operation that is not done."""

CANCELLED_CODE = 1
INVALID_CODE = 3
CANCELLED_TEXT = "The operation was cancelled."
ALL_FAILED = "Failed to process all documents."


class Item(msgspec.Struct, frozen=True):
    """One document of a batch."""

    operation: str
    position: int
    source: str
    mime_type: str
    tries: int = 0
    """How often it was taken and neither ended nor handed back."""
    ended: bool = False
    code: int = 0
    message: str = ""
    destination: str = ""
    """Where its results are; empty unless it ended well."""


class Operation(msgspec.Struct, frozen=True):
    """As it is stored."""

    id: str
    project: str
    """Its number."""
    location: str
    kind: str
    """"batch", or the method that made it."""
    state: State
    made_at: float
    updated_at: float
    request: bytes = b""
    """BatchProcessRequest, serialised."""
    code: int = 0
    message: str = ""
    metadata: bytes = b""
    """Any, serialised; empty for batches, whose metadata are told from their documents."""
    response: bytes = b""
    """Any, serialised."""

    @property
    def name(self) -> str:
        return f"projects/{self.project}/locations/{self.location}/operations/{self.id}"

    @property
    def done(self) -> bool:
        return self.state not in OPEN


class TooMany(Exception):
    """As many batches are at work as there may be."""


class Operations:
    """All operations of one server. Threads may share one; `path` None: they last as long as the process.

    Raises `UsageError` when another process has the file, and `LedgerUnavailable` when it cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._owned = _own(path) if path is not None else None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._engine = _engine(path)
        try:
            metadata.create_all(self._engine)
        except DBAPIError as error:
            self.close()
            raise LedgerUnavailable(f"The file of operations cannot be used: {path}") from error

    def close(self) -> None:
        self._engine.dispose()
        if self._owned is not None:
            self._owned.close()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._lock:
            try:
                with self._engine.begin() as connection:
                    yield connection
            except DBAPIError as error:
                raise LedgerUnavailable("The file of operations cannot be read or written.") from error
            self._changed.notify_all()

    def accept_batch(
        self, project: str, location: str, request: bytes, sources: Sequence[tuple[str, str]], limit: int | None
    ) -> Operation:
        """A new batch of (source, mime type), durable when this returns. Raises `TooMany` where `limit` are at work."""
        number = project_number(project)
        made = _new(number, location, "batch", State.WAITING, request=request)
        with self._transaction() as connection:
            at_work = connection.execute(_AT_WORK, {"p": number, "l": location}).scalar_one()
            if limit is not None and at_work >= limit:
                raise TooMany
            connection.execute(operation.insert(), msgspec.structs.asdict(made))
            rows = [
                {"operation": made.id, "position": n, "source": source, "mime_type": mime_type}
                for n, (source, mime_type) in enumerate(sources)
            ]
            if rows:
                connection.execute(item.insert(), rows)
        return made

    def add_done(self, name: str, kind: str, told: bytes, response: bytes) -> Operation:
        """An operation that ended as soon as it was asked for; `told` and `response` are serialised `Any`s."""
        _, project, _, location, _, id = name.split("/")
        made = _new(project_number(project), location, kind, State.SUCCEEDED, metadata=told, response=response)
        made = msgspec.structs.replace(made, id=id)
        with self._transaction() as connection:
            connection.execute(operation.insert(), msgspec.structs.asdict(made))
        return made

    def get(self, project: str, location: str, id: str) -> Operation | None:
        with self._transaction() as connection:
            row = connection.execute(_ONE, {"id": id, "p": project_number(project), "l": location}).first()
        return _operation(row) if row is not None else None

    def items(self, id: str) -> list[Item]:
        """The documents of a batch, in the order they were given."""
        with self._transaction() as connection:
            return [_item(row) for row in connection.execute(_ITEMS, {"id": id})]

    def list(self, project: str, location: str, after: str, limit: int) -> list[Operation]:
        """Newest first, those after the one with the id `after` (empty: from the first)."""
        where = [operation.c.project == project_number(project)]
        if location:
            where.append(operation.c.location == location)
        with self._transaction() as connection:
            if after:
                made_at = sa.select(operation.c.made_at).where(operation.c.id == after).scalar_subquery()
                where.append(
                    sa.or_(
                        operation.c.made_at < made_at,
                        sa.and_(operation.c.made_at == made_at, operation.c.id > after),
                    )
                )
            found = connection.execute(
                sa.select(operation).where(*where).order_by(operation.c.made_at.desc(), operation.c.id).limit(limit)
            )
            return [_operation(row) for row in found]

    def take(self, busy: set[tuple[str, int]], waiting_seconds: float = 0.0) -> tuple[Operation, Item] | None:
        """A document to read next, of those that are not `busy`; None: there is none now.

        The first documents of all batches come before the second ones, so that a small batch does not wait for a
        large one. Its batch is RUNNING when this returns; that happens `waiting_seconds` after it was made.
        """
        now = time.time()
        with self._transaction() as connection:
            for row in connection.execute(_NEXT, {"made_before": now - waiting_seconds, "n": len(busy) + 1}):
                found = _item(row)
                if (found.operation, found.position) in busy:
                    continue
                self._move(connection, found.operation, State.WAITING, State.RUNNING)
                connection.execute(_TRY, {"o": found.operation, "n": found.position, "more": 1})
                found = msgspec.structs.replace(found, tries=found.tries + 1)
                batch = _operation(connection.execute(_BY_ID, {"id": found.operation}).one())
                return batch, found
        return None

    def hand_back(self, taken: Item) -> None:
        """It was taken and not read; that was no try."""
        with self._transaction() as connection:
            connection.execute(_TRY, {"o": taken.operation, "n": taken.position, "more": -1})

    def end_item(self, ended: Item) -> bool:
        """Stores how a document ended, and with the last one its batch; False: it had ended before."""
        values = {"new_code": ended.code, "new_message": ended.message, "new_destination": ended.destination}
        where = {"o": ended.operation, "n": ended.position}
        with self._transaction() as connection:
            if not connection.execute(_END_ITEM, {**where, **values}).rowcount:
                return False
            self._end_if_all_have(connection, ended.operation)
            return True

    def _end_if_all_have(self, connection: sa.Connection, id: str) -> None:
        waiting, well = connection.execute(_TALLY, {"id": id}).one()
        if waiting:
            return
        if self._move(connection, id, State.CANCELLING, State.CANCELLED, CANCELLED_CODE, CANCELLED_TEXT):
            return
        if well:
            self._move(connection, id, State.RUNNING, State.SUCCEEDED)
        else:
            self._move(connection, id, State.RUNNING, State.FAILED, INVALID_CODE, ALL_FAILED)

    def _move(
        self, connection: sa.Connection, id: str, old: State, new: State, code: int = 0, message: str = ""
    ) -> bool:
        if new not in TRANSITIONS[old]:
            raise ValueError(f"no operation goes from {old} to {new}")
        values = {"o": id, "old": old, "new": new, "new_code": code, "new_message": message, "now": time.time()}
        return connection.execute(_MOVE, values).rowcount > 0

    def cancel(self, id: str, busy: set[tuple[str, int]]) -> None:
        """Ends an open batch: documents not yet taken now, those that are `busy` when they stop."""
        under_way = any(taken == id for taken, _ in busy)
        with self._transaction() as connection:
            self._move(connection, id, State.WAITING, State.CANCELLED, CANCELLED_CODE, CANCELLED_TEXT)
            if under_way:
                self._move(connection, id, State.RUNNING, State.CANCELLING)
            else:
                self._move(connection, id, State.RUNNING, State.CANCELLED, CANCELLED_CODE, CANCELLED_TEXT)
            for row in connection.execute(_OPEN_ITEMS, {"id": id}).all():
                if (id, row.position) not in busy:
                    values = {"new_code": CANCELLED_CODE, "new_message": CANCELLED_TEXT, "new_destination": ""}
                    connection.execute(_END_ITEM, {"o": id, "n": row.position, **values})

    def finish_cancelling(self) -> None:
        """After a crash: nothing is under way, so what was being cancelled is cancelled."""
        with self._transaction() as connection:
            for row in connection.execute(_CANCELLING).all():
                connection.execute(_END_ALL, {"o": row.id, "new_code": CANCELLED_CODE, "new_message": CANCELLED_TEXT})
                self._move(connection, row.id, State.CANCELLING, State.CANCELLED, CANCELLED_CODE, CANCELLED_TEXT)

    def delete(self, id: str) -> bool:
        """Forgets an operation that is done; False: it is not."""
        with self._transaction() as connection:
            row = connection.execute(_BY_ID, {"id": id}).first()
            if row is None or not _operation(row).done:
                return False
            connection.execute(sa.delete(item).where(item.c.operation == id))
            connection.execute(sa.delete(operation).where(operation.c.id == id))
            return True

    def wait_for_change(self, seconds: float) -> None:
        """Returns when something was stored, or after this time."""
        with self._changed:
            self._changed.wait(seconds)


_AT_WORK = (
    sa.select(sa.func.count())
    .select_from(operation)
    .where(
        operation.c.project == sa.bindparam("p"),
        operation.c.location == sa.bindparam("l"),
        operation.c.kind == "batch",
        operation.c.state.in_(OPEN),
    )
)
_BY_ID = sa.select(operation).where(operation.c.id == sa.bindparam("id"))
_ONE = _BY_ID.where(operation.c.project == sa.bindparam("p"), operation.c.location == sa.bindparam("l"))
_ITEMS = sa.select(item).where(item.c.operation == sa.bindparam("id")).order_by(item.c.position)
_OPEN_ITEMS = sa.select(item.c.position).where(item.c.operation == sa.bindparam("id"), item.c.ended.is_(False))
_NEXT = (
    sa.select(item)
    .join(operation, operation.c.id == item.c.operation)
    .where(
        item.c.ended.is_(False),
        operation.c.state.in_((State.WAITING, State.RUNNING)),
        sa.or_(operation.c.state == State.RUNNING, operation.c.made_at <= sa.bindparam("made_before")),
    )
    .order_by(item.c.position, operation.c.made_at, operation.c.id)
    .limit(sa.bindparam("n"))
)
_TRY = (
    sa.update(item)
    .where(item.c.operation == sa.bindparam("o"), item.c.position == sa.bindparam("n"))
    .values(tries=item.c.tries + sa.bindparam("more"))
)
_END_ITEM = (
    sa.update(item)
    .where(item.c.operation == sa.bindparam("o"), item.c.position == sa.bindparam("n"), item.c.ended.is_(False))
    .values(ended=True, code=sa.bindparam("new_code"), message=sa.bindparam("new_message"))
    .values(destination=sa.bindparam("new_destination"))
)
_END_ALL = (
    sa.update(item)
    .where(item.c.operation == sa.bindparam("o"), item.c.ended.is_(False))
    .values(ended=True, code=sa.bindparam("new_code"), message=sa.bindparam("new_message"))
)
_TALLY = sa.select(
    sa.func.coalesce(sa.func.sum(sa.case((item.c.ended.is_(False), 1), else_=0)), 0),
    sa.func.coalesce(sa.func.sum(sa.case((item.c.code == 0, 1), else_=0)), 0),
).where(item.c.operation == sa.bindparam("id"))
_MOVE = (
    sa.update(operation)
    .where(operation.c.id == sa.bindparam("o"), operation.c.state == sa.bindparam("old"))
    .values(state=sa.bindparam("new"), code=sa.bindparam("new_code"), message=sa.bindparam("new_message"))
    .values(updated_at=sa.bindparam("now"))
)
_CANCELLING = sa.select(operation.c.id).where(operation.c.state == State.CANCELLING)


def _new(number: str, location: str, kind: str, state: State, **rest: Any) -> Operation:
    now = time.time()
    # as long as Google's; random, so that a name is not guessed and two files may be joined
    id = str(secrets.randbelow(9 * 10**18) + 10**18)
    return Operation(id, number, location, kind, state, made_at=now, updated_at=now, **rest)


def _operation(row: Any) -> Operation:
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, Operation)


def _item(row: Any) -> Item:
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, Item)


def _engine(path: Path | None) -> sa.Engine:
    if path is None:
        return sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": 10.0})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        # an accepted batch is on the disk
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _own(path: Path) -> IO[bytes]:
    """Holds a lock beside the file until it is closed or the process has died. Raises `UsageError`."""
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise UsageError(f"The file of operations {path} cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise UsageError(f"Another server uses the file of operations {path}.") from error
    return lock
