"""Where a call goes and what becomes of it, over real gRPC."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import grpc
import msgspec
import pytest
import trustme
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.domain.quota import BreakerState, QuotaKey, QuotaLimits
from docfleet.engines.documentai.calls import Answer, Attempt, Call, Failed, Postponed, Selection
from docfleet.engines.documentai.endpoints import Candidate, endpoints_of, rank
from docfleet.engines.documentai.failures import FailureKind
from docfleet.engines.documentai.hedging import Hedge, HedgePolicy, decide
from docfleet.engines.documentai.options import PAGE_FIELDS, Processor
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.local import LocalQuota
from docfleet.quota.open import open_breakers
from documentai_double import (
    Refusal,
    caller_for,
    options_for,
    pages_document,
    rate_limited,
    running,
    wait_until,
)

UNLIMITED = QuotaLimits()


def place_of(request: Any) -> str:
    return str(request.name.split("/")[3])


def fine(request: Any, _metadata: dict[str, str]) -> Any:
    return pages_document(["hello\n"])


def call(**more: Any) -> Call:
    return Call(b"%PDF", "application/pdf", 1, **more)


def no_limits() -> LocalQuota:
    return LocalQuota(lambda _key: UNLIMITED)


def test_what_is_asked_of_the_service() -> None:
    seen: list[dict[str, str]] = []

    def answer(request: Any, metadata: dict[str, str]) -> Any:
        seen.append(metadata)
        return pages_document(["a\n"])

    with running(answer) as double:
        options = options_for(
            double.address, processors=(Processor("p1", "eu", version="v7"),), premium=("style",), api_key="secret",
            anonymous=False,
        )  # fmt: skip
        caller = caller_for(options, quota=no_limits())
        caller.call(call(selection=Selection(1, 30), languages=("de",)))
        caller.call(call(selection=Selection(31, 33)))
        caller.close()
    first, second = double.requests
    assert first.name == "projects/tests/locations/eu/processors/p1/processorVersions/v7"
    assert (first.raw_document.content, first.raw_document.mime_type) == (b"%PDF", "application/pdf")
    assert first.imageless_mode
    assert list(first.field_mask.paths) == list(PAGE_FIELDS)
    assert "pages.image" not in first.field_mask.paths
    assert first.process_options.from_start == 30
    assert list(second.process_options.individual_page_selector.pages) == [31, 32, 33]
    assert list(first.process_options.ocr_config.hints.language_hints) == ["de"]
    assert first.process_options.ocr_config.premium_features.compute_style_info
    assert seen[0]["x-goog-api-key"] == "secret"
    assert "processorVersions%2Fv7" in seen[0]["x-goog-request-params"]
    assert "secret" not in repr(options)


def test_an_endpoint_that_is_away_is_passed_by_and_residency_is_kept() -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        if place_of(request) == "us":
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "away")
        return pages_document(["a\n"])

    with running(answer) as double:
        options = options_for(double.address, "us", "eu", residency={"yankee": ("us",)}, locations=("us", "eu"))
        caller = caller_for(options, quota=no_limits())
        moved = caller.call(call(tenant="anybody"))
        stays = caller.call(call(tenant="yankee"))
        caller.close()
    assert isinstance(moved, Answer)
    assert moved.endpoint.location == "eu"
    assert [(one.endpoint.location, one.billed) for one in moved.attempts] == [("us", False), ("eu", True)]
    assert isinstance(stays, Failed)
    assert stays.failure.kind is FailureKind.AWAY
    assert [place_of(one) for one in double.requests].count("eu") == 1


def test_nowhere_to_go_is_a_matter_of_setup() -> None:
    caller = caller_for(options_for("127.0.0.1:1", "us", residency={"german": ("eu",)}))
    outcome = caller.call(call(tenant="german"))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.code, outcome.attempts) == ("no_location", ())


def test_a_refusal_for_want_of_quota_goes_elsewhere_and_then_waits() -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        raise rate_limited(retry_after=7.0)

    with running(answer) as double:
        caller = caller_for(options_for(double.address, "us", "eu"), quota=no_limits())
        outcome = caller.call(call())
        caller.close()
    assert isinstance(outcome, Postponed)
    assert outcome.reason == "throttled"
    assert 5.0 < outcome.seconds <= 8.0
    assert {place_of(one) for one in double.requests} == {"us", "eu"}
    assert len(double.requests) == 2
    assert not any(one.billed for one in outcome.attempts)


def test_no_quota_no_request() -> None:
    with running(fine) as double:
        limits = QuotaLimits(requests_per_minute=1, headroom=0.0)
        caller = caller_for(options_for(double.address, "us", "eu"), quota=LocalQuota(lambda _key: limits))
        outcomes = [caller.call(call()) for _ in range(4)]
        caller.close()
    assert [type(one) for one in outcomes] == [Answer, Answer, Postponed, Postponed]
    last = outcomes[-1]
    assert isinstance(last, Postponed)
    assert last.reason == "requests"
    assert 30 < last.seconds <= 60
    assert len(double.requests) == 2


def test_patience_books_the_next_turn() -> None:
    with running(fine) as double:
        limits = QuotaLimits(requests_per_minute=120, headroom=0.0, burst_seconds=0.0)
        caller = caller_for(options_for(double.address), quota=LocalQuota(lambda _key: limits))
        caller.call(call())
        started = time.monotonic()
        outcome = caller.call(call(patience=2.0))
        took = time.monotonic() - started
        caller.close()
    assert isinstance(outcome, Answer)
    assert 0.1 < took < 1.5


def test_a_failure_of_the_service_is_tried_once_more_and_no_more() -> None:
    with running(_broken) as double:
        caller = caller_for(options_for(double.address), quota=no_limits())
        outcome = caller.call(call())
        caller.close()
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.BROKEN
    assert len(double.requests) == 2


def _broken(_request: Any, _metadata: dict[str, str]) -> Any:
    raise Refusal(grpc.StatusCode.INTERNAL, "oh")


def test_a_document_that_is_refused_is_not_sent_around() -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Unsupported input file format.")

    with running(answer) as double:
        caller = caller_for(options_for(double.address, "us", "eu"), quota=no_limits())
        outcome = caller.call(call())
        caller.close()
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.DOCUMENT
    assert len(double.requests) == 1


def test_a_processor_of_another_region_is_found_out_and_left_out() -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        if place_of(request) == "us":
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Request contains an invalid argument.")
        return pages_document(["a\n"])

    with running(answer) as double:
        caller = caller_for(options_for(double.address, "us", "eu"), quota=no_limits())
        outcomes = [caller.call(call()) for _ in range(3)]
        caller.close()
    assert all(isinstance(one, Answer) for one in outcomes)
    assert [place_of(one) for one in double.requests] == ["us", "eu", "eu", "eu"]


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED])
def test_an_endpoint_that_is_not_set_up_is_left_out_for_a_while(code: grpc.StatusCode) -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        if place_of(request) == "us":
            raise Refusal(code, "no")
        return pages_document(["a\n"])

    with running(answer) as double:
        both = caller_for(options_for(double.address, "us", "eu"), quota=no_limits())
        outcomes = [both.call(call()) for _ in range(3)]
        alone = caller_for(options_for(double.address, "us"), quota=no_limits())
        nobody = [alone.call(call()) for _ in range(2)]
        both.close()
        alone.close()
    assert all(isinstance(one, Answer) for one in outcomes)
    assert [place_of(one) for one in double.requests] == ["us", "eu", "eu", "eu", "us"]
    assert all(isinstance(one, Failed) and one.failure.kind is FailureKind.SETUP for one in nobody)


def test_a_breaker_that_opens_stops_the_calls() -> None:
    down = threading.Event()
    down.set()

    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        if down.is_set():
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "away", error_details_pb2.ErrorInfo(reason="X"))
        return pages_document(["a\n"])

    policy = BreakerPolicy(failures_in_a_row=3, silent_seconds=0.0, open_seconds=3.0)
    with running(answer) as double:
        caller = caller_for(options_for(double.address), quota=no_limits(), breakers=open_breakers(None, policy))
        outcomes = [caller.call(call()) for _ in range(6)]
        asked = len(double.requests)
        down.clear()
        time.sleep(3.3)
        later = [caller.call(call()) for _ in range(3)]
        caller.close()
    assert asked == 3
    assert all(isinstance(one, Postponed) and one.reason == "away" for one in outcomes[3:])
    assert all(isinstance(one, Answer) for one in later)


def test_nobody_there_is_known_at_once_and_costs_neither_money_nor_quota() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    quota = LocalQuota(lambda _key: QuotaLimits(requests_per_minute=1, headroom=0.0))
    caller = caller_for(options_for(f"127.0.0.1:{port}"), quota=quota)
    started = time.monotonic()
    outcome = caller.call(call())
    caller.close()
    assert time.monotonic() - started < 2.5
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "not_reached"
    assert not outcome.attempts[0].billed
    assert quota.free(QuotaKey("tests", "us", "OCR_PROCESSOR")) >= 1.0


@pytest.mark.parametrize("insecure", [True, False])
def test_a_silent_port_is_given_up_in_the_time_set(insecure: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        caller = caller_for(options_for(address, insecure=insecure, connect_seconds=1.0))
        started = time.monotonic()
        outcome = caller.call(call())
        caller.close()
    assert time.monotonic() - started < 4.0
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "not_reached"


def test_tls_with_a_certificate_that_is_trusted_and_with_one_that_is_not(tmp_path: Any) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    tls = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())])
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with running(fine, tls) as double:
        good = caller_for(options_for(double.address, insecure=False, ca_file=str(trusted)))
        bad = caller_for(options_for(double.address, insecure=False))
        answered, started = good.call(call()), time.monotonic()
        refused = bad.call(call())
        took = time.monotonic() - started
        good.close()
        bad.close()
    assert isinstance(answered, Answer)
    assert isinstance(refused, Failed)
    assert refused.failure.code == "not_reached"
    assert took < 4.0


def test_a_connection_that_is_cut_may_have_cost_something() -> None:
    begun = threading.Event()

    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        begun.set()
        time.sleep(1.0)
        return pages_document(["a\n"])

    found: list[Any] = []
    with running(answer) as double:
        caller = caller_for(options_for(double.address))
        thread = threading.Thread(target=lambda: found.append(caller.call(call())))
        thread.start()
        assert begun.wait(5)
        double.server.stop(0)
        thread.join(10)
    caller.close()
    assert isinstance(found[0], Failed)
    assert found[0].failure.kind is FailureKind.AWAY
    assert found[0].attempts[0].billed


def test_a_call_ends_by_its_deadline() -> None:
    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        time.sleep(1.5)
        return pages_document(["a\n"])

    with running(answer) as double:
        caller = caller_for(options_for(double.address, call_seconds=0.3))
        started = time.monotonic()
        outcome = caller.call(call())
        took = time.monotonic() - started
        caller.close()
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "timed_out"
    assert outcome.attempts[0].billed
    assert took < 1.4


def test_an_urgent_call_that_is_late_gets_a_second_one_elsewhere() -> None:
    late = threading.Event()

    def answer(request: Any, _metadata: dict[str, str]) -> Any:
        if late.is_set() and place_of(request) == "us":
            time.sleep(1.5)
        return pages_document([f"{place_of(request)}\n"])

    policy = HedgePolicy(min_calls=5, min_seconds=0.1)
    with running(answer) as double:
        caller = caller_for(options_for(double.address, "us", "eu"), quota=no_limits(), hedging=policy)
        for _ in range(12):
            caller.call(call(exclude=frozenset({"eu"})))
        caller.call(call(exclude=frozenset({"us"})))
        late.set()
        slow = caller.call(call(exclude=frozenset({"eu"}), urgent=True))
        caller._latencies._kept.clear()
        for _ in range(10):
            caller._latencies.add("projects/tests/locations/us/processors/ocr0", 1, 0.05)
        started = time.monotonic()
        fast = caller.call(call(urgent=True))
        took = time.monotonic() - started
        calm = caller.call(call(may_hedge=False, urgent=True, exclude=frozenset({"eu"})))
        caller.close()
    assert isinstance(slow, Answer)
    assert len(slow.attempts) == 1
    assert isinstance(fast, Answer)
    assert fast.document.text == "eu\n"
    assert took < 1.0
    assert [(a.endpoint.location, a.hedge, a.abandoned, a.billed) for a in fast.attempts] == [
        ("us", False, True, True),
        ("eu", True, False, True),
    ]
    assert isinstance(calm, Answer)
    assert len(calm.attempts) == 1


def test_threads_share_one() -> None:
    with running(fine) as double:
        caller = caller_for(options_for(double.address, "us", "eu"), quota=no_limits())
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(caller.call(call()))) for _ in range(12)]
        for thread in threads:
            thread.start()
        assert wait_until(lambda: len(found) == 12, 20)
        caller.close()
    assert all(isinstance(one, Answer) for one in found)
    assert len(double.requests) == 12


# --- pure decisions


CANDIDATES = st.lists(
    st.tuples(
        st.sampled_from(["us", "eu", "europe-west3"]),
        st.sampled_from(list(BreakerState)),
        st.floats(0, 10),
        st.none() | st.floats(0.1, 60),
        st.sampled_from(["", "not set up"]),
        st.booleans(),
    ),
    max_size=6,
)


@given(CANDIDATES, st.none() | st.frozensets(st.sampled_from(["us", "eu", "europe-west3"])), st.booleans())
@settings(max_examples=200, deadline=None)
def test_ranking_never_breaks_residency_and_loses_nobody(
    given_: list[Any], allowed: frozenset[str] | None, urgent: bool
) -> None:
    options = options_for("x:1", *[place for place, *_ in given_] or ["us"])
    endpoints = endpoints_of(options, options.facts(), "OCR_PROCESSOR")
    candidates = [
        Candidate(_with(endpoint, leaves), breaker, free, seconds, barred)
        for endpoint, (_, breaker, free, seconds, barred, leaves) in zip(endpoints, given_, strict=False)
    ]
    ranking = rank(candidates, allowed, urgent)
    assert len(ranking.order) + len(ranking.left_out) == len(candidates)
    assert len({one.endpoint.name for one in ranking.order}) == len(ranking.order)
    by_name = {one.endpoint.name: one for one in candidates}
    for ranked in ranking.order:
        one = by_name[ranked.endpoint.name]
        assert allowed is None or (ranked.endpoint.location in allowed and not ranked.endpoint.leaves_region)
        assert one.breaker is not BreakerState.OPEN
        assert not one.barred
        assert ranked.reason.endswith(".")
    states = [by_name[one.endpoint.name].breaker is BreakerState.HALF_OPEN for one in ranking.order]
    assert states == sorted(states, reverse=not urgent)


def _with(endpoint: Any, leaves: bool) -> Any:
    return msgspec.structs.replace(endpoint, leaves_region=leaves)


@given(st.lists(st.floats(0.01, 100), max_size=60), st.booleans(), st.booleans())
def test_hedges_are_for_urgent_calls_whose_lateness_is_known(seconds: list[float], urgent: bool, wanted: bool) -> None:
    found = decide(seconds, urgent, wanted)
    assert isinstance(found, Hedge)
    if found.after_seconds is not None:
        assert urgent
        assert wanted
        assert len(seconds) >= 20
        assert sum(one > found.after_seconds for one in seconds) <= 0.05 * len(seconds)


def test_what_counts_as_paid() -> None:
    endpoint = endpoints_of(options_for("x:1"), options_for("x:1").facts(), "OCR_PROCESSOR")[0]
    assert Attempt(endpoint, 1, 0.1).billed
    assert Attempt(endpoint, 1, 0.1, abandoned=True).billed
