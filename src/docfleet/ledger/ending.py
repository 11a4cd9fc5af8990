"""How an attempt ends: finish, failure, hand-back, lapsed lease, dead worker. Every write is fenced by the token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from docfleet.domain.retry import (
    Action,
    Counters,
    Decision,
    Failure,
    FailureKind,
    Lapse,
    RetryPolicy,
    judge_lapses,
    judge_release,
)
from docfleet.domain.work import DOCUMENT_ENDS, PAGE_STEPS, DocumentState, SliceState, Step
from docfleet.errors import Fenced, LedgerError, document_error_codes
from docfleet.ledger import deaths, workers
from docfleet.ledger.checks import storable
from docfleet.ledger.dialect import database_now
from docfleet.ledger.documents import advance, conclude, give_up, storable_outcomes, write_pages
from docfleet.ledger.moves import (
    LockedDocument,
    Suspicion,
    add_slices,
    lock_document,
    move_document,
    record_slices,
)
from docfleet.ledger.rows import SLICE, SliceRow
from docfleet.ledger.values import Claim, DocumentSummary, NewSlice, PageOutcome, Plan

SILENT_BEATS = 3
"""A supervisor that missed so many beats has fallen silent."""


class Ended(msgspec.Struct, frozen=True):
    """What became of a slice whose attempt failed."""

    slice_id: int
    document_id: str
    decision: Decision
    document_state: DocumentState


def finish(
    session: Session,
    claim: Claim,
    result_key: str,
    page_outcomes: Sequence[PageOutcome],
    next_slices: Sequence[NewSlice],
    plan: Plan | None,
) -> DocumentState:
    """DONE, in one transaction with the page outcomes, the follow-up slices and the document's next state.

    Repeatable: the same claim may finish twice (the reply to the first may have been lost) and changes nothing then.
    Raises Fenced when the claim was lost, LedgerError when the outcomes do not fit the slice.
    """
    _check(claim, page_outcomes, next_slices, plan)
    # a short document is read by its plan slice at the first attempt: what that died of is still to be found out
    suspect = bool(plan is not None and claim.crash_count and claim.document.pool and len(next_slices) == 1)
    document = lock_document(session, claim.document.id)
    if not end_attempt(session, claim, result_key, clears=not suspect):
        return document.state
    if plan is not None:
        document = move_document(
            session, document, DocumentState.RUNNING, f"{plan.pages} pages", pages=plan.pages,
            plan_json=plan.plan_json, media_type=plan.media_type or document.media_type,
            started_at=_started_at(session, claim),
        )  # fmt: skip
    write_pages(session, document.id, claim.slice_id, storable_outcomes(page_outcomes))
    made = add_slices(session, document, next_slices, Suspicion(False, claim.crash_count) if suspect else Suspicion())
    if suspect:
        deaths.inherit(session, claim.slice_id, made)
    return advance(session, document)


def finish_document(session: Session, claim: Claim, summary: DocumentSummary) -> DocumentState:
    """Ends the assemble slice and, in the same transaction, its document: the page rows say as what."""
    if claim.step is not Step.ASSEMBLE:
        raise LedgerError(f"a {claim.step} slice does not end its document")
    document = lock_document(session, claim.document.id)
    if not end_attempt(session, claim, summary.result_key):
        return document.state
    return conclude(session, document, summary)


def _check(claim: Claim, outcomes: Sequence[PageOutcome], next_slices: Sequence[NewSlice], plan: Plan | None) -> None:
    if claim.step is Step.ASSEMBLE:
        raise LedgerError("an assemble slice is ended by finish_document")
    if (claim.step is Step.PLAN) != (plan is not None):
        raise LedgerError("a plan belongs to a plan slice")
    if claim.step not in PAGE_STEPS:
        if outcomes:
            raise LedgerError("only page slices have page outcomes")
        return
    owed = set(range(claim.first_page, claim.last_page + 1))
    told = {outcome.page for outcome in outcomes}
    passed_on = {page for new in next_slices for page in range(new.first_page, new.last_page + 1)}
    if len(told) != len(outcomes) or not told <= owed:
        raise LedgerError(f"outcomes of other pages than {claim.first_page} to {claim.last_page}")
    if owed - told - passed_on:
        raise LedgerError(f"no outcome for page {min(owed - told - passed_on)}")


_TO_DONE = {"state": SliceState.DONE, "lease_until": None, "finished_at": database_now()}
_OF_CLAIM = (SLICE.c.id == bindparam("slice_id"), SLICE.c.state == SliceState.RUNNING)
_FENCE = (SLICE.c.token == bindparam("held"), SLICE.c.worker == bindparam("holder"))
_DONE = {
    fenced: update(SLICE)
    .where(*_OF_CLAIM, *(_FENCE if fenced else ()))
    .values(**_TO_DONE, result_key=bindparam("new_key"))
    .returning(SLICE.c.id)
    for fenced in (True, False)
}
_STANDS = select(SLICE.c.state, SLICE.c.token).where(SLICE.c.id == bindparam("slice_id"))


def end_attempt(session: Session, claim: Claim, result_key: str, clears: bool = True) -> bool:
    """RUNNING -> DONE by the holder of the token. False: this very claim has done so before. Raises Fenced.

    `clears`: its earlier deaths were not its fault, since it has ended well.
    """
    is_fenced = bool(session.info.get("fencing", True))
    holder = {"held": claim.token, "holder": claim.worker} if is_fenced else {}
    ended = session.execute(
        _DONE[is_fenced], {"slice_id": claim.slice_id, "new_key": result_key, **holder}
    ).one_or_none()
    if ended is None:
        now = session.execute(_STANDS, {"slice_id": claim.slice_id}).one_or_none()
        if now is not None and now.state is SliceState.DONE and (now.token == claim.token or not is_fenced):
            return False
        raise Fenced()
    record_slices(session, [_event(claim.document.id, claim.slice_id, SliceState.DONE, claim.token, claim.worker, "")])
    if clears:
        clear_deaths(session, claim)
    return True


def may_have_deaths(claim: Claim) -> bool:
    """Whether a worker may have died at this slice before."""
    return bool(claim.document.pool) and (claim.attempt > 1 or claim.crash_count > 0)


def clear_deaths(session: Session, claim: Claim) -> None:
    """What the earlier workers of a claim that ended well died of was not its slice."""
    if may_have_deaths(claim):
        deaths.clear(session, claim.slice_id)


def _event(document_id: str, slice_id: int, to: SliceState, token: int, worker: str, cause: str) -> Mapping[str, Any]:
    return {
        "document_id": document_id, "slice_id": slice_id, "from_state": SliceState.RUNNING, "to_state": to,
        "token": token, "worker": worker, "cause": cause,
    }  # fmt: skip


def _started_at(session: Session, claim: Claim) -> float | None:
    return session.execute(select(SliceRow.started_at).where(SliceRow.id == claim.slice_id)).scalar_one()


def fail(session: Session, claim: Claim, failure: Failure, policy: RetryPolicy, jitter: float) -> Ended:
    """Ends this attempt as `policy` decides: back to the queue, or a dead letter (and perhaps the document's end).

    Raises Fenced when the claim was lost.
    """
    said = {"message": storable(failure.message), "detail": storable(failure.detail)}
    failure = msgspec.structs.replace(failure, **said)
    document = lock_document(session, claim.document.id)
    row = _running(session, claim.slice_id, claim.token)
    if row is None or row.worker != claim.worker:
        raise Fenced()
    return _apply(session, document, row, failure, policy, jitter)


def expire_leases(
    session: Session, policy: RetryPolicy, together_seconds: float, jitter: Callable[[], float]
) -> list[Ended]:
    """Takes back what lapsed. A lease that ran out alone is a crash of its slice; in company it is a loss.

    In the service, where supervisors keep the leases of their slots and see to their deaths, it is a loss whenever the
    supervisor has fallen silent as well, and then there is nothing to wait for.
    """
    now = session.execute(select(database_now())).scalar_one()
    rows = session.execute(
        select(
            SliceRow.id, SliceRow.document_id, SliceRow.token, SliceRow.worker, SliceRow.lease_until, SliceRow.pool
        )
        .where(SliceRow.state == SliceState.RUNNING, SliceRow.lease_until < now)
        .order_by(SliceRow.document_id, SliceRow.id)
    ).all()  # fmt: skip
    gone = workers.silent(
        session, {workers.supervisor_of(row.worker) for row in rows if row.pool}, SILENT_BEATS * together_seconds
    )
    lost = {row.id for row in rows if row.pool and workers.supervisor_of(row.worker) in gone}
    verdicts = judge_lapses(
        [Lapse(row.id, row.lease_until) for row in rows if row.id not in lost], now, together_seconds
    )
    verdicts |= dict.fromkeys(lost, FailureKind.LOSS)
    ended = []
    for row in rows:
        if row.id not in verdicts:
            continue
        document = lock_document(session, row.document_id)
        lapsed = _running(session, row.id, row.token)
        # between the look and the lock it may have ended, or its worker may have come back to life with a beat
        if lapsed is None or lapsed.lease_until is None or lapsed.lease_until >= now:
            continue
        ended.append(_apply(session, document, lapsed, _death(verdicts[row.id], row.worker), policy, jitter()))
    return ended


def release_worker(
    session: Session,
    worker: str,
    crashed: bool,
    working_on: Collection[int] | None,
    policy: RetryPolicy,
    jitter: Callable[[], float],
    cause: str = "worker_died",
) -> list[Ended]:
    """Takes back at once all that a worker known to be dead holds. `cause`: what ended it, where that was seen."""
    rows = session.execute(
        select(SliceRow.id, SliceRow.document_id, SliceRow.token)
        .where(SliceRow.state == SliceState.RUNNING, SliceRow.worker == worker)
        .order_by(SliceRow.document_id, SliceRow.id)
    ).all()
    verdicts = judge_release([row.id for row in rows], crashed, working_on)
    if crashed and not rows and working_on is not None and not working_on:
        deaths.note_idle(session, worker)
    ended = []
    for row in rows:
        document = lock_document(session, row.document_id)
        held = _running(session, row.id, row.token)
        if held is not None:
            death = _death(verdicts[row.id], worker, cause)
            ended.append(_apply(session, document, held, death, policy, jitter()))
    return ended


def take_back_slice(
    session: Session,
    document_id: str,
    slice_id: int,
    token: int,
    kind: FailureKind,
    worker: str,
    policy: RetryPolicy,
    jitter: float,
) -> Ended | None:
    """Ends the attempt of a worker that is known to be gone; None when it has ended otherwise meanwhile."""
    document = lock_document(session, document_id)
    held = _running(session, slice_id, token)
    if held is None:
        return None
    return _apply(session, document, held, _death(kind, worker), policy, jitter)


_ERRORS = document_error_codes()


def _death(kind: FailureKind, worker: str, cause: str = "worker_died") -> Failure:
    if kind is FailureKind.WAIT:
        return Failure(kind, "worker_stopped", "Its worker was stopped.", worker)
    if kind is FailureKind.LOSS:
        return Failure(kind, "worker_died", "The machine or the worker that read these pages was lost.", worker)
    if cause in _ERRORS and cause != "worker_died":
        return Failure(kind, cause, (_ERRORS[cause].__doc__ or "").strip(), worker)
    return Failure(kind, "worker_died", "The process that read these pages died.", worker)


def _running(session: Session, slice_id: int, token: int) -> SliceRow | None:
    return session.execute(
        select(SliceRow)
        .where(SliceRow.id == slice_id, SliceRow.state == SliceState.RUNNING, SliceRow.token == token)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def _apply(
    session: Session, document: LockedDocument, row: SliceRow, failure: Failure, policy: RetryPolicy, jitter: float
) -> Ended:
    before = Counters(row.crash_count, row.error_count, row.wait_count, row.loss_count)
    decision = policy.decide(failure, before, jitter, row.isolated, deaths.weigh(session, row, failure))
    counters = decision.counters
    state = SliceState.DEAD if decision.action is Action.DEAD else SliceState.QUEUED
    split = _pages_apart(row, decision)
    values: dict[str, Any] = {
        "state": state, "lease_until": None, "isolated": decision.isolated, "crash_count": counters.crashes,
        "error_count": counters.errors, "wait_count": counters.waits, "loss_count": counters.losses,
    }  # fmt: skip
    if failure.kind is not FailureKind.WAIT:
        values |= {"code": failure.code, "message": failure.message, "detail": failure.detail}
    if state is SliceState.DEAD:
        values["finished_at"] = database_now()
    else:
        values["available_at"] = database_now() + decision.delay_seconds
    if split:
        values["last_page"] = row.first_page
    session.execute(
        update(SLICE)
        .where(SLICE.c.id == row.id, SLICE.c.state == SliceState.RUNNING, SLICE.c.token == row.token)
        .values(**values)
    )
    record_slices(session, [_event(document.id, row.id, state, row.token, row.worker, decision.reason)])
    suspicion = Suspicion(True, counters.crashes, counters.errors, counters.losses)
    apart = [NewSlice(row.step, page, page, row.payload_json, row.priority) for page in split]
    heirs = add_slices(session, document, apart, suspicion)
    if heirs and row.pool:
        deaths.inherit(session, row.id, heirs)
    document_state = document.state
    if state is SliceState.DEAD and document_state not in DOCUMENT_ENDS:
        document_state = give_up(session, document, row, failure)
    return Ended(row.id, document.id, decision, document_state)


def _pages_apart(row: SliceRow, decision: Decision) -> list[int]:
    """Pages that leave a slice on its way into isolation: one is to blame, the others must not die with it.

    Each becomes a slice of its own, as suspect as the one it comes from, so that the culprit dies at its third crash.
    """
    if decision.action is Action.DEAD or not decision.isolated or row.step not in PAGE_STEPS:
        return []
    return list(range(row.first_page + 1, row.last_page + 1))
