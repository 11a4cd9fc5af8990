"""What the service answers, as plain values. Members a newer service adds are passed over; times are aware, in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from docfleet.domain.work import DOCUMENT_ENDS


class ResultFile(msgspec.Struct, frozen=True):
    """One file of a document's results."""

    format: str
    """"json", "md" …; "outcome" for the page-by-page account."""
    path: str
    """Below the document's folder: "document.json", "tables/page-001-table-1.csv"."""
    media_type: str = ""
    size_bytes: int = 0
    sha256: str = ""


class PageCounts(msgspec.Struct, frozen=True):
    """Pages of a document or batch; while it runs `read` and `failed` are so far."""

    total: int | None = None
    """None: not counted yet."""
    read: int = 0
    failed: int = 0


class Options(msgspec.Struct, frozen=True):
    """How a document is read."""

    formats: list[str] = []
    languages: list[str] = []
    mode: str = "auto"
    engine: str = ""
    features: list[str] = []
    """What was looked for beside the text."""


class DocumentFacts(msgspec.Struct, frozen=True):
    """A document as the service last told of it."""

    id: str
    state: str
    """received, running, assembling; succeeded, partial, failed, cancelled."""
    name: str = ""
    batch_id: str | None = None
    media_type: str = ""
    size_bytes: int = 0
    sha256: str = ""
    priority: str = ""
    pool: str = ""
    labels: dict[str, str] = {}
    options: Options = Options()
    deadline: datetime | None = None
    duplicate_of: str | None = None
    """The document whose results it has, or waits for."""
    pages: PageCounts = PageCounts()
    engines: dict[str, int] = {}
    """Pages by the engine that read them."""
    confidence: float | None = None
    cost_usd: float = 0.0
    work_seconds: float = 0.0
    code: str | None = None
    """Why it is no success."""
    message: str | None = None
    detail: str | None = None
    remedy: str | None = None
    round: int = 1
    """Counts how often it was started."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    results: list[ResultFile] = []

    @property
    def is_finished(self) -> bool:
        return self.state in DOCUMENT_ENDS

    @property
    def has_results(self) -> bool:
        return bool(self.results)


class PageStatus(msgspec.Struct, frozen=True):
    """One page and how it stands."""

    number: int
    state: str
    """"waiting", "running", "read", or the code it failed with."""
    engine: str | None = None
    reason: str | None = None
    """Why this engine."""
    detail: str | None = None
    confidence: float | None = None
    cost_usd: float = 0.0
    seconds: float = 0.0
    quality: float | None = None


class Event(msgspec.Struct, frozen=True, rename={"from_state": "from", "to_state": "to"}):
    """One change of a document or of a slice of its pages."""

    id: str
    """Where to go on from: the Last-Event-ID."""
    document_id: str
    to_state: str
    from_state: str = ""
    """Empty: it was made."""
    type: str = ""
    """"document." or "slice." and the new state."""
    slice_id: int | None = None
    """None: the document itself changed."""
    cause: str = ""
    at: datetime | None = None

    @property
    def ends_document(self) -> bool:
        return self.slice_id is None and self.to_state in DOCUMENT_ENDS


class BatchFacts(msgspec.Struct, frozen=True):
    """A batch as the service last told of it."""

    id: str
    name: str = ""
    labels: dict[str, str] = {}
    created_at: datetime | None = None
    sealed_at: datetime | None = None
    finished_at: datetime | None = None
    documents: dict[str, int] = {}
    """How many documents are in each state."""
    pages: PageCounts = PageCounts()

    @property
    def open_documents(self) -> int:
        return sum(count for state, count in self.documents.items() if state not in DOCUMENT_ENDS)


class DeadLetter(msgspec.Struct, frozen=True):
    """A slice of a document's pages that was given up, with its cause."""

    document_id: str
    slice_id: int
    step: str
    code: str
    document_name: str = ""
    first_page: int = 0
    last_page: int = 0
    message: str = ""
    detail: str | None = None
    attempts: int = 0
    crashes: int = 0
    errors: int = 0
    worker: str | None = None
    """Who had it last."""
    document_state: str = ""
    """Only a document that has ended can be tried again."""
    at: datetime | None = None


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters with the same cause at the same step."""

    code: str
    step: str
    count: int
    documents: int = 0
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    example_message: str = ""


class Webhook(msgspec.Struct, frozen=True):
    """An address that is told."""

    id: str
    url: str
    event_types: list[str] = []
    secret: str | None = None
    """Only in the answer that made it: keep it, it signs the deliveries."""
    disabled_at: datetime | None = None
    created_at: datetime | None = None


class Delivery(msgspec.Struct, frozen=True):
    """One message to a webhook."""

    id: str
    event_type: str = ""
    state: str = ""
    attempts: int = 0
    last_status: int | None = None
    created_at: datetime | None = None
    delivered_at: datetime | None = None
    next_attempt_at: datetime | None = None


class Spend(msgspec.Struct, frozen=True):
    """What was spent on one processor type of an engine in a month."""

    engine: str
    processor: str = ""
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    """For calls that are under way."""
    without_result_usd: float = 0.0
    """Of what is spent: on calls whose end nobody knows, or that came too late."""
    pages: int = 0
    requests: int = 0
    slices: int = 0
    """Page ranges sent: what they are more than requests, packing has saved."""


class Saved(msgspec.Struct, frozen=True):
    """What was not spent in a month."""

    cascade_usd: float | None = None
    """What the pages read locally would have cost; None: no price to compare with."""
    cascade_processor: str | None = None
    local_pages: int = 0
    deduplication_usd: float = 0.0
    """What the pages of duplicates cost when they were read first."""
    duplicate_documents: int = 0
    duplicate_pages: int = 0
    packing_requests: int = 0
    """Requests that packing saved. They spare the quota, not money."""


class Forecast(msgspec.Struct, frozen=True):
    """The whole month, if its other days are like those before: four times out of five between low and high."""

    low_usd: float
    expected_usd: float
    high_usd: float
    days_seen: int = 0
    """Full days it rests on."""


class Budget(msgspec.Struct, frozen=True):
    """A limit for a month, and how it stands."""

    limit_usd: float
    policy: str
    """At the limit: "stop", "degrade" (the local engine's reading stands) or "queue" (pages wait)."""
    tenant: str | None = None
    """None: all tenants together."""
    engine: str | None = None
    """None: all engines together."""
    month: str | None = None
    """None: every month that has no budget of its own."""
    warn_percent: int = 80
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    warned_at: datetime | None = None
    exhausted_at: datetime | None = None
    set_at: datetime | None = None
    set_by: str | None = None
    """None: whoever operates the service."""


class WholeCost(msgspec.Struct, frozen=True):
    """The whole cost of a month, with the tenant's part of what all share."""

    documents: int = 0
    """That ended with results, duplicates among them."""
    pages: int = 0
    usd: float = 0.0
    """All of the below."""
    engine_usd: float = 0.0
    busy_usd: float = 0.0
    """Workers' time on pages."""
    idle_usd: float = 0.0
    """Workers' time beside that: waiting, starting, planning, stopping."""
    storage_usd: float = 0.0
    hosting_usd: float = 0.0
    """Own processors, deployed whether used or not."""
    base_usd: float = 0.0
    """Databases, broker, API, for the time of the month that has passed."""
    usd_per_document: float | None = None
    """None: no document has results."""
    usd_per_page: float | None = None
    target_usd_per_document: float | None = None
    """What is aimed at; None: nothing."""


class Compared(msgspec.Struct, frozen=True):
    """What the same pages would have cost in another way."""

    usd: float = 0.0
    saved_usd: float = 0.0
    """Less the whole cost; negative: the other way would have been cheaper."""
    return_on_cost: float | None = None
    """What each dollar spent has saved; 0 breaks even."""


class Costs(msgspec.Struct, frozen=True):
    """The account of a month."""

    month: str
    spent_usd: float = 0.0
    """For calls of engines that cost something."""
    reserved_usd: float = 0.0
    without_result_usd: float = 0.0
    worker_usd: float = 0.0
    work_seconds: float = 0.0
    by_processor: list[Spend] = []
    whole: WholeCost = WholeCost()
    saved: Saved = Saved()
    all_cloud: Compared | None = None
    """Against every page sent to the processor type that `saved` names; None: it has no price."""
    by_hand: Compared | None = None
    """Against people who type the pages; None: the service does not know what they cost."""
    standing_month_usd: float | None = None
    """This tenant's part of what stands for a whole month, whatever is read; None: not known yet."""
    by_hand_document_usd: float | None = None
    """What one of these documents is assumed to cost by hand, as the service is set; None: not told."""
    forecast: Forecast | None = None
    """None: not the present month."""
    budgets: list[Budget] = []


class TenantCost(msgspec.Struct, frozen=True):
    """What one tenant cost in a month, with its part of what all share."""

    tenant: str
    whole: WholeCost = WholeCost()
    deduplication_usd: float = 0.0


class TenantCosts(msgspec.Struct, frozen=True):
    month: str
    items: list[TenantCost] = []


class Identity(msgspec.Struct, frozen=True):
    """Who the service takes this client for."""

    tenant: str
    role: str
    key_id: str = ""
    permissions: list[str] = []


class Slice(msgspec.Struct, frozen=True):
    """One page of a listing as the service sends it."""

    items: list[dict[str, Any]] = []
    next_cursor: str | None = None
