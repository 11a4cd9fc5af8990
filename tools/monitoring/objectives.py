"""What docfleet promises, and the rules that measure it.

Objectives, each over 30 days:

* availability 99.9 %: of the documents that ended, and that nobody cancelled, at most one in a thousand ended `broken`,
  by a fault of the service. A damaged file is `failed`: its own fault, and none of the service's.
* availability of the API 99.9 %: at most one request in a thousand is answered with 5xx.
* latency 95 %: for each priority, at most one document in twenty ends later than its target.

An objective burns at the rate (share that went wrong) / (share that may). At rate 1 a month's budget lasts a month; at
14.4 an hour takes a fiftieth of it. Windows and rates are those of the Site Reliability Workbook, chapter 5,
"Multiwindow, Multi-Burn-Rate Alerts" (https://sre.google/workbook/alerting-on-slos/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from docfleet.domain.urgency import TARGET_SECONDS

from .pace import Pace

Rule = dict[str, Any]

MONTH = "30d"
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
PROBES = "/healthz|/readyz|/livez|/metrics"
"""Routes that machines ask on their own: no user feels what they answer."""


class Objective(NamedTuple):
    name: str
    """As in the names of the rules."""
    by: tuple[str, ...]
    """Labels it is measured by."""
    target: float
    wrong: str
    """Things that went wrong per second, over the window {w}."""
    all: str
    """All things per second, over the window {w}."""

    @property
    def budget(self) -> float:
        """The share that may go wrong."""
        return round(1 - self.target, 6)

    @property
    def level(self) -> str:
        """How names of its rules begin."""
        return "_".join(self.by) if self.by else "docfleet"

    def record(self, what: str, window: str) -> str:
        """Name of the rule: `region:docfleet_documents_broken:ratio_rate1h`."""
        return f"{self.level}:docfleet_{self.name}:{what}{window}"


class Burn(NamedTuple):
    """An alarm's pair of windows."""

    name: str
    long: str
    short: str
    rate: float


FAST = Burn("fast", "1h", "5m", 14.4)
STEADY = Burn("steady", "6h", "30m", 6.0)
SLOW = Burn("slow", "3d", "6h", 1.0)

AVAILABILITY = Objective(
    "documents_broken",
    ("region",),
    0.999,
    'sum by (region) (rate(docfleet_documents_ended_total{{outcome="broken"}}[{w}]))',
    'sum by (region) (rate(docfleet_documents_ended_total{{outcome!="cancelled"}}[{w}]))',
)
API = Objective(
    "http_errors",
    (),
    0.999,
    f'sum(rate(docfleet_http_request_duration_seconds_count{{{{status="5xx", route!~"{PROBES}"}}}}[{{w}}]))',
    f'sum(rate(docfleet_http_request_duration_seconds_count{{{{route!~"{PROBES}"}}}}[{{w}}]))',
)
_IN_TIME = "sum by (region, priority) (rate(docfleet_documents_in_time_total[{w}]))"
_LATE = "sum by (region, priority) (rate(docfleet_documents_late_total[{w}]))"
LATENCY = Objective(
    "documents_late",
    ("region", "priority"),
    0.95,
    _LATE,
    # both are told from the beginning; who sees only one of them must not take the other for nothing
    f"({_IN_TIME} + {_LATE}) or {_LATE} or {_IN_TIME}",
)
OBJECTIVES = (AVAILABILITY, API, LATENCY)


def recording_groups(pace: Pace) -> list[dict[str, Any]]:
    """Groups of recording rules. Long windows are evaluated less often, but well within the five minutes for which
    Prometheus takes a value for current."""
    short = [rule for objective in OBJECTIVES for w in WINDOWS[:-1] for rule in _measured(objective, w, pace)]
    long = [rule for objective in OBJECTIVES for w in WINDOWS[-1:] for rule in _measured(objective, w, pace)]
    left = [rule for objective in OBJECTIVES for rule in _budget_left(objective, pace)]
    return [
        {"name": "docfleet-targets", "interval": pace("1m"), "rules": list(_targets())},
        {"name": "docfleet-objectives", "interval": pace("30s"), "rules": short},
        {"name": "docfleet-objectives-long", "interval": pace("2m"), "rules": [*long, *left]},
        {"name": "docfleet-dashboards", "interval": pace("1m"), "rules": list(_shown(pace))},
    ]


