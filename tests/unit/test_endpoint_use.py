"""What the calls of a process came to lately: sums of a minute and of an hour, endpoint by endpoint."""

from __future__ import annotations

from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.failures import Details, judge
from docfleet.engines.documentai.use import EndpointUse, Sums, Usage

EU = Endpoint("eu", "eu", "projects/p/locations/eu/processors/x", "OCR_PROCESSOR", QuotaKey("p", "eu", "OCR"))
US = Endpoint("us", "us", "projects/p/locations/us/processors/y", "OCR_PROCESSOR", QuotaKey("p", "us", "OCR"))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def of(usage: Usage, endpoint: Endpoint) -> EndpointUse:
    return next(one for one in usage.told() if one.endpoint == endpoint)


def test_each_call_is_counted_once_where_it_went() -> None:
    usage = Usage(Clock())
    usage.sent(EU, 12, hedge=False)
    usage.sent(US, 12, hedge=True)
    assert of(usage, EU).under_way == of(usage, US).under_way == 1
    usage.ended(US, None, 2.0)
    usage.abandoned(EU)
    assert of(usage, US).minute == Sums(requests=1, pages=12, answered=1, hedges=1, seconds=2.0)
    assert of(usage, EU).minute == Sums(requests=1, pages=12, abandoned=1)
    assert of(usage, EU).under_way == 0


def test_how_calls_end() -> None:
    usage = Usage(Clock())
    ends = {
        "RESOURCE_EXHAUSTED": "throttled",
        "UNAVAILABLE": "errors",
        "DEADLINE_EXCEEDED": "timeouts",
        "PERMISSION_DENIED": "errors",
    }
    for status, what in ends.items():
        before = getattr(of(usage, EU).minute, what) if usage.told() else 0
        usage.sent(EU, 1, hedge=False)
        usage.ended(EU, judge(status, "", Details(answered=True)), 0.5)
        assert getattr(of(usage, EU).minute, what) == before + 1, status
    minute = of(usage, EU).minute
    assert (minute.requests, minute.ended, minute.answered) == (4, 4, 0)


def test_a_minute_passes_and_an_hour_too() -> None:
    clock = Clock()
    usage = Usage(clock)
    for _ in range(30):
        usage.sent(EU, 2, hedge=False)
        usage.ended(EU, None, 1.0)
        clock.now += 10.0
    now = of(usage, EU)
    assert now.minute.requests == 6, "one in ten seconds"
    assert (now.hour.requests, now.hour.pages) == (30, 60)
    clock.now += 57.0
    assert of(usage, EU).minute.requests <= 1
    clock.now += 3600.0
    assert of(usage, EU).hour == Sums()


def test_what_is_kept_does_not_grow() -> None:
    clock = Clock()
    usage = Usage(clock)
    for _ in range(20_000):
        usage.sent(EU, 1, hedge=False)
        clock.now += 1.0
    assert abs(of(usage, EU).hour.requests - 3600) <= 5


def test_who_is_sent_away_is_told_of_for_a_while() -> None:
    clock = Clock()
    usage = Usage(clock)
    usage.sent_away(EU, "requests")
    assert of(usage, EU).waits_for == "requests"
    clock.now += 16.0
    assert of(usage, EU).waits_for == ""
    assert of(usage, EU).hour.sent_away == 1
