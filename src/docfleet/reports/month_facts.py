"""What the monthly report is drawn from: plain values out of the ledger, handed in by whoever gathered them.

Nothing here is derived; `month_report` and `incidents` do that. Moments are seconds since 1970 (UTC), months those of
UTC, as money counts them. Amounts of money are whole micro-dollars, or US dollars where the name says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from docfleet.domain.costing import WholeCost
from docfleet.domain.forecasting import Forecast
from docfleet.domain.returns import REFERENCE_BY_HAND_USD, REFERENCE_DOCUMENTS
from docfleet.domain.tallying import Sums

REFERENCE_USD_PER_DOCUMENT = REFERENCE_BY_HAND_USD / REFERENCE_DOCUMENTS


class Objectives(msgspec.Struct, frozen=True):
    """What the service is to keep, and what a document may cost."""

    availability: float = 0.999
    """Share of documents that do not fail through the service's own fault."""
    in_time: float = 0.95
    """Share of documents that are read within the target of their pool and priority."""
    usd_per_document: float = 0.08
    """With everything; 0: not told."""


class Assumptions(msgspec.Struct, frozen=True):
    """What the ledger cannot know. Each is shown in the report, with where it comes from."""

    by_hand_usd_per_document: float = REFERENCE_USD_PER_DOCUMENT
    """What a document costs that people work on; 0: not told."""
    by_hand_minutes_per_page: float = 0.0
    by_hand_usd_per_hour: float = 0.0
    """With the minutes it comes before the price of a document; 0: not told."""
    investment_usd: float = 0.0
    """Spent once, to be earned back; 0: not told."""
    node_slots: int = 4
    """Worker slots of one node: one vCPU with 2 GiB each."""
    spare_share: float = 0.3
    """Of the slots, kept free beside what the fullest hour needs."""
    asked: tuple[str, ...] = ()
    """Names of those that were given for this report alone; the others are settings."""

    @property
    def is_by_page(self) -> bool:
        return self.by_hand_minutes_per_page > 0 and self.by_hand_usd_per_hour > 0

    def usd_by_hand(self, documents: int, pages: int) -> float | None:
        """What a document costs by hand where so many have so many pages; None: nobody has told, or there are none."""
        if self.is_by_page:
            amount = pages * self.by_hand_minutes_per_page / 60 * self.by_hand_usd_per_hour
            return amount / documents if documents else None
        return self.by_hand_usd_per_document or None

    @property
    def is_reference(self) -> bool:
        """Nobody has said anything else than the reference case."""
        return not self.is_by_page and self.by_hand_usd_per_document == REFERENCE_USD_PER_DOCUMENT


class Step(msgspec.Struct, frozen=True):
    """One step of time; steps follow one another."""

    at: float
    sums: Sums


class PoolSums(msgspec.Struct, frozen=True):
    pool: str
    priority: str
    sums: Sums


class EnginePages(msgspec.Struct, frozen=True):
    pages: int
    cost_usd: float


class Money(msgspec.Struct, frozen=True):
    """The account of the month, as `docfleet costs` shows it."""

    whole: WholeCost
    cascade_micros: int | None = None
    """What the pages read locally would have cost in the cloud; None: nothing to compare with."""
    cascade_processor: str = ""
    local_pages: int = 0
    duplicate_documents: int = 0
    duplicate_pages: int = 0
    deduplication_micros: int = 0
    requests_saved: int = 0
    all_cloud_micros: int | None = None
    """Every page in the cloud; None: it has no price."""
    standing_month_micros: int | None = None
    """What stands for a whole month, whatever is read; None: nobody has a part of it yet."""
    ahead: Forecast | None = None
    """Calls of engines at the end of the month; None: it is over."""


class Gap(msgspec.Struct, frozen=True):
    """A time in which nobody dispatched in a region."""

    region: str
    begin: float
    end: float
    step_seconds: float
    """How exactly it is known."""


class Deaths(msgspec.Struct, frozen=True):
    """Attempts whose worker died, within some minutes."""

    at: float
    seconds: float
    """Length of that time."""
    count: int
    workers: int
    """Different ones."""