def _targets() -> Iterator[Rule]:
    """What documents are judged by, as a constant beside what is measured."""
    for (pool, priority), seconds in TARGET_SECONDS.items():
        yield {
            "record": "pool_priority:docfleet_target_seconds:value",
            "expr": f"vector({seconds:g})",
            "labels": {"pool": str(pool), "priority": str(priority)},
        }


def _measured(objective: Objective, window: str, pace: Pace) -> Iterator[Rule]:
    """Wrong, all and their share over one window. Where nothing happened there is no share, rather than a good one."""
    wrong, everything = (text.format(w=pace(window)) for text in (objective.wrong, objective.all))
    total = objective.record("all_rate", window)
    yield {"record": total, "expr": everything}
    # a series that nothing has gone wrong with yet may not be there
    yield {"record": objective.record("rate", window), "expr": f"{wrong} or 0 * {total}"}
    yield {
        "record": objective.record("ratio_rate", window),
        "expr": f"{objective.record('rate', window)} / ({total} > 0)",
    }


def _budget_left(objective: Objective, pace: Pace) -> Iterator[Rule]:
    """Sums of the hourly rates, since raw counters of a month are too many samples to read again and again."""
    ratio = objective.record("ratio_rate", MONTH)
    wrong, everything = (
        f"sum_over_time({objective.record(what, '1h')}[{pace(MONTH)}])" for what in ("rate", "all_rate")
    )
    yield {"record": ratio, "expr": f"{wrong} / ({everything} > 0)"}
    yield {
        "record": f"{objective.level}:docfleet_{objective.name}:budget_left",
        "expr": f"1 - {ratio} / {objective.budget:g}",
    }


def _shown(pace: Pace) -> Iterator[Rule]:
    """What dashboards would otherwise add up again for every viewer."""
    for name, metric in (
        ("duration", "docfleet_document_duration_seconds"),
        ("wait", "docfleet_document_wait_seconds"),
    ):
        for quantile in (0.5, 0.95, 0.99):
            inner = f"sum by (region, pool, priority, le) (rate({metric}_bucket[{pace('5m')}]))"
            yield {
                "record": f"region_pool_priority:docfleet_document_{name}_seconds:p{quantile * 100:g}_5m",
                "expr": f"histogram_quantile({quantile:g}, {inner})",
            }


def burning(objective: Objective, burn: Burn, least: int, pace: Pace, only: str = "") -> str:
    """True where both windows burn faster than `burn.rate`, and at least `least` things went wrong in the long one.

    The least number is what makes it silent at low traffic: one broken document of three is a share of 33 %.
    Extrapolation makes a count of a window a little more or less than whole, so half a thing less is asked for.
    """
    limit = f"{burn.rate * objective.budget:g}"
    long, short = (f"{objective.record('ratio_rate', w)}{only}" for w in (burn.long, burn.short))
    count = f"{objective.record('rate', burn.long)}{only} * {pace.seconds(burn.long):g}"
    return f"{long} > {limit}\nand {short} > {limit}\nand {count} > {least - 0.5:g}"


def budget_hours(burn: Burn) -> float:
    """In how many hours a month's budget is gone at this rate."""
    return 30 * 24 / burn.rate


__all__ = [
    "API", "AVAILABILITY", "FAST", "LATENCY", "OBJECTIVES", "SLOW", "STEADY", "WINDOWS", "Burn", "Objective", "Rule",
    "budget_hours", "burning", "recording_groups",
]  # fmt: skip
