"""Alarms of what is called and paid for: engines, quotas, budgets."""

from __future__ import annotations

from collections.abc import Iterator

from .alarm import CRITICAL, WARNING, Alarm
from .pace import Pace

NEAR = 0.8
QUOTA_FULL = 0.95
THROTTLED_SHARE = 0.05
ERROR_SHARE = 0.2
LEAST_REQUESTS = 10


def engine_alarms(pace: Pace) -> Iterator[Alarm]:
    yield from _endpoints(pace)
    yield from _answers(pace)
    yield from _budgets()


def _endpoints(pace: Pace) -> Iterator[Alarm]:
    yield Alarm(
        "DocfleetBreakerOpen",
        WARNING,
        # one that nobody has tried since stays half open: of that nothing is known, and somebody would be told for days
        f"max by (endpoint) (max_over_time(docfleet_breaker_state[{pace('2m')}])) == 2",
        "5m",
        "The endpoint {{ $labels.endpoint }} has been out of order for five minutes.",
        "Its breaker opens again and again: each try failed. Pages go to other endpoints, or wait for this one; "
        "waiting costs them no try.",
        "engines",
        ("endpoint",),
    )
    yield Alarm(
        "DocfleetQuotaExhausted",
        WARNING,
        # the mean of ten minutes: of six requests a minute five or six fall into one
        f"avg_over_time(sum by (endpoint, quota) (docfleet_quota_used_per_minute)[{pace('10m')}:{pace('30s')}])\n"
        "/ (max by (endpoint, quota) (docfleet_quota_limit_per_minute) > 0)\n"
        f">= {QUOTA_FULL}",
        "5m",
        "The quota {{ $labels.quota }} of {{ $labels.endpoint }} is used up: {{ $value | humanizePercentage }}.",
        "On the average of ten minutes. Pages wait for the next minute's share; more workers would not help.",
        "engines",
        ("endpoint",),
    )


def _answers(pace: Pace) -> Iterator[Alarm]:
    def share(outcome: str) -> tuple[str, str]:
        counted = f'docfleet_engine_requests_total{{outcome=~"{outcome}"}}[{pace("15m")}]'
        every = f"docfleet_engine_requests_total[{pace('15m')}]"
        by = "sum by (engine, endpoint)"
        return f"{by} (rate({counted})) / ({by} (rate({every})) > 0)", f"{by} (increase({counted}))"

    throttled, times = share("throttled")
    yield Alarm(
        "DocfleetEngineThrottled",
        WARNING,
        f"{throttled} > {THROTTLED_SHARE}\nand {times} > {LEAST_REQUESTS - 0.5}",
        "5m",
        "{{ $labels.endpoint }} turns away {{ $value | humanizePercentage }} of the requests (429).",
        "Its quota is lower than it is set here, or others use it too. docfleet asks for less by itself; pages wait.",
        "engines",
        ("endpoint",),
    )
    failed, times = share("error|timeout")
    yield Alarm(
        "DocfleetEngineFailing",
        WARNING,
        f"{failed} > {ERROR_SHARE}\nand {times} > {LEAST_REQUESTS - 0.5}",
        "5m",
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.endpoint }} fail.",
        "By errors of the service or by time-outs, over a quarter of an hour.",
        "engines",
        ("endpoint",),
    )


def _budgets() -> Iterator[Alarm]:
    share = "max by (budget) (docfleet_budget_spent_usd) / (max by (budget) (docfleet_budget_limit_usd) > 0)"
    yield Alarm(
        "DocfleetBudgetNear",
        WARNING,
        f"({share} >= {NEAR}) < 1",
        "5m",
        "{{ $value | humanizePercentage }} of the budget {{ $labels.budget }} is spent.",
        "At its limit no more is bought: documents get what the local engines read, wait, or fail, as the budget says.",
        "costs",
    )
    for severity, whose, who in (
        (CRITICAL, 'budget=~"all/.*"', "for everybody"),
        (WARNING, 'budget!~"all/.*"', "for one tenant"),
    ):
        spent = share.replace("_spent_usd", f"_spent_usd{{{whose}}}")
        yield Alarm(
            "DocfleetBudgetSpent",
            severity,
            # it is never passed, and seldom met: a call that no longer fits in is not made. One document that is larger
            # than all that is left does not mean that nothing is
            f"{spent} >= 1\nor ({spent} >= {NEAR}) and on (budget) (max by (budget) (docfleet_budget_refusing) == 1)",
            "5m",
            f"The budget {{{{ $labels.budget }}}} is spent: nothing more is bought {who}.",
            "{{ $value | humanizePercentage }} of its limit is spent or reserved, and more had no room. Documents that "
            "need the engine get what the local engines read, wait for a higher limit, or fail, as the budget says.",
            "costs",
        )
