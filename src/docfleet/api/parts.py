"""What the API is made of, handed in by whoever starts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from docfleet.api.limits import TlsFiles
from docfleet.domain.access import Caller
from docfleet.domain.pricing import PriceBook
from docfleet.fleet.cloud_quotas import CloudQuotas
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ReadingOptions
from docfleet.ledger.webhooks import Webhooks
from docfleet.reports.office import Office
from docfleet.store.base import Store
from docfleet.store.encryption import MasterKey

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class ApiOptions:
    """How the API behaves. Sizes in bytes, times in seconds unless the name says otherwise."""

    defaults: ReadingOptions = field(default_factory=lambda: ReadingOptions(formats=("json", "md", "txt", "pdf")))
    """What a submission that does not say is read with."""
    formats: tuple[str, ...] = ("json", "md", "txt", "pdf", "csv", "hocr")
    """Result formats that may be asked for."""
    engines: tuple[str, ...] = ()
    """Engines that may be asked for; empty: any name, and workers say when they lack it."""
    region: str = "local"
    public_url: str = ""
    """Address the outside knows the API by; empty: links are paths."""
    requests_per_minute: int = 1200
    limits_url: str = ""
    """`redis://…` or `rediss://…` where request limits are shared; empty: each process counts for itself."""
    limits_tls: TlsFiles = field(default_factory=TlsFiles)
    """Which certificates are trusted and shown there."""
    max_file_bytes: int = 1024 * MEBIBYTE
    max_waiting_documents: int = 1_000_000
    max_tenant_waiting_documents: int = 500_000
    min_free_bytes: int = 512 * MEBIBYTE
    max_concurrent_uploads: int = 32
    max_streams: int = 500
    """Event streams and long polls one process serves at a time."""
    stall_seconds: float = 20.0
    """An upload that sends nothing for this long is given up."""
    allowed_sources: tuple[str, ...] = ()
    """`s3://bucket/prefix`: where documents may be fetched from."""
    poll_seconds: float = 0.25
    """How often streams and long polls look into the ledger."""
    heartbeat_seconds: float = 15.0
    """A comment goes out on a silent event stream this often, so that proxies keep it open."""
    webhooks_allow_private: bool = False
    """Webhooks may be plain HTTP and point to private addresses."""


def _nothing() -> None: ...


@dataclass(frozen=True)
class ApiParts:
    """Everything a request may need. Threads share all of it."""

    ledger: Ledger
    desk: Desk
    access: Access
    webhooks: Webhooks
    store: Store
    master_key: MasterKey
    options: ApiOptions = field(default_factory=ApiOptions)
    broker_is_up: Callable[[], bool] | None = None
    """None: there is no broker; workers ask the ledger."""
    open_source: Callable[[str], Store] | None = None
    """Opens the bucket of a source URL; None: the ordinary way (`store.open.open_store`)."""
    budgets: Budgets | None = None
    """None: without a price book, so that nothing is compared with what it would have cost."""
    quotas: CloudQuotas | None = None
    """None: no cloud engine is known of."""
    office: Office | None = None
    """Makes reports; None: one with the usual assumptions, that foresees nothing."""
    on_accepted: Callable[[], None] = _nothing
    """Wakes whoever hands out work in this process."""


def budgets_of(parts: ApiParts) -> Budgets:
    return parts.budgets or Budgets(parts.ledger, PriceBook())


def office_of(parts: ApiParts) -> Office:
    return parts.office or Office(parts.ledger, parts.desk, budgets_of(parts), parts.store, parts.master_key)


async def parts_of(request: Request) -> ApiParts:
    parts: ApiParts = request.app.state.parts
    return parts


async def caller_of(request: Request) -> Caller:
    """Who calls; set by the guard of the route before anything else ran."""
    caller: Caller = request.state.caller
    return caller
