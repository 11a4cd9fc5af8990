"""The emulation's decisions, by a virtual clock."""

from __future__ import annotations

from statistics import mean, median

import pytest

from docfleet.documentai_server.calls import CallFacts, Outcome
from docfleet.documentai_server.emulation.clock import VirtualClock
from docfleet.documentai_server.emulation.draws import draw, latency
from docfleet.documentai_server.emulation.intercepting import EmulationInterceptor
from docfleet.documentai_server.emulation.plan import LatencyRule, Plan, plan_from_json, plan_from_toml
from docfleet.documentai_server.emulation.playing import Call, Close, Emulation, Hang, Pass, Refuse
from docfleet.documentai_server.refusals import Code, ErrorInfo, Refusal, RetryInfo
from docfleet.errors import UsageError

OCR = "OCR_PROCESSOR"


def call(location: str = "us", kind: str = OCR, project: str = "demo") -> Call:
    return Call(project, location, kind)


def playing(toml: str) -> tuple[Emulation, VirtualClock]:
    clock = VirtualClock(100.0)
    return Emulation(plan_from_toml(toml), clock), clock


def passes(emulation: Emulation, clock: VirtualClock, seconds: float, step: float, **about: str) -> int:
    """Calls let through when one is made every `step` seconds."""
    count = 0
    for _ in range(round(seconds / step)):
        count += isinstance(emulation.fate(call(**about)), Pass)
        clock.advance(step)
    return count


def test_a_quota_lets_through_its_rate_and_no_more() -> None:
    emulation, clock = playing("quotas = [{requests_per_minute = 12, burst_seconds = 1}]")
    assert passes(emulation, clock, 600, 0.5) == 120
    assert emulation.counts()["total"]["refused"] == {"quota": 1080}


def test_a_burst_is_a_minute_ahead_at_most() -> None:
    emulation, clock = playing("quotas = [{requests_per_minute = 120}]")
    assert sum(isinstance(emulation.fate(call()), Pass) for _ in range(500)) == 120
    clock.advance(30)
    assert sum(isinstance(emulation.fate(call()), Pass) for _ in range(500)) == 60


def test_projects_locations_and_types_are_counted_apart() -> None:
    emulation, _ = playing("quotas = [{requests_per_minute = 6, burst_seconds = 1}]")
    about = [("a", "us", OCR), ("a", "eu", OCR), ("b", "us", OCR), ("a", "us", "FORM_PARSER_PROCESSOR")]
    for project, location, kind in about:
        assert isinstance(emulation.fate(Call(project, location, kind)), Pass)
        assert isinstance(emulation.fate(Call(project, location, kind)), Refuse)


def test_the_first_rule_that_fits_counts() -> None:
    emulation, _ = playing(
        """
        [[quotas]]
        location = "us"
        [[quotas]]
        requests_per_minute = 1
        burst_seconds = 1
        """
    )
    assert all(isinstance(emulation.fate(call("us")), Pass) for _ in range(50))
    assert isinstance(emulation.fate(call("eu")), Pass)
    assert isinstance(emulation.fate(call("eu")), Refuse)


@pytest.mark.parametrize(("told", "seconds"), [("false", None), ("true", 5.0), ("7.5", 7.5)])
def test_a_429_says_what_googles_says(told: str, seconds: float | None) -> None:
    emulation, _ = playing(f"retry_info = {told}\nquotas = [{{requests_per_minute = 12, burst_seconds = 1}}]")
    emulation.fate(call())
    refused = emulation.fate(call())
    assert isinstance(refused, Refuse)
    assert refused.code is Code.RESOURCE_EXHAUSTED
    assert "Number of online process document requests using document processor" in refused.message
    info, *rest = refused.details
    assert isinstance(info, ErrorInfo)
    assert info.reason == "RATE_LIMIT_EXCEEDED"
    assert info.metadata["quota_limit_value"] == "12"
    assert info.metadata["quota_location"] == "us"
    assert [one.seconds for one in rest if isinstance(one, RetryInfo)] == ([] if seconds is None else [seconds])


