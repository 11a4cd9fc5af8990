"""The short way: a document of few pages is planned, read and assembled under one claim, and ends in one transaction.

The rows are those of the long way but for the assemble slice: the plan slice is DONE, and one LOCAL slice, made DONE,
owns the pages, so that trying failed pages again works as it always does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace
from sqlalchemy import Connection, Integer, bindparam, insert, literal, null, select
from sqlalchemy.orm import Session

from docfleet.domain.work import DocumentState, SliceState, Step
from docfleet.errors import LedgerError
from docfleet.ledger.after_end import after_end
from docfleet.ledger.dialect import database_now
from docfleet.ledger.documents import cause_of_end, closing, end_at_once, storable_outcomes, write_pages
from docfleet.ledger.ending import clear_deaths, end_attempt, may_have_deaths
from docfleet.ledger.in_one_statement import Ending, NotHeld, end_by_itself, end_in_one_statement
from docfleet.ledger.moves import LockedDocument, lock_document, record_slices
from docfleet.ledger.rows import SLICE
from docfleet.ledger.values import Claim, DocumentSummary, PageOutcome, Plan

_LIKE_THE_PLAN = (
    "document_id", "batch_id", "round", "priority", "worker", "available_at", "created_at", "started_at", "tenant_id",
    "region", "pool", "urgency", "deadline_at",
)  # fmt: skip
_OWNER = {
    **{name: SLICE.c[name] for name in _LIKE_THE_PLAN},
    **{name: literal(0, Integer()) for name in ("attempt", "crash_count", "error_count", "wait_count", "loss_count")},
    **{name: literal("") for name in ("payload_json", "code", "message", "detail")},
    "step": bindparam("new_step", Step.LOCAL, type_=SLICE.c.step.type),
    "state": bindparam("new_state", SliceState.DONE, type_=SLICE.c.state.type),
    "first_page": literal(1, Integer()),
    "last_page": bindparam("new_last_page", type_=Integer()),
    "token": literal(0, Integer()),
    "lease_until": null(),
    "isolated": literal(False),
    "result_key": bindparam("new_result_key"),
    "finished_at": database_now(),
}
_ADD_OWNER = (
    insert(SLICE)
    .from_select(list(_OWNER), select(*_OWNER.values()).where(SLICE.c.id == bindparam("plan_slice_id")))
    .returning(SLICE.c.id, SLICE.c.started_at)
)
_STARTED = select(SLICE.c.started_at).where(SLICE.c.id == bindparam("plan_slice_id"))


def finish_in_one(
    session: Session,
    claim: Claim,
    plan: Plan,
    page_outcomes: Sequence[PageOutcome],
    result_key: str,
    summary: DocumentSummary,
) -> DocumentState:
    """Ends a plan slice and, with it, its document: SUCCEEDED, PARTIAL or FAILED as the outcomes say.

    `result_key`: of the pages read, as in `finish`. Repeatable. Raises Fenced when the claim was lost, LedgerError
    when there is not exactly one outcome for each page of the plan.
    """
    page_outcomes = _checked(claim, plan, page_outcomes)
    document = lock_document(session, claim.document.id)
    if plan.pages and session.info.get("fencing", True) and session.get_bind().dialect.name == "postgresql":
        # what is not held any more was lost, or has ended before: that is found out as on SQLite
        with suppress(NotHeld):
            ending = _ending(claim, document.media_type, plan, page_outcomes, result_key, summary)
            return _end_in_one_statement(session, document, ending)
    if not end_attempt(session, claim, ""):
        return document.state
    if plan.pages:
        started_at = add_owner(session, claim, plan.pages, result_key, page_outcomes)
    else:
        started_at = session.execute(_STARTED, {"plan_slice_id": claim.slice_id}).scalar_one()
    return end_at_once(session, document, plan, page_outcomes, summary, started_at)


def add_owner(
    session: Session, claim: Claim, pages: int, result_key: str, outcomes: Sequence[PageOutcome]
) -> float | None:
    """Makes the LOCAL slice, DONE, that owns the pages read with their plan, and their rows; when it was started."""
    given = {"plan_slice_id": claim.slice_id, "new_last_page": pages, "new_result_key": result_key}
    owner = session.execute(_ADD_OWNER, given).one()
    record_slices(
        session,
        [
            {
                "document_id": claim.document.id, "slice_id": owner.id, "from_state": "", "to_state": SliceState.DONE,
                "token": 0, "worker": claim.worker, "cause": "in one with the plan",
            }
        ],
    )  # fmt: skip
    write_pages(session, claim.document.id, owner.id, outcomes)
    started_at: float | None = owner.started_at
    return started_at


def finish_at_once(
    connection: Connection,
    claim: Claim,
    plan: Plan,
    page_outcomes: Sequence[PageOutcome],
    result_key: str,
    summary: DocumentSummary,
) -> DocumentState | None:
    """Postgres, on a connection that commits by itself: `finish_in_one` where nobody else is concerned.

    None: nothing was changed, ask that. A document that began to follow this one in the same microseconds is served by
    the dispatcher's repair.
    """
    if not plan.pages or may_have_deaths(claim):
        return None
    page_outcomes = _checked(claim, plan, page_outcomes)
    ending = _ending(claim, claim.document.media_type, plan, page_outcomes, result_key, summary)
    return ending.state if end_by_itself(connection, ending) else None


def _checked(claim: Claim, plan: Plan, outcomes: Sequence[PageOutcome]) -> Sequence[PageOutcome]:
    if claim.step is not Step.PLAN:
        raise LedgerError(f"a {claim.step} slice does not end its document at once")
    if sorted(outcome.page for outcome in outcomes) != list(range(1, plan.pages + 1)):
        raise LedgerError(f"the outcomes are not those of pages 1 to {plan.pages}")
    return storable_outcomes(outcomes)


def _ending(
    claim: Claim,
    media_type: str,
    plan: Plan,
    outcomes: Sequence[PageOutcome],
    pages_key: str,
    summary: DocumentSummary,
) -> Ending:
    verdict, columns = closing(media_type, plan, outcomes, summary)
    cause = cause_of_end(verdict.state, verdict.reason, str(columns["code"]))
    return Ending(claim, plan, outcomes, pages_key, verdict.state, cause, columns)


def _end_in_one_statement(session: Session, document: LockedDocument, ending: Ending) -> DocumentState:
    concerns_others = end_in_one_statement(session, document, ending)
    clear_deaths(session, ending.claim)
    if concerns_others:
        after_end(session, replace(document, state=ending.state, pages=ending.plan.pages))
    return ending.state
