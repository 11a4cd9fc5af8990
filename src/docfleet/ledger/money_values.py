"""What goes into the ledger about money and what comes out: plain values, in whole micro-dollars."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from docfleet.domain.budgeting import Budget
from docfleet.domain.costing import Saving, WholeCost
from docfleet.domain.forecasting import Forecast


class ReservationState(StrEnum):
    OPEN = "open"
    """The call may be under way."""
    PARKED = "parked"
    """As OPEN, for pages that wait in a batch: it does not end with the claim that made it."""
    SETTLED = "settled"
    """Paid for, and its pages are in the document."""
    RELEASED = "released"
    """Nothing was charged: the call was never sent, or failed in a way that is not billed."""
    LOST = "lost"
    """Counted as paid although nothing came of it: nobody knows how the call ended, or its result came too late."""


class Ask(msgspec.Struct, frozen=True):
    """A slice for which a call is to be paid."""

    slice_id: int
    token: int
    """Of the claim."""
    tenant: str
    engine: str
    processor: str
    """Processor type, as the price book names it."""
    pages: int
    document_id: str = ""
    call_id: str = ""
    """The same for all slices of one request; empty: a request of its own."""
    call: int = 1
    """Counts the calls of one claim, from 1. The same claim and number again get the same reservation."""
    addons: frozenset[str] = frozenset()


class Reservation(msgspec.Struct, frozen=True):
    """Leave to pay for one call's part."""

    id: int
    slice_id: int
    token: int
    month: str
    page_micros: tuple[int, ...]
    """What each page costs, in their order: to be told as the page's price (`usd_of`)."""

    @property
    def amount_micros(self) -> int:
        return sum(self.page_micros)


class MonthSpend(msgspec.Struct, frozen=True):
    """What a tenant spent in a month on one processor type of one engine."""

    tenant: str
    engine: str
    processor: str
    month: str
    settled_micros: int
    reserved_micros: int
    """Of calls under way."""
    lost_micros: int
    """Of the settled: paid for, or to be taken as paid for, without a result."""
    pages: int
    requests: int
    """Calls in which any of its slices travelled."""
    slices: int
    """Slices sent: what they are more than requests, packing has saved."""


class Deduplication(msgspec.Struct, frozen=True):
    documents: int
    """That took the results of an earlier one."""
    pages: int
    micros: int
    """What their pages cost the earlier ones."""


class LocalReading(msgspec.Struct, frozen=True):
    pages: int
    """That were read without a priced engine."""
    seconds: float
    """Of workers, over all pages."""


class BudgetView(msgspec.Struct, frozen=True):
    """A budget, and how it stands in a month."""

    budget: Budget
    month: str
    """The month the figures are of."""
    settled_micros: int
    reserved_micros: int
    warned_at: float | None
    exhausted_at: float | None
    set_by: str
    set_at: float


class TenantCost(msgspec.Struct, frozen=True):
    """What one tenant cost in a month."""

    tenant: str
    month: str
    whole: WholeCost
    """With its part of what all share: idle workers, base, hosting."""
    duplicate_micros: int
    """What the pages of its duplicates cost when they were read first."""


class Costs(msgspec.Struct, frozen=True):
    """The account of one tenant and month."""

    tenant: str
    month: str
    spent: tuple[MonthSpend, ...]
    local: LocalReading
    deduplication: Deduplication
    cascade_micros: int | None
    """What the pages read locally would have cost had they been sent too; None: nothing to compare with."""
    cascade_processor: str
    """At whose price."""
    whole: WholeCost
    """With its part of what all share: idle workers, base, hosting."""
    target_micros: int
    """What a document may cost with everything; 0: not told."""
    all_cloud: Saving | None
    """Against sending every page to the processor type above; None: it has no price."""
    by_hand: Saving | None
    """Against people who type the pages; None: nobody has told what they cost."""
    standing_month_micros: int | None
    """The tenant's part of what stands for a whole month, whatever is read, at present prices; None: nobody has a part
    yet."""
    forecast: Forecast | None
    """None for a month that is over or has not begun."""
    budgets: tuple[BudgetView, ...]

    @property
    def spent_micros(self) -> int:
        return sum(one.settled_micros for one in self.spent)

    @property
    def reserved_micros(self) -> int:
        return sum(one.reserved_micros for one in self.spent)

    @property
    def lost_micros(self) -> int:
        return sum(one.lost_micros for one in self.spent)

    @property
    def requests_saved(self) -> int:
        """Requests that packing saved: they spare the quota, not money."""
        return sum(one.slices - one.requests for one in self.spent)
