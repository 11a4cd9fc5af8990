"""The labels of metrics, and what each may say.

A label with known values takes those alone: whatever else comes is counted as `other`, so that no plugin, no client and
no document can make the number of series grow.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import msgspec

from docfleet import errors
from docfleet.domain.tallying import Outcome
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import Step
from docfleet.telemetry.kinds import Metric

OTHER = "other"


class Label(msgspec.Struct, frozen=True):
    meaning: str
    values: tuple[str, ...] = ()
    """All there are, but for `other`; none: as configured."""


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
    "code": Label("Why, as a stable code.", CODES),
    "cause": Label("Why; see the metric."),
    "budget": Label("`<tenant, or all>/<engine>/<month, or monthly>`: at most 100, those nearest their limit first."),
    "ahead": Label("How far ahead the hour is that is forecast.", ("1h", "24h")),
    "level": Label("Quantile: the outcome stays below it with this probability.", ("0.05", "0.5", "0.95")),
    "version": Label("Of docfleet."),
    "role": Label("What the process is.", ROLES),
    "purpose": Label(
        "What the certificate is for.", ("api", "console", "broker", "broker_ca", "documentai_server", "client_ca")
    ),
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
    ("docfleet_engine_requests_total", "outcome"): (
        "ok", "refused", "throttled", "error", "timeout", "abandoned",
    ),
    ("docfleet_engine_requests_total", "engine"): ("documentai", "documentai_batch"),
    ("docfleet_engine_request_duration_seconds", "engine"): ("documentai", "documentai_batch"),
    ("docfleet_engine_request_pages", "engine"): ("documentai",),
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
