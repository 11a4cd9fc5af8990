"""The whole cost: what is counted by hand, and what holds for any use."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.costing import Part, Saving, Usage, WholeCost, apportion, by_hand_micros, share_out, whole_cost
from docfleet.domain.pricing import PriceBook, Rate, Tier
from docfleet.errors import UsageError
from docfleet.ledger.spending import whole_costs_of
from docfleet.ledger.use_values import FleetUse, TenantUse, Use

BOOK = PriceBook(
    rates={"OCR": Rate((Tier(0, 1_500), Tier(1_000, 600))), "FORM": Rate.flat(30_000)},
    hosting_micros_per_hour=50_000,
    worker_micros_per_hour=36_000,
    pool_micros_per_hour={"cloud": 3_600},
    storage_micros_per_gib_month=23_000,
    base_micros_per_month=200_000_000,
)


def test_a_month_counted_by_hand() -> None:
    """100,000 documents, 250,000 pages; ten slots paid for all month, of which half was used."""
    month = 730 * 3600.0
    usage = Usage(
        documents=100_000,
        pages=250_000,
        engine_pages={"OCR": 2_000, "FORM": 10},
        busy_seconds={"pdf": 5 * month, "cloud": 3_600.0},
        paid_seconds={"pdf": 10 * month, "cloud": 7_200.0},
        gib_months=40.0,
        hosted_hours=730.0,
        months=1.0,
    )
    cost = whole_cost(usage, BOOK)
    assert cost.engine_micros == 1_000 * 1_500 + 1_000 * 600 + 300_000
    assert cost.busy_micros == 5 * 730 * 36_000 + 3_600
    assert cost.idle_micros == 5 * 730 * 36_000 + 3_600
    assert cost.storage_micros == 920_000
    assert cost.hosting_micros == 36_500_000
    assert cost.base_micros == 200_000_000
    assert cost.micros == 2_400_000 + 2 * 131_403_600 + 920_000 + 36_500_000 + 200_000_000
    assert cost.per_document_micros == pytest.approx(5_026.272)
    assert cost.per_page_micros == pytest.approx(2_010.5088)


def test_nothing_read_has_no_cost_per_document_and_the_base_all_the_same() -> None:
    cost = whole_cost(Usage(months=0.5), BOOK)
    assert (cost.micros, cost.base_micros) == (100_000_000, 100_000_000)
    assert cost.per_document_micros is None
    assert cost.per_page_micros is None


def test_the_tier_follows_from_the_pages_before() -> None:
    assert whole_cost(Usage(engine_pages={"OCR": 10}), BOOK).micros == 15_000
    before = {"OCR": 995}
    assert whole_cost(Usage(engine_pages={"OCR": 10}, engine_pages_before=before), BOOK).micros == 5 * 2_100
    assert whole_cost(Usage(engine_micros=7, engine_pages={"OCR": 1}), BOOK).micros == 1_507


def test_who_worked_was_paid_though_nobody_saw_him() -> None:
    cost = whole_cost(Usage(busy_seconds={"pdf": 7_200.0}, paid_seconds={"pdf": 3_600.0}), BOOK)
    assert (cost.busy_micros, cost.idle_micros) == (72_000, 0)


def test_a_slot_of_several_pools_costs_what_the_dearest_does() -> None:
    assert [BOOK.slot_micros_per_hour(pool) for pool in ("cloud", "pdf", "cloud,pdf", "")] == [
        3_600, 36_000, 36_000, 36_000,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"documents": -1}, {"months": -0.1}, {"gib_months": math.nan}, {"busy_seconds": {"pdf": -1.0}},
        {"paid_seconds": {"pdf": math.inf}}, {"engine_pages": {"OCR": -1}},
    ],
)  # fmt: skip
def test_negative_use_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Usage(**wrong)  # type: ignore[arg-type]


def test_what_has_no_price_is_refused() -> None:
    with pytest.raises(UsageError):
        whole_cost(Usage(engine_pages={"NEW": 1}), BOOK)


weights = st.lists(st.floats(0, 1e12), min_size=1, max_size=30)


@given(st.integers(0, 10**15), weights)
def test_parts_add_up_and_are_fair(micros: int, shares: list[float]) -> None:
    parts = apportion(micros, shares)
    assert all(part >= 0 for part in parts)
    total = sum(shares)
    if total == 0:
        assert parts == [0] * len(shares)
        return
    assert sum(parts) == micros
    for part, weight in zip(parts, shares, strict=True):
        assert part == pytest.approx(micros * (weight / total), abs=1 + micros * 1e-13)


@given(st.integers(0, 10**15), weights)
def test_whoever_used_nothing_pays_nothing(micros: int, shares: list[float]) -> None:
    assert apportion(micros, [*shares, 0.0])[-1] == 0
    assert apportion(micros, [0.0, *shares])[0] == 0


def test_the_idle_and_the_base_follow_the_use() -> None:
    fleet = WholeCost(30, 300, 5_000, 1_000, 2_000, 90, 400, 100_001)
    parts = {
        "big": Part(20, 200, 5_000, busy=3.0, storage=2.0, standing=220.0),
        "small": Part(10, 100, 0, busy=1.0, storage=1.0, standing=110.0),
        "away": Part(),
    }
    shares = share_out(fleet, parts)
    assert shares["big"] == WholeCost(20, 200, 5_000, 750, 1_500, 60, 267, 66_667)
    assert shares["small"] == WholeCost(10, 100, 0, 250, 500, 30, 133, 33_334)
    assert shares["away"].micros == 0
    assert sum(one.micros for one in shares.values()) == fleet.micros


def test_savings_may_be_losses() -> None:
    gain = Saving(reference_micros=300, whole_micros=100)
    assert (gain.micros, gain.return_on_cost) == (200, 2.0)
    loss = Saving(reference_micros=50, whole_micros=100)
    assert (loss.micros, loss.return_on_cost) == (-50, -0.5)
    assert Saving(0, 0).return_on_cost is None
    assert by_hand_micros(120, 2.5, 20_000_000) == 100_000_000


def test_what_stands_is_there_in_a_month_in_which_nobody_reads() -> None:
    quiet = Use(FleetUse(base_micros=200.0, paid_micros=40.0), {"acme": TenantUse(storage_micros=3.0)})
    shared = whole_costs_of(quiet, {"acme": 0}, ["acme", "rival"])
    assert {name: (one.base_micros, one.idle_micros) for name, one in shared.items()} == {
        "acme": (100, 20), "rival": (100, 20),
    }  # fmt: skip
    read = Use(quiet.fleet, {"rival": TenantUse(documents=1, pages=1)})
    assert whole_costs_of(read, {"acme": 0}, ["acme", "rival"])["acme"].micros == 0
