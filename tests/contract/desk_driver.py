"""What the tests of the service's ledger share: both databases, tenants, and submissions."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import event

from docfleet.domain.retry import Failure
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, Step
from docfleet.errors import Damaged, DocumentError, PasswordRequired
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.service_values import ReadingOptions, ResultFile, Submission

RESULT = ResultFile("json", "document.json", "application/json", 11, "0" * 64)
RESULTS = msgspec.json.encode([RESULT]).decode()

_PLAIN = Submission(
    tenant="acme",
    name="letter.pdf",
    content_id="",
    wrapped_key=b"wrapped",
    sha256="",
    size_bytes=7,
    media_type="application/pdf",
    pool="pdf",
    urgency=Urgency.NORMAL,
    options=ReadingOptions(formats=("json",)),
    submitted_by="0123456789abcdef",
)


def submission(text: str = "", **given: Any) -> Submission:
    """Of a file with this text (or one of its own), as if just uploaded."""
    digest = hashlib.sha256((text or secrets.token_hex(8)).encode()).hexdigest()
    fresh = replace(_PLAIN, content_id=secrets.token_hex(16), sha256=digest, wrapped_key=secrets.token_bytes(16))
    return replace(fresh, **given)


def read_through(ledger: Ledger, document_id: str, pages: int = 2, failed: Collection[int] = ()) -> DocumentState:
    """Works this document to its end; these of its pages cannot be read."""
    while True:
        claims = ledger.claim("reader", limit=100)
        if not claims:
            raise AssertionError(f"document {document_id} has nothing to be claimed")
        states = [
            _work(ledger, claim, pages, failed) if claim.document.id == document_id else _put_back(ledger, claim)
            for claim in claims
        ]
        ended = [state for state in states if state in DOCUMENT_ENDS]
        if ended:
            return ended[0]


def _put_back(ledger: Ledger, claim: Claim) -> DocumentState:
    return ledger.hand_back(claim).document_state


def _work(ledger: Ledger, claim: Claim, pages: int, failed: Collection[int]) -> DocumentState:
    if claim.step is Step.PLAN:
        slices = [NewSlice(Step.LOCAL, page, page) for page in range(1, pages + 1)]
        return ledger.finish(claim, next_slices=slices, plan=Plan(pages))
    if claim.step is Step.ASSEMBLE:
        key = f"contents/x/results/{claim.slice_id}-{claim.token}"
        return ledger.finish_document(claim, DocumentSummary(key, results_json=RESULTS))
    if claim.first_page in failed:
        failure = Failure.of_error(Damaged("The page is damaged."))
        return ledger.fail(claim, failure).document_state
    outcome = PageOutcome(claim.first_page, engine="text", reason="sound", confidence=0.5, cost_usd=0.25, seconds=2.0)
    return ledger.finish(claim, claim.result_prefix, [outcome])


def fail_at_plan(ledger: Ledger, document_id: str, code: type[DocumentError] = PasswordRequired) -> None:
    for claim in ledger.claim("reader", limit=100):
        if claim.document.id == document_id:
            ledger.fail(claim, Failure.of_error(code()))
        else:
            _put_back(ledger, claim)


@contextmanager
def counting_statements(ledger: Ledger) -> Iterator[list[str]]:
    """What is sent to the database meanwhile, in order."""
    with watching_statements(ledger) as sent:
        statements: list[str] = []
        yield statements
        statements += [statement for statement, _ in sent]


@contextmanager
def watching_statements(ledger: Ledger) -> Iterator[list[tuple[str, Any]]]:
    """The same, each with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        sent.append((statement, parameters))

    engine = ledger._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
