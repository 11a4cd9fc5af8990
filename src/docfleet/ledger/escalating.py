"""The third step of the cascade in the ledger: pages go on to a cloud engine, and come back, or stay as they are.

    LOCAL (or a short document's PLAN) ──finish──▶ page rows as read locally + CLOUD slices of the pages that go on
    CLOUD ──finish──▶ the page rows are replaced by what the cloud engine read; a page it did not read stays as it was

A document goes on to ASSEMBLE once no page slice of it is open, so a cloud slice holds it up like any other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from docfleet.domain.work import PAGE_READ, DocumentState, Step
from docfleet.errors import LedgerError, LedgerUnavailable
from docfleet.ledger.checks import storable
from docfleet.ledger.dialect import is_busy
from docfleet.ledger.documents import advance, storable_outcomes
from docfleet.ledger.ending import end_attempt, finish
from docfleet.ledger.in_one import add_owner
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.moves import add_slices, lock_document, move_document
from docfleet.ledger.rows import PAGE
from docfleet.ledger.values import Claim, NewSlice, PageOutcome, Plan

_TRIES = 5
T = TypeVar("T")
Also = Callable[[Session], None]
"""Something that is written in the same transaction (what was paid); repeatable."""


def _nothing(session: Session) -> None: ...


class Escalating:
    """Ends of slices that pass pages on to a cloud engine, or come back from one. Every call is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def finish_short(
        self,
        claim: Claim,
        plan: Plan,
        page_outcomes: Sequence[PageOutcome],
        result_key: str,
        next_slices: Sequence[NewSlice],
    ) -> DocumentState:
        """Ends a plan slice that has read the pages as well; those in `next_slices` are read (again) by others.

        `result_key`: of the pages read. Repeatable. Raises Fenced when the claim was lost, LedgerError when a page has
        neither outcome nor slice.
        """
        return self._write(lambda session: finish_short(session, claim, plan, page_outcomes, result_key, next_slices))

    def finish_cloud(
        self,
        claim: Claim,
        result_key: str,
        page_outcomes: Sequence[PageOutcome],
        next_slices: Sequence[NewSlice] = (),
        also: Also = _nothing,
    ) -> DocumentState:
        """Ends a cloud slice: what was read replaces the page, what was not leaves a page that was read as it is.

        A page that stays says why in its detail. Pages may be passed on to `next_slices` (smaller ones, after a request
        that was refused). Repeatable. Raises Fenced when the claim was lost.
        """
        return self._write(lambda session: finish_cloud(session, claim, result_key, page_outcomes, next_slices, also))

    def _write(self, change: Callable[[Session], T]) -> T:
        for attempt in range(_TRIES):
            try:
                with self._ledger.unit_of_work() as session:
                    return change(session)
            except LedgerError as error:
                may_help = is_busy(error) or (attempt == 0 and isinstance(error, LedgerUnavailable))
                if attempt == _TRIES - 1 or not may_help:
                    raise
                time.sleep(0.02 * (attempt + random.random()))
        raise AssertionError("unreachable")


def finish_short(
    session: Session,
    claim: Claim,
    plan: Plan,
    page_outcomes: Sequence[PageOutcome],
    result_key: str,
    next_slices: Sequence[NewSlice],
) -> DocumentState:
    if claim.step is not Step.PLAN:
        raise LedgerError(f"a {claim.step} slice brings no plan")
    told = [outcome.page for outcome in page_outcomes]
    passed_on = {page for new in next_slices for page in range(new.first_page, new.last_page + 1)}
    if len(set(told)) != len(told) or set(told) | passed_on != set(range(1, plan.pages + 1)):
        raise LedgerError(f"the outcomes and slices are not those of pages 1 to {plan.pages}")
    document = lock_document(session, claim.document.id)
    if not end_attempt(session, claim, ""):
        return document.state
    started_at = add_owner(session, claim, plan.pages, result_key, storable_outcomes(page_outcomes))
    document = move_document(
        session, document, DocumentState.RUNNING, f"{plan.pages} pages", pages=plan.pages, plan_json=plan.plan_json,
        media_type=plan.media_type or document.media_type, started_at=started_at,
    )  # fmt: skip
    add_slices(session, document, next_slices)
    return advance(session, document)


def finish_cloud(
    session: Session,
    claim: Claim,
    result_key: str,
    page_outcomes: Sequence[PageOutcome],
    next_slices: Sequence[NewSlice],
    also: Also,
) -> DocumentState:
    if claim.step is not Step.CLOUD:
        raise LedgerError(f"a {claim.step} slice does not come from a cloud engine")
    # before the others: the end of a document's last slice sums up its pages
    lock_document(session, claim.document.id)
    note_standing(
        session,
        claim.document.id,
        {outcome.page: outcome.detail for outcome in page_outcomes if outcome.outcome != PAGE_READ},
    )
    state = finish(session, claim, result_key, page_outcomes, next_slices, None)
    also(session)
    return state


_STANDS = (
    update(PAGE)
    .where(
        PAGE.c.document_id == bindparam("of_document"),
        PAGE.c.number == bindparam("of_page"),
        PAGE.c.outcome == PAGE_READ,
    )
    .values(detail=bindparam("new_detail"))
)


def note_standing(session: Session, document_id: str, why: Mapping[int, str]) -> None:
    """Pages that were read locally, and stand although a cloud engine was to read them, say why."""
    for page, reason in why.items():
        detail = storable(f"The local result stands: {reason}")
        session.execute(_STANDS, {"of_document": document_id, "of_page": page, "new_detail": detail})
