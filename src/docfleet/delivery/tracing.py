"""Tries to deliver a message, in the trace of the document whose end it tells."""

from __future__ import annotations

import time

from docfleet.domain.delivery import Answer, Verdict
from docfleet.ledger.webhook_values import ClaimedDelivery
from docfleet.telemetry.spans import WEBHOOK
from docfleet.telemetry.traces import DocumentTrace, Remote, Span, Value, document_trace, is_on, new_span_id, tell


class Try:
    """One try, from its beginning; does nothing for messages about no document, or while nothing is told."""

    def __init__(self, delivery: ClaimedDelivery, claimed: float) -> None:
        """`claimed`: when it came to this process, by its monotonic clock."""
        self._delivery = delivery
        self._ahead = delivery.claimed_at - claimed
        self._started = time.monotonic()
        self._span_id = new_span_id() if is_on() else ""
        self._trace: DocumentTrace | None = None
        if is_on() and delivery.document_id:
            self._trace = document_trace(delivery.document_id, delivery.trace)

    @property
    def traceparent(self) -> str:
        """The header that goes out with it; empty: none."""
        if self._trace is None:
            return ""
        return Remote(self._trace.trace_id, self._span_id, self._trace.is_sampled).header

    def ended(self, answer: Answer, verdict: Verdict) -> None:
        trace, delivery = self._trace, self._delivery
        if trace is None or not trace.is_sampled:
            return
        about: dict[str, Value] = {
            "http.request.method": "POST",
            "docfleet.document": delivery.document_id,
            "docfleet.webhook": delivery.webhook_id,
            "docfleet.delivery": delivery.id,
            "docfleet.attempt": delivery.attempts,
            "docfleet.outcome": verdict.state.value,
        }
        if answer.status:
            about["http.response.status_code"] = answer.status
        error = code_of(answer)
        if error:
            about["error.type"] = error
        tell(
            Span(
                WEBHOOK, trace.trace_id, self._span_id, trace.root_id, self._ahead + self._started,
                self._ahead + time.monotonic(), about, error=error,
            )
        )  # fmt: skip


def code_of(answer: Answer) -> str:
    """Its code alone: what follows the colon may quote an address."""
    if answer.error:
        return answer.error.partition(":")[0]
    return str(answer.status) if answer.status >= 400 or answer.status < 200 else ""
