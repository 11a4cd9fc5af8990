"""What clients ask of the ledger: every call is one transaction, and is about one tenant."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState
from docfleet.errors import Conflict, Gone, LedgerError
from docfleet.ledger import (
    accepting,
    batches,
    controlling,
    dead_letters,
    deleting,
    idempotency,
    keeping,
    labelling,
    listing,
    streams,
    views,
)
from docfleet.ledger.dead_letters import Letters
from docfleet.ledger.dialect import empty_log, is_busy, translating_errors
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.moves import lock_document
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_values import (
    Accepted,
    BatchListing,
    BatchView,
    DeadLetterGroup,
    DeadLetterListing,
    DocumentFilter,
    DocumentView,
    EventView,
    Listing,
    PageView,
    Submission,
    Submitted,
)
from docfleet.ledger.turns import Turns

COUNT_SECONDS = 1.0
"""How long a count of open documents is believed."""
_PART = 200
"""Documents changed in one transaction by what changes many."""
_TRIES = 4

T = TypeVar("T")


class Desk:
    """Threads may share one. What a tenant does not own is not found; what it deleted is gone.

    Raises `RequestError`s for what was asked wrongly, `LedgerError` when the database fails; nothing has changed then,
    unless the connection was lost (`LedgerUnavailable`), when a change may have been made.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._committing = None
        if ledger.engine.dialect.name == "postgresql":
            self._committing = ledger.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._homes: dict[str, accepting.Home] = {}
        self._counted: dict[str | None, tuple[float, int]] = {}
        self._count_lock = threading.Lock()
        self._turns = Turns()

    def _write(self, change: Callable[[Session], T]) -> T:
        """One transaction; again when another got in its way."""
        for attempt in range(_TRIES):
            try:
                with self._ledger.unit_of_work() as session:
                    return change(session)
            except LedgerError as error:
                if attempt == _TRIES - 1 or not is_busy(error):
                    raise
                time.sleep(0.02 * (attempt + random.random()))
        raise AssertionError("unreachable")

    # --- submitting

    def accept(self, submission: Submission) -> Accepted:
        """Makes the document, with its first slice. Its bytes have to be in the store already.

        Raises BadRequest, NotFound or Conflict (its batch is unknown or sealed), IdempotencyMismatch.
        """
        return self.submit(submission).accepted

    def submit(self, submission: Submission) -> Submitted:
        """As `accept`; where it costs nothing more, the document as it then stood comes with the answer."""
        checked = accepting.checked(submission)
        home = self._home(checked.tenant)
        if not checked.reuse:
            return self._submit(checked, home)
        with self._turns.of(accepting.twins(checked)):
            return self._submit(checked, home)

    def _submit(self, checked: Submission, home: accepting.Home) -> Submitted:
        if self._committing is not None:
            try:
                with translating_errors(), self._committing.connect() as connection:
                    made = accepting.accept_at_once(connection, checked, home)
            except LedgerError as error:
                # nothing was written, and the other way tries again
                if not is_busy(error):
                    raise
                made = None
            if made is not None:
                return Submitted(made[0], views.just_made(checked, *made))
        return Submitted(self._write(lambda session: accepting.accept(session, checked, home)), None)

    def accept_many(self, submissions: Sequence[Submission]) -> list[Accepted]:
        """All or none of them, in one transaction."""
        checked = [accepting.checked(submission) for submission in submissions]
        homes = {submission.tenant: self._home(submission.tenant) for submission in checked}
        return self._write(lambda session: accepting.accept_all(session, checked, homes))

    def _home(self, tenant: str) -> accepting.Home:
        home = self._homes.get(tenant)
        if home is None:
            home = accepting.Home(*self._write(lambda session: batches.home_of(session, tenant)))
            self._homes[tenant] = home
        return home

    def find_idempotent(self, tenant: str, key: str, request_digest: str) -> Accepted | None:
        """What the request with this Idempotency-Key was answered. Raises IdempotencyMismatch."""
        with self._ledger.reading() as session:
            return idempotency.find_answer(session, tenant, key, request_digest)

    # --- documents

    def document(self, tenant: str, id: str) -> DocumentView:
        with self._ledger.reading() as session:
            return views.document(session, tenant, id)

    def pages(self, tenant: str, id: str) -> list[PageView]:
        """Every page and how it stands; empty while their number is not known."""
        with self._ledger.reading() as session:
            return views.pages(session, tenant, id)

    def documents(
        self,
        tenant: str,
        wanted: DocumentFilter = DocumentFilter(),  # noqa: B008 - frozen
        cursor: str | None = None,
        limit: int = 100,
    ) -> Listing:
        """A page may be short, even empty, while there is a cursor. `limit`: 1 to 1000."""
        with self._ledger.reading() as session:
            return listing.documents(session, tenant, wanted, cursor, limit)

    def wrapped_key(self, tenant: str, id: str) -> bytes:
        with self._ledger.reading() as session:
            return deleting.wrapped_key(session, tenant, id)

    def cancel(self, tenant: str, id: str) -> DocumentView:
        """Conflict when it has ended otherwise."""
        self._write(lambda session: controlling.cancel(session, tenant, id))
        return self.document(tenant, id)

    def retry(
        self, tenant: str, id: str, pages: Collection[int] | None = None, sealed_passwords: bytes | None = None
    ) -> DocumentView:
        """A new round, of these pages only when given. Conflict when it succeeded or has not ended.

        `sealed_passwords`: as in `Submission`, since those it came with were forgotten when it ended.
        """
        self._write(lambda session: controlling.retry(session, tenant, id, pages, sealed_passwords))
        return self.document(tenant, id)

    def reprioritise(self, tenant: str, id: str, urgency: Urgency, deadline_at: float | None = None) -> DocumentView:
        """Conflict when it has ended, or another waits for it that is more urgent."""
        self._write(lambda session: controlling.reprioritise(session, tenant, id, urgency, deadline_at))
        return self.document(tenant, id)

    def label(self, tenant: str, id: str, changes: Mapping[str, str | None]) -> DocumentView:
        """Each label gets its value; None takes it away, what is not named stays. In any state."""
        self._write(lambda session: labelling.label(session, tenant, id, changes))
        return self.document(tenant, id)

    def delete(self, tenant: str, id: str) -> None:
        """Conflict while it is open: cancel it first."""
        self._write(lambda session: deleting.delete_document(session, tenant, id))

    # --- batches

    def open_batch(
        self,
        tenant: str,
        label: str = "",
        labels: Mapping[str, str] | None = None,
        submitted_by: str = "",
        idempotency_key: str = "",
    ) -> BatchView:
        """A new batch; with an idempotency key the one that was opened under it. Raises IdempotencyMismatch."""
        region = self._home(tenant).region
        return self._write(
            lambda session: batches.open_batch(
                session, tenant, label, labels or {}, submitted_by, idempotency_key, region
            )
        )

    def seal_batch(self, tenant: str, id: str) -> BatchView:
        return self._write(lambda session: batches.seal_batch(session, tenant, id))

    def batch(self, tenant: str, id: str) -> BatchView:
        with self._ledger.reading() as session:
            return batches.batch(session, tenant, id)

    def batches(self, tenant: str, cursor: str | None = None, limit: int = 100) -> BatchListing:
        with self._ledger.reading() as session:
            return batches.batches(session, tenant, cursor, limit)

    def cancel_batch(self, tenant: str, id: str) -> int:
        """Cancels its open documents, in parts; returns how many."""
        with self._ledger.reading() as session:
            batches.require_batch(session, tenant, id)
        total = 0
        while True:
            with self._ledger.reading() as session:
                ids = controlling.open_documents_of(session, id, _PART)
            if not ids:
                return total
            total += self._write(lambda session, ids=ids: controlling.cancel_some(session, ids, "batch cancelled"))  # type: ignore[misc]

    # --- dead letters

    def dead_letters(
        self, tenant: str, code: str | None = None, cursor: str | None = None, limit: int = 100, step: str | None = None
    ) -> DeadLetterListing:
        with self._ledger.reading() as session:
            return dead_letters.dead_letters(session, tenant, code, cursor, limit, step)

    def dead_letter_groups(self, tenant: str) -> list[DeadLetterGroup]:
        with self._ledger.reading() as session:
            return dead_letters.groups(session, tenant)

    def open_dead_letters(self, tenant: str | None = None) -> int:
        """How many are listed, of one tenant or of all."""
        with self._ledger.reading() as session:
            return dead_letters.count(session, tenant)

    def retry_dead_letters(
        self, tenant: str, code: str | None = None, step: str | None = None, document_id: str | None = None
    ) -> int:
        """Tries again what these letters are about, in parts; returns how many were.

        Those of documents that have not ended yet stay listed.
        """
        total, after = 0, ""
        while True:
            with self._ledger.reading() as session:
                found = dead_letters.letters_of_next(session, tenant, code, step, document_id, after, _PART)
            if not found:
                return total
            after = max(found)
            total += self._write(lambda session, found=found: self._retry_letters(session, tenant, found))  # type: ignore[misc]

    def _retry_letters(self, session: Session, tenant: str, found: Mapping[str, Letters]) -> int:
        count, batch_ids = 0, set()
        for document_id, letters in found.items():
            try:
                document = lock_document(session, document_id)
                # under the lock: it may have been deleted meanwhile
                controlling.standing(session, tenant, document_id)
                controlling.require_retryable(document)
            except (Conflict, Gone):
                continue
            controlling.try_again(session, document, dead_letters.pages_of(letters))
            count += len(letters)
            batch_ids.add(document.batch_id)
        if count:
            controlling.reopen_batches(session, batch_ids)
            accepting.wake(session)
        return count

    def discard_dead_letters(
        self, tenant: str, code: str | None = None, step: str | None = None, document_id: str | None = None
    ) -> int:
        """Lists these letters no more, in parts; their documents stay as they ended. Returns how many."""
        total = 0
        while count := self._write(
            lambda session: dead_letters.discard_some(session, tenant, code, step, document_id, _PART)
        ):
            total += count
        return total

    # --- events

    def events(
        self,
        tenant: str,
        document_id: str | None = None,
        batch_id: str | None = None,
        after_cursor: str = "",
        limit: int = 100,
    ) -> list[EventView]:
        """What happened to one document or one batch after a cursor; none is missed or told twice."""
        with self._ledger.reading() as session:
            return streams.events(session, tenant, document_id, batch_id, after_cursor, limit)

    # --- keeping house

    def open_documents(self, tenant: str | None = None) -> int:
        """How many have not ended; as it was at most a second ago, or, when counting takes long, somewhat earlier."""
        with self._count_lock:
            until, count = self._counted.get(tenant, (0.0, 0))
            began = self._clock()
            if began < until:
                return count
            is_open = DOCUMENT.c.state.in_(sorted(set(DocumentState) - DOCUMENT_ENDS))
            wanted = select(func.count()).where(is_open)
            if tenant is not None:
                wanted = wanted.where(DOCUMENT.c.tenant_id == tenant)
            with self._ledger.reading() as session:
                count = session.execute(wanted).scalar_one()
            now = self._clock()
            self._counted[tenant] = (now + max(COUNT_SECONDS, 20.0 * (now - began)), count)
            return count

    def known_open_documents(self, tenant: str | None = None) -> int | None:
        """What `open_documents` would say without asking the ledger; None when it would ask. Never blocks."""
        until, count = self._counted.get(tenant, (0.0, 0))
        return count if self._clock() < until else None

    def erased_contents(self, limit: int = 100) -> list[str]:
        with self._ledger.reading() as session:
            return deleting.erased_contents(session, limit)

    def mark_purged(self, ids: Collection[str]) -> None:
        self._write(lambda session: deleting.mark_purged(session, ids))

    def empty_log(self) -> bool:
        """Embedded ledger: nothing of what was deleted stays in its log; False: somebody reads, ask again later."""
        return empty_log(self._ledger.engine)

    def content_exists(self, ids: Collection[str]) -> set[str]:
        """Those of the ids whose objects belong to something."""
        with self._ledger.reading() as session:
            return deleting.existing_contents(session, ids)

    def kept_prefixes(self, content_ids: Collection[str]) -> set[str]:
        """What attempts at these contents wrote, and is or may still be needed: prefixes in the store."""
        with self._ledger.reading() as session:
            return keeping.kept_prefixes(session, content_ids)

    def prune_idempotency(self, hours: float) -> int:
        """Forgets the answers given longer ago than that; returns how many."""
        return self._write(lambda session: idempotency.prune(session, hours))
