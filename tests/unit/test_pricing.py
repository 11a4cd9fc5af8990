"""Prices: tiers, blocks, add-ons; and what months, budgets and forecasts say of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.budgeting import ALL, Budget, BudgetPolicy, Scope, is_warning, judge, scopes_of
from docfleet.domain.forecasting import forecast
from docfleet.domain.months import is_month, month_bounds, month_of
from docfleet.domain.pricing import Call, PriceBook, Rate, Tier, Unit, cost_of, micros_of, price_of_pages, share, usd_of
from docfleet.errors import BudgetApproval, BudgetDegraded, BudgetExhausted, UsageError

OCR = Rate((Tier(0, 0), Tier(1_000, 1_500), Tier(5_000_000, 600)))
FORM = Rate((Tier(0, 30_000), Tier(1_000_000, 20_000)))
INVOICE = Rate.flat(100_000, Unit.BLOCK)
STATEMENT = Rate.flat(750_000, Unit.DOCUMENT)
BOOK = PriceBook(
    {"OCR_PROCESSOR": OCR, "FORM": FORM, "INVOICE": INVOICE, "STATEMENT": STATEMENT},
    {"premium": Rate.flat(6_000)},
)

counts = st.integers(0, 12_000_000)


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    starts = sorted({0, *draw(st.lists(st.integers(1, 300), max_size=4))})
    return Rate(tuple(Tier(start, draw(st.integers(0, 1000))) for start in starts))


def test_prices_as_they_are_published() -> None:
    assert price_of_pages(OCR, 0, 1_000) == 0
    assert price_of_pages(OCR, 1_000, 1_000) == micros_of(1.50)
    assert price_of_pages(OCR, 5_000_000, 1_000) == micros_of(0.60)
    assert price_of_pages(OCR, 0, 5_000_000) == micros_of(1.5 * 4_999)
    assert price_of_pages(FORM, 999_999, 2) == 30_000 + 20_000
    assert [price_of_pages(INVOICE, 7, pages) for pages in (0, 1, 10, 11, 20, 21)] == [
        0, 100_000, 100_000, 200_000, 200_000, 300_000,
    ]  # fmt: skip
    assert price_of_pages(STATEMENT, 0, 40) == 750_000


@given(rates(), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
def test_no_price_changes_when_pages_are_sent_in_parts(rate: Rate, used: int, first: int, second: int) -> None:
    """Continuous at the borders of the tiers: whoever splits a call pays the same."""
    whole = price_of_pages(rate, used, first + second)
    assert whole == price_of_pages(rate, used, first) + price_of_pages(rate, used + first, second)
    assert whole >= price_of_pages(rate, used, first)


@given(rates(), st.integers(0, 400), st.integers(1, 400))
def test_a_page_costs_what_its_tier_says(rate: Rate, used: int, pages: int) -> None:
    [prices] = cost_of(Call("P", (pages,)), PriceBook({"P": rate}), used).documents
    for number, price in enumerate(prices):
        tier = [tier for tier in rate.tiers if tier.after <= used + number][-1]
        assert price == tier.micros


@given(
    st.sampled_from(sorted(BOOK.rates)),
    st.lists(st.integers(0, 60), max_size=30),
    st.sampled_from([frozenset[str](), frozenset({"premium"})]),
    counts,
)
def test_the_pages_add_up_to_the_call(processor: str, documents: list[int], addons: frozenset[str], used: int) -> None:
    cost = cost_of(Call(processor, tuple(documents), addons), BOOK, used)
    assert [len(pages) for pages in cost.documents] == documents
    expected = 0
    for pages in documents:
        expected += price_of_pages(BOOK.rates[processor], used, pages) + (6_000 * pages if addons else 0)
        used += pages
    assert cost.micros == expected == sum(sum(pages) for pages in cost.documents)
    # told as dollars page by page, and added up again from there
    assert sum(micros_of(usd_of(page)) for pages in cost.documents for page in pages) == expected


@given(st.integers(0, 10**9), st.integers(0, 500))
def test_shares_are_whole_and_nearly_equal(micros: int, parts: int) -> None:
    shares = share(micros, parts)
    assert len(shares) == parts
    assert not parts or (sum(shares) == micros and max(shares) - min(shares) <= 1)


@given(st.integers(0, 10**14))
def test_dollars_keep_every_micro_dollar(micros: int) -> None:
    assert micros_of(usd_of(micros)) == micros


def test_what_has_no_price_is_refused() -> None:
    with pytest.raises(UsageError, match="MADE_UP"):
        cost_of(Call("MADE_UP", (1,)), BOOK)
    with pytest.raises(UsageError, match="unheard"):
        cost_of(Call("FORM", (1,), frozenset({"unheard"})), BOOK)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(()),
        lambda: Rate((Tier(5, 1),)),
        lambda: Rate((Tier(0, 1), Tier(9, 1), Tier(9, 2))),
        lambda: Rate((Tier(0, -1),)),
        lambda: Rate((Tier(0, 1), Tier(9, 1)), Unit.BLOCK),
        lambda: Rate.flat(1, Unit.BLOCK, 0),
    ],
)
def test_a_price_that_makes_no_sense_cannot_be_made(make: object) -> None:
    with pytest.raises(ValueError, match="price"):
        make()  # type: ignore[operator]


# --- months


@given(st.floats(0, 4e9))
def test_a_moment_lies_in_its_month(now: float) -> None:
    begin, end = month_bounds(month_of(now))
    assert begin <= now < end
    assert month_of(end) != month_of(begin) == month_of(end - 0.001)


def test_months_by_name() -> None:
    assert month_bounds("2026-12") == (1_796_083_200.0, 1_798_761_600.0)
    assert month_of(1_798_761_599.999) == "2026-12"
    assert month_of(1_798_761_600.0) == "2027-01"
    assert not any(map(is_month, ("", "*", "2026", "2026-13", "2026-1", "2026-011", "2026-01\n", "٢٠٢٦-٠١")))
    with pytest.raises(ValueError, match="no month"):
        month_bounds("2026-00")


# --- budgets


def budget(tenant: str, engine: str, limit: int, policy: BudgetPolicy = BudgetPolicy.STOP) -> Budget:
    return Budget(Scope(tenant, engine), ALL, limit, policy)


def test_the_strictest_of_the_refusals_counts() -> None:
    budgets = [
        budget("a", "e", 10, BudgetPolicy.DEGRADE),
        budget("a", ALL, 10, BudgetPolicy.QUEUE),
        budget(ALL, ALL, 10, BudgetPolicy.STOP),
    ]
    taken = {one.scope: 9 for one in budgets}
    assert judge(1, budgets, taken, "2026-11") is None
    told = [judge(2, budgets[:count], taken, "2026-11") for count in (1, 2, 3)]
    assert [one.code for one in told if one] == ["budget_degraded", "budget_approval", "budget_exhausted"]
    assert [type(one.error) for one in told if one] == [BudgetDegraded, BudgetApproval, BudgetExhausted]
    assert judge(0, [budget("a", "e", 0)], {}, "2026-11") is None, "what costs nothing needs no budget"
    refusal = judge(1, [budget("a", "e", 0)], {}, "2026-11")
    assert refusal is not None
    assert refusal.error.message.startswith("The budget of a for e in 2026-11 has no room")


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 300))
def test_no_sequence_of_calls_passes_a_limit(amounts: list[int], limit: int) -> None:
    one = budget("a", "e", limit)
    taken = 0
    for amount in amounts:
        if judge(amount, [one], {one.scope: taken}, "2026-11") is None:
            taken += amount
        else:
            assert taken + amount > limit
    assert taken <= limit
    assert is_warning(one, taken) == (taken >= 0.8 * limit)


def test_scopes_are_locked_in_one_order() -> None:
    assert scopes_of("a", "e")[0] == Scope(ALL, ALL)
    assert scopes_of("a", "e") == tuple(sorted(scopes_of("a", "e")))
    assert len(scopes_of(ALL, "e")) == 2


# --- forecasts


def test_a_steady_month_is_foreseen_exactly() -> None:
    seen = forecast(10_000, [1_000] * 10, 500, 0.5, 20.0)
    assert (seen.low_micros, seen.expected_micros, seen.high_micros, seen.days_seen) == (30_000, 30_000, 30_000, 10)


def test_without_a_full_day_the_band_is_wide() -> None:
    seen = forecast(500, [], 500, 0.5, 9.5)
    assert (seen.low_micros, seen.expected_micros, seen.high_micros, seen.days_seen) == (500, 10_000, 19_500, 0)


@given(
    st.integers(0, 10**9), st.lists(st.integers(0, 10**8), max_size=28), st.integers(0, 10**8), st.floats(0, 1),
    st.floats(0, 31),
)  # fmt: skip
def test_a_forecast_is_never_below_what_is_spent(
    spent: int, days: list[int], today: int, part: float, left: float
) -> None:
    seen = forecast(spent, days, today, part, left)
    assert spent <= seen.low_micros <= seen.expected_micros <= seen.high_micros
    if left == 0:
        assert seen.high_micros == spent


def test_the_band_holds_four_times_out_of_five() -> None:
    """Days drawn at random: the true end lies within the band about as often as promised."""
    import random

    chance = random.Random(5)
    hits = 0
    for _ in range(400):
        days = [round(chance.gauss(1_000_000, 250_000)) for _ in range(30)]
        seen = forecast(sum(days[:14]), days[:14], 0, 0.0, 16.0)
        hits += seen.low_micros <= sum(days) <= seen.high_micros
    assert 0.7 < hits / 400 < 0.9
