"""Latencies in buckets, sums, and whose fault a failure was."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.retry import Action, Counters, Failure, FailureKind, RetryPolicy, kind_of
from docfleet.domain.tallying import (
    LATENCY_BOUNDS,
    Measure,
    Outcome,
    bound_name,
    bound_of,
    latency_quantile,
    outcome_of,
    sums_of,
)
from docfleet.domain.urgency import TARGET_SECONDS
from docfleet.domain.work import DocumentState
from docfleet.errors import document_error_codes


def test_every_target_is_a_bound() -> None:
    assert set(TARGET_SECONDS.values()) <= set(LATENCY_BOUNDS), "else the share in time could not be told from them"


@given(st.floats(0, 1e9))
def test_a_latency_is_in_the_bucket_of_the_least_bound_it_does_not_exceed(seconds: float) -> None:
    bound = math.inf if bound_of(seconds) == "+Inf" else float(bound_of(seconds))
    assert seconds <= bound
    assert all(other >= bound for other in LATENCY_BOUNDS if other >= seconds)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.99])
def test_a_quantile_lies_within_the_bucket_of_the_true_one(share: float) -> None:
    chance = random.Random(7)
    latencies = sorted(chance.lognormvariate(1, 1.5) for _ in range(5000))
    counts: dict[str, float] = {}
    for seconds in latencies:
        counts[bound_of(seconds)] = counts.get(bound_of(seconds), 0) + 1
    true = latencies[math.ceil(share * len(latencies)) - 1]
    told = latency_quantile(counts, share)
    assert told is not None
    assert bound_of(told) == bound_of(true)


def test_a_quantile_of_nothing_is_none_and_of_what_lies_above_all_bounds_is_the_last() -> None:
    assert latency_quantile({}, 0.5) is None
    assert latency_quantile({"+Inf": 3}, 0.5) == LATENCY_BOUNDS[-2]
    assert latency_quantile({"1": 4}, 0.5) == pytest.approx(0.75)


@pytest.mark.parametrize("code", sorted(document_error_codes()))
def test_a_failure_is_the_documents_or_ours(code: str) -> None:
    ours = {
        "source_damaged", "output_failed", "no_scratch_space", "timed_out", "out_of_memory", "parser_crashed",
        "engine_failed", "engine_busy", "worker_died", "page_missing", "unexpected",
    }  # fmt: skip
    assert outcome_of(DocumentState.FAILED, code) is (Outcome.BROKEN if code in ours else Outcome.FAILED)


def test_an_unknown_code_is_our_fault_and_other_ends_are_what_they_are_called() -> None:
    assert outcome_of(DocumentState.FAILED, "") is Outcome.BROKEN
    for state in (DocumentState.SUCCEEDED, DocumentState.PARTIAL, DocumentState.CANCELLED):
        assert outcome_of(state, "worker_died").value == state.value


def test_sums_add_up_what_is_told_by_detail() -> None:
    sums = sums_of(
        {
            (Measure.ACCEPTED, ""): 5.0, (Measure.ENDED, "succeeded"): 3.0, (Measure.ENDED, "broken"): 1.0,
            (Measure.PAGES, "rapidocr"): 4.0, (Measure.PAGES, "text"): 6.0, (Measure.COST_USD, "documentai"): 0.0015,
            (Measure.DURATION, bound_name(1.0)): 4.0,
        }
    )  # fmt: skip
    assert (sums.accepted, sums.succeeded, sums.broken, sums.pages, sums.cost_usd) == (5, 3, 1, 10, 0.0015)
    assert sums.ended == 4
    assert sums.seconds_p95 == pytest.approx(0.975)


@given(
    st.sampled_from(list(FailureKind)),
    st.sampled_from(["engine_busy", "worker_died", "timed_out", "handed_back"]),
    st.integers(0, 4),
    st.booleans(),
    st.booleans(),
)
def test_the_kind_of_a_failure_can_be_told_from_the_reason_its_decision_gave(
    kind: FailureKind, code: str, before: int, isolated: bool, retryable: bool
) -> None:
    counters = Counters(before, before, before, before)
    decision = RetryPolicy().decide(Failure(kind, code, retryable=retryable), counters, 0.5, isolated)
    told = kind_of(decision.reason)
    blamed = kind is FailureKind.LOSS and told is FailureKind.CRASH  # one loss too many counts as a crash
    assert told is kind or (blamed and (isolated or decision.action is Action.DEAD))