def test_whoever_waits_as_told_is_served() -> None:
    emulation, clock = playing("retry_info = true\nquotas = [{requests_per_minute = 7, burst_seconds = 1}]")
    emulation.fate(call())
    for _ in range(50):
        refused = emulation.fate(call())
        assert isinstance(refused, Refuse)
        told = refused.details[1]
        assert isinstance(told, RetryInfo)
        clock.advance(told.seconds)
        assert isinstance(emulation.fate(call()), Pass)


def test_pages_are_charged_when_they_are_known_and_may_leave_a_debt() -> None:
    emulation, clock = playing("quotas = [{pages_per_minute = 60, burst_seconds = 10}]")
    passed = emulation.fate(call())
    assert isinstance(passed, Pass)
    emulation.answered(passed, 30)
    emulation.ended(passed)
    refused = emulation.fate(call())
    assert isinstance(refused, Refuse)
    assert refused.reason == "pages"
    clock.advance(20.5)
    assert isinstance(emulation.fate(call()), Refuse)
    clock.advance(0.5)
    assert isinstance(emulation.fate(call()), Pass)


def test_latency_is_due_from_the_beginning_of_the_call() -> None:
    emulation, clock = playing("latencies = [{fixed_seconds = 2.0, page_seconds = 0.8}]")
    passed = emulation.fate(call())
    assert isinstance(passed, Pass)
    clock.advance(1.5)
    assert emulation.answered(passed, 15) == pytest.approx(2 + 12 - 1.5)
    slow = emulation.fate(call())
    assert isinstance(slow, Pass)
    clock.advance(100)
    assert emulation.answered(slow, 15) == 0.0


def test_latencies_spread_as_they_are_told_to() -> None:
    flat = [latency(LatencyRule(fixed_seconds=1.0, jitter=0.2), 1, 5, "us", n) for n in range(2000)]
    assert min(flat) >= 0.8
    assert max(flat) <= 1.2
    assert mean(flat) == pytest.approx(1.0, abs=0.01)
    tail = [latency(LatencyRule(fixed_seconds=1.0, sigma=0.5), 1, 5, "us", n) for n in range(2000)]
    assert median(tail) == pytest.approx(1.0, abs=0.05)
    assert sorted(tail)[int(0.95 * len(tail))] == pytest.approx(2.276, rel=0.1)


def test_chance_repeats_under_one_seed_and_differs_under_another() -> None:
    def refusals(seed: int) -> list[bool]:
        emulation, _ = playing(f"seed = {seed}\nerrors = [{{rate = 0.2, code = 'INTERNAL'}}]")
        return [isinstance(emulation.fate(call()), Refuse) for _ in range(1000)]

    assert refusals(1) == refusals(1)
    assert refusals(1) != refusals(2)
    assert sum(refusals(3)) == pytest.approx(200, abs=40)
    assert draw(1, "us", 0, "a") != draw(1, "eu", 0, "a")


def test_the_order_among_locations_does_not_change_a_locations_fate() -> None:
    def of_us(others: int) -> list[bool]:
        emulation, _ = playing("errors = [{rate = 0.5}]")
        found = []
        for _ in range(100):
            for _ in range(others):
                emulation.fate(call("eu"))
            found.append(isinstance(emulation.fate(call("us")), Refuse))
        return found

    assert of_us(0) == of_us(3)


def test_outages_begin_and_end_on_time_and_only_where_they_are() -> None:
    emulation, clock = playing(
        """
        outages = [
            {location = "us", from_seconds = 300, to_seconds = 360},
            {location = "eu", kind = "hang", from_seconds = 300, to_seconds = 320},
            {location = "asia-south1", kind = "refuse"},
        ]
        """
    )
    assert isinstance(emulation.fate(call("us")), Pass)
    assert isinstance(emulation.fate(call("asia-south1")), Close)
    clock.advance(300)
    gone = emulation.fate(call("us"))
    assert isinstance(gone, Refuse)
    assert gone.code is Code.UNAVAILABLE
    assert emulation.fate(call("eu")) == Hang(until=420.0)
    assert isinstance(emulation.poll(call("us", "")), Refuse)
    clock.advance(60)
    assert isinstance(emulation.fate(call("us")), Pass)
    assert emulation.poll(call("us", "")) is None


