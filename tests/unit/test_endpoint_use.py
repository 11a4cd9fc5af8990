"""What the calls of a process came to lately: sums of a minute and of an hour, endpoint by endpoint."""

from __future__ import annotations

import pytest

from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.endpoints import endpoints_of
from docfleet.engines.documentai.facts import read_facts
from docfleet.engines.documentai.failures import Details, judge
from docfleet.engines.documentai.measuring import gauges_of
from docfleet.engines.documentai.options import DocumentAIOptions, Processor
from docfleet.engines.documentai.use import EndpointUse, Outcome, Sums, Usage, outcome_of
from docfleet.quota.breaker import BreakerPolicy
from docfleet.quota.breakers_local import LocalBreakers
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import ENGINE_PAGES, ENGINE_REQUESTS, QUOTA_USED

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
    usage.ended(US, Outcome.OK, 2.0)
    usage.ended(EU, Outcome.ABANDONED, 4.0)
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
        usage.ended(EU, outcome_of(judge(status, "", Details(answered=True))), 0.5)
        assert getattr(of(usage, EU).minute, what) == before + 1, status
    minute = of(usage, EU).minute
    assert (minute.requests, minute.ended, minute.answered) == (4, 4, 0)


def test_a_minute_passes_and_an_hour_too() -> None:
    clock = Clock()
    usage = Usage(clock)
    for _ in range(30):
        usage.sent(EU, 2, hedge=False)
        usage.ended(EU, Outcome.OK, 1.0)
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


def test_metrics_and_notes_are_counted_by_one_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BOOK", metrics.Book())
    monkeypatch.setattr(metrics, "_enabled", True)
    usage = Usage(Clock())
    unread = judge("INVALID_ARGUMENT", "Unsupported input file format.", Details(answered=True))
    for outcome in (Outcome.OK, outcome_of(unread), Outcome.TIMEOUT, Outcome.ABANDONED):
        usage.sent(EU, 3, hedge=False)
        usage.ended(EU, outcome, 1.0)
    told = {(one.metric, one.labels[2:]): one for one in metrics.BOOK.read()}
    ended = {labels[0]: one.value for (name, labels), one in told.items() if name == ENGINE_REQUESTS.name}
    assert ended == {"ok": 1, "refused": 1, "timeout": 1, "abandoned": 1}, (
        "what cannot be read is no error of the engine"
    )
    assert told[ENGINE_PAGES.name, ()].value == of(usage, EU).minute.pages == 12
    minute = of(usage, EU).minute
    assert (minute.requests, minute.answered, minute.timeouts, minute.abandoned, minute.errors) == (4, 2, 1, 1, 0)
    options = DocumentAIOptions(project="p", processors=(Processor("z", "eu"),))
    read = gauges_of(options, read_facts(), LocalBreakers(BreakerPolicy()), usage)
    endpoint = endpoints_of(options, read_facts(), options.processors[0].type)[0]
    usage.sent(endpoint, 5, hedge=False)
    used = {one.labels: one.value for one in read() if one.metric == QUOTA_USED.name}
    assert used[endpoint.breaker, "ocr_processor/requests"] == 1