class Exhaustion(msgspec.Struct, frozen=True):
    """A budget that had no room left."""

    at: float
    engine: str
    """"*": all together."""
    limit_usd: float
    policy: str


class Troubles(msgspec.Struct, frozen=True):
    """What the ledger knows of trouble beside the documents' own."""

    gaps: tuple[Gap, ...] = ()
    deaths: tuple[Deaths, ...] = ()
    exhausted: tuple[Exhaustion, ...] = ()
    gaps_since: float | None = None
    """From when on it is known whether somebody dispatched; None: of nothing in this month."""
    deaths_since: float | None = None
    """Deaths before are forgotten; None: all of this month are."""


class PoolOutlook(msgspec.Struct, frozen=True):
    """What is forecast for a pool."""

    pool: str
    unit: str
    """"document", or "page" in the pool cloud."""
    model: str = ""
    made_at: float = 0.0
    trusted: bool = False
    trust: str = ""
    begin: float = 0.0
    end: float = 0.0
    expected: float = 0.0
    """In all of that time."""
    fullest: float = 0.0
    """In an hour that is exceeded one time in twenty, the fullest of them."""
    fullest_at: float = 0.0
    unit_seconds: float | None = None
    """Slot-seconds of one of them, lately; None: nothing was done that tells."""
    slots: float | None = None
    """That there are now; None: nobody knows."""
    missing: str = ""
    """Why there is no forecast; all else is empty then."""


class WeekAhead(msgspec.Struct, frozen=True):
    """What the coming seven days will bring a tenant, as its days before have."""

    of: str
    """"documents" or "pages"."""
    begin: float = 0.0
    """Of the first of the days (UTC)."""
    expected: float = 0.0
    """In all seven."""
    fullest: float = 0.0
    """On the fullest of them."""
    fullest_at: float = 0.0
    foretold: float | None = None
    """What the same reckoning told a week ago of the seven days before now; None: it could not have."""
    came: float = 0.0
    """In these seven days."""
    weeks: int = 0
    """That it rests on."""
    missing: str = ""
    """Why there is none; all else is empty then."""


class MonthFacts(msgspec.Struct, frozen=True):
    """Everything the monthly report shows, given as facts."""

    tenant: str
    month: str
    """"2026-10"."""
    made_at: float
    begin: float
    end: float
    """Of the calendar month."""
    counted_since: float | None
    """When the first thing happened that was ever counted, and the service began for all who look at its figures; None:
    nothing was ever counted."""
    counted_until: float
    """Up to where is counted."""
    kept_since: float
    """Days before are forgotten."""
    days: tuple[Step, ...]
    """Every day (UTC) of the month that is counted, if only in part; rising."""
    hours: tuple[Step, ...]
    """Its hours, likewise; empty where those of its beginning are forgotten, or nothing is counted."""
    total: Sums
    before: Sums | None
    """Of the month before; None: it was not counted."""
    before_is_whole: bool
    pools: tuple[PoolSums, ...] = ()
    engines: Mapping[str, EnginePages] = {}
    codes: Mapping[str, int] = {}
    """Outcome code of documents that failed -> how many."""
    money: Money = Money(WholeCost())
    objectives: Objectives = Objectives()
    assumptions: Assumptions = Assumptions()
    troubles: Troubles = Troubles()
    of_fleet: bool = True
    """It may tell of the whole fleet: of all tenants together, or of the only one. Else of the tenant's own documents
    alone, and of nobody else's load or troubles."""
    outlook: tuple[PoolOutlook, ...] = ()
    """Of the fleet; empty where the report is not of it."""
    ahead: tuple[WeekAhead, ...] = ()
    """Of the tenant's own documents, where the report is not of the fleet."""
    organisation: str = ""
    """As it is to stand on the cover; empty: the tenant."""
    version: str = ""

    @property
    def is_over(self) -> bool:
        return self.made_at >= self.end

    @property
    def until(self) -> float:
        """Up to where the month can have happened."""
        return min(self.end, self.made_at)
