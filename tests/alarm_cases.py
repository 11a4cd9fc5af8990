"""What each alarm must be on for, and what it must be silent at: the work itself."""

from __future__ import annotations

from monitoring_source import Case, Fires

EU = {"region": "eu"}
PDF = {"region": "eu", "pool": "pdf"}


def series(name: str, **labels: str) -> str:
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def ended(outcome: str, priority: str = "normal", pool: str = "pdf") -> str:
    return series("docfleet_documents_ended_total", region="eu", pool=pool, priority=priority, outcome=outcome)


def in_time(priority: str = "normal") -> str:
    return series("docfleet_documents_in_time_total", region="eu", pool="pdf", priority=priority)


def too_late(priority: str = "normal") -> str:
    return series("docfleet_documents_late_total", region="eu", pool="pdf", priority=priority)


def http(status: str, route: str = "/v1/documents") -> str:
    return series("docfleet_http_request_duration_seconds_count", method="GET", route=route, status=status)


def of_pool(name: str, pool: str = "pdf") -> str:
    return series(f"docfleet_fleet_{name}", region="eu", pool=pool)


def of_class(name: str, priority: str = "normal") -> str:
    return series(f"docfleet_fleet_{name}", region="eu", pool="pdf", priority=priority)


WORK = [
    Case(
        "the dispatcher says so",
        "DocfleetQueueStuck",
        {series("docfleet_pool_stuck", pool="pdf"): "1x10", of_class("oldest_waiting_seconds"): "300+60x10"},
        "5m",
        (
            Fires(
                {"pool": "pdf"},
                "Documents of the pool pdf wait and nothing drains.",
                "critical",
                "The oldest has waited for 10m 0s, and in as long nothing of this pool has ended.",
                "?var-pool=pdf",
            ),
        ),
    ),
    Case(
        "an old document, but others end",
        "DocfleetQueueStuck",
        {series("docfleet_pool_stuck", pool="pdf"): "0x10", of_class("oldest_waiting_seconds"): "3000x10"},
        "5m",
    ),
    Case(
        "a change of leader leaves a gap",
        "DocfleetQueueStuck",
        {series("docfleet_pool_stuck", pool="pdf"): "1x4 stale 1x5"},
        "5m",
        (
            Fires(
                {"pool": "pdf"},
                "Documents of the pool pdf wait and nothing drains.",
                "critical",
                "The oldest has waited for longer than fleet.stuck_seconds, "
                "and in as long nothing of this pool has ended.",
                "?var-pool=pdf",
            ),
        ),
    ),
    Case(
        "four minutes where one is the target",
        "DocfleetWaitingLong",
        {of_class("oldest_waiting_seconds"): "240x20", of_class("oldest_waiting_seconds", "bulk"): "3000x20"},
        "15m",
        (
            Fires(
                {**PDF, "priority": "normal"},
                "Documents of priority normal wait long for the pool pdf.",
                "warning",
                "In the region eu the oldest has waited 4m 0s: more than three times the target of its kind and "
                "priority, for ten minutes on end.",
                "?var-region=eu&var-pool=pdf",
            ),
        ),
    ),
    Case(
        "two minutes",
        "DocfleetWaitingLong",
        {of_class("oldest_waiting_seconds"): "120x20"},
        "15m",
    ),
    Case(
        "wanted, none there, and documents wait",
        "DocfleetNoWorkers",
        {of_pool("workers_wanted"): "2x10", of_pool("workers_alive"): "0x10", of_class("waiting_slices"): "5x10"},
        "5m",
        (
            Fires(
                PDF,
                "No worker of the pool pdf lives in the region eu, and documents wait.",
                "critical",
                "2 are wanted. What was accepted is safe and waits.",
                "?var-region=eu&var-pool=pdf",
            ),
        ),
    ),
    Case(
        "none there, and nothing to do",
        "DocfleetNoWorkers",
        {of_pool("workers_wanted"): "1x10", of_pool("workers_alive"): "0x10", of_class("waiting_slices"): "0x10"},
        "5m",
    ),
    Case(
        "one of two is there",
        "DocfleetNoWorkers",
        {of_pool("workers_wanted"): "2x10", of_pool("workers_alive"): "1x10", of_class("waiting_slices"): "5x10"},
        "5m",
    ),
    Case(
        "three lack for longer than half an hour",
        "DocfleetTooFewWorkers",
        {of_pool("workers_wanted"): "5x60", of_pool("workers_alive"): "2x60", of_class("waiting_slices"): "9x60"},
        "45m",
        (
            Fires(
                PDF,
                "The pool pdf lacks 3 workers in the region eu.",
                "warning",
                "",
                "?var-region=eu&var-pool=pdf",
            ),
        ),
    ),
    Case(
        "they come after a while",
        "DocfleetTooFewWorkers",
        {
            of_pool("workers_wanted"): "5x60",
            of_pool("workers_alive"): "2x20 5x40",
            of_class("waiting_slices"): "9x60",
        },
        "45m",
    ),
    Case(
        "two minutes old, and older",
        "DocfleetDemandStale",
        {of_pool("demand_age_seconds"): "10+60x10"},
        "6m",
        (
            Fires(
                PDF,
                "Nobody has decided the size of the pool pdf for 6m 10s.",
                "warning",
                "In the region eu. Autoscalers are answered 503 (`demand_unknown`) and keep the size there is.",
                "?var-region=eu&var-pool=pdf",
            ),
        ),
    ),
    Case("as it should be", "DocfleetDemandStale", {of_pool("demand_age_seconds"): "4 9 2 7x10"}, "6m"),
    Case(
        "slots die once a minute",
        "DocfleetWorkersCrash",
        {series("docfleet_slot_deaths_total", pool="pdf", cause="worker_died", instance="a:1"): "0+1x20"},
        "15m",
        (
            Fires(
                {"pool": "pdf", "what": "slots"},
                "Slots of the pool pdf die: 15 in a quarter of an hour.",
                "warning",
                "Each takes its slice with it; what dies again and again is tried alone, and given up the third time.",
                "?var-pool=pdf",
            ),
        ),
    ),
    Case(
        "slots that end in order",
        "DocfleetWorkersCrash",
        {series("docfleet_slot_deaths_total", pool="pdf", cause="stopped", instance="a:1"): "0+5x20"},
        "15m",
    ),
    Case(
        "a poison document kills three, and that is that",
        "DocfleetWorkersCrash",
        {series("docfleet_slot_deaths_total", pool="pdf", cause="worker_died", instance="a:1"): "0 1 2 3x20"},
        "15m",
    ),
    Case(
        "workers vanish",
        "DocfleetWorkersCrash",
        {series("docfleet_fleet_workers_ended_total", region="eu", pool="pdf", cause="silent"): "0 0 1 2 3 4 4x20"},
        "15m",
        (
            Fires(
                {**PDF, "what": "workers"},
                "Workers of the pool pdf vanish: 4 in a quarter of an hour.",
                "warning",
                "In the region eu they fell silent without a word: killed, out of memory, or their machines are gone. "
                "What they had runs elsewhere after 15 s.",
                "?var-region=eu&var-pool=pdf",
            ),
        ),
    ),
    Case(
        "the autoscaler takes workers away",
        "DocfleetWorkersCrash",
        {series("docfleet_fleet_workers_ended_total", region="eu", pool="pdf", cause="stopped"): "0+3x20"},
        "15m",
    ),
    Case(
        "a process that its container starts again and again",
        "DocfleetWorkersCrash",
        {series("process_start_time_seconds", job="docfleet-worker", instance="a:1"): "10 10 70 70 130 200 200x20"},
        "12m",
        (
            Fires(
                {"job": "docfleet-worker", "instance": "a:1", "what": "process"},
                "a:1 (docfleet-worker) starts again and again.",
                "warning",
                "3 times in half an hour.",
            ),
        ),
    ),
    Case(
        "a process that lives for a minute, and is left alone for five before each try",
        "DocfleetWorkersCrash",
        {
            series("process_start_time_seconds", job="docfleet-worker", instance="a:1"): (
                "100 stale _x4 460 stale _x4 820 stale _x4 1180 stale _x4 1540 stale _x4"
            )
        },
        "26m",
        (
            Fires(
                {"job": "docfleet-worker", "instance": "a:1", "what": "process"},
                "a:1 (docfleet-worker) starts again and again.",
                "warning",
                "4 times in half an hour.",
            ),
        ),
    ),
    Case(
        "a process that was restarted once",
        "DocfleetWorkersCrash",
        {series("process_start_time_seconds", job="docfleet-worker", instance="a:1"): "10 10 70x20"},
        "12m",
    ),
    Case(
        "twelve more within the hour",
        "DocfleetDeadLettersGrow",
        {"docfleet_dead_letters_open": "3x30 15x40"},
        "60m",
        (
            Fires(
                {},
                "12 more dead letters than an hour ago.",
                "warning",
                "What was given up waits for somebody to look at it. Whose fault it was is told by the cause: damaged "
                "files are their senders', and wake nobody.",
            ),
        ),
    ),
    Case(
        "an engine fails on one page of fifty",
        "DocfleetPagesBreak",
        {
            series("docfleet_pages_failed_total", region="eu", pool="pdf", code="engine_failed"): "0+1x70",
            series("docfleet_pages_read_total", region="eu", pool="pdf", engine="rapidocr"): "0+49x70",
        },
        "60m",
        (
            Fires(
                EU,
                "60 pages could not be read in an hour, and not through their own fault.",
                "warning",
                "Their documents are partial and say which pages are missing. The objective of availability counts "
                "documents of which nothing could be read, and is not touched.",
            ),
        ),
    ),
    Case(
        "pages that are damaged are their senders'",
        "DocfleetPagesBreak",
        {
            series("docfleet_pages_failed_total", region="eu", pool="pdf", code="page_too_large"): "0+1x70",
            series("docfleet_pages_read_total", region="eu", pool="pdf", engine="rapidocr"): "0+49x70",
        },
        "60m",
    ),
    Case(
        "one page of a thousand",
        "DocfleetPagesBreak",
        {
            series("docfleet_pages_failed_total", region="eu", pool="pdf", code="engine_failed"): "0+1x70",
            series("docfleet_pages_read_total", region="eu", pool="pdf", engine="rapidocr"): "0+999x70",
        },
        "60m",
    ),
    Case("many, but no more than before", "DocfleetDeadLettersGrow", {"docfleet_dead_letters_open": "500x70"}, "60m"),
    Case("two more", "DocfleetDeadLettersGrow", {"docfleet_dead_letters_open": "3x30 5x40"}, "60m"),
    Case("they are looked at", "DocfleetDeadLettersGrow", {"docfleet_dead_letters_open": "50x30 0x40"}, "60m"),
]
