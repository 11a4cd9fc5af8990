"""Every metric docfleet tells of, declared once: its name, kind, labels, buckets, and who tells it.

Code records by these constants (`telemetry.metrics`), the exposition takes help and types from them, and the reference
page, the alert rules and the dashboards are checked against them. Names follow
https://prometheus.io/docs/practices/naming/; units are in the names, times in seconds, money in US dollars.

A label with known values takes those alone: whatever else comes is counted as `other`, so that no plugin, no client and
no document can make the number of series grow.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from docfleet import errors
from docfleet.domain.tallying import LATENCY_BOUNDS, Outcome
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import Step

OTHER = "other"


class Kind(StrEnum):
    COUNTER = "counter"
    """Only grows; begins anew with its process, those of the fleet never."""
    GAUGE = "gauge"
    """As it is now."""
    HISTOGRAM = "histogram"
    """How often a value lay below each bound."""


class Told(StrEnum):
    """Who tells a metric."""

    EVERY = "every process"
    LEADER = "leading dispatcher"
    """One series for the whole region, whichever process leads."""
    DISPATCHER = "dispatcher"
    API = "API"
    WORKER = "worker"
    """Of the pools `pdf` and `image`."""
    ENGINE = "cloud worker"
    """And whatever other process calls a cloud engine."""
    DOCUMENTAI = "documentai-server"


class Metric(msgspec.Struct, frozen=True):
    """`name` as it is sampled; that of a counter ends in `_total`."""

    name: str
    kind: Kind
    told: Told
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds without +Inf; of histograms alone."""
    top: int = 0
    """At most so many series, those that matter most; 0: as many as the labels allow."""

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_of_the_fleet(self) -> bool:
        """Whether it says the same whichever process is asked: sums of the ledger, told by who leads."""
        return self.told is Told.LEADER


class Label(msgspec.Struct, frozen=True):
    meaning: str
    values: tuple[str, ...] = ()
    """All there are, but for `other`; none: as configured."""


def doubled(first: float, steps: int) -> tuple[float, ...]:
    """Bounds that double, so that Prometheus may keep them as a native histogram (schema 0) without loss."""
    return tuple([round(first * 2.0**step, 6) for step in range(steps)])


SECONDS = doubled(0.001, 18)
"""1 ms to 131 s."""
PAGES = doubled(1.0, 10)
"""1 to 512."""
DOCUMENT_SECONDS = LATENCY_BOUNDS[:-1]
"""Every target of `domain.urgency.TARGET_SECONDS` is a bound: so many documents were in time."""

ROLES = ("api", "dispatcher", "worker", "cloud", "documentai-server", "serve", "up", "console")
"""What a process is."""
STAGES = ("wait", "claim", "fetch", "plan", "read", "assemble", "store", "finish")
"""What the time of a slice goes into, in this order."""
_ENGINES = ("rapidocr", "tesseract", "null", "documentai")
_WAITS = ("handed_back", "quota_exhausted", "engine_away", "engine_not_set_up", "store_unavailable", "read")


def _codes() -> tuple[str, ...]:
    classes = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.DocfleetError)]
    return tuple(sorted({one.code for one in classes} | set(_WAITS)))


CODES = _codes()
_POOLS = tuple(map(str, Pool))

