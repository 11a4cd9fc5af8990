"""What a call to a priced engine costs, page by page. Pure; the prices themselves are data of the engine.

Money is counted in whole micro-dollars, so that sums are exact: the prices of a call's pages add up to the price of the
call, and whatever is added up later (documents, months) to the same figure. Engines charge

* by the page, with tiers: the more pages a month, the less each further page costs (`Unit.PAGE`);
* by started blocks of pages of one document: 1 page costs as much as 10, 11 as much as 20 (`Unit.BLOCK`);
* by the document, however long (`Unit.DOCUMENT`);

and for add-ons by the page on top. A tier counts the pages of the calendar month, which every caller of the same
account adds to: the caller says how many were before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from docfleet.errors import UsageError

MICROS = 1_000_000
"""Micro-dollars of one dollar."""


def micros_of(usd: float) -> int:
    """Dollars as whole micro-dollars, to the nearest."""
    return round(usd * MICROS)


def usd_of(micros: int) -> float:
    """Micro-dollars as dollars; `micros_of` gives the same micro-dollars back (up to some billions of dollars)."""
    return micros / MICROS


class Unit(StrEnum):
    """What is charged for."""

    PAGE = "page"
    BLOCK = "block"
    """Every started block of `Rate.block_pages` pages of one document."""
    DOCUMENT = "document"


class Tier(msgspec.Struct, frozen=True):
    """What a unit costs once `after` pages of the month are used: page number `after + 1` is its first."""

    after: int
    micros: int


class Rate(msgspec.Struct, frozen=True):
    """The price of a processor type, or of an add-on."""

    tiers: tuple[Tier, ...]
    """The first one after 0, each further one after more. Several only by the page. (Free pages: a tier of 0.)"""
    unit: Unit = Unit.PAGE
    block_pages: int = 10

    def __post_init__(self) -> None:
        starts = [tier.after for tier in self.tiers]
        if not starts or starts[0] != 0 or sorted(set(starts)) != starts:
            raise ValueError("the tiers of a price begin at 0 and follow one another")
        if any(tier.micros < 0 for tier in self.tiers) or self.block_pages < 1:
            raise ValueError("a price is 0 or more, and a block has a page at least")
        if len(self.tiers) > 1 and self.unit is not Unit.PAGE:
            raise ValueError("only prices by the page have tiers")

    @classmethod
    def flat(cls, micros: int, unit: Unit = Unit.PAGE, block_pages: int = 10) -> Rate:
        return cls((Tier(0, micros),), unit, block_pages)


class OwnPrices(msgspec.Struct, frozen=True):
    """What docfleet itself costs to run, in US dollars; the defaults are list prices of August 2026."""

    worker_usd_per_hour: float = 0.04937
    """Of one worker slot, which is one vCPU with 2 GiB: AWS Fargate, Linux on x86 in us-east-1, at 0.04048 for the vCPU
    and 0.004445 for each GiB."""
    pool_usd_per_hour: Mapping[str, float] = {}
    """Pools whose slots cost something else."""
    storage_usd_per_gib_month: float = 0.023
    """Amazon S3 Standard in us-east-1, first 50 TiB."""
    base_usd_per_month: float = 200.0
    """Databases, broker, API, load balancer: what stands whatever is read."""


class PriceBook(msgspec.Struct, frozen=True):
    """All that is known of prices. Processor types and add-ons by the names the engine gives them."""

    rates: Mapping[str, Rate] = {}
    """Processor type -> price."""
    addons: Mapping[str, Rate] = {}
    hosting_micros_per_hour: int = 0
    """Of one deployed version of one's own processor, used or not."""
    worker_micros_per_hour: int = 0
    """Of one worker slot, at work or not; 0: not known."""
    pool_micros_per_hour: Mapping[str, int] = {}
    """Pools whose slots cost something else."""
    storage_micros_per_gib_month: int = 0
    base_micros_per_month: int = 0
    """Of what stands whatever is read: databases, broker, API."""
    source: str = ""
    """Where the prices are from, and from when."""

    def rate(self, processor: str) -> Rate:
        """Raises UsageError for a processor without a price: what it costs could not be kept within a budget."""
        found = self.rates.get(processor)
        if found is None:
            raise UsageError(f"There is no price for the processor type {processor}: set one in the settings.")
        return found

    def slot_micros_per_hour(self, pool: str) -> int:
        """Of a slot that serves a pool, or several with commas between them: then it costs what the dearest does."""
        return max(self.pool_micros_per_hour.get(one, self.worker_micros_per_hour) for one in pool.split(","))

    def addon(self, name: str) -> Rate:
        found = self.addons.get(name)
        if found is None:
            raise UsageError(f"There is no price for the add-on {name}: set one in the settings.")
        return found


class Call(msgspec.Struct, frozen=True):
    """What is sent in one call."""

    processor: str
    documents: tuple[int, ...]
    """Pages of each document; the service takes what one call holds of a document for all of it."""
    addons: frozenset[str] = frozenset()


class Cost(msgspec.Struct, frozen=True):
    documents: tuple[tuple[int, ...], ...]
    """Micro-dollars of each page of each document of the call."""

    @property
    def micros(self) -> int:
        """Of the whole call: exactly what its pages add up to."""
        return sum(map(sum, self.documents))


def cost_of(call: Call, book: PriceBook, used_pages: int = 0) -> Cost:
    """What a call costs, page by page, when `used_pages` were sent to its processor this month before.

    Raises UsageError when there is no price for the processor or an add-on.
    """
    rates = [book.rate(call.processor), *(book.addon(name) for name in sorted(call.addons))]
    documents = []
    for pages in call.documents:
        parts = [_pages_of(rate, used_pages, pages) for rate in rates]
        documents.append(tuple(map(sum, zip(*parts, strict=True))))
        used_pages += pages
    return Cost(tuple(documents))


def price_of_pages(rate: Rate, used_pages: int, pages: int) -> int:
    """Micro-dollars of one document of so many pages, after `used_pages` of this month."""
    if pages <= 0:
        return 0
    if rate.unit is Unit.DOCUMENT:
        return rate.tiers[0].micros
    if rate.unit is Unit.BLOCK:
        return -(-pages // rate.block_pages) * rate.tiers[0].micros
    return _up_to(rate, used_pages + pages) - _up_to(rate, used_pages)


def _up_to(rate: Rate, pages: int) -> int:
    """Micro-dollars of the first so many pages of a month."""
    ends = [*(tier.after for tier in rate.tiers[1:]), pages]
    return sum(
        tier.micros * (min(pages, end) - tier.after)
        for tier, end in zip(rate.tiers, ends, strict=True)
        if pages > tier.after
    )


def _pages_of(rate: Rate, used_pages: int, pages: int) -> Sequence[int]:
    if rate.unit is not Unit.PAGE:
        return share(price_of_pages(rate, used_pages, pages), pages)
    return [price_of_pages(rate, used_pages + number, 1) for number in range(pages)]


def share(micros: int, parts: int) -> list[int]:
    """An amount in so many whole parts, as equal as can be, the larger ones first: (100, 3) -> [34, 33, 33]."""
    if parts <= 0:
        return []
    each, rest = divmod(micros, parts)
    return [each + (number < rest) for number in range(parts)]
