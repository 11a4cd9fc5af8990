"""What each alarm must be on for, and what it must be silent at: engines and money."""

from __future__ import annotations

from alarm_cases import series
from monitoring_source import Case, Fires

ENDPOINT = "eu@eu-documentai.googleapis.com"
AT = {"endpoint": ENDPOINT}
SCOPE = f"?var-endpoint={ENDPOINT}"


def requests(outcome: str) -> str:
    return series("docfleet_engine_requests_total", engine="documentai", endpoint=ENDPOINT, outcome=outcome)


def quota(what: str, instance: str) -> str:
    return series(
        f"docfleet_quota_{what}_per_minute", endpoint=ENDPOINT, quota="OCR_PROCESSOR/requests", instance=instance
    )


def budget(what: str, name: str) -> str:
    return series(f"docfleet_budget_{what}_usd", budget=name)


def refusing(name: str) -> str:
    return series("docfleet_budget_refusing", budget=name)


def near(share: str, name: str) -> Fires:
    return Fires(
        {"budget": name}, f"{share} of the budget {name} is spent.", "warning",
        "At its limit no more is bought: documents get what the local engines read, wait, or fail, as the budget says.",
    )  # fmt: skip


def spent(share: str, name: str, whose: str, severity: str) -> Fires:
    return Fires(
        {"budget": name}, f"The budget {name} is spent: nothing more is bought {whose}.", severity,
        f"{share} of its limit is spent or reserved, and more had no room. Documents that need the engine get what the "
        "local engines read, wait for a higher limit, or fail, as the budget says.",
    )  # fmt: skip


