"""A document that has ended as spans: its life, its waits, and every attempt, also those of workers that were killed.

Pure: from what the ledger knows to spans, all in the database's time. The same document told twice gives the same
spans under the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from docfleet.domain.retry import FailureKind, kind_of_reason
from docfleet.domain.work import DOCUMENT_ENDS, DocumentState, SliceState
from docfleet.ledger.stories import Story, StoryEvent
from docfleet.telemetry.spans import ATTEMPT, DOCUMENT, QUEUE, ROUND
from docfleet.telemetry.traces import DocumentTrace, Link, Span, SpanEvent, Value, trace_of

MOST_SPANS = 1000
"""Of one document; a collector has no use for more."""
_FAILED = frozenset({DocumentState.FAILED, DocumentState.PARTIAL})
OUTCOMES = {
    FailureKind.WAIT: "handed_back",
    FailureKind.ERROR: "error",
    FailureKind.CRASH: "worker_died",
    FailureKind.LOSS: "worker_lost",
}
"""How an attempt ended after which the slice was tried again."""


def spans_of(story: Story, ratio: float = 1.0) -> list[Span]:
    """Those of its last round; of the first round with the document itself, below which all others are."""
    trace = trace_of(story.id, story.trace, ratio)
    ends = [number for number, one in enumerate(story.events) if one.slice_id is None and one.to_state in DOCUMENT_ENDS]
    begins = ends[-2] + 1 if len(ends) > 1 else 0
    events = story.events[begins : ends[-1] + 1 if ends else None]
    is_first = begins == 0
    parent = trace.root_id if is_first else trace.round_id(len(ends))
    below = _slices(story, trace, events, parent)
    left_out = max(0, len(below) - MOST_SPANS)
    whole = _whole(story, trace, events, left_out) if is_first else _round(story, trace, events, len(ends), left_out)
    return [whole, *below[:MOST_SPANS]]


def _whole(story: Story, trace: DocumentTrace, events: Sequence[StoryEvent], left_out: int) -> Span:
    links: tuple[Link, ...] = ()
    if story.same_as:
        payer = trace_of(story.same_as, story.same_trace)
        links = (Link(payer.trace_id, payer.root_id),)
    about: dict[str, Value] = {
        "docfleet.document": story.id,
        "docfleet.batch": story.batch_id,
        "docfleet.tenant": story.tenant,
        "docfleet.region": story.region,
        "docfleet.pool": story.pool,
        "docfleet.priority": story.urgency,
        "docfleet.pages": story.pages,
    }
    started = story.created_at - trace.upload_seconds
    return Span(
        DOCUMENT, trace.trace_id, trace.root_id, trace.parent_id, started, max(story.created_at, _end(story, events)),
        about | _outcome(story, left_out), _states(events), links, _error(story),
    )  # fmt: skip


def _round(story: Story, trace: DocumentTrace, events: Sequence[StoryEvent], number: int, left_out: int) -> Span:
    started = events[0].at if events else story.finished_at
    return Span(
        ROUND, trace.trace_id, trace.round_id(number), trace.root_id, started, max(started, _end(story, events)),
        {"docfleet.document": story.id} | _outcome(story, left_out), _states(events), (), _error(story),
    )  # fmt: skip


def _end(story: Story, events: Sequence[StoryEvent]) -> float:
    """The last thing that happened: the rows of one transaction are written one after the other."""
    return max([story.finished_at, *(event.at for event in events)])


def _outcome(story: Story, left_out: int) -> dict[str, Value]:
    found: dict[str, Value] = {
        "docfleet.round": story.round,
        "docfleet.state": story.state.value,
        "docfleet.pages.failed": story.pages_failed,
    }
    if story.code:
        found["docfleet.code"] = story.code
    if error := _error(story):
        found["error.type"] = error
    if left_out:
        found["docfleet.spans.left_out"] = left_out
    return found


def _error(story: Story) -> str:
    return (story.code or story.state.value) if story.state in _FAILED else ""


def _states(events: Sequence[StoryEvent]) -> tuple[SpanEvent, ...]:
    moved = [one for one in events if one.slice_id is None and one.to_state != one.from_state]
    return tuple(SpanEvent("state", one.at, {"docfleet.state": one.to_state}) for one in moved[:64])


def _slices(story: Story, trace: DocumentTrace, events: Sequence[StoryEvent], parent: str) -> list[Span]:
    """Waits and attempts, as they began."""
    spans: list[Span] = []
    waiting: dict[int, float] = {}
    running: dict[int, StoryEvent] = {}
    for event in events:
        if event.slice_id is None:
            continue
        if event.to_state == SliceState.RUNNING:
            since = waiting.pop(event.slice_id, event.at)
            spans.append(_wait(story, trace, event.slice_id, event.token, since, event.at, parent))
            running[event.slice_id] = event
            continue
        if (began := running.pop(event.slice_id, None)) is not None:
            spans.append(_attempt(story, trace, began, event, parent))
        if event.to_state == SliceState.QUEUED:
            waiting[event.slice_id] = event.at
        elif event.slice_id in waiting:
            # it was never taken up: the wait ended with the document
            since = waiting.pop(event.slice_id)
            spans.append(_wait(story, trace, event.slice_id, event.token + 1, since, event.at, parent))
    return sorted(spans, key=lambda span: (span.start, span.end))


def _wait(
    story: Story, trace: DocumentTrace, slice_id: int, token: int, since: float, until: float, parent: str
) -> Span:
    return Span(
        QUEUE, trace.trace_id, trace.queue_id(slice_id, token), parent, min(since, until), until,
        _about_slice(story, slice_id),
    )  # fmt: skip


def _attempt(story: Story, trace: DocumentTrace, began: StoryEvent, ended: StoryEvent, parent: str) -> Span:
    assert began.slice_id is not None
    outcome, error = _ending(ended)
    attributes = _about_slice(story, began.slice_id) | {
        "docfleet.attempt": _number(began.cause),
        "docfleet.token": began.token,
        "docfleet.worker": began.worker,
        "docfleet.outcome": outcome,
    }
    if ended.cause:
        attributes["docfleet.cause"] = ended.cause
    if error:
        attributes["error.type"] = error
    return Span(
        ATTEMPT, trace.trace_id, trace.attempt_id(began.slice_id, began.token), parent, began.at,
        max(began.at, ended.at), attributes, error=error,
    )  # fmt: skip


def _ending(event: StoryEvent) -> tuple[str, str]:
    """(outcome, error) of an attempt."""
    match event.to_state:
        case SliceState.DONE:
            return "done", ""
        case SliceState.CANCELLED:
            return "cancelled", ""
    kind = kind_of_reason(event.cause)
    outcome = "dead" if event.to_state == SliceState.DEAD else OUTCOMES[kind]
    if kind is FailureKind.WAIT and outcome != "dead":
        return outcome, ""
    code = event.cause.partition(":")[0] if kind is FailureKind.ERROR else OUTCOMES[kind]
    return outcome, code


def _number(cause: str) -> int:
    """From `attempt 3`, as the claim writes it."""
    told = cause.rpartition(" ")[2]
    return int(told) if told.isdecimal() else 0


def _about_slice(story: Story, slice_id: int) -> dict[str, Value]:
    about: dict[str, Value] = {"docfleet.document": story.id, "docfleet.slice": slice_id}
    if (facts := story.slices.get(slice_id)) is not None:
        about |= {
            "docfleet.step": facts.step.value,
            "docfleet.pages.first": facts.first_page,
            "docfleet.pages.last": facts.last_page,
        }
    return about
