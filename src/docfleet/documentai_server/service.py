"""One call after another, whatever carried it: interceptors before and after, the method's handler between.

Transports make the facts and the request message, and send what comes back; nothing here knows gRPC or HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from docfleet.documentai_server.calls import Answer, CallFacts, Delivery, Encoded, Interceptor, Outcome
from docfleet.documentai_server.methods import Method, MethodTable
from docfleet.documentai_server.refusals import Code, Refusal
from docfleet.errors import DocfleetError
from docfleet.telemetry import logger

_log = logger("documentai_server")


class Answered(msgspec.Struct, frozen=True):
    """What goes back to the caller."""

    answer: Answer
    """A raw message, `Encoded`, or the `Refusal`."""
    delivery: Delivery | None = None


class Service:
    """Answers calls by the methods registered in `methods`.

    `interceptors` stand before and behind each call, the first outermost. Thread-safe where handlers and interceptors
    are.
    """

    def __init__(self, methods: MethodTable, interceptors: Sequence[Interceptor] = ()) -> None:
        self.methods = methods
        self._interceptors = tuple(interceptors)

    def answer(self, method: Method, request: Any, call: CallFacts) -> Answered:
        """Never raises: what goes wrong is a `Refusal` in the answer."""
        started = time.monotonic()
        passed = 0
        answer: Answer
        try:
            for interceptor in self._interceptors:
                interceptor.before(call)
                passed += 1
            answer = self.methods.handler(method)(request, call)
        except Exception as error:
            answer = _refusal_of(error, method)
        return self._after(answer, call, self._interceptors[:passed], started)

    def _after(self, answer: Answer, call: CallFacts, passed: Sequence[Interceptor], started: float) -> Answered:
        delivery: Delivery | None = None
        for interceptor in reversed(passed):
            refused = answer if isinstance(answer, Refusal) else None
            outcome = Outcome(
                code=int(refused.grpc_code) if refused else 0,
                pages=answer.pages if isinstance(answer, Encoded) else 0,
                seconds=time.monotonic() - started,
            )
            try:
                delivery = interceptor.after(call, outcome) or delivery
            except Exception as error:
                answer = _refusal_of(error, None)
        return Answered(answer, delivery)


def _refusal_of(error: Exception, method: Method | None) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DocfleetError):
        code = Code.UNAVAILABLE if error.retryable else Code.INTERNAL
        return Refusal(code, error.message)
    # a defect of ours: the caller learns that it is one, the log learns which
    _log.exception("documentai_call_failed", method=method.name if method else "")
    return Refusal(Code.INTERNAL, "Internal error encountered.")
