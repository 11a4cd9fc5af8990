"""Amounts, dates and currencies as they are written here and there."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from docfleet.engines.local.fields.values import amounts_in, currency_in, date_in, dates_in


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("$2,140.00", "2140.00", "USD"),
        ("1.234.567,89 €", "1234567.89", "EUR"),
        ("CHF 1'250.50", "1250.50", "CHF"),
        ("12 160,00 €", "12160.00", "EUR"),
        ("-15.20", "-15.20", ""),
        ("(15.20)", "-15.20", ""),
        ("RM 9.00", "9.00", "MYR"),
        ("1.234", "1234", ""),
        ("0,5", "0.5", ""),
        ("250,- EUR", "250", "EUR"),
    ],
)
def test_amounts(text: str, value: str, currency: str) -> None:
    (found,) = amounts_in(text)
    assert (found.value, found.currency) == (Decimal(value), currency)


@pytest.mark.parametrize("text", ["19 %", "19%", "12.05.2020", "A12", "12/13", "1.2.3.4", "no figure", "10:30"])
def test_what_is_no_amount(text: str) -> None:
    assert not [found for found in amounts_in(text) if found.decimals]


@pytest.mark.parametrize(
    "text",
    [
        "05.03.2018",
        "5/3/2018",
        "2018-03-05",
        "5 March 2018",
        "March 5, 2018",
        "5. März 2018",
        "5 mars 2018",
        "05/03/18",
        "5-Mar-18",
    ],
)
def test_dates(text: str) -> None:
    found = date_in(f"on {text} or so")
    assert found is not None
    assert found.value == date(2018, 3, 5)


def test_the_month_stands_first_where_it_must_or_may() -> None:
    assert [one.value for one in dates_in("1/25/2015")] == [date(2015, 1, 25)]
    assert [one.value for one in dates_in("1/2/2015", month_first=True)] == [date(2015, 1, 2)]
    assert [one.value for one in dates_in("1.2.2015", month_first=True)] == [date(2015, 2, 1)]
    assert [one.value for one in dates_in("30.02.2015 99/99/2015 4711")] == []


def test_currencies() -> None:
    assert currency_in("all in € only") == ("EUR", 7, 8)
    assert currency_in("USD 5") == ("USD", 0, 3)
    assert currency_in("nothing") is None
