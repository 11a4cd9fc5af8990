"""Requests to Document AI in the trace of the documents whose pages they carry.

Nothing of a trace goes to the service: no header, no id.
"""

from __future__ import annotations

from collections.abc import Sequence

from docfleet.engines.documentai.calls import Attempt, Call
from docfleet.telemetry.sharing import tell_shared
from docfleet.telemetry.spans import REQUEST, SHARE
from docfleet.telemetry.traces import Value, is_on, places

ENGINE = "documentai"


def tell_attempts(call: Call, attempts: Sequence[Attempt]) -> None:
    """Each request that was sent, whatever became of it."""
    if not is_on():
        return
    documents = len(places())
    for attempt in attempts:
        about: dict[str, Value] = {
            "docfleet.engine": ENGINE,
            "docfleet.endpoint": attempt.endpoint.breaker,
            "docfleet.pages": call.pages,
            "docfleet.documents": documents,
            "docfleet.outcome": _outcome(attempt),
            "docfleet.hedge": attempt.hedge,
        }
        error = attempt.failure.code if attempt.failure is not None else ""
        tell_shared((REQUEST, SHARE), attempt.started, attempt.started + attempt.seconds, about, error)


def _outcome(attempt: Attempt) -> str:
    if attempt.failure is not None:
        return str(attempt.failure.kind)
    return "abandoned" if attempt.abandoned else "ok"
