"""Batches at a cloud engine, in the ledger: which file waits for which, how each operation stands.

    file   uploading ──park──▶ staged ──form──▶ sent ──end──▶ read | failed ──▶ over
    batch                               asking ──began──▶ running ──▶ ended

While its file waits, a slice is parked: queued in a pool of its own that no worker claims from, so that it is held by
nobody, burns no attempt and is not looked at. It is woken when there is a result of it, or when there will be none.
Whoever moves an operation on takes it first, by setting the time it is due.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Double, bindparam, exists, func, insert, select, text, update
from sqlalchemy.orm import Session

from docfleet.domain.pricing import share
from docfleet.domain.retry import Failure, FailureKind, RetryPolicy
from docfleet.domain.urgency import Pool
from docfleet.domain.work import SliceState
from docfleet.errors import Fenced, LedgerError
from docfleet.ledger import ending, settling
from docfleet.ledger.batch_rows import CLOUD_BATCH, CLOUD_FILE, BatchState, FileState
from docfleet.ledger.batch_values import CloudBatch, CloudFile, Waiting, batch_of, file_of
from docfleet.ledger.cutting import CLOUD_CHANNEL
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.money_rows import RESERVATION
from docfleet.ledger.money_values import Reservation
from docfleet.ledger.rows import SLICE
from docfleet.ledger.values import Claim

PARKED_POOL = "batch"
"""Of slices that wait for a batch. Nobody claims from it."""
PARKED = "in_batch"
"""Cause of the event that parks one."""


_FILE = select(*(CLOUD_FILE.c[name] for name in CloudFile.__struct_fields__))
_FILES_OF = _FILE.where(CLOUD_FILE.c.slice_id.in_(bindparam("slice_ids", expanding=True)))
_BEGIN = insert(CLOUD_FILE).returning(CLOUD_FILE.c.id)
_KNOWN = select(CLOUD_FILE.c.id).where(CLOUD_FILE.c.slice_id == bindparam("of_slice"))
_STAGE = (
    update(CLOUD_FILE)
    .where(CLOUD_FILE.c.id == bindparam("file_id"), CLOUD_FILE.c.state == FileState.UPLOADING.value)
    .values(state=FileState.STAGED.value, staged_at=database_now())
    .returning(CLOUD_FILE.c.reservation_id)
)
_PARK = (
    update(SLICE)
    .where(SLICE.c.id == bindparam("slice_id"), SLICE.c.state == SliceState.QUEUED)
    .values(pool=PARKED_POOL)
)
_RESERVED = select(RESERVATION).where(RESERVATION.c.id == bindparam("reservation_id"))
_WAITING = (
    select(
        CLOUD_FILE.c.group_json, CLOUD_FILE.c.place, func.count().label("files"),
        (database_now() - func.min(CLOUD_FILE.c.staged_at)).label("seconds"),
    )
    .where(CLOUD_FILE.c.state == FileState.STAGED.value)
    .group_by(CLOUD_FILE.c.group_json, CLOUD_FILE.c.place)
    .order_by(func.min(CLOUD_FILE.c.staged_at))
)  # fmt: skip
_OPEN_ONES = select(func.count()).where(
    CLOUD_BATCH.c.place == bindparam("at_place"), CLOUD_BATCH.c.state != BatchState.ENDED.value
)
_FIRST_STAGED = (
    select(CLOUD_FILE.c.id)
    .where(
        CLOUD_FILE.c.state == FileState.STAGED.value,
        CLOUD_FILE.c.group_json == bindparam("of_group"),
        CLOUD_FILE.c.place == bindparam("at_place"),
    )
    .order_by(CLOUD_FILE.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_SEND = (
    update(CLOUD_FILE)
    .where(CLOUD_FILE.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=FileState.SENT.value, batch_id=bindparam("into"))
)
_BATCH = select(
    *(CLOUD_BATCH.c[name] for name in CloudBatch.__struct_fields__ if name not in ("age_seconds", "asked_seconds")),
    (database_now() - CLOUD_BATCH.c.made_at).label("age_seconds"),
    (database_now() - CLOUD_BATCH.c.asked_at).label("asked_seconds"),
)
_DUE = (
    select(CLOUD_BATCH.c.id)
    .where(CLOUD_BATCH.c.state != BatchState.ENDED.value, CLOUD_BATCH.c.due_at <= database_now())
    .order_by(CLOUD_BATCH.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_OF_BATCH = CLOUD_BATCH.c.id == bindparam("of_batch")
_TAKE = (
    update(CLOUD_BATCH)
    .where(CLOUD_BATCH.c.id.in_(bindparam("ids", expanding=True)))
    .values(due_at=database_now() + bindparam("hold_seconds", type_=Double()))
)
_KEYS = select(CLOUD_FILE.c.key).where(CLOUD_FILE.c.batch_id == bindparam("of_batch")).order_by(CLOUD_FILE.c.id)
_NOT_ENDED = (_OF_BATCH, CLOUD_BATCH.c.state != BatchState.ENDED.value)
_DUE_IN = {"due_at": database_now() + bindparam("after_seconds", type_=Double())}
_ASK = (
    update(CLOUD_BATCH)
    .where(*_NOT_ENDED, CLOUD_BATCH.c.state == BatchState.ASKING.value, CLOUD_BATCH.c.asked_at.is_(None))
    .values(asked_at=database_now(), grant_json=bindparam("grant"))
    .returning(CLOUD_BATCH.c.id)
)
_NOT_ASKED = (
    update(CLOUD_BATCH)
    .where(*_NOT_ENDED)
    .values(asked_at=None, grant_json="", tries=CLOUD_BATCH.c.tries + bindparam("more"), **_DUE_IN)
)
_BEGAN = (
    update(CLOUD_BATCH)
    .where(*_NOT_ENDED)
    .values(
        state=BatchState.RUNNING.value,
        operation=bindparam("named"),
        host=bindparam("at_host"),
        asked_at=None,
        **_DUE_IN,
    )
)
_LATER = update(CLOUD_BATCH).where(*_NOT_ENDED).values(polls=CLOUD_BATCH.c.polls + bindparam("more"), **_DUE_IN)
_END = (
    update(CLOUD_BATCH)
    .where(*_NOT_ENDED)
    .values(
        state=BatchState.ENDED.value, ended_at=database_now(), code=bindparam("with_code"), message=bindparam("saying")
    )
    .returning(CLOUD_BATCH.c.id)
)
_SENT_IN = _FILE.where(
    CLOUD_FILE.c.batch_id == bindparam("of_batch"), CLOUD_FILE.c.state == FileState.SENT.value
).with_for_update()
_TELL = (
    update(CLOUD_FILE)
    .where(CLOUD_FILE.c.id == bindparam("file_id"))
    .values(
        state=bindparam("now_state"), output=bindparam("at_output"), code=bindparam("with_code"),
        message=bindparam("saying"), cleaned_at=None,
    )
)  # fmt: skip
_WAKE = (
    update(SLICE)
    .where(SLICE.c.id.in_(bindparam("slice_ids", expanding=True)), SLICE.c.pool == PARKED_POOL)
    .values(pool=Pool.CLOUD.value)
)
_IS_PARKED = exists().where(
    CLOUD_FILE.c.slice_id == SLICE.c.id, CLOUD_FILE.c.state.in_([FileState.STAGED.value, FileState.SENT.value])
)
_FORGOTTEN = select(SLICE.c.id).where(
    SLICE.c.pool == PARKED_POOL, SLICE.c.state == SliceState.QUEUED, SLICE.c.dispatched_at.is_(None), ~_IS_PARKED
)
_TELL_CLOUD = text(f"SELECT pg_notify('{CLOUD_CHANNEL}', '')")


class CloudBatches:
    """Every call is one transaction. Raises `LedgerError` when the database fails; nothing has changed then."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    # --- files

    def files_of(self, slice_ids: Collection[int]) -> dict[int, CloudFile]:
        """By slice; those that never were in a batch are missing."""
        if not slice_ids:
            return {}
        with self._ledger.reading() as session:
            rows = session.execute(_FILES_OF, {"slice_ids": list(slice_ids)}).all()
        return {row.slice_id: file_of(row) for row in rows}

    def begin(self, claim: Claim, reservation: Reservation, group_json: str, place: str, key: str) -> int | None:
        """The pages of a claim are about to be uploaded to this key. None: they were in a batch before."""
        with self._ledger.unit_of_work() as session:
            if session.execute(_KNOWN, {"of_slice": claim.slice_id}).first() is not None:
                return None
            row = {
                "slice_id": claim.slice_id, "token": claim.token, "document_id": claim.document.id,
                "reservation_id": reservation.id, "group_json": group_json, "place": place, "key": key,
                "pages": claim.last_page - claim.first_page + 1, "state": FileState.UPLOADING.value, "output": "",
                "code": "", "message": "", "made_at": session.execute(_NOW).scalar_one(),
            }  # fmt: skip
            return int(session.execute(_BEGIN, row).scalar_one())

    def park(self, claim: Claim, file_id: int) -> None:
        """It is uploaded: the slice waits for a batch from now on, held by nobody. Raises `Fenced`."""
        with self._ledger.unit_of_work() as session:
            # the policy decides nothing about waits
            ending.fail(session, claim, Failure(FailureKind.WAIT, PARKED), RetryPolicy(), 0.0)
            staged = session.execute(_STAGE, {"file_id": file_id}).one_or_none()
            if staged is None:
                raise Fenced
            session.execute(_PARK, {"slice_id": claim.slice_id})
            settling.park(session, staged.reservation_id)

    def reservation(self, file: CloudFile) -> Reservation:
        """What is paid for it."""
        with self._ledger.reading() as session:
            row = session.execute(_RESERVED, {"reservation_id": file.reservation_id}).one_or_none()
        if row is None:
            raise LedgerError(f"there is no reservation {file.reservation_id}")
        return Reservation(row.id, row.slice_id, row.token, row.month, tuple(share(row.amount_micros, row.pages)))

    # --- operations

    def waiting(self) -> list[Waiting]:
        """The groups of files that wait, the oldest first."""
        with self._ledger.reading() as session:
            return [Waiting(row.group_json, row.place, row.files, row.seconds) for row in session.execute(_WAITING)]

    def open_at(self, place: str) -> int:
        """Operations of this place that have not ended."""
        with self._ledger.reading() as session:
            return int(session.execute(_OPEN_ONES, {"at_place": place}).scalar_one())

    def form(self, group: Waiting, most: int) -> str | None:
        """Makes an operation of up to so many files that wait; due at once. None: others were faster."""
        id_ = uuid4().hex
        with self._ledger.unit_of_work() as session:
            asked = {"of_group": group.group_json, "at_place": group.place, "most": most}
            ids = list(session.execute(_FIRST_STAGED, asked).scalars())
            if not ids:
                return None
            now = session.execute(_NOW).scalar_one()
            row = {
                "id": id_, "group_json": group.group_json, "place": group.place, "output": f"out/{id_}",
                "state": BatchState.ASKING.value, "operation": "", "host": "", "grant_json": "", "tries": 0,
                "polls": 0, "made_at": now, "due_at": now, "code": "", "message": "",
            }  # fmt: skip
            session.execute(insert(CLOUD_BATCH), row)
            session.execute(_SEND, {"ids": ids, "into": id_})
        return id_

    def take_due(self, most: int, hold_seconds: float) -> list[CloudBatch]:
        """Operations to be moved on, which are this caller's alone for so long."""
        with self._ledger.unit_of_work() as session:
            ids = list(session.execute(_DUE, {"most": most}).scalars())
            if not ids:
                return []
            session.execute(_TAKE, {"ids": ids, "hold_seconds": hold_seconds})
            rows = session.execute(_BATCH.where(CLOUD_BATCH.c.id.in_(ids))).all()
        return [batch_of(row) for row in rows]

    def any_due(self) -> bool:
        with self._ledger.reading() as session:
            return session.execute(_DUE_NOW).first() is not None

    def keys_of(self, batch_id: str) -> tuple[str, ...]:
        """Of all its files, always the same and in the same order."""
        with self._ledger.reading() as session:
            return tuple(session.execute(_KEYS, {"of_batch": batch_id}).scalars())

    def ask(self, batch_id: str, grant_json: str) -> bool:
        """From now on a request for it may have been sent, by this caller alone; False: somebody else has sent one."""
        with self._ledger.unit_of_work() as session:
            return session.execute(_ASK, {"of_batch": batch_id, "grant": grant_json}).one_or_none() is not None

    def not_asked(self, batch_id: str, after_seconds: float, tried: bool) -> None:
        """It is known that no request for it was taken; asked again in so many seconds."""
        self._change(_NOT_ASKED, batch_id, after_seconds=after_seconds, more=int(tried))

    def began(self, batch_id: str, operation: str, host: str, after_seconds: float) -> None:
        self._change(_BEGAN, batch_id, named=operation, at_host=host, after_seconds=after_seconds)

    def later(self, batch_id: str, after_seconds: float, polled: bool = True) -> None:
        self._change(_LATER, batch_id, after_seconds=after_seconds, more=int(polled))

    def _change(self, statement: Any, batch_id: str, **values: Any) -> None:
        with self._ledger.unit_of_work() as session:
            session.execute(statement, {"of_batch": batch_id, **values})

    def end(
        self,
        batch_id: str,
        outputs: Mapping[str, str],
        failures: Mapping[str, tuple[str, str]] = {},
        whole: tuple[str, str] = ("", ""),
        billed: bool = False,
    ) -> int:
        """It has ended. `outputs`: key -> prefix of its result; `failures`: key -> (code, message) of why there is
        none; `whole`: the same of the operation, for files nothing is said of. Their slices are woken.

        `billed`: nobody knows whether files without a result are paid for, so that they count as such; else they are
        free. Returns how many have a result. Repeatable.
        """
        with self._ledger.unit_of_work() as session:
            done = {"of_batch": batch_id, "with_code": whole[0], "saying": whole[1][:500]}
            if session.execute(_END, done).one_or_none() is None:
                return 0
            files = [file_of(row) for row in session.execute(_SENT_IN, {"of_batch": batch_id})]
            for file in files:
                output = outputs.get(file.key, "")
                code, message = ("", "") if output else failures.get(file.key) or whole
                state = FileState.READ if output else FileState.FAILED
                tell_file(session, file.id, state, output, code, message)
            unread = [file.reservation_id for file in files if not outputs.get(file.key)]
            settling.write_off(session, unread) if billed else settling.release(session, unread)
            wake(session, [file.slice_id for file in files])
        return len(files) - len(unread)

    def give_up(self, file: CloudFile, code: str, message: str = "", billed: bool = False) -> None:
        """Nothing will come of it in a batch: its slice goes on by itself, if it is not claimed already."""
        with self._ledger.unit_of_work() as session:
            give_up(session, [file], code, message, billed)

    def close(self, file: CloudFile) -> None:
        """Its objects are not needed any more; the money for it was seen to."""
        with self._ledger.unit_of_work() as session:
            tell_file(session, file.id, FileState.OVER, file.output, file.code, file.message)

    def wake_forgotten(self) -> int:
        """Slices that are parked with nothing to wait for; returns how many there were."""
        with self._ledger.reading() as session:
            ids = list(session.execute(_FORGOTTEN).scalars())
        if ids:
            with self._ledger.unit_of_work() as session:
                wake(session, ids)
        return len(ids)


_NOW = select(database_now())
_DUE_NOW = (
    select(CLOUD_BATCH.c.id)
    .where(CLOUD_BATCH.c.state != BatchState.ENDED.value, CLOUD_BATCH.c.due_at <= database_now())
    .limit(1)
)


def tell_file(
    session: Session, file_id: int, state: FileState, output: str = "", code: str = "", message: str = ""
) -> None:
    told = {"now_state": state.value, "at_output": output, "with_code": code, "saying": message[:500]}
    session.execute(_TELL, {"file_id": file_id, **told})


def give_up(session: Session, files: Sequence[CloudFile], code: str, message: str, billed: bool) -> None:
    for file in files:
        tell_file(session, file.id, FileState.OVER, file.output, code, message)
    ids = [file.reservation_id for file in files]
    settling.write_off(session, ids) if billed else settling.release(session, ids)
    wake(session, [file.slice_id for file in files])


def wake(session: Session, slice_ids: Sequence[int]) -> None:
    """What is parked of these may be claimed again."""
    if not slice_ids:
        return
    session.execute(_WAKE, {"slice_ids": list(slice_ids)})
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_TELL_CLOUD)
