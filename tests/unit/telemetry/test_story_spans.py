"""From the history of a document to its spans."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from docfleet.dispatch.spans import MOST_SPANS, spans_of
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger.stories import SliceFacts, Story, StoryEvent
from docfleet.telemetry.spans import declared
from docfleet.telemetry.traces import Span, trace_of


def at(
    when: float, slice_id: int | None, moved: str, token: int = 0, cause: str = "", worker: str = "w/0-1"
) -> StoryEvent:
    before, _, after = moved.partition(">")
    return StoryEvent(when, slice_id, before, after, token, worker, cause)


SLICES = {1: SliceFacts(Step.PLAN, 0, 0), 2: SliceFacts(Step.LOCAL, 1, 8), 3: SliceFacts(Step.ASSEMBLE, 0, 0)}
RECEIVED = (at(100.0, None, ">received", cause="accepted"), at(100.0, 1, ">queued", cause="round 1"))
STORY = Story(
    "doc", "batch", "acme", "eu", "pdf", "normal", DocumentState.SUCCEEDED, "", ";0.5000", 100.0, 110.0, 1, 8, 0, "",
    "", SLICES,
    (
        *RECEIVED,
        at(101.0, 1, "queued>running", 1, "attempt 1"), at(102.0, 1, "running>done", 1),
        at(102.0, None, "received>running", cause="8 pages"), at(102.0, 2, ">queued", cause="round 1"),
        at(103.0, 2, "queued>running", 1, "attempt 1"), at(104.0, 2, "running>queued", 1, "crash 1, evidence 3.0"),
        at(104.5, 2, "queued>running", 2, "attempt 2"), at(105.0, 2, "running>queued", 2, "engine_failed: error 1"),
        at(106.0, 2, "queued>running", 3, "attempt 3"), at(106.5, 2, "running>queued", 3, "quota_exhausted"),
        at(107.0, 2, "queued>running", 4, "attempt 4"), at(107.5, 2, "running>queued", 4, "loss 1"),
        at(108.0, 2, "queued>running", 5, "attempt 5"), at(109.0, 2, "running>done", 5),
        at(109.0, 3, ">queued"), at(109.5, 3, "queued>running", 1, "attempt 1"), at(110.0, 3, "running>done", 1),
        at(110.001, None, "assembling>succeeded", cause="all 8 pages read"),
    ),
)  # fmt: skip


MOVES = (">queued", "queued>running", "running>queued", "running>done", "running>dead", "x>failed")


def check(spans: list[Span]) -> None:
    by_id = {one.span_id: one for one in spans}
    assert len(by_id) == len(spans)
    for one in spans:
        assert one.end >= one.start
        assert set(one.attributes) <= set(declared(one.name).attributes)
        if one.parent_id in by_id:
            parent = by_id[one.parent_id]
            assert parent.start <= one.start
            assert one.end <= parent.end


def test_a_life_with_everything_in_it() -> None:
    whole, *below = spans = spans_of(STORY)
    check(spans)
    assert (whole.start, whole.end, whole.error) == (99.5, 110.001, "")
    assert [event.attributes["docfleet.state"] for event in whole.events] == ["received", "running", "succeeded"]
    attempts = [one for one in below if one.name == "attempt"]
    told = [(one.attributes["docfleet.step"], one.attributes["docfleet.outcome"], one.error) for one in attempts]
    assert told == [
        ("plan", "done", ""), ("local", "worker_died", "worker_died"), ("local", "error", "engine_failed"),
        ("local", "handed_back", ""), ("local", "worker_lost", "worker_lost"), ("local", "done", ""),
        ("assemble", "done", ""),
    ]  # fmt: skip
    assert [one.attributes["docfleet.attempt"] for one in attempts] == [1, 1, 2, 3, 4, 5, 1]
    waits = [(one.start, one.end) for one in below if one.name == "queue"]
    assert waits[1:4] == [(102.0, 103.0), (104.0, 104.5), (105.0, 106.0)]
    assert attempts[1].span_id == trace_of("doc").attempt_id(2, 1)
    assert spans_of(STORY) == spans


def test_a_second_round_is_told_alone_below_the_first() -> None:
    again = (
        at(200.0, None, "succeeded>running", cause="tried again"), at(200.0, 4, ">queued"),
        at(201.0, 4, "queued>running", 1, "attempt 1"), at(202.0, 4, "running>dead", 1, "engine_failed: 3 errors"),
        at(202.0, 5, "queued>cancelled"), at(202.0, None, "running>failed"),
    )  # fmt: skip
    story = msgspec.structs.replace(
        STORY,
        events=(*STORY.events, *again),
        finished_at=202.0,
        round=2,
        state=DocumentState.FAILED,
        code="engine_failed",
    )
    spans = spans_of(story)
    check(spans)
    assert Counter(one.name for one in spans) == {"tried again": 1, "queue": 1, "attempt": 1}
    assert (spans[0].parent_id, spans[0].start, spans[0].error) == (trace_of("doc").root_id, 200.0, "engine_failed")
    assert [one.attributes["docfleet.outcome"] for one in spans if one.name == "attempt"] == ["dead"]


def test_a_copy_points_to_the_one_that_paid() -> None:
    events = (at(100.0, None, ">succeeded", cause="same as payer"),)
    story = msgspec.structs.replace(STORY, same_as="payer", events=events, finished_at=100.0)
    [whole] = spans_of(story)
    assert [(link.trace_id, link.span_id) for link in whole.links] == [
        (trace_of("payer").trace_id, trace_of("payer").root_id)
    ]


def test_a_slice_that_was_never_taken_up_waited_to_the_end() -> None:
    events = (*RECEIVED, at(105.0, 1, "queued>cancelled"), at(105.0, None, "received>cancelled"))
    spans = spans_of(msgspec.structs.replace(STORY, events=events, finished_at=105.0, state=DocumentState.CANCELLED))
    assert [(one.name, one.start, one.end, one.error) for one in spans] == [
        ("document", 99.5, 105.0, ""), ("queue", 100.0, 105.0, "")
    ]  # fmt: skip


def test_a_very_long_document_is_told_in_part() -> None:
    events = [*RECEIVED]
    for number in range(2000):
        events += [at(101.0 + number, 1, "queued>running", number + 1, f"attempt {number + 1}"),
                   at(101.5 + number, 1, "running>queued", number + 1, "quota_exhausted")]  # fmt: skip
    events.append(at(3000.0, None, "received>failed"))
    whole, *below = spans_of(msgspec.structs.replace(STORY, events=tuple(events), finished_at=3000.0))
    assert len(below) == MOST_SPANS
    assert whole.attributes["docfleet.spans.left_out"] == 4000 - MOST_SPANS


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e4), st.one_of(st.none(), st.integers(1, 3)),
            st.sampled_from(MOVES),
            st.integers(0, 3), st.sampled_from(["", "attempt 2", "loss 1", "whatever", "x: error 2", "attempt "]),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_no_history_however_odd_gives_a_span_that_ends_before_it_begins(
    rows: list[tuple[float, int | None, str, int, str]],
) -> None:
    events = tuple(at(when, slice_id, moved, token, cause) for when, slice_id, moved, token, cause in rows)
    for one in spans_of(msgspec.structs.replace(STORY, events=events)):
        assert one.end >= one.start