LABELS: Mapping[str, Label] = {
    "region": Label("As `service.region` says."),
    "pool": Label("Kind of worker; of one that serves several, all of them.", (*_POOLS, "pdf,image")),
    "priority": Label("What the document's submitter asked for.", tuple(map(str, Urgency))),
    "outcome": Label("How it ended; see the metric."),
    "engine": Label(
        "What read the page. `text_layer+…`: pixels beside a text layer; `none`: there was nothing to read, or it "
        "could not be opened. Engines of plugins are `other`.",
        ("text_layer", *_ENGINES, *(f"text_layer+{name}" for name in _ENGINES), "none"),
    ),
    "code": Label("A code of [outcomes and codes](outcome-codes.md).", CODES),
    "cause": Label("Why; see the metric."),
    "budget": Label("`<tenant, or all>/<engine>/<month, or monthly>`: at most 100, those nearest their limit first."),
    "ahead": Label("How far ahead the hour is that is forecast.", ("1h", "24h")),
    "level": Label("Quantile: the outcome stays below it with this probability.", ("0.05", "0.5", "0.95")),
    "version": Label("Of docfleet."),
    "role": Label("What the process is.", ROLES),
    "purpose": Label("What the certificate is for.", ("api", "broker", "broker_ca", "documentai_server", "client_ca")),
    "method": Label(
        "HTTP method; of `docfleet_documentai_*` the method of the service, such as `ProcessDocument`.",
    ),
    "route": Label("Template of the path, such as `/v1/documents/{id}`; `none`: no route of this API."),
    "status": Label("Class of the HTTP status, such as `2xx`; of `docfleet_documentai_*` the gRPC code, such as `OK`."),
    "stage": Label("What the time went into.", STAGES),
    "step": Label("Of the document's way.", tuple(map(str, Step))),
    "state": Label("`busy`: with a slice.", ("free", "busy")),
    "endpoint": Label("`<location>@<address>`, as configured."),
    "quota": Label("`<processor type>/<requests or pages>`."),
}
_OF_METRIC: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("docfleet_documents_ended_total", "outcome"): tuple(map(str, Outcome)),
    ("docfleet_slices_total", "outcome"): ("done", "failed", "handed_back", "fenced", "no_ledger", "died"),
    ("docfleet_webhook_deliveries_total", "outcome"): ("delivered", "failed", "dead"),
    ("docfleet_engine_requests_total", "outcome"): ("ok", "throttled", "error", "timeout", "abandoned"),
    ("docfleet_retries_total", "cause"): ("error", "crash", "wait"),
    ("docfleet_slot_deaths_total", "cause"): (
        "worker_died", "out_of_memory", "timed_out", "lost", "stopped", "unanswered", "garbled", "unresponsive",
        "did_not_start",
    ),
    ("docfleet_fleet_workers_ended_total", "cause"): ("stopped", "stalled", "silent"),
    ("docfleet_http_request_duration_seconds", "method"): ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    ("docfleet_http_request_duration_seconds", "status"): ("1xx", "2xx", "3xx", "4xx", "5xx"),
}  # fmt: skip


def values_of(metric: Metric, label: str) -> tuple[str, ...]:
    """What a label of a metric may say beside `other`; none: as configured."""
    return _OF_METRIC.get((metric.name, label)) or LABELS[label].values


def _counter(name: str, told: Told, text: str, *labels: str) -> Metric:
    return Metric(f"docfleet_{name}", Kind.COUNTER, told, text, labels)


def _gauge(name: str, told: Told, text: str, *labels: str, top: int = 0) -> Metric:
    return Metric(f"docfleet_{name}", Kind.GAUGE, told, text, labels, top=top)


