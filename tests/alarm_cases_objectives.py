"""What each alarm must be on for, and what it must be silent at: objectives."""

from __future__ import annotations

from alarm_cases import EU, ended, http, in_time, of_pool, too_late
from monitoring_source import Case, Fires

FAST = "at 14.4 times the rate that this allows, the budget of a month is gone in 50 hours."
STEADY = "at 6 times the rate that this allows, the budget of a month is gone in 120 hours."
SLOW = "at 1 times the rate that this allows, the budget of a month is gone in 720 hours."
OURS = "By a fault of the service, not of the documents. The objective is 99.9 % over 30 days; "
LATE = "Later than the target of their kind and priority. The objective is 95 % over 30 days; "


def broken(share: str, window: str, burn: str, severity: str, text: str) -> Fires:
    return Fires(
        {**EU, "burn": burn},
        f"Documents end broken in the region eu: {share} of those of the last {window}.",
        severity, OURS + text, "?var-region=eu",
    )  # fmt: skip


def late(share: str, window: str, burn: str, severity: str, text: str, priority: str = "normal") -> Fires:
    return Fires(
        {**EU, "priority": priority, "burn": burn},
        f"Documents of priority {priority} are late in the region eu: {share} of those of the last {window}.",
        severity, LATE + text, f"?var-region=eu&var-priority={priority}",
    )  # fmt: skip


def errors(share: str, window: str, burn: str, severity: str, text: str) -> Fires:
    return Fires(
        {"burn": burn},
        f"The API answers {share} of the requests of the last {window} with 5xx.",
        severity, f"The objective is 99.9 % over 30 days; {text}",
    )  # fmt: skip


OBJECTIVES = [
    Case(
        "one of ten breaks: at once, and for as long as the windows see",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0+9x90", ended("broken"): "0+1x90"},
        "90m",
        (broken("10%", "1h", "fast", "critical", FAST), broken("10%", "6h", "steady", "critical", STEADY)),
    ),
    Case(
        "failed by the documents' own fault",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0+5x90", ended("failed"): "0+5x90", ended("broken"): "0x90"},
        "90m",
    ),
    Case(
        "cancelled ones make no other look worse, nor better",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0+1000x90", ended("cancelled"): "0+9000x90", ended("broken"): "0+10x90"},
        "90m",
        (broken("0.9901%", "6h", "steady", "critical", STEADY),),
    ),
    Case(
        "one broken document of three",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0 0 1 1 2x86", ended("broken"): "0 0 0 1x87"},
        "30m",
    ),
    Case("nothing has ever ended", "DocfleetAvailabilityBurn", {of_pool("workers_alive"): "1x90"}, "90m"),
    Case(
        "no traffic any more",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "100000x90", ended("broken"): "300x90"},
        "90m",
    ),
    Case(
        "over again: the short window has seen nothing for a while",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0+90x90", ended("broken"): "0+10x20 200x70"},
        "60m",
    ),
    Case(
        "the counters begin anew with a restored ledger",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "100000+100x60 0+100x30", ended("broken"): "50x60 0x30"},
        "90m",
    ),
    Case(
        "and what breaks then is seen",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "100000+90x60 0+90x60", ended("broken"): "50x60 0+10x60"},
        "110m",
        (broken("8.448%", "1h", "fast", "critical", FAST), broken("4.757%", "6h", "steady", "critical", STEADY)),
    ),
    Case(
        "one in five hundred for three days: a ticket, no page",
        "DocfleetAvailabilityBudget",
        {ended("succeeded"): "0+998x150", ended("broken"): "0+2x150"},
        "4320m",
        (broken("0.2%", "3d", "slow", "warning", SLOW),),
        "30m",
    ),
    Case(
        "… no page",
        "DocfleetAvailabilityBurn",
        {ended("succeeded"): "0+998x150", ended("broken"): "0+2x150"},
        "4320m",
        (),
        "30m",
    ),
    Case(
        "one in two thousand for three days is what may be",
        "DocfleetAvailabilityBudget",
        {ended("succeeded"): "0+1999x150", ended("broken"): "0+1x150"},
        "4320m",
        (),
        "30m",
    ),
    Case(
        "a twentieth is answered 5xx",
        "DocfleetApiBurn",
        {http("2xx"): "0+95x90", http("5xx"): "0+5x90"},
        "90m",
        (errors("5%", "1h", "fast", "critical", FAST), errors("5%", "6h", "steady", "critical", STEADY)),
    ),
    Case(
        "four hundreds are the clients' own", "DocfleetApiBurn", {http("2xx"): "0+1x90", http("4xx"): "0+9x90"}, "90m"
    ),
    Case(
        "probes while it starts",
        "DocfleetApiBurn",
        {http("2xx"): "0+1x90", http("5xx", "/readyz"): "0+9x90"},
        "90m",
    ),
    Case("three errors of five", "DocfleetApiBurn", {http("2xx"): "0+1x2 2x88", http("5xx"): "0+1x3 3x87"}, "10m"),
    Case(
        "the API starts anew again and again",
        "DocfleetApiBurn",
        {http("2xx"): "0+50x10 0+50x10 0+50x10 0+50x60", http("5xx"): "0x10 0x10 0x10 0x60"},
        "60m",
    ),
    Case(
        "one in five hundred for three days",
        "DocfleetApiBudget",
        {http("2xx"): "0+998x150", http("5xx"): "0+2x150"},
        "4320m",
        (errors("0.2%", "3d", "slow", "warning", SLOW),),
        "30m",
    ),
    Case(
        "one in ten thousand for three days",
        "DocfleetApiBudget",
        {http("2xx"): "0+9999x150", http("5xx"): "0+1x150"},
        "4320m",
        (),
        "30m",
    ),
    Case(
        "nine of ten are late",
        "DocfleetLatencyBurn",
        {too_late(): "0+9x90", in_time(): "0+1x90"},
        "90m",
        (late("90%", "1h", "fast", "critical", FAST), late("90%", "6h", "steady", "critical", STEADY)),
    ),
    Case(
        "all are late, and none was ever in time",
        "DocfleetLatencyBurn",
        {too_late(): "0+10x90"},
        "90m",
        (late("100%", "1h", "fast", "critical", FAST), late("100%", "6h", "steady", "critical", STEADY)),
    ),
    Case(
        "one priority is late while another is not",
        "DocfleetLatencyBurn",
        {
            in_time(): "0+1000x90",
            too_late("critical"): "0+1x90",
            in_time("critical"): "0+1x90",
        },
        "90m",
        (late("50%", "6h", "steady", "critical", STEADY, "critical"),),
    ),
    Case(
        "bulk is late: nobody is woken",
        "DocfleetLatencyBurn",
        {too_late("bulk"): "0+9x90", in_time("bulk"): "0+1x90"},
        "90m",
    ),
    Case("one in twenty", "DocfleetLatencyBurn", {too_late(): "0+1x90", in_time(): "0+19x90"}, "90m"),
    Case("two late ones of three", "DocfleetLatencyBurn", {too_late(): "0 1 2 2x87", in_time(): "0 1x89"}, "10m"),
    Case(
        "a tenth of bulk for three days",
        "DocfleetLatencyBudget",
        {too_late("bulk"): "0+10x150", in_time("bulk"): "0+90x150"},
        "4320m",
        (late("10%", "3d", "slow", "warning", SLOW, "bulk"),),
        "30m",
    ),
    Case(
        "a fiftieth for three days",
        "DocfleetLatencyBudget",
        {too_late(): "0+2x150", in_time(): "0+98x150"},
        "4320m",
        (),
        "30m",
    ),
]
