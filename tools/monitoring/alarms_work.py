"""Alarms of the work itself: what waits, who works, what was given up."""

from __future__ import annotations

from collections.abc import Iterator

from docfleet.errors import document_error_codes

from .alarm import CRITICAL, WARNING, Alarm
from .pace import Pace

MANY_DEATHS = 5
MANY_ENDS = 3
"""Slot processes, and workers, within a quarter of an hour; processes that begin anew, within half an hour: whatever
starts them waits up to five minutes before each try (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/).
"""
MANY_DEAD_LETTERS = 10
MANY_PAGES = 10
PAGES_SHARE = 0.01
"""Pages that failed through our fault within an hour, and their share of all."""


def work_alarms(pace: Pace) -> Iterator[Alarm]:
    yield from _waiting(pace)
    yield from _workers(pace)
    yield from _crashes(pace)
    yield from _given_up(pace)
    yield _pages(pace)


def _waiting(pace: Pace) -> Iterator[Alarm]:
    yield Alarm(
        "DocfleetQueueStuck",
        CRITICAL,
        "max by (pool) (docfleet_pool_stuck) == 1",
        "1m",
        "Documents of the pool {{ $labels.pool }} wait and nothing drains.",
        "The oldest has waited for "
        "{{ with printf \"max(docfleet_fleet_oldest_waiting_seconds{pool='%s'})\" $labels.pool | query }}"
        "{{ . | first | value | humanizeDuration }}{{ else }}longer than fleet.stuck_seconds{{ end }}, "
        "and in as long nothing of this pool has ended.",
        "fleet",
        ("pool",),
        keep="2m",
    )
    yield Alarm(
        "DocfleetWaitingLong",
        WARNING,
        "max by (region, pool, priority) (docfleet_fleet_oldest_waiting_seconds)\n"
        "> on (pool, priority) group_left () 3 * pool_priority:docfleet_target_seconds:value",
        "10m",
        "Documents of priority {{ $labels.priority }} wait long for the pool {{ $labels.pool }}.",
        "In the region {{ $labels.region }} the oldest has waited {{ $value | humanizeDuration }}: more than three "
        "times "
        "the target of its kind and priority, for ten minutes on end.",
        "fleet",
        ("region", "pool"),
    )


def _workers(pace: Pace) -> Iterator[Alarm]:
    waiting = "(sum by (region, pool) (docfleet_fleet_waiting_slices) > 0)"
    yield Alarm(
        "DocfleetNoWorkers",
        CRITICAL,
        "(max by (region, pool) (docfleet_fleet_workers_wanted) > 0)\n"
        f"and on (region, pool) {waiting}\n"
        "unless on (region, pool) (max by (region, pool) (docfleet_fleet_workers_alive) > 0)",
        "3m",
        "No worker of the pool {{ $labels.pool }} lives in the region {{ $labels.region }}, and documents wait.",
        "{{ $value | humanize }} are wanted. What was accepted is safe and waits.",
        "fleet",
        ("region", "pool"),
    )
    yield Alarm(
        "DocfleetTooFewWorkers",
        WARNING,
        "(max by (region, pool) (docfleet_fleet_workers_wanted)\n"
        "- max by (region, pool) (docfleet_fleet_workers_alive) > 0)\n"
        f"and on (region, pool) {waiting}",
        "30m",
        "The pool {{ $labels.pool }} lacks {{ $value | humanize }} workers in the region {{ $labels.region }}.",
        "For half an hour documents have waited while fewer workers live than are wanted: the autoscaler does not "
        "follow, the machines are used up, or the number of workers is fixed and too small for what comes.",
        "fleet",
        ("region", "pool"),
    )
    yield Alarm(
        "DocfleetDemandStale",
        WARNING,
        "max by (region, pool) (docfleet_fleet_demand_age_seconds) > 90",
        "2m",
        "Nobody has decided the size of the pool {{ $labels.pool }} for {{ $value | humanizeDuration }}.",
        "In the region {{ $labels.region }}. Autoscalers are answered 503 (`demand_unknown`) and keep the size there "
        "is.",
        "fleet",
        ("region", "pool"),
    )


def _crashes(pace: Pace) -> Iterator[Alarm]:
    quarter = pace("15m")
    yield Alarm(
        "DocfleetWorkersCrash",
        WARNING,
        f'sum by (pool) (increase(docfleet_slot_deaths_total{{cause!="stopped"}}[{quarter}])) > {MANY_DEATHS - 0.5}',
        "",
        "Slots of the pool {{ $labels.pool }} die: {{ $value | humanize }} in a quarter of an hour.",
        "Each takes its slice with it; what dies again and again is tried alone, and given up the third time.",
        "fleet",
        ("pool",),
        (("what", "slots"),),
        keep="10m",
    )
    yield Alarm(
        "DocfleetWorkersCrash",
        WARNING,
        'sum by (region, pool) (increase(docfleet_fleet_workers_ended_total{cause!="stopped"}'
        f"[{quarter}])) > {MANY_ENDS - 0.5}",
        "",
        "Workers of the pool {{ $labels.pool }} vanish: {{ $value | humanize }} in a quarter of an hour.",
        "In the region {{ $labels.region }} they fell silent without a word: killed, out of memory, or their machines "
        "are gone. What they had runs elsewhere after 15 s.",
        "fleet",
        ("region", "pool"),
        (("what", "workers"),),
        keep="10m",
    )
    yield Alarm(
        "DocfleetWorkersCrash",
        WARNING,
        'max by (job, instance) (changes(process_start_time_seconds{job=~"docfleet-.*"}'
        f"[{pace('30m')}])) >= {MANY_ENDS}",
        "",
        "{{ $labels.instance }} ({{ $labels.job }}) starts again and again.",
        "{{ $value | humanize }} times in half an hour.",
        "fleet",
        (),
        (("what", "process"),),
        keep="10m",
    )


def _pages(pace: Pace) -> Alarm:
    """A document in which some pages failed is `partial` and no outage: its pages are watched instead."""
    ours = "|".join(sorted(code for code, error in document_error_codes().items() if error.is_ours))
    hour = pace("1h")
    failed = f'sum by (region) (increase(docfleet_pages_failed_total{{code=~"{ours}"}}[{hour}]))'
    return Alarm(
        "DocfleetPagesBreak",
        WARNING,
        f"{failed} > {MANY_PAGES - 0.5}\n"
        f"and {failed} > {PAGES_SHARE} * sum by (region) (increase(docfleet_pages_read_total[{hour}]))",
        "",
        "{{ $value | humanize }} pages could not be read in an hour, and not through their own fault.",
        "Their documents are partial and say which pages are missing. The objective of availability counts documents "
        "of which nothing could be read, and is not touched.",
        "overview",
        keep="10m",
    )


def _given_up(pace: Pace) -> Iterator[Alarm]:
    yield Alarm(
        "DocfleetDeadLettersGrow",
        WARNING,
        f"delta(max(docfleet_dead_letters_open)[{pace('1h')}:{pace('1m')}]) > {MANY_DEAD_LETTERS - 0.5}",
        "",
        "{{ $value | humanize }} more dead letters than an hour ago.",
        "What was given up waits for somebody to look at it. Whose fault it was is told by the cause: damaged files "
        "are "
        "their senders', and wake nobody.",
        "fleet",
        keep="10m",
    )