def _histogram(name: str, told: Told, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    return Metric(f"docfleet_{name}", Kind.HISTOGRAM, told, text, labels, buckets)


_CLASS = ("region", "pool", "priority")

# --- of the fleet: sums of the ledger

ACCEPTED = _counter("documents_accepted_total", Told.LEADER, "Documents that were accepted.", *_CLASS)
ENDED = _counter(
    "documents_ended_total", Told.LEADER,
    "Documents that ended. `failed`: the document's own fault (damaged, password); `broken`: ours.", *_CLASS, "outcome",
)  # fmt: skip
IN_TIME = _counter(
    "documents_in_time_total", Told.LEADER, "Of those that ended: within the target of pool and priority.", *_CLASS
)
DUPLICATES = _counter(
    "documents_duplicate_total", Told.LEADER, "Documents whose bytes had been read before, so that nothing was read.",
    *_CLASS,
)  # fmt: skip
DOCUMENT_DURATION = _histogram(
    "document_duration_seconds", Told.LEADER, "From accepted to ended.", *_CLASS, buckets=DOCUMENT_SECONDS
)
DOCUMENT_WAIT = _histogram(
    "document_wait_seconds", Told.LEADER, "From accepted to taken up.", *_CLASS, buckets=DOCUMENT_SECONDS
)
PAGES_READ = _counter("pages_read_total", Told.LEADER, "Pages that were read.", "region", "pool", "engine")
PAGES_FAILED = _counter("pages_failed_total", Told.LEADER, "Pages that could not be read.", "region", "pool", "code")
COST = _counter("cost_usd_total", Told.LEADER, "What pages cost at their engine.", "region", "pool", "engine")
RETRIES = _counter("retries_total", Told.LEADER, "Slices that were put back to be tried again.", *_CLASS[:2], "cause")
LEASES_LOST = _counter("leases_lost_total", Told.LEADER, "Leases that ran out: their worker was silent.", *_CLASS[:2])
DEAD_LETTERS_MADE = _counter("dead_letters_total", Told.LEADER, "Slices that were given up.", *_CLASS[:2], "code")
DEAD_LETTERS = _gauge("dead_letters", Told.LEADER, "Dead letters that wait for somebody to look at them.")
COUNTED_AT = _gauge(
    "tally_counted_timestamp_seconds", Told.LEADER, "Until when the sums above are counted, since 1970.", "region"
)

# --- of the fleet: demand and load

_POOL = ("pool", "region")
WORKERS_WANTED = _gauge("fleet_workers_wanted", Told.LEADER, "Workers the pool is to have.", *_POOL)
WORKERS_ALIVE = _gauge("fleet_workers_alive", Told.LEADER, "Workers of the pool that live.", *_POOL)
DEMAND_AGE = _gauge("fleet_demand_age_seconds", Told.LEADER, "Since the size was decided.", *_POOL)
ARRIVING_DOCUMENTS = _gauge("fleet_arriving_documents_per_second", Told.LEADER, "Over the last minutes.", *_POOL)
ARRIVING_SLOTS = _gauge("fleet_arriving_slots", Told.LEADER, "Slots that what arrives keeps busy.", *_POOL)
SLOTS_PER_WORKER = _gauge("fleet_slots_per_worker", Told.LEADER, "Slices a worker works on at a time.", *_POOL)
_WAITING = (*_POOL, "priority")
WAITING_DOCUMENTS = _gauge("fleet_waiting_documents", Told.LEADER, "Documents whose first slice waits.", *_WAITING)
WAITING_SLICES = _gauge("fleet_waiting_slices", Told.LEADER, "Slices that may run and wait.", *_WAITING)
WAITING_PAGES = _gauge(
    "fleet_waiting_pages", Told.LEADER, "Pages of slices that wait, as far as they are known.", *_WAITING
)
WAITING_SECONDS = _gauge("fleet_waiting_seconds", Told.LEADER, "Slot-seconds of work that waits.", *_WAITING)
RUNNING_SLICES = _gauge("fleet_running_slices", Told.LEADER, "Slices that run.", *_WAITING)
OLDEST_WAITING = _gauge("fleet_oldest_waiting_seconds", Told.LEADER, "How long the oldest has waited.", *_WAITING)
FORECAST = _gauge(
    "fleet_forecast_documents", Told.LEADER, "Documents forecast for the hour that far ahead; in `cloud`, pages.",
    "region", "pool", "ahead", "level",
)  # fmt: skip
WORKERS_ENDED = _counter(
    "fleet_workers_ended_total", Told.LEADER,
    "Workers that ended. `silent`: without a word; `stalled`: they were not given work that was there.",
    "region", "pool", "cause",
)  # fmt: skip
POOL_STUCK = _gauge(
    "pool_stuck", Told.LEADER, "1 while the oldest of a pool is older than `fleet.stuck_seconds` and nothing drains.",
    "pool",
)  # fmt: skip

# --- of the fleet: money, regions, deliveries

BUDGET_LIMIT = _gauge("budget_limit_usd", Told.LEADER, "Limit of a budget.", "budget", top=100)
BUDGET_SPENT = _gauge(
    "budget_spent_usd", Told.LEADER, "Spent or reserved of a budget in this month.", "budget", top=100
)
REGION_SEEN = _gauge(
    "region_seen_timestamp_seconds", Told.LEADER, "When a dispatcher last led a region, since 1970.", "region"
)
DELIVERIES = _counter(
    "webhook_deliveries_total", Told.DISPATCHER,
    "Tries to deliver a webhook message. `failed`: it is tried again; `dead`: it is given up.", "outcome",
)  # fmt: skip
DELIVERIES_WAITING = _gauge("webhook_deliveries_waiting", Told.LEADER, "Webhook messages to be sent, or tried again.")

# --- every process

BUILD = _gauge("build_info", Told.EVERY, "Always 1.", "version", "role")
CERTIFICATE_EXPIRY = _gauge(
    "certificate_expiry_timestamp_seconds", Told.EVERY,
    "When the first certificate in a file that this process uses ends, since 1970.", "purpose",
)  # fmt: skip

# --- API

HTTP_DURATION = _histogram(
    "http_request_duration_seconds", Told.API, "From the head of a request to the end of its answer; streams of events "
    "until their first byte.", "method", "route", "status",
)  # fmt: skip
HTTP_IN_FLIGHT = _gauge("http_requests_in_flight", Told.API, "Requests under way.")
UPLOADED = _counter("uploads_bytes_total", Told.API, "Bytes of documents that were taken in.")
REFUSALS = _counter("refusals_total", Told.API, "Requests that were refused.", "code")

# --- workers

STAGE_DURATION = _histogram(
    "stage_duration_seconds", Told.WORKER,
    "What slices take. `wait`: from due to claimed; `claim`, `fetch` (the bytes from the store), `plan` (open, count "
    "and measure), `read`, `assemble`, `store` (the results), `finish` (commit).", "pool", "stage",
)  # fmt: skip
SLICES = _counter(
    "slices_total", Told.WORKER, "Slices that were worked on, by how that ended.", "pool", "step", "outcome"
)
SLOTS = _gauge("slots", Told.WORKER, "Slots of this worker.", "pool", "state")
SLOT_DEATHS = _counter("slot_deaths_total", Told.WORKER, "Slot processes that died or were killed.", "pool", "cause")
DIRECT_MODE = _gauge(
    "worker_direct_mode", Told.WORKER, "1 while work is taken from the ledger and not from the broker."
)
PAGE_DURATION = _histogram("engine_page_duration_seconds", Told.WORKER, "What reading one page takes.", "engine")

# --- engines that are called

ENGINE_REQUESTS = _counter(
    "engine_requests_total",
    Told.ENGINE,
    "Requests to a cloud engine. `throttled`: it said 429; `abandoned`: another was faster with the same pages.",
    "engine",
    "endpoint",
    "outcome",
)
ENGINE_DURATION = _histogram(
    "engine_request_duration_seconds", Told.ENGINE, "What requests to a cloud engine take.", "engine", "endpoint"
)
ENGINE_PAGES = _histogram(
    "engine_request_pages", Told.ENGINE, "Pages that share a request.", "engine", "endpoint", buckets=PAGES
)
QUOTA_LIMIT = _gauge(
    "quota_limit_per_minute", Told.ENGINE, "Quota of an endpoint, for all processes together.", "endpoint", "quota"
)
QUOTA_USED = _gauge(
    "quota_used_per_minute", Told.ENGINE, "What this process sent in the last minute.", "endpoint", "quota"
)
BREAKER_STATE = _gauge(
    "breaker_state", Told.ENGINE, "0: it is called; 1: it is tried; 2: it is out of order and left alone.", "endpoint"
)

# --- dispatcher

LEADS = _gauge("dispatcher_is_leader", Told.DISPATCHER, "1 while this dispatcher leads its region.", "region")
HINTS = _counter("dispatcher_hints_published_total", Told.DISPATCHER, "Hints sent to the broker.", "pool")
LOOK_DURATION = _histogram(
    "dispatcher_look_duration_seconds", Told.DISPATCHER, "One turn of the loop that fills the queues."
)
BROKER_UP = _gauge("broker_up", Told.DISPATCHER, "1 while the broker answers; not told where there is none.")
LEDGER_UP = _gauge("ledger_up", Told.DISPATCHER, "1 while the database answers.")

# --- documentai-server

DOCUMENTAI_REQUESTS = _counter(
    "documentai_requests_total", Told.DOCUMENTAI, "Calls of the Document AI interface.", "method", "status"
)
DOCUMENTAI_DURATION = _histogram(
    "documentai_request_duration_seconds", Told.DOCUMENTAI, "What these calls take.", "method"
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