ENGINES = [
    Case(
        "left alone",
        "DocfleetBreakerOpen",
        {series("docfleet_breaker_state", endpoint=ENDPOINT, instance="c:1"): "0 2 1 2 2 1 2 2 2x10"},
        "8m",
        (
            Fires(
                AT, f"The endpoint {ENDPOINT} has been out of order for five minutes.", "warning",
                "Its breaker opens again and again: each try failed. Pages go to other endpoints, or wait for this "
                "one; waiting costs them no try.", SCOPE,
            ),
        ),
    ),
    Case(
        "half open over Sunday, since no page needs it",
        "DocfleetBreakerOpen",
        {series("docfleet_breaker_state", endpoint=ENDPOINT, instance="c:1"): "0 2 1x60"},
        "30m",
    ),
    Case(
        "out of order for a moment",
        "DocfleetBreakerOpen",
        {series("docfleet_breaker_state", endpoint=ENDPOINT, instance="c:1"): "0 2 2 1 0x10"},
        "8m",
    ),
    Case(
        "two processes use the whole of it",
        "DocfleetQuotaExhausted",
        {
            quota("limit", "a:1"): "600x20", quota("limit", "b:1"): "600x20",
            quota("used", "a:1"): "300x20", quota("used", "b:1"): "294x20",
        },
        "15m",
        (
            Fires(
                {**AT, "quota": "OCR_PROCESSOR/requests"},
                f"The quota OCR_PROCESSOR/requests of {ENDPOINT} is used up: 99%.", "warning",
                "On the average of ten minutes. Pages wait for the next minute's share; more workers would not help.",
                SCOPE,
            ),
        ),
    ),
    Case(
        "six a minute, of which five or six fall into one",
        "DocfleetQuotaExhausted",
        {
            quota("limit", "a:1"): "6x40",
            quota("used", "a:1"): "6 6 5 6 6 6 6 6 6 5 6 6 6 6 6 6 5 6 6 6 6 6 6 6 6 5 6x10",
        },
        "30m",
        (
            Fires(
                {**AT, "quota": "OCR_PROCESSOR/requests"},
                f"The quota OCR_PROCESSOR/requests of {ENDPOINT} is used up: 98.41%.", "warning",
                "On the average of ten minutes. Pages wait for the next minute's share; more workers would not help.",
                SCOPE,
            ),
        ),
    ),
    Case(
        "half of it",
        "DocfleetQuotaExhausted",
        {quota("limit", "a:1"): "600x20", quota("limit", "b:1"): "600x20", quota("used", "a:1"): "300x20"},
        "15m",
    ),
    Case(
        "full for three minutes",
        "DocfleetQuotaExhausted",
        {quota("limit", "a:1"): "600x20", quota("used", "a:1"): "100x5 600x3 100x12"},
        "15m",
    ),
    Case(
        "a tenth is turned away",
        "DocfleetEngineThrottled",
        {requests("ok"): "0+9x30", requests("throttled"): "0+1x30"},
        "25m",
        (
            Fires(
                {**AT, "engine": "documentai"}, f"{ENDPOINT} turns away 10% of the requests (429).", "warning",
                "Its quota is lower than it is set here, or others use it too. docfleet asks for less by itself; pages "
                "wait.", SCOPE,
            ),
        ),
    ),
    Case(
        "one in a hundred",
        "DocfleetEngineThrottled",
        {requests("ok"): "0+99x30", requests("throttled"): "0+1x30"},
        "25m",
    ),
    Case(
        "two of four",
        "DocfleetEngineThrottled",
        {requests("ok"): "0 1 2x28", requests("throttled"): "0 1 2x28"},
        "12m",
    ),
    Case(
        "half fails or takes too long",
        "DocfleetEngineFailing",
        {requests("ok"): "0+4x30", requests("error"): "0+3x30", requests("timeout"): "0+1x30"},
        "25m",
        (
            Fires(
                {**AT, "engine": "documentai"}, f"50% of the requests to {ENDPOINT} fail.", "warning",
                "By errors of the service or by time-outs, over a quarter of an hour.", SCOPE,
            ),
        ),
    ),
    Case("one in twenty", "DocfleetEngineFailing", {requests("ok"): "0+19x30", requests("error"): "0+1x30"}, "25m"),
    Case(
        "85 of 100 dollars",
        "DocfleetBudgetNear",
        {budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "85x20"},
        "10m",
        (near("85%", "all/documentai/monthly"),),
    ),
    Case(
        "half of it, a budget of nothing, and one that is spent",
        "DocfleetBudgetNear",
        {
            budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "50x20",
            budget("limit", "acme/documentai/monthly"): "0x20", budget("spent", "acme/documentai/monthly"): "0x20",
            budget("limit", "b/documentai/monthly"): "10x20", budget("spent", "b/documentai/monthly"): "10x20",
        },
        "10m",
    ),
    Case(
        "everybody's, and a tenant's",
        "DocfleetBudgetSpent",
        {
            budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "100x20",
            budget("limit", "acme/documentai/monthly"): "10x20", budget("spent", "acme/documentai/monthly"): "10.1x20",
        },
        "10m",
        (
            spent("100%", "all/documentai/monthly", "for everybody", "critical"),
            spent("101%", "acme/documentai/monthly", "for one tenant", "warning"),
        ),
    ),
    Case(
        "99 of 100 dollars, and all of it had room",
        "DocfleetBudgetSpent",
        {
            budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "99x20",
            refusing("all/documentai/monthly"): "0x20",
        },
        "10m",
    ),
    Case(
        "99.99 dollars of 100, and the next page costs two cents",
        "DocfleetBudgetSpent",
        {
            budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "99.99x20",
            refusing("all/documentai/monthly"): "0x4 1x16",
        },
        "10m",
        (spent("99.99%", "all/documentai/monthly", "for everybody", "critical"),),
    ),
    Case(
        "it was raised: what was refused has room again",
        "DocfleetBudgetSpent",
        {
            budget("limit", "all/documentai/monthly"): "100x10 110x20",
            budget("spent", "all/documentai/monthly"): "99.99x30",
            refusing("all/documentai/monthly"): "1x10 0x20",
        },
        "20m",
    ),
    Case(
        "one document that is dearer than the whole of it",
        "DocfleetBudgetSpent",
        {
            budget("limit", "all/documentai/monthly"): "100x20", budget("spent", "all/documentai/monthly"): "3x20",
            refusing("all/documentai/monthly"): "1x20",
        },
        "10m",
    ),
]  # fmt: skip
