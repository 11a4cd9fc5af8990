"""How a claim of the cloud step ends: read, standing as read locally, failed, passed on in parts, handed back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy.orm import Session

from docfleet.documentai_format import split
from docfleet.domain.budgeting import BudgetPolicy, Refused
from docfleet.domain.cascade import Escalation, Reason
from docfleet.domain.document import Document, Page, Reading
from docfleet.domain.pricing import usd_of
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.urgency import Pool
from docfleet.domain.work import Step
from docfleet.errors import (
    DocfleetError,
    EngineRefused,
    Fenced,
    LedgerError,
    LedgerUnavailable,
    SourceDamaged,
    StoreError,
)
from docfleet.ledger import NewSlice, PageOutcome
from docfleet.ledger.escalating import Also
from docfleet.ledger.settling import settle_together
from docfleet.pipeline.assemble import encode_pages
from docfleet.pipeline.recognise import ReadPage
from docfleet.store.encryption import EncryptedStore
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import PAGE_DURATION, SLICES, STAGE_DURATION
from docfleet.telemetry.logs import about
from docfleet.telemetry.spans import KEEP
from docfleet.telemetry.traces import at, span
from docfleet.worker.cloud.holding import Held, Holding
from docfleet.worker.cloud.orders import cloud_slices
from docfleet.worker.cloud.parts import ENGINE, CloudParts
from docfleet.worker.patience import HOLD_SECONDS, patiently

T = TypeVar("T")
log = logger("cloud")


class Ends:
    """Writes ends; each is one transaction, fenced by the claim's own token. Threads may share it. Never raises."""

    def __init__(self, parts: CloudParts, holding: Holding, may_go_on: Callable[[], bool]) -> None:
        self._parts = parts
        self._holding = holding
        self._may_go_on = may_go_on

    def read(self, held: Held, document: Document, place: str, seconds: float, times_paid: int) -> None:
        """`document`: of this slice's pages alone, numbered from 1. `times_paid`: calls that count as paid for."""
        claim = held.claim
        paid, reserved = held.reservations[0], [one.id for one in held.reservations]
        micros = [one * times_paid for one in paid.page_micros]
        pages = [
            _read_page(number, text, page, held.order.of(number), place, usd_of(cost), seconds / len(document.pages))
            for number, (text, page), cost in zip(held.pages, split(document), micros, strict=True)
        ]
        outcomes = [PageOutcome.of_reading(one.reading, _quality(one.page)) for one in pages]
        key = f"{claim.result_prefix}/pages.msgpack"
        data = encode_pages(pages)

        def pay(session: Session) -> None:
            settle_together(session, reserved, sum(micros))

        def write() -> None:
            # what was paid for is kept as long as it can be
            self._with_store(lambda: self._put(held, key, data))
            self._finish(held, key, outcomes, also=pay)

        if not self._end(held, write):
            self.lose_money(held, times_paid)
        metrics.observe(STAGE_DURATION, seconds, Pool.CLOUD, "read")
        for one in pages:
            metrics.observe(PAGE_DURATION, one.reading.seconds, ENGINE)
        log.debug("slice_read", slice=claim.slice_id, document=claim.document.id, pages=len(pages), place=place)

    def refuse(self, held: Held, code: str, message: str) -> None:
        """The cloud engine does not read its pages: a page read locally stands, any other fails with this code."""
        self.release(held)
        outcomes = [PageOutcome(page, code, ENGINE, code, message) for page in held.pages]
        self._end(held, lambda: self._finish(held, "", outcomes))

    def pass_on(self, held: Held, per_slice: int) -> None:
        """Its pages go on in smaller slices."""
        self.release(held)
        # whoever is to blame is looked for by requests, not by batches that take hours
        order = msgspec.structs.replace(held.order, online=True)
        smaller: list[NewSlice] = cloud_slices(order, held.pages, max(1, per_slice))
        self._end(held, lambda: self._finish(held, "", (), smaller))

    def fail(self, held: Held, error: DocfleetError) -> None:
        """The attempt counts; what cannot be cured, or has failed too often, ends as `refuse` where pages stand."""
        if any(held.order.is_standing(page) for page in held.pages):
            hopeless = not error.retryable or held.claim.error_count + 1 >= _MAX_ERRORS
            if hopeless:
                self.refuse(held, error.code, error.message)
                return
        self.release(held)
        self._end(held, lambda: self._ledger(lambda: self._parts.ledger.fail(held.claim, _error(error))), "failed")

    def hand_back(self, held: Held, code: str, seconds: float = 0.0) -> None:
        """Without blame; due again after so many seconds, some more or less so that not all come back at once."""
        self.release(held)
        after = seconds * random.uniform(1.0, 1.25)
        self._end(
            held, lambda: self._ledger(lambda: self._parts.ledger.hand_back(held.claim, code, after)), "handed_back"
        )

    def without_money(self, held: Held, refused: Refused) -> None:
        """STOP and DEGRADE: it ends, with what was read locally where that stands. QUEUE: it waits for an approval."""
        if refused.policy is BudgetPolicy.QUEUE:
            self.hand_back(held, refused.code, self._parts.options.approval_seconds)
        else:
            self.refuse(held, refused.code, refused.error.message)

    def park(self, held: Held, write: Callable[[], None]) -> None:
        """It waits for a batch; what is reserved for it stays so. `write`: does that in the ledger."""
        held.reservations = []
        self._end(held, lambda: self._ledger(write), "handed_back")

    def drop(self, held: Held) -> None:
        """It belongs to somebody else now."""
        self.release(held)
        self._holding.drop(held)

    # --- money

    def release(self, held: Held) -> None:
        """What was reserved for it and not spent is free again."""
        ids, held.reservations = [one.id for one in held.reservations], []
        if ids:
            self._money(lambda: self._parts.budgets.release(ids))

    def lose_money(self, held: Held, calls: int) -> None:
        """Nobody knows whether so many calls were billed: their reservations count as spent, others are free again."""
        ids, held.reservations = [one.id for one in held.reservations], []
        if ids[:calls]:
            self._money(lambda: self._parts.budgets.write_off(ids[:calls]))
        if ids[calls:]:
            self._money(lambda: self._parts.budgets.release(ids[calls:]))

    def _money(self, change: Callable[[], object]) -> None:
        try:
            change()
        except LedgerError as error:
            # open reservations of claims that are gone are written off by the dispatcher
            log.warning("reservation_left", error=error)

    # --- writing

    def _put(self, held: Held, key: str, data: bytes) -> None:
        document = held.claim.document
        if document.wrapped_key is None:
            raise SourceDamaged("The document was erased.")
        with at(held.place), span(KEEP), metrics.timing(STAGE_DURATION, Pool.CLOUD, "store"):
            EncryptedStore(self._parts.store, self._parts.master_key.unwrap(document.wrapped_key)).put(key, data)

    def _finish(
        self,
        held: Held,
        key: str,
        outcomes: Sequence[PageOutcome],
        smaller: Sequence[NewSlice] = (),
        also: Also | None = None,
    ) -> None:
        desk = self._parts.escalating
        with metrics.timing(STAGE_DURATION, Pool.CLOUD, "finish"):
            self._ledger(lambda: desk.finish_cloud(held.claim, key, outcomes, smaller, also or _nothing))

    def _ledger(self, call: Callable[[], T]) -> T:
        return patiently(call, self._may_go_on)

    def _with_store(self, call: Callable[[], None]) -> None:
        deadline = time.monotonic() + HOLD_SECONDS
        while True:
            try:
                call()
                return
            except StoreError as error:
                if time.monotonic() > deadline or not self._may_go_on():
                    raise
                log.warning("store_awaited", error=error)
                time.sleep(random.uniform(0.5, 1.0))

    def _end(self, held: Held, write: Callable[[], object], outcome: str = "done") -> bool:
        """True: it is written. The claim is let go of in any case. `outcome`: what it counts as then."""
        with about(held.claim.document.id, held.place):
            return self._end_told(held, write, outcome)

    def _end_told(self, held: Held, write: Callable[[], object], outcome: str) -> bool:
        try:
            if held.is_lost:
                raise Fenced
            write()
        except Fenced:
            outcome = "fenced"
            log.warning("claim_lost", slice=held.claim.slice_id, document=held.claim.document.id)
        except LedgerUnavailable as error:
            outcome = "no_ledger"
            log.error("result_let_go", slice=held.claim.slice_id, document=held.claim.document.id, error=error)
        except DocfleetError as error:
            outcome = "failed"
            self._give_up(held, error)
        except Exception as error:
            outcome = "failed"
            log.exception("unexpected", slice=held.claim.slice_id, document=held.claim.document.id)
            self._give_up(held, DocfleetError(f"docfleet failed on this document: {type(error).__name__}."))
        else:
            return True
        finally:
            metrics.count(SLICES, 1.0, Pool.CLOUD, Step.CLOUD, outcome)
            self._holding.drop(held)
        return False

    def _give_up(self, held: Held, error: DocfleetError) -> None:
        log.error("end_not_written", slice=held.claim.slice_id, document=held.claim.document.id, error=error)
        try:
            self._parts.ledger.fail(held.claim, _error(error))
        except LedgerError as late:
            log.warning("claim_lost", slice=held.claim.slice_id, document=held.claim.document.id, error=late)


