"""Documents that end badly, as if their worker had done it: in a pool that no worker of the service reads."""

from __future__ import annotations

import hashlib
import secrets

from docfleet.domain.retry import Failure
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, Step
from docfleet.errors import Damaged
from docfleet.ledger import DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ReadingOptions, Submission


def submit_elsewhere(desk: Desk, name: str, tenant: str = "local") -> str:
    return desk.accept(
        Submission(
            tenant=tenant,
            name=name,
            content_id=secrets.token_hex(12),
            wrapped_key=b"wrapped",
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            size_bytes=7,
            media_type="application/pdf",
            pool="elsewhere",
            urgency=Urgency.NORMAL,
            options=ReadingOptions(formats=("json",)),
        )
    ).document_id


def end_badly(ledger: Ledger, document: str, pages: int = 3, damaged: int = 2) -> None:
    """One of its pages cannot be read: PARTIAL, with a dead letter."""
    ended = False
    while not ended:
        for claim in ledger.claim("elsewhere-1", limit=100):
            if claim.document.id != document:
                ledger.hand_back(claim)
            elif claim.step is Step.PLAN:
                slices = [NewSlice(Step.LOCAL, page, page) for page in range(1, pages + 1)]
                ledger.finish(claim, next_slices=slices, plan=Plan(pages))
            elif claim.step is Step.ASSEMBLE:
                state = ledger.finish_document(claim, DocumentSummary("contents/x/results/1-1"))
                ended = state in DOCUMENT_ENDS
            elif claim.first_page == damaged:
                ledger.fail(claim, Failure.of_error(Damaged("The page is <b>damaged</b>.")))
            else:
                ledger.finish(
                    claim, claim.result_prefix, [PageOutcome(claim.first_page, engine="text", confidence=0.9)]
                )
