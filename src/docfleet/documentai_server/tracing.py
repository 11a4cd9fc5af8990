"""Calls of the Document AI interface in the traces of those who make them."""

from __future__ import annotations

import secrets
import time

from docfleet.documentai_server.calls import Caller, Encoded
from docfleet.documentai_server.refusals import Code, Refusal
from docfleet.telemetry.spans import DOCUMENTAI_CALL
from docfleet.telemetry.traces import Span, Value, chooses, is_on, new_span_id, read_traceparent, tell


def tell_call(method: str, caller: Caller, answer: object, started: float) -> None:
    """A call that was answered. `method`: as in the API; `started`: of `time.monotonic`.

    The client's flag decides whether it is told, as the W3C wants it; of calls without one a share is.
    """
    if not is_on():
        return
    remote = read_traceparent(caller.traceparent)
    trace_id = remote.trace_id if remote is not None else secrets.token_hex(16)
    if not (remote.is_sampled if remote is not None else chooses(trace_id)):
        return
    code = Code(answer.grpc_code) if isinstance(answer, Refusal) else Code.OK
    error = code.name if code is not Code.OK else ""
    about: dict[str, Value] = {
        "rpc.method": method,
        "docfleet.transport": caller.transport,
        "docfleet.outcome": code.name,
    }
    if isinstance(answer, Encoded):
        about["docfleet.pages"] = answer.pages
    if error:
        about["error.type"] = error
    now = time.time()
    parent = remote.span_id if remote is not None else ""
    tell(
        Span(
            DOCUMENTAI_CALL, trace_id, new_span_id(), parent, now - (time.monotonic() - started), now, about,
            error=error,
        )
    )  # fmt: skip
