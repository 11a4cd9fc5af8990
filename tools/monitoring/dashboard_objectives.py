"""Are the promises kept, and how much may still go wrong?"""

from __future__ import annotations

from .grafana import PRIORITY, REGION, Dashboard, Panel, Query, Row
from .objectives import API, AVAILABILITY, FAST, LATENCY, MONTH, SLOW, STEADY, Objective

QUIET = "nothing ended in that time"
NOT_CALLED = "nobody has called the API"


def _narrowed(objective: Objective) -> str:
    return "".join(("{", ", ".join(f'{label}=~"${label}"' for label in objective.by), "}")) if objective.by else ""


def _row(title: str, objective: Objective, unit_of: str, empty: str) -> Row:
    names = " ".join(f"{{{{{label}}}}}" for label in objective.by) or "API"
    only = _narrowed(objective)
    month = objective.record("ratio_rate", MONTH)
    left = f"{objective.level}:docfleet_{objective.name}:budget_left"
    goal = f"{objective.target * 100:g} %"
    return Row(
        title,
        (
            Panel(
                f"In {MONTH[:-1]} days",
                (Query(f"1 - {month}{only}", names),),
                "stat",
                "percentunit",
                f"The objective is {goal} of {unit_of}.",
                6,
                7,
                decimals=3,
                empty=empty,
            ),
            Panel(
                "Budget of errors left",
                (Query(f"{left}{only}", names),),
                "stat",
                "percentunit",
                "Of what may go wrong in 30 days; below zero the objective is missed.",
                6,
                7,
                decimals=1,
                empty=empty,
            ),
            Panel(
                "How fast it burns",
                tuple(
                    Query(f"{objective.record('ratio_rate', window)}{only} / {objective.budget:g}", f"{names} {window}")
                    for window in ("5m", "1h", "6h")
                ),
                text=f"1: a month's budget lasts a month. Somebody is woken at {FAST.rate:g} ({FAST.long}) and "
                f"{STEADY.rate:g} ({STEADY.long}), a ticket is made at {SLOW.rate:g} ({SLOW.long}).",
                width=12,
                height=7,
                limits=((STEADY.rate, "orange"), (FAST.rate, "red")),
                empty=empty,
            ),
        ),
    )


OBJECTIVES = Dashboard(
    "objectives",
    "docfleet: objectives",
    "Objectives over 30 days, and how fast their budgets of errors burn.",
    (
        _row("Availability: documents that did not end broken by our fault", AVAILABILITY, "documents", QUIET),
        _row("Availability of the API: requests not answered with 5xx", API, "requests", NOT_CALLED),
        _row("Latency: documents that ended within the target of their kind and priority", LATENCY, "documents", QUIET),
        Row(
            "Latency in seconds",
            tuple(
                Panel(
                    title,
                    (
                        Query(
                            f"region_pool_priority:docfleet_document_{name}_seconds:{quantile}_5m"
                            '{region=~"$region", priority=~"$priority"}',
                            "{{region}} {{pool}} {{priority}}",
                        ),
                        *(
                            (
                                Query(
                                    'pool_priority:docfleet_target_seconds:value{priority=~"$priority"}',
                                    "target {{pool}} {{priority}}",
                                ),
                            )
                            if name == "duration"
                            else ()
                        ),
                    ),
                    unit="s",
                    empty="" if name == "duration" else QUIET,
                )
                for title, name, quantile in (
                    ("From accepted to ended (half are faster)", "duration", "p50"),
                    ("From accepted to ended (95 % are faster)", "duration", "p95"),
                    ("Wait before it is taken up (95 % are faster)", "wait", "p95"),
                )
            ),
        ),
    ),
    (REGION, PRIORITY),
    hours=24,
)
