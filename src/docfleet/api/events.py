"""Changes of documents and batches: as a listing, or as server-sent events that can be resumed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Annotated, Any

import anyio
import msgspec
from fastapi import Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from docfleet.api.admission import Admission
from docfleet.api.inputs import BatchId, DocumentId, Parts, Text, Who
from docfleet.api.parts import ApiOptions, ApiParts
from docfleet.api.problems import Refusal
from docfleet.api.resource import Resource
from docfleet.api.schemas import EventOut, EventsOut
from docfleet.domain.access import Permission
from docfleet.domain.work import DOCUMENT_ENDS
from docfleet.errors import DocfleetError, Gone, LedgerError, NotFound, Overloaded
from docfleet.ledger.service_values import EventView

events = Resource("Events")
EVENT_STREAM = "text/event-stream"
_AT_ONCE = 500
_LAST_LOOKS = 4
"""An event may become readable a moment after the state it tells of: so often is looked again before the end."""

_STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of server-sent events, or with `Accept: application/json` what there is up to now.",
        "content": {
            EVENT_STREAM: {
                "schema": {"type": "string"},
                "example": 'id: 4711-815\nevent: document.succeeded\ndata: {"id":"4711-815", …}\n\n'
                'event: end\ndata: {"state":"succeeded"}\n\n',
            }
        },
    }
}
_ABOUT = """

    Each event has an `id`; sent back as `Last-Event-ID` (or `after`), the stream goes on behind it. The last event is
    `end`, and then the stream closes. Between events comments are sent, so that a silent stream is a broken one.
    With `Accept: application/json` the answer is a page of the listing instead.
    """

After = Annotated[Text, Query(max_length=100, description="Id of the last event that is known already.")]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=100, description="The same, as browsers send it.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Of the listing.")]


class Subject(msgspec.Struct, frozen=True):
    """What a stream is about."""

    read: Callable[[str, int], list[EventView]]
    """Events after a cursor, at most so many. Blocks."""
    state: Callable[[], tuple[bool, str]]
    """Whether it is over, and its state in a word. Blocks."""


@events.route(
    "GET",
    "/v1/documents/{document_id}/events",
    Permission.READ_EVENTS,
    out=EventsOut,
    problems=(NotFound, Gone, Overloaded),
    responses=_STREAM_RESPONSES,
    description=_ABOUT,
)
async def document_events(
    request: Request,
    document_id: DocumentId,
    parts: Parts,
    caller: Who,
    after: After = "",
    last_event_id: LastEventId = None,
    limit: Limit = _AT_ONCE,
) -> Response:
    """Follow a document until it ends."""

    def read(cursor: str, count: int) -> list[EventView]:
        return parts.desk.events(caller.tenant, document_id=document_id, after_cursor=cursor, limit=count)

    def state() -> tuple[bool, str]:
        view = parts.desk.document(caller.tenant, document_id)
        return view.state in DOCUMENT_ENDS, view.state

    return await _answer(request, parts, caller.tenant, Subject(read, state), last_event_id or after, limit)


@events.route(
    "GET",
    "/v1/batches/{batch_id}/events",
    Permission.READ_EVENTS,
    out=EventsOut,
    problems=(NotFound, Gone, Overloaded),
    responses=_STREAM_RESPONSES,
    description=_ABOUT,
)
async def batch_events(
    request: Request,
    batch_id: BatchId,
    parts: Parts,
    caller: Who,
    after: After = "",
    last_event_id: LastEventId = None,
    limit: Limit = _AT_ONCE,
) -> Response:
    """Follow the documents of a batch until it is finished: sealed, and every document ended."""

    def read(cursor: str, count: int) -> list[EventView]:
        return parts.desk.events(caller.tenant, batch_id=batch_id, after_cursor=cursor, limit=count)

    def state() -> tuple[bool, str]:
        view = parts.desk.batch(caller.tenant, batch_id)
        return view.finished_at is not None, "finished" if view.finished_at is not None else "open"

    return await _answer(request, parts, caller.tenant, Subject(read, state), last_event_id or after, limit)


async def _answer(request: Request, parts: ApiParts, tenant: str, subject: Subject, after: str, limit: int) -> Response:
    await run_in_threadpool(subject.state)  # 404 and 410 before anything else
    found = await run_in_threadpool(subject.read, after, limit)  # and 400 for a cursor that is none
    if prefers_json(request.headers.get("accept", "")):
        items = [EventOut.of(event) for event in found]
        shown = EventsOut(items=items, next_cursor=found[-1].cursor if found else after or None)
        return Response(shown.model_dump_json(by_alias=True), media_type="application/json")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if request.scope.get("docfleet.head"):
        return Response(headers=headers, media_type=EVENT_STREAM)
    admission: Admission = request.app.state.admission
    admission.check_stream(tenant)
    return StreamingResponse(
        _stream(admission, tenant, subject, after, parts.options), headers=headers, media_type=EVENT_STREAM
    )


def prefers_json(accept: str) -> bool:
    """Whether JSON is named and the event stream is not; who names neither gets the stream."""
    return "application/json" in accept.lower() and EVENT_STREAM not in accept.lower()


async def _stream(
    admission: Admission, tenant: str, subject: Subject, after: str, options: ApiOptions
) -> AsyncIterator[bytes]:
    with ExitStack() as held:
        try:
            held.enter_context(admission.streaming(tenant))
        except Refusal:
            yield b"retry: 5000\n\n"  # another was faster, and the headers have left: the client comes again
            return
        yield b"retry: 1000\n\n"
        spoke_at = time.monotonic()
        looks = 0
        pause = 0.05
        while True:
            try:
                over, state = await run_in_threadpool(subject.state)
                found = await run_in_threadpool(subject.read, after, _AT_ONCE)
            except LedgerError:
                return  # the client comes back with the last id it has
            except DocfleetError as error:  # deleted meanwhile
                yield frame("end", {"state": error.code})
                return
            for event in found:
                yield frame_of(event)
                after, spoke_at, looks, pause = event.cursor, time.monotonic(), 0, 0.05
            if len(found) == _AT_ONCE:
                continue
            if over:
                looks += 1
                told = bool(found) and found[-1].slice_id is None and found[-1].to_state == state
                if told or looks > _LAST_LOOKS:
                    yield frame("end", {"state": state})
                    return
            if time.monotonic() - spoke_at > options.heartbeat_seconds:
                yield b": still here\n\n"
                spoke_at = time.monotonic()
            await anyio.sleep(pause)
            pause = min(pause * 1.5, options.poll_seconds)


def frame_of(event: EventView) -> bytes:
    shown = EventOut.of(event)
    return frame(shown.type, shown.model_dump(mode="json", by_alias=True), shown.id)


def frame(kind: str, data: dict[str, Any], id: str = "") -> bytes:
    """One server-sent event; JSON has no raw line breaks, so nothing in it can begin another line."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"