def test_a_new_plan_begins_at_its_beginning_and_keeps_the_counts() -> None:
    emulation, clock = playing("quotas = [{requests_per_minute = 6, burst_seconds = 1}]")
    emulation.fate(call())
    emulation.fate(call())
    clock.advance(1)
    emulation.change(plan_from_json(b'{"outages": [{"from_seconds": 10}]}'))
    assert isinstance(emulation.fate(call()), Pass)
    clock.advance(10)
    assert isinstance(emulation.fate(call()), Refuse)
    told = emulation.counts()
    assert told["seconds"] == 10
    assert told["total"]["refused"] == {"quota": 1, "outage": 1}
    assert told["total"]["under_way"] == 2
    emulation.forget_counts()
    assert emulation.counts()["total"]["under_way"] == 2
    assert emulation.counts()["total"]["asked"] == 0


def test_polls_have_a_quota_of_their_own() -> None:
    emulation, clock = playing("polls_per_minute = 30")
    assert [emulation.poll(call(kind="")) is None for _ in range(31)] == [True] * 30 + [False]
    assert isinstance(emulation.fate(call()), Pass)
    clock.advance(2)
    assert emulation.poll(call(kind="")) is None


@pytest.mark.parametrize(
    "text",
    [
        "speed = 1",
        "quotas = [{requests = 1}]",
        "quotas = [{requests_per_minute = 0}]",
        "errors = [{rate = 2}]",
        "errors = [{rate = 0.1, code = 'BAD'}]",
        "errors = [{rate = 0.1, code = 'OK'}]",
        "outages = [{kind = 'slow'}]",
        "outages = [{from_seconds = 5, to_seconds = 5}]",
        "latencies = [{fixed_seconds = -1}]",
        "retry_info = -1.0",
        "[[",
    ],
)
def test_a_plan_that_says_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        plan_from_toml(text)


def test_a_plan_is_the_same_in_toml_and_json() -> None:
    assert plan_from_toml("seed = 3\ncuts = [{rate = 0.5}]") == plan_from_json(b'{"seed":3,"cuts":[{"rate":0.5}]}')
    assert plan_from_toml("") == Plan()


def facts(method: str = "ProcessDocument", location: str = "us") -> CallFacts:
    return CallFacts(method, project="1", location=location, processor_type=OCR)


def test_the_interceptor_plays_latency_faults_and_counts() -> None:
    emulation, clock = playing(
        "latencies = [{fixed_seconds = 2.0, page_seconds = 1.0}]\ncuts = [{rate = 1.0, after_bytes = 10}]"
    )
    door = EmulationInterceptor(emulation)
    one = facts()
    door.before(one)
    assert emulation.counts()["total"]["under_way"] == 1
    delivery = door.after(one, Outcome(pages=3))
    assert clock.now() == 105.0
    assert delivery is not None
    assert delivery.cut_after_bytes == 10
    failing = facts()
    door.before(failing)
    assert door.after(failing, Outcome(code=3)) is None
    assert clock.now() == 105.0
    total = emulation.counts()["total"]
    assert (total["asked"], total["answered"], total["failed"], total["under_way"], total["pages"]) == (2, 1, 1, 0, 3)


def test_calls_that_are_alike_are_told_apart() -> None:
    emulation, _ = playing("")
    door = EmulationInterceptor(emulation)
    calls = [facts() for _ in range(5)]
    for one in calls:
        door.before(one)
    assert emulation.counts()["total"]["under_way"] == 5
    for one in calls:
        door.after(one, Outcome(pages=1))
    assert emulation.counts()["total"]["under_way"] == 0


def test_a_call_that_hangs_ends_with_its_caller_or_the_outage() -> None:
    emulation, clock = playing("outages = [{kind = 'hang', to_seconds = 50}]")
    door = EmulationInterceptor(emulation)
    with pytest.raises(Refusal):
        door.before(facts())
    assert clock.now() == pytest.approx(150.0, abs=0.2)
    emulation.change(emulation.plan)
    looks = iter([True, True, False])
    with pytest.raises(Refusal):
        door.before(CallFacts("ProcessDocument", location="us", is_active=lambda: next(looks)))
    assert clock.now() == pytest.approx(150.2, abs=0.3)