def _nothing(session: Session) -> None: ...


_MAX_ERRORS = 3
"""As `RetryPolicy.max_errors`: the last error of a slice that stands is an end, and no dead letter."""


def _error(error: DocfleetError) -> Failure:
    return Failure(FailureKind.ERROR, error.code, error.message, retryable=error.retryable)


def refusal(code: str, message: str) -> tuple[str, str]:
    """(code, sentence) of pages that the engine refuses for what they are."""
    return EngineRefused.code, f"Document AI refuses it: {code}{f' ({message})' if message else ''}."


def _read_page(
    number: int, text: str, page: Page, known: Escalation | None, place: str, cost: float, seconds: float
) -> ReadPage:
    confidence = round(_confidence(page), 4)
    reason = known.reason if known is not None else Reason.FORCED
    before = f"{known.detail} " if known is not None and known.detail else ""
    detail = f"{before}{ENGINE} in {place} was {confidence:.2f} sure of it."
    reading = Reading(number, ENGINE, str(reason), detail, confidence, cost, round(seconds, 4))
    return ReadPage(text, msgspec.structs.replace(page, number=number), reading)


def _confidence(page: Page) -> float:
    """Mean over the characters of its tokens; 1 for an empty page."""
    weighed = [(sum(span.end - span.start for span in t.layout.spans), t.layout.confidence) for t in page.tokens]
    total = sum(length for length, _ in weighed)
    if total:
        return sum(length * confidence for length, confidence in weighed) / total
    return page.layout.confidence if page.layout is not None and page.layout.spans else 1.0


def _quality(page: Page) -> float | None:
    return page.quality.score if page.quality is not None else None
