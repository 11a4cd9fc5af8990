"""Whose trace a thing belongs to, and whether it is traced."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.retry import Action, Counters, Failure, FailureKind, RetryPolicy, kind_of_reason
from docfleet.telemetry import metrics, traces
from docfleet.telemetry.catalog import STAGE_DURATION
from docfleet.telemetry.sharing import tell_shared
from docfleet.telemetry.spans import ATTRIBUTES, EVENTS, FETCH, OPEN, READ, REQUEST, SHARE, SPANS
from docfleet.telemetry.traces import (
    Collected,
    Place,
    at,
    document_trace,
    is_chosen,
    keep,
    place_of_attempt,
    read_traceparent,
    span,
    trace_of,
)

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header",
    [
        "", "00", HEADER[:-1], HEADER.upper(), "ff" + HEADER[2:], HEADER + "-more", HEADER.replace("4bf9", "zzzz"),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", HEADER + ";x", HEADER * 2,
    ],
)  # fmt: skip
def test_what_is_no_traceparent_is_as_none(header: str) -> None:
    assert read_traceparent(header) is None


def test_a_traceparent_of_a_later_version_is_understood() -> None:
    found = read_traceparent("01" + HEADER[2:] + "-future")
    assert found is not None
    assert found.header == HEADER
    unsampled = read_traceparent(HEADER[:-2] + "02")
    assert unsampled is not None
    assert not unsampled.is_sampled


@given(st.text(max_size=80), st.floats(0, 1e5))
def test_whatever_is_kept_is_read_without_harm(text: str, seconds: float) -> None:
    found = trace_of("doc", text)
    assert len(found.trace_id) == 32
    assert 0 <= found.upload_seconds <= 86_400
    kept = trace_of("doc", keep(read_traceparent(HEADER), seconds))
    assert (kept.trace_id, kept.parent_id, kept.is_sampled) == (HEADER[3:35], HEADER[36:52], True)
    assert kept.upload_seconds == pytest.approx(min(seconds, 86_400), abs=1e-4)


@given(st.text(min_size=1, max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_all_processes_agree_and_more_is_more(document: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    one = trace_of(document, "", low)
    assert one == trace_of(document, "", low)
    assert one.is_sampled <= trace_of(document, "", high).is_sampled
    assert trace_of(document, "", 1.0).is_sampled
    assert not trace_of(document, "", 0.0).is_sampled


def test_the_share_is_the_share() -> None:
    chosen = sum(trace_of(f"document {n}", "", 0.1).is_sampled for n in range(10_000))
    assert 850 < chosen < 1150


def test_the_clients_flag_decides_for_its_own() -> None:
    assert trace_of("doc", keep(read_traceparent(HEADER), 0), 0.0).is_sampled
    assert not trace_of("doc", keep(read_traceparent(HEADER[:-2] + "00"), 0), 1.0).is_sampled


def test_ids_differ_by_what_they_are_of() -> None:
    one, other = trace_of("a"), trace_of("b")
    ids = [one.root_id, other.root_id, one.round_id(1), one.attempt_id(1, 1), one.attempt_id(1, 2),
           one.attempt_id(11, 1), one.queue_id(1, 1), other.attempt_id(1, 1)]  # fmt: skip
    assert len(set(ids)) == len(ids)
    assert one.trace_id != other.trace_id
    assert is_chosen(one.trace_id, 1.0)


def test_nothing_is_told_and_nothing_costs_while_it_is_off() -> None:
    assert place_of_attempt("doc", "", 1, 1, 0.0) is None
    assert not document_trace("doc").is_sampled
    with at(None), span(READ) as one:
        one.set(pages=3)
        one.add("page", page=1)
        assert traces.current_trace_id() == ""
    tell_shared((REQUEST, SHARE), 0.0, 1.0, {})


def test_spans_nest_and_tell_codes_not_words(traced: Collected) -> None:
    place = place_of_attempt("doc", "", 7, 3, 1000.0, seen=50.0)
    assert place is not None
    with at(place):
        assert traces.current_trace_id() == place.trace_id
        with pytest.raises(ValueError, match="Hush"), span(READ, pages=2), span(OPEN):
            raise ValueError("Hush")
    inner, outer = traced.take()
    assert (inner.name, outer.name) == (OPEN, READ)
    assert inner.parent_id == outer.span_id
    assert outer.parent_id == trace_of("doc").attempt_id(7, 3)
    assert outer.start <= inner.start <= inner.end <= outer.end
    assert outer.start > 1000.0
    assert (outer.error, outer.attributes) == ("ValueError", {"docfleet.pages": 2, "error.type": "ValueError"})
    assert "Hush" not in str((inner, outer))
    assert not traced.take()


def test_a_request_for_several_has_links_both_ways(traced: Collected) -> None:
    places = [Place(trace_of(name).trace_id, trace_of(name).attempt_id(1, 1), 1000.0, pages) for name, pages in
              (("a", 3), ("b", 2))]  # fmt: skip
    with at(*places):
        assert traces.current() is None
        tell_shared((REQUEST, SHARE), 1.0, 2.0, {"docfleet.pages": 5}, "throttled")
    *shares, whole = traced.take()
    assert [one.name for one in (*shares, whole)] == [SHARE, SHARE, REQUEST]
    assert [one.attributes["docfleet.pages"] for one in (*shares, whole)] == [3, 2, 5]
    assert [(link.trace_id, link.span_id) for link in whole.links] == [(one.trace_id, one.span_id) for one in shares]
    assert all(one.links[0].span_id == whole.span_id for one in shares)
    assert [one.parent_id for one in shares] == [place.span_id for place in places]
    assert whole.parent_id == ""
    assert {one.error for one in (*shares, whole)} == {"throttled"}
    with at(places[0], None):
        tell_shared((REQUEST, SHARE), 1.0, 2.0, {})
    [alone] = traced.take()
    assert (alone.name, alone.parent_id, alone.links) == (REQUEST, places[0].span_id, ())


def test_what_one_thread_does_is_not_another_ones(traced: Collected) -> None:
    seen: list[str] = []
    with at(Place("a" * 32, "b" * 16, 0.0)), span(FETCH):
        thread = threading.Thread(target=lambda: seen.append(traces.current_trace_id()))
        thread.start()
        thread.join()
    assert seen == [""]


def test_a_hoard_of_spans_is_bounded(traced: Collected) -> None:
    with at(Place("a" * 32, "b" * 16, 0.0)):
        for _ in range(1000):
            with span(FETCH) as one:
                for number in range(100):
                    one.add("page", page=number)
    taken = traced.take()
    assert len(taken) == traces.MOST_COLLECTED
    assert all(len(one.events) == 64 for one in taken)


def test_every_attribute_is_declared() -> None:
    used = {name for one in SPANS for name in one.attributes} | {name for one in EVENTS.values() for name in one[2]}
    assert used == set(ATTRIBUTES)
    assert len({one.name for one in SPANS}) == len(SPANS)


_KINDS = st.sampled_from(FailureKind)


@given(
    _KINDS, st.from_regex(r"[a-z_]{1,30}", fullmatch=True), st.booleans(), st.integers(0, 5), st.integers(0, 5),
    st.integers(0, 5), st.booleans(),
)  # fmt: skip
def test_the_history_tells_what_a_decision_was_about(
    kind: FailureKind, code: str, retryable: bool, crashes: int, errors: int, losses: int, isolated: bool
) -> None:
    failure = Failure(kind, code, retryable=retryable)
    decision = RetryPolicy().decide(failure, Counters(crashes, errors, 0, losses), 0.5, isolated)
    found = kind_of_reason(decision.reason)
    if kind is FailureKind.LOSS and found is FailureKind.CRASH:
        # in isolation a further loss counts as a crash
        assert isolated or decision.action is Action.DEAD
    else:
        assert found is kind


def test_what_is_measured_in_a_trace_points_to_it(traced: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_enabled", True)
    metrics.take()
    with at(Place("a" * 32, "b" * 16, 0.0)), span(READ):
        metrics.observe(STAGE_DURATION, 0.2, "pdf", "read")
    metrics.observe(STAGE_DURATION, 0.2, "image", "read")
    within, without = metrics.take()
    assert [one.trace_id for one in within.exemplars.values()] == ["a" * 32]
    assert not without.exemplars
