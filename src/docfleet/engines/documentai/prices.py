"""Document AI's list prices as a price book."""

from __future__ import annotations

from docfleet.domain.pricing import OwnPrices, PriceBook, Rate, Tier, Unit, micros_of
from docfleet.engines.documentai.facts import Facts, PriceFacts

PREMIUM = "premium"
"""Add-on: any of the premium features of a call (math, selection marks, font style), once."""


def price_book(facts: Facts, own: OwnPrices | None = None) -> PriceBook:
    """The prices of every processor type the facts know, beside those of docfleet itself.

    Raises ValueError for tiers that make no sense.
    """
    own = own or OwnPrices()
    return PriceBook(
        rates={kind: _rate(facts.prices[one.price]) for kind, one in facts.processors.items()},
        addons={PREMIUM: Rate.flat(_per_page(facts.extras.premium_feature_usd_per_1000_pages))},
        hosting_micros_per_hour=micros_of(facts.extras.hosting_usd_per_hour),
        worker_micros_per_hour=micros_of(own.worker_usd_per_hour),
        pool_micros_per_hour={pool: micros_of(usd) for pool, usd in own.pool_usd_per_hour.items()},
        storage_micros_per_gib_month=micros_of(own.storage_usd_per_gib_month),
        base_micros_per_month=micros_of(own.base_usd_per_month),
        source=f"facts {facts.version}",
    )


def _rate(price: PriceFacts) -> Rate:
    if price.block_pages:
        return Rate.flat(micros_of(price.usd_per_block), Unit.BLOCK, price.block_pages)
    if not price.tiers:
        return Rate.flat(micros_of(price.usd_per_document), Unit.DOCUMENT)
    tiers = [Tier(tier.from_page, _per_page(tier.usd_per_1000_pages)) for tier in price.tiers]
    if not price.free_pages:
        return Rate(tuple(tiers))
    # the free pages are the first of the month, and count towards the tiers
    first_paid = [tier for tier in tiers if tier.after <= price.free_pages][-1]
    later = [tier for tier in tiers if tier.after > price.free_pages]
    return Rate((Tier(0, 0), Tier(price.free_pages, first_paid.micros), *later))


def _per_page(usd_per_1000_pages: float) -> int:
    return micros_of(usd_per_1000_pages / 1000)
