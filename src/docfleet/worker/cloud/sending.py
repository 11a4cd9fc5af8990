"""One request, from the money for it to the ends of all slices in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

import msgspec

from docfleet.documentai_format import Straddle, cut, from_proto, split
from docfleet.domain.budgeting import Refused
from docfleet.domain.cascade import OnRefusal
from docfleet.domain.document import Document
from docfleet.domain.packing import Item, Request, halves
from docfleet.domain.urgency import RANK, Urgency
from docfleet.engines.documentai.calls import Answer, Attempt, Call, Failed, Postponed
from docfleet.engines.documentai.failures import FailureKind
from docfleet.engines.documentai.faults import CODE as UNREAD
from docfleet.engines.documentai.faults import unread_of
from docfleet.errors import DocfleetError, EngineFailed, FormatError, LedgerError
from docfleet.ledger.money_values import Ask
from docfleet.ledger.waits import seconds_waited
from docfleet.telemetry import logger
from docfleet.telemetry.traces import at
from docfleet.worker.cloud.finishing import Ends, refusal
from docfleet.worker.cloud.holding import Held
from docfleet.worker.cloud.parts import ENGINE, CloudParts
from docfleet.worker.cloud.preparing import Preparers

QUOTA_WAIT = "quota_exhausted"
AWAY_WAIT = "engine_away"
SETUP_WAIT = "engine_not_set_up"
LEDGER_PAUSE = 2.0
BOOKED_AHEAD = 0.8
"""Of the patience of a full request: how long before its turn it asks again."""
LEAST_PAUSE = 0.1
ALONE_FROM_ERRORS = 2
"""A slice that was in this many failed requests makes its last one alone."""

log = logger("cloud")
Requeue = Callable[[Sequence[Held], float], None]
"""Back among those that wait, not to be sent for so many seconds."""


class Sender:
    """Threads share one; `send` is called in the thread of its request. Every slice ends, or is requeued."""

    def __init__(self, parts: CloudParts, ends: Ends, preparers: Preparers, requeue: Requeue) -> None:
        self._parts = parts
        self._ends = ends
        self._preparers = preparers
        self._requeue = requeue

    def send(self, request: Request, helds: Sequence[Held]) -> None:
        alive = [held for held in helds if not self._is_lost(held)]
        try:
            paid = self._pay(request, alive)
            if len(paid) < len(helds):
                # some left: who else has room now is for the next packing to say
                self._requeue(paid, 0.0)
                return
            content = self._preparers.join([held.file for held in paid if held.file is not None])
        except LedgerError as error:
            log.warning("money_awaited", error=error)
            self._requeue(alive, LEDGER_PAUSE)
            return
        except DocfleetError as error:
            self._not_joined(paid, error)
            return
        self._call(request, paid, content)

    def _is_lost(self, held: Held) -> bool:
        if held.is_lost:
            self._ends.drop(held)
        return held.is_lost

    # --- money

    def _pay(self, request: Request, helds: Sequence[Held]) -> list[Held]:
        """Reserves for each; who gets nothing ends or waits as the budget says. An urgent one reserves for a hedge."""
        unpaid = [held for held in helds if not held.reservations]
        call_id = uuid4().hex
        answers = self._parts.budgets.reserve([self._ask(held, call_id, 1) for held in unpaid])
        left = list(helds)
        for held, answer in zip(unpaid, answers, strict=True):
            if isinstance(answer, Refused):
                left.remove(held)
                self._ends.without_money(held, answer)
            else:
                held.reservations = [answer]
        if RANK[request.urgency] <= RANK[Urgency.HIGH] and left:
            second = [held for held in left if len(held.reservations) == 1]
            for held, answer in zip(
                second, self._parts.budgets.reserve([self._ask(held, call_id, 2) for held in second]), strict=True
            ):
                if not isinstance(answer, Refused):
                    held.reservations.append(answer)
        return left

    def _ask(self, held: Held, call_id: str, which: int) -> Ask:
        claim, options = held.claim, self._parts.options
        return Ask(
            claim.slice_id, claim.token, held.tenant, ENGINE, options.kind, len(held.pages), claim.document.id,
            f"{call_id}-{which}", held.calls * 2 + which, options.addons,
        )  # fmt: skip

    # --- the call

    def _not_joined(self, helds: Sequence[Held], error: DocfleetError) -> None:
        """The pages of one of them cannot be put beside others: each alone, then."""
        for held in helds:
            if len(helds) == 1:
                self._ends.release(held)
                self._ends.fail(held, error)
        if len(helds) > 1:
            self._apart(helds)

    def _call(self, request: Request, helds: Sequence[Held], content: bytes) -> None:
        options = self._parts.options
        is_full = request.reason != "due"
        call = Call(
            content,
            "application/pdf",
            request.pages,
            kind=options.kind,
            tenant=helds[0].tenant,
            languages=helds[0].order.languages,
            urgent=RANK[request.urgency] <= RANK[Urgency.HIGH],
            may_hedge=all(len(held.reservations) > 1 for held in helds),
            patience=options.patience_seconds if is_full else 0.0,
        )
        with at(*[held.place for held in helds]):
            outcome = self._parts.caller.call(call)
        for held in helds:
            held.calls += bool(outcome.attempts)
        match outcome:
            case Answer():
                self._read(helds, outcome, request.pages)
            case Postponed():
                self._postponed(helds, outcome, is_full)
            case Failed():
                self._failed(helds, outcome)

    def _read(self, helds: Sequence[Held], answer: Answer, pages: int) -> None:
        straddles: list[Straddle] = []
        try:
            whole = from_proto(answer.document)
            if len(whole.pages) != pages:
                raise FormatError(f"{pages} pages were sent, {len(whole.pages)} came back")
            documents = cut(whole, [len(held.pages) for held in helds], straddles.append)
        except FormatError as error:
            self._broken(helds, answer.attempts, EngineFailed(f"Document AI's answer cannot be used: {error.message}."))
            return
        if straddles:
            log.warning("answer_straddles", elements=len(straddles), slices=len(helds))
        place = answer.endpoint.location
        times_paid = max(1, sum(attempt.billed for attempt in answer.attempts))
        log.info(
            "request_answered", pages=pages, slices=len(helds), place=place, seconds=round(answer.seconds, 3),
            why=answer.reason,
        )  # fmt: skip
        unread = self._unread(whole, helds)
        for held, document in zip(helds, documents, strict=True):
            if unread is None or held not in unread[1]:
                self._ends.read(held, document, place, answer.seconds * len(held.pages) / pages, times_paid)
        if unread is not None:
            for held in unread[1]:
                self._ends.lose_money(held, times_paid)
            self._refused(unread[1], *refusal(UNREAD, unread[0]))

    def _unread(self, answer: Document, helds: Sequence[Held]) -> tuple[str, list[Held]] | None:
        """What the answer says went wrong, and the claims that may have pages it is about."""
        if answer.error is None:
            return None
        found = unread_of(answer.error.code, answer.error.message, [text for text, _ in split(answer)])
        if found is None:
            return None
        owners = [held for held in helds for _ in held.pages]
        return found.message, [held for held in helds if any(owners[position] is held for position in found.pages)]

    def _postponed(self, helds: Sequence[Held], outcome: Postponed, is_full: bool) -> None:
        """Nothing was sent, or there was no quota for it."""
        self._settle_attempts(helds, outcome.attempts)
        if outcome.reason == "away":
            self._out_of_reach(helds, AWAY_WAIT, outcome.seconds, "Every endpoint that may be asked is out of order.")
            return
        if outcome.seconds <= self._parts.options.hand_back_seconds:
            # a full request books its turn ahead, so that none is left unused between two of them
            ahead = BOOKED_AHEAD * self._parts.options.patience_seconds if is_full else 0.0
            self._requeue(helds, max(LEAST_PAUSE, outcome.seconds - ahead))
            return
        for held in helds:
            self._wait_or_stand(held, outcome.seconds)

    def _wait_or_stand(self, held: Held, seconds: float) -> None:
        """Back to the ledger; or, after a long wait, an end with what was read locally."""
        limit = self._parts.options.local_after_seconds
        if held.order.on_refusal is OnRefusal.LOCAL and all(held.order.is_standing(page) for page in held.pages):
            try:
                waited = seconds_waited(self._parts.ledger, held.claim, QUOTA_WAIT)
            except LedgerError:
                waited = 0.0
            if waited > limit:
                self._ends.release(held)
                self._ends.refuse(held, QUOTA_WAIT, f"For {waited:.0f} s the quota had no room for it.")
                return
        self._ends.hand_back(held, QUOTA_WAIT, seconds)

    def _out_of_reach(self, helds: Sequence[Held], code: str, seconds: float, message: str) -> None:
        for held in helds:
            stands = all(held.order.is_standing(page) for page in held.pages)
            if held.order.on_refusal is OnRefusal.LOCAL and stands:
                self._ends.release(held)
                self._ends.refuse(held, code, message)
            else:
                self._ends.hand_back(held, code, seconds)

    def _failed(self, helds: Sequence[Held], outcome: Failed) -> None:
        failure = outcome.failure
        log.warning("request_failed", kind=str(failure.kind), code=failure.code, slices=len(helds))
        match failure.kind:
            case FailureKind.DOCUMENT | FailureKind.REQUEST:
                self._settle_attempts(helds, outcome.attempts)
                self._refused(helds, *refusal(failure.code, failure.message))
            case FailureKind.THROTTLED | FailureKind.AWAY:
                # once the breakers of all endpoints are open it is out of reach, and not before
                self._settle_attempts(helds, outcome.attempts)
                for held in helds:
                    self._ends.hand_back(held, AWAY_WAIT, failure.retry_after or LEDGER_PAUSE)
            case FailureKind.SETUP:
                self._settle_attempts(helds, outcome.attempts)
                log.error("engine_not_set_up", code=failure.code)
                message = failure.error().message
                self._out_of_reach(helds, SETUP_WAIT, self._parts.options.setup_seconds, message)
            case FailureKind.BROKEN:
                self._broken(helds, outcome.attempts, failure.error())

    def _broken(self, helds: Sequence[Held], attempts: Sequence[Attempt], error: DocfleetError) -> None:
        self._settle_attempts(helds, attempts)
        for held in helds:
            self._ends.fail(held, error)

    def _settle_attempts(self, helds: Sequence[Held], attempts: Sequence[Attempt]) -> None:
        """Calls that were made and brought nothing: free, but for those nobody knows the end of."""
        if not attempts:
            return
        billed = sum(attempt.billed for attempt in attempts)
        for held in helds:
            self._ends.lose_money(held, billed)

    # --- who is to blame

    def _refused(self, helds: Sequence[Held], code: str, message: str) -> None:
        """One of them is to blame: halves are sent by themselves until it is found, and so for the pages of a slice."""
        if len(helds) == 1:
            [held] = helds
            if len(held.pages) > 1:
                self._ends.pass_on(held, (len(held.pages) + 1) // 2)
            else:
                self._ends.refuse(held, code, message)
            return
        self._apart(helds)

    def _apart(self, helds: Sequence[Held]) -> None:
        by_slice = {held.claim.slice_id: held for held in helds}
        for half in halves([item for held in helds if (item := held.item) is not None]):
            group = uuid4().hex
            for item in half:
                by_slice[item.slice_id].item = _in_group(item, group)
        self._requeue(helds, 0.0)


def _in_group(item: Item, group: str) -> Item:
    """Packed with its own group alone, and at once."""
    return msgspec.structs.replace(item, key=f"{item.key}#{group}", since=0.0)
