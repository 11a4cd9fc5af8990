"""The request that brings a document, in that document's trace."""

from __future__ import annotations

import time

from docfleet.telemetry.spans import STORE_SOURCE, UPLOAD
from docfleet.telemetry.traces import Span, Value, document_trace, is_on, keep, new_span_id, read_traceparent, tell


class Upload:
    """From the arrival of a request until its document is accepted. Costs nothing while no traces are told."""

    def __init__(self, traceparent: str) -> None:
        """`traceparent`: the header; one that is not valid is as none."""
        self._began = time.monotonic()
        self._remote = read_traceparent(traceparent) if traceparent and is_on() else None
        self._storing = self._stored = self._began
        self._about: dict[str, Value] = {}
        self._kept = ""

    def storing(self) -> None:
        self._storing = time.monotonic()

    def stored(self, size_bytes: int, media_type: str) -> None:
        self._stored = time.monotonic()
        self._about = {"docfleet.bytes": size_bytes, "docfleet.media_type": media_type}

    def kept(self) -> str:
        """What the ledger is to keep; call it right before the document is accepted."""
        if is_on():
            self._kept = keep(self._remote, time.monotonic() - self._began)
        return self._kept

    def accepted(self, document_id: str, created_at: float) -> None:
        """`created_at`: by the database, whose time all spans tell. The span ends there: nothing can be lost then."""
        if not self._kept:
            return
        trace = document_trace(document_id, self._kept)
        if not trace.is_sampled:
            return
        started, span_id = created_at - trace.upload_seconds, new_span_id()
        about: dict[str, Value] = {
            "http.request.method": "POST",
            "http.route": "/v1/documents",
            "http.response.status_code": 202,
            "docfleet.document": document_id,
            **self._about,
        }
        tell(Span(UPLOAD, trace.trace_id, span_id, trace.root_id, started, created_at, about))
        ahead = started - self._began
        until = min(created_at, ahead + self._stored)
        size = {"docfleet.bytes": self._about["docfleet.bytes"]} if self._about else {}
        tell(Span(STORE_SOURCE, trace.trace_id, new_span_id(), span_id, ahead + self._storing, until, size))
