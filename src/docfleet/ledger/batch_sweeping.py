"""What is left over of batches: money and objects of files that nobody waits for any more, and at last their rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Double, bindparam, delete, exists, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import OPEN_SLICES, SliceState
from docfleet.ledger import settling
from docfleet.ledger.batch_rows import CLOUD_BATCH, CLOUD_FILE, BatchState, FileState
from docfleet.ledger.batch_values import CloudFile, file_of
from docfleet.ledger.cloud_batches import CloudBatches, give_up, tell_file
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import SLICE

MOST_AT_ONCE = 500


class Leftover(msgspec.Struct, frozen=True):
    """Objects of a place that are to be deleted: one key, and what lies below a prefix. Empty: none."""

    place: str
    key: str = ""
    prefix: str = ""
    file_id: int = 0
    batch_id: str = ""


_FILE = select(*(CLOUD_FILE.c[name] for name in CloudFile.__struct_fields__))
_IS_OPEN = exists().where(SLICE.c.id == CLOUD_FILE.c.slice_id, SLICE.c.state.in_(sorted(OPEN_SLICES)))
_IS_HELD = exists().where(
    SLICE.c.id == CLOUD_FILE.c.slice_id, SLICE.c.token == CLOUD_FILE.c.token, SLICE.c.state == SliceState.RUNNING
)
_SETTLED_BY_SLICE = [FileState.STAGED.value, FileState.READ.value, FileState.FAILED.value]
_NOT_WANTED = _FILE.where(CLOUD_FILE.c.state.in_(_SETTLED_BY_SLICE), ~_IS_OPEN).limit(MOST_AT_ONCE)
_BROKEN_OFF = _FILE.where(CLOUD_FILE.c.state == FileState.UPLOADING.value, ~_IS_HELD).limit(MOST_AT_ONCE)
_WAITED_ENOUGH = _FILE.where(
    CLOUD_FILE.c.state == FileState.STAGED.value,
    (CLOUD_FILE.c.staged_at < database_now() - bindparam("longest", type_=Double()))
    | exists().where(
        SLICE.c.id == CLOUD_FILE.c.slice_id, SLICE.c.urgency.not_in(bindparam("urgencies", expanding=True))
    ),
).limit(MOST_AT_ONCE)
_TO_CLEAN = select(
    CLOUD_FILE.c.id, CLOUD_FILE.c.place, CLOUD_FILE.c.key, CLOUD_FILE.c.output
).where(
    CLOUD_FILE.c.cleaned_at.is_(None),
    (CLOUD_FILE.c.state == FileState.OVER.value) | ((CLOUD_FILE.c.state == FileState.SENT.value) & ~_IS_OPEN),
).limit(MOST_AT_ONCE)  # fmt: skip
_CLEANED = (
    update(CLOUD_FILE).where(CLOUD_FILE.c.id.in_(bindparam("ids", expanding=True))).values(cleaned_at=database_now())
)
_NEEDED = exists().where(CLOUD_BATCH.c.id == CLOUD_FILE.c.batch_id, CLOUD_BATCH.c.state != BatchState.ENDED.value)
_OLD = (
    select(CLOUD_FILE.c.id, CLOUD_FILE.c.place, CLOUD_FILE.c.key, CLOUD_FILE.c.output)
    .where(
        CLOUD_FILE.c.state == FileState.OVER.value,
        CLOUD_FILE.c.cleaned_at < database_now() - bindparam("older", type_=Double()),
        ~_IS_OPEN,
        ~_NEEDED,
    )
    .limit(MOST_AT_ONCE)
)
_HAS_FILES = exists().where(CLOUD_FILE.c.batch_id == CLOUD_BATCH.c.id)
_EMPTY = (
    select(CLOUD_BATCH.c.id, CLOUD_BATCH.c.place, CLOUD_BATCH.c.output)
    .where(
        CLOUD_BATCH.c.state == BatchState.ENDED.value,
        CLOUD_BATCH.c.ended_at < database_now() - bindparam("older", type_=Double()),
        ~_HAS_FILES,
    )
    .limit(MOST_AT_ONCE)
)
_FORGET_FILES = delete(CLOUD_FILE).where(CLOUD_FILE.c.id.in_(bindparam("ids", expanding=True)))
_FORGET_BATCHES = delete(CLOUD_BATCH).where(CLOUD_BATCH.c.id.in_(bindparam("ids", expanding=True)))
_LIVE = _FILE.where(CLOUD_FILE.c.state != FileState.OVER.value).limit(MOST_AT_ONCE)


class BatchSweeping:
    """Every call is one transaction, or a look and then one."""

    def __init__(self, batches: CloudBatches) -> None:
        self._ledger = batches.ledger

    def let_go(self) -> int:
        """Closes files whose slice has ended, or whose upload broke off; returns how many.

        A result that came and was not used counts as paid for; what was in no batch costs nothing.
        """
        with self._ledger.reading() as session:
            if session.execute(_NOT_WANTED).first() is None and session.execute(_BROKEN_OFF).first() is None:
                return 0
        with self._ledger.unit_of_work() as session:
            found = [file_of(row) for row in session.execute(_NOT_WANTED.with_for_update(skip_locked=True))]
            broken = [file_of(row) for row in session.execute(_BROKEN_OFF.with_for_update(skip_locked=True))]
            for file in [*found, *broken]:
                tell_file(session, file.id, FileState.OVER, file.output, file.code, file.message)
            # what its slice's end has settled stays as it is
            settling.write_off(session, [file.reservation_id for file in found if file.state is FileState.READ])
            free = [file for file in found if file.state is FileState.STAGED] + broken
            settling.release(session, [file.reservation_id for file in free])
        return len(found) + len(broken)

    def unstage(self, longest_seconds: float, urgencies: Collection[str]) -> int:
        """What waited too long for a batch, or has become urgent, goes on by itself; returns how many."""
        given = {"longest": longest_seconds, "urgencies": sorted(urgencies) or [""]}
        with self._ledger.reading() as session:
            found = bool(session.execute(_WAITED_ENOUGH, given).first())
        if not found:
            return 0
        with self._ledger.unit_of_work() as session:
            files = [file_of(row) for row in session.execute(_WAITED_ENOUGH.with_for_update(skip_locked=True), given)]
            give_up(session, files, "no_batch", "It waited too long for a batch, or became urgent.", False)
        return len(files)

    def leftovers(self) -> list[Leftover]:
        """Objects of files that are over, or whose slice has ended while they are in a batch."""
        with self._ledger.reading() as session:
            rows = session.execute(_TO_CLEAN).all()
        return [Leftover(row.place, row.key, row.output, row.id) for row in rows]

    def cleaned(self, file_ids: Sequence[int]) -> None:
        if file_ids:
            with self._ledger.unit_of_work() as session:
                session.execute(_CLEANED, {"ids": list(file_ids)})

    def old(self, older_seconds: float) -> list[Leftover]:
        """Of rows that may go: their objects are deleted once more first, since something may have come late."""
        with self._ledger.reading() as session:
            files = session.execute(_OLD, {"older": older_seconds}).all()
            batches = session.execute(_EMPTY, {"older": older_seconds}).all()
        return [
            *(Leftover(row.place, row.key, row.output, row.id) for row in files),
            *(Leftover(row.place, prefix=row.output, batch_id=row.id) for row in batches),
        ]

    def forget(self, gone: Sequence[Leftover]) -> None:
        files = [one.file_id for one in gone if one.file_id]
        batches = [one.batch_id for one in gone if one.batch_id]
        if gone:
            with self._ledger.unit_of_work() as session:
                session.execute(_FORGET_FILES, {"ids": files})
                session.execute(_FORGET_BATCHES, {"ids": batches})

    def abandon(self) -> int:
        """Batches were switched off: everything goes on by itself, and what was sent counts as paid for. How many."""
        total = 0
        while True:
            with self._ledger.unit_of_work() as session:
                files = [file_of(row) for row in session.execute(_LIVE)]
                self._abandon(session, files)
            total += len(files)
            if len(files) < MOST_AT_ONCE:
                return total

    def _abandon(self, session: Session, files: Sequence[CloudFile]) -> None:
        paid = [file for file in files if file.state in (FileState.SENT, FileState.READ)]
        rest = [file for file in files if file not in paid]
        give_up(session, paid, "batches_off", "", True)
        give_up(session, rest, "batches_off", "", False)
