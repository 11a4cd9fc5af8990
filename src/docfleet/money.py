"""What things cost, from the settings: the price book, and the account that keeps to budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docfleet.settings import MoneySettings, Settings

if TYPE_CHECKING:
    from docfleet.domain.costing import CostTerms
    from docfleet.domain.pricing import OwnPrices, PriceBook
    from docfleet.ledger import Ledger
    from docfleet.ledger.budgets import Budgets


def open_budgets(settings: Settings, ledger: Ledger) -> Budgets:
    """The account in this ledger, with the list prices of Document AI."""
    from docfleet.engines.documentai.facts import OCR
    from docfleet.ledger.budgets import Budgets

    return Budgets(ledger, price_book_of(settings), terms=cost_terms(settings.money), cloud_processor=OCR)


def price_book_of(settings: Settings) -> PriceBook:
    """All prices as they are set: of Document AI and of docfleet itself."""
    from docfleet.engines.documentai.facts import read_facts
    from docfleet.engines.documentai.prices import price_book

    return price_book(read_facts(settings.documentai.overrides), own_prices(settings))


def cost_terms(money: MoneySettings) -> CostTerms:
    from docfleet.domain.costing import CostTerms
    from docfleet.domain.pricing import micros_of

    return CostTerms(
        money.stored_bytes_per_byte,
        money.hosted_versions,
        micros_of(money.target_usd_per_document),
        money.by_hand_minutes_per_page,
        micros_of(money.by_hand_usd_per_hour),
    )


def own_prices(settings: Settings) -> OwnPrices:
    """What docfleet costs beside the engines, as it is set."""
    from docfleet.domain.pricing import OwnPrices
    from docfleet.domain.urgency import Pool

    money = settings.money
    call = money.worker_usd_per_hour / settings.cascade.calls_in_flight
    return OwnPrices(
        money.worker_usd_per_hour,
        {str(pool): usd for pool, usd in ({Pool.CLOUD: call} | money.pool_usd_per_hour).items()},
        money.storage_usd_per_gib_month,
        money.base_usd_per_month,
    )
