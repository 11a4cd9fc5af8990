"""One call after another, whatever carried it: who calls, interceptors before and after, the method's handler between.

Transports hand in the caller and the request message, and send what comes back; nothing here knows gRPC or HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from docfleet.documentai_server.access import Access
from docfleet.documentai_server.calls import Answer, Caller, CallFacts, Delivery, Encoded, Interceptor, Outcome
from docfleet.documentai_server.catalog import Catalog
from docfleet.documentai_server.methods import Method, MethodTable
from docfleet.documentai_server.names import parse_processor, place_in
from docfleet.documentai_server.refusals import INVALID_ARGUMENT_TEXT, Code, Refusal
from docfleet.documentai_server.tracing import tell_call
from docfleet.errors import DocfleetError
from docfleet.telemetry import logger, metrics
from docfleet.telemetry.catalog import DOCUMENTAI_DURATION, DOCUMENTAI_REQUESTS

_log = logger("documentai_server")
_NAMES = ("name", "parent", "processor", "processor_version", "human_review_config")
"""Fields a request says what it is about in; each has one of them."""


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

    def __init__(
        self, methods: MethodTable, catalog: Catalog, access: Access, interceptors: Sequence[Interceptor] = ()
    ) -> None:
        self.methods = methods
        self._catalog = catalog
        self._access = access
        self._interceptors = list(interceptors)

    def intercept(self, interceptor: Interceptor) -> None:
        """Puts one more innermost. Before the first call only."""
        self._interceptors.append(interceptor)

    def answer(self, method: Method, request: Any, caller: Caller) -> Answered:
        """Never raises: what goes wrong is a `Refusal` in the answer."""
        started = time.monotonic()
        answered = self._answer(method, request, caller, started)
        answer = answered.answer
        count_call(method, Code(answer.grpc_code) if isinstance(answer, Refusal) else Code.OK, started)
        tell_call(method.name, caller, answer, started)
        return answered

    def _answer(self, method: Method, request: Any, caller: Caller, started: float) -> Answered:
        try:
            call = self._facts(method, request, caller)
        except Exception as error:
            return Answered(_refusal_of(error, method))
        passed: list[Interceptor] = []
        answer: Answer
        try:
            for interceptor in self._interceptors:
                interceptor.before(call)
                passed.append(interceptor)
            answer = self.methods.handler(method)(request, call)
        except Exception as error:
            answer = _refusal_of(error, method)
        return _after(answer, method, call, passed, started)

    def _facts(self, method: Method, request: Any, caller: Caller) -> CallFacts:
        name = self._access.check(caller)
        fields = request.DESCRIPTOR.fields_by_name
        resource: str = next((getattr(request, field) for field in _NAMES if field in fields), "")
        place = place_in(resource)
        if place is not None and caller.locations and place.location not in caller.locations:
            # what the service says when a resource is asked for at another region's endpoint
            raise Refusal(Code.INVALID_ARGUMENT, INVALID_ARGUMENT_TEXT)
        return CallFacts(
            method=method.name,
            transport=caller.transport,
            listener=caller.listener,
            caller=name,
            resource=resource,
            project=place.project if place else "",
            location=place.location if place else "",
            processor_type=self._kind(resource),
            size_bytes=_size(request),
            deadline=caller.deadline,
            is_active=caller.is_active,
        )

    def _kind(self, resource: str) -> str:
        if "/processors/" not in resource:
            return ""
        try:
            found = self._catalog.find(parse_processor(resource))
        except Refusal:
            return ""
        return found.kind if found is not None else ""


def count_call(method: Method, code: Code, started: float) -> None:
    """For the metrics; also of calls that get no further than their transport. `started`: of `time.monotonic`."""
    metrics.count(DOCUMENTAI_REQUESTS, 1.0, method.name, code.name)
    metrics.observe(DOCUMENTAI_DURATION, time.monotonic() - started, method.name)


def _size(request: Any) -> int:
    if "raw_document" not in request.DESCRIPTOR.fields_by_name:
        return 0
    source = request.WhichOneof("source")
    return len(getattr(request, source).content) if source in ("raw_document", "inline_document") else 0


def _after(answer: Answer, method: Method, call: CallFacts, passed: Sequence[Interceptor], started: float) -> Answered:
    delivery: Delivery | None = answer.delivery if isinstance(answer, Refusal) else None
    for interceptor in reversed(passed):
        outcome = Outcome(
            code=int(answer.grpc_code) if isinstance(answer, Refusal) else 0,
            pages=answer.pages if isinstance(answer, Encoded) else 0,
            seconds=time.monotonic() - started,
        )
        try:
            delivery = interceptor.after(call, outcome) or delivery
        except Exception as error:
            answer = _refusal_of(error, method)
            delivery = answer.delivery or delivery
    return Answered(answer, delivery)


def _refusal_of(error: Exception, method: Method) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DocfleetError):
        _log.warning("documentai_call_failed", method=method.name, error=error)
        return Refusal(Code.UNAVAILABLE if error.retryable else Code.INTERNAL, error.message)
    # a defect of ours: the caller learns that there is one, the log learns which
    _log.exception("documentai_call_failed", method=method.name)
    return Refusal(Code.INTERNAL, "Internal error encountered.")
