"""Every metric docfleet tells of, declared once: its name, kind, labels, buckets, and who tells it.

Code records by these constants (`telemetry.metrics`), the exposition takes help and types from them, and the reference
page, the alert rules and the dashboards are checked against them. Names follow
https://prometheus.io/docs/practices/naming/; units are in the names, times in seconds, money in US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping

from docfleet.domain.tallying import LATENCY_BOUNDS
from docfleet.telemetry.kinds import Kind, Metric, Told, doubled

SECONDS = doubled(0.001, 18)
"""1 ms to 131 s."""
PAGES = doubled(1.0, 10)
"""1 to 512."""
DOCUMENT_SECONDS = LATENCY_BOUNDS[:-1]
"""Every target of `domain.urgency.TARGET_SECONDS` is a bound: so many documents were in time."""


def _counter(name: str, told: Told, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, told, text, labels)


def _gauge(name: str, told: Told, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, told, text, labels)


def _histogram(name: str, told: Told, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    return Metric(name, Kind.HISTOGRAM, told, text, labels, buckets)


_CLASS = ("region", "pool", "priority")

# --- of the fleet: sums of the ledger

ACCEPTED = _counter("docfleet_documents_accepted_total", Told.LEADER, "Documents that were accepted.", *_CLASS)
ENDED = _counter(
    "docfleet_documents_ended_total", Told.LEADER,
    "Documents that ended. `failed`: the document's own fault (damaged, password); `broken`: ours.", *_CLASS, "outcome",
)  # fmt: skip
IN_TIME = _counter(
    "docfleet_documents_in_time_total",
    Told.LEADER,
    "Ended for the first time, not broken, within the target of pool and priority.",
    *_CLASS,
)
LATE = _counter(
    "docfleet_documents_late_total", Told.LEADER, "Likewise, but after that target.", *_CLASS
)  # fmt: skip
DUPLICATES = _counter(
    "docfleet_documents_duplicate_total", Told.LEADER,
    "Documents whose bytes had been read before, so that nothing was read.",
    *_CLASS,
)  # fmt: skip
DOCUMENT_DURATION = _histogram(
    "docfleet_document_duration_seconds", Told.LEADER, "From accepted to ended.", *_CLASS, buckets=DOCUMENT_SECONDS
)
DOCUMENT_WAIT = _histogram(
    "docfleet_document_wait_seconds", Told.LEADER, "From accepted to taken up.", *_CLASS, buckets=DOCUMENT_SECONDS
)
PAGES_READ = _counter("docfleet_pages_read_total", Told.LEADER, "Pages that were read.", "region", "pool", "engine")
PAGES_FAILED = _counter(
    "docfleet_pages_failed_total", Told.LEADER, "Pages that could not be read.", "region", "pool", "code"
)
COST = _counter("docfleet_cost_usd_total", Told.LEADER, "What pages cost at their engine.", "region", "pool", "engine")
RETRIES = _counter(
    "docfleet_retries_total", Told.LEADER, "Slices that were put back to be tried again.", *_CLASS[:2], "cause"
)
LEASES_LOST = _counter(
    "docfleet_leases_lost_total", Told.LEADER, "Leases that ran out: their worker was silent.", *_CLASS[:2]
)
DEAD_LETTERS_MADE = _counter(
    "docfleet_dead_letters_total", Told.LEADER, "Slices that were given up.", *_CLASS[:2], "code"
)
DEAD_LETTERS = _gauge("docfleet_dead_letters_open", Told.LEADER, "Dead letters that wait for somebody to look at them.")
COUNTED_AT = _gauge(
    "docfleet_tally_counted_timestamp_seconds",
    Told.LEADER,
    "Until when the sums above are counted, since 1970.",
    "region",
)

# --- of the fleet: demand and load

_POOL = ("pool", "region")
WORKERS_WANTED = _gauge("docfleet_fleet_workers_wanted", Told.LEADER, "Workers the pool is to have.", *_POOL)
WORKERS_ALIVE = _gauge("docfleet_fleet_workers_alive", Told.LEADER, "Workers of the pool that live.", *_POOL)
DEMAND_AGE = _gauge("docfleet_fleet_demand_age_seconds", Told.LEADER, "Since the size was decided.", *_POOL)
ARRIVING_DOCUMENTS = _gauge(
    "docfleet_fleet_arriving_documents_per_second", Told.LEADER, "Over the last minutes.", *_POOL
)
ARRIVING_SLOTS = _gauge("docfleet_fleet_arriving_slots", Told.LEADER, "Slots that what arrives keeps busy.", *_POOL)
SLOTS_PER_WORKER = _gauge("docfleet_fleet_slots_per_worker", Told.LEADER, "Slices a worker works on at a time.", *_POOL)
_WAITING = (*_POOL, "priority")
WAITING_DOCUMENTS = _gauge(
    "docfleet_fleet_waiting_documents", Told.LEADER, "Documents whose first slice waits.", *_WAITING
)
WAITING_SLICES = _gauge("docfleet_fleet_waiting_slices", Told.LEADER, "Slices that may run and wait.", *_WAITING)
WAITING_PAGES = _gauge(
    "docfleet_fleet_waiting_pages", Told.LEADER, "Pages of slices that wait, as far as they are known.", *_WAITING
)
WAITING_SECONDS = _gauge("docfleet_fleet_waiting_seconds", Told.LEADER, "Slot-seconds of work that waits.", *_WAITING)
RUNNING_SLICES = _gauge("docfleet_fleet_running_slices", Told.LEADER, "Slices that run.", *_WAITING)
OLDEST_WAITING = _gauge(
    "docfleet_fleet_oldest_waiting_seconds", Told.LEADER, "How long the oldest has waited.", *_WAITING
)
FORECAST = _gauge(
    "docfleet_fleet_forecast_documents", Told.LEADER,
    "Documents forecast for the hour that far ahead; in `cloud`, pages.",
    "region", "pool", "ahead", "level",
)  # fmt: skip
WORKERS_ENDED = _counter(
    "docfleet_fleet_workers_ended_total", Told.LEADER,
    "Workers that ended. `silent`: without a word; `stalled`: they were not given work that was there.",
    "region", "pool", "cause",
)  # fmt: skip
POOL_STUCK = _gauge(
    "docfleet_pool_stuck", Told.LEADER,
    "1 while the oldest of a pool is older than `fleet.stuck_seconds` and nothing drains.",
    "pool",
)  # fmt: skip

# --- of the fleet: money, regions, deliveries

BUDGET_LIMIT = _gauge("docfleet_budget_limit_usd", Told.LEADER, "Limit of a budget.", "budget")
BUDGET_SPENT = _gauge(
    "docfleet_budget_spent_usd", Told.LEADER, "Spent or reserved of a budget in this month.", "budget"
)
BUDGET_REFUSING = _gauge(
    "docfleet_budget_refusing", Told.LEADER,
    "1 once a call had no room in a budget in this month, under the limit it has now.", "budget",
)  # fmt: skip
REGION_SEEN = _gauge(
    "docfleet_region_seen_timestamp_seconds", Told.LEADER, "When a dispatcher last led a region, since 1970.", "region"
)
DELIVERIES = _counter(
    "docfleet_webhook_deliveries_total", Told.DISPATCHER,
    "Tries to deliver a webhook message. `failed`: it is tried again; `dead`: it is given up.", "outcome",
)  # fmt: skip
DELIVERIES_WAITING = _gauge(
    "docfleet_webhook_deliveries_waiting", Told.LEADER, "Webhook messages to be sent, or tried again."
)
REPORTS_FAILING = _gauge(
    "docfleet_reports_failing", Told.LEADER, "Scheduled reports that could not be made and are tried again."
)

# --- every process

BUILD = _gauge("docfleet_build_info", Told.EVERY, "Always 1.", "version", "role")
CERTIFICATE_EXPIRY = _gauge(
    "docfleet_certificate_expiry_timestamp_seconds", Told.EVERY,
    "When the first certificate in a file that this process uses ends, since 1970.", "purpose",
)  # fmt: skip

# --- API

HTTP_DURATION = _histogram(
    "docfleet_http_request_duration_seconds", Told.API,
    "From the head of a request to the end of its answer; streams of events until their first byte.",
    "method", "route", "status",
)  # fmt: skip
HTTP_IN_FLIGHT = _gauge("docfleet_http_requests_in_flight", Told.API, "Requests under way.")
UPLOADED = _counter("docfleet_uploads_bytes_total", Told.API, "Bytes of documents that were taken in.")
REFUSALS = _counter("docfleet_refusals_total", Told.API, "Requests that were refused.", "code")

# --- workers

STAGE_DURATION = _histogram(
    "docfleet_stage_duration_seconds", Told.WORKER,
    "What slices take: `wait` (from due to claimed), `claim`, `fetch` (the bytes from the store), `plan` (open, count "
    "and measure), `read`, `assemble`, `store` (the results), `finish` (commit).", "pool", "stage",
)  # fmt: skip
SLICES = _counter(
    "docfleet_slices_total", Told.WORKER, "Slices that were worked on, by how that ended.", "pool", "step", "outcome"
)
SLOTS = _gauge("docfleet_slots", Told.WORKER, "Slots of this worker.", "pool", "state")
SLOT_DEATHS = _counter(
    "docfleet_slot_deaths_total", Told.WORKER, "Slot processes that died or were killed.", "pool", "cause"
)
DIRECT_MODE = _gauge(
    "docfleet_worker_direct_mode", Told.WORKER, "1 while work is taken from the ledger and not from the broker."
)
PAGE_DURATION = _histogram(
    "docfleet_engine_page_duration_seconds", Told.WORKER, "What reading one page takes.", "engine"
)

# --- engines that are called

ENGINE_REQUESTS = _counter(
    "docfleet_engine_requests_total",
    Told.ENGINE,
    "Requests to a cloud engine; `documentai_batch`: those that begin a batch or ask how it stands. `refused`: it "
    "answered that it does not take the document or the request; `throttled`: it said 429; `abandoned`: another was "
    "faster with the same pages.",
    "engine",
    "endpoint",
    "outcome",
)
ENGINE_DURATION = _histogram(
    "docfleet_engine_request_duration_seconds",
    Told.ENGINE,
    "What requests to a cloud engine take.",
    "engine",
    "endpoint",
)
ENGINE_PAGES = _histogram(
    "docfleet_engine_request_pages", Told.ENGINE, "Pages that share a request.", "engine", "endpoint", buckets=PAGES
)
QUOTA_LIMIT = _gauge(
    "docfleet_quota_limit_per_minute",
    Told.ENGINE,
    "Quota of an endpoint, for all processes together.",
    "endpoint",
    "quota",
)
QUOTA_USED = _gauge(
    "docfleet_quota_used_per_minute", Told.ENGINE, "What this process sent in the last minute.", "endpoint", "quota"
)
BREAKER_STATE = _gauge(
    "docfleet_breaker_state",
    Told.ENGINE,
    "0: it is called; 1: it is tried; 2: it is out of order and left alone.",
    "endpoint",
)

# --- dispatcher

LEADS = _gauge("docfleet_dispatcher_is_leader", Told.DISPATCHER, "1 while this dispatcher leads its region.", "region")
HINTS = _counter("docfleet_dispatcher_hints_published_total", Told.DISPATCHER, "Hints sent to the broker.", "pool")
LOOK_DURATION = _histogram(
    "docfleet_dispatcher_look_duration_seconds", Told.DISPATCHER, "One turn of the loop that fills the queues."
)
BROKER_UP = _gauge("docfleet_broker_up", Told.DISPATCHER, "1 while the broker answers; not told where there is none.")
LEDGER_UP = _gauge("docfleet_ledger_up", Told.DISPATCHER, "1 while the database answers.")

# --- documentai-server

DOCUMENTAI_REQUESTS = _counter(
    "docfleet_documentai_requests_total", Told.DOCUMENTAI, "Calls of the Document AI interface.", "method", "status"
)
DOCUMENTAI_DURATION = _histogram(
    "docfleet_documentai_request_duration_seconds", Told.DOCUMENTAI, "What these calls take.", "method"
)

METRICS: Mapping[str, Metric] = {one.name: one for one in tuple(globals().values()) if isinstance(one, Metric)}
"""All of them, by name, in the order of this file."""

PROCESS: Mapping[str, tuple[Kind, str]] = {
    "process_cpu_seconds_total": (Kind.COUNTER, "Processor time of the process."),
    "process_max_fds": (Kind.GAUGE, "Files it may have open."),
    "process_open_fds": (Kind.GAUGE, "Files it has open."),
    "process_resident_memory_bytes": (Kind.GAUGE, "Memory it holds."),
    "process_start_time_seconds": (Kind.GAUGE, "When it started, since 1970."),
    "process_virtual_memory_bytes": (Kind.GAUGE, "Addresses it has mapped."),
}
"""Of every process, read by `prometheus_client`. Those of its slots and sandboxes are not in it."""


def samples_of(metric: Metric) -> tuple[str, ...]:
    """Names of its samples, as queries use them."""
    if metric.kind is Kind.HISTOGRAM:
        return tuple(f"{metric.name}{part}" for part in ("_bucket", "_count", "_sum"))
    return (metric.name,)
