"""Amounts, dates and currencies as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation

import msgspec

_SYMBOLS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "¥": "JPY", "RM": "MYR", "R$": "BRL", "Fr.": "CHF", "kr": "SEK", "$": "USD",
}  # fmt: skip
_CODES = "EUR USD GBP CHF JPY INR MYR SGD AUD CAD NZD SEK NOK DKK PLN CZK HUF BRL MXN ZAR CNY HKD".split()
_CURRENCY = r"(?:€|£|₹|¥|\bRM|R\$|(?:US|C|A|S)?\$|\bFr\.|" + "|".join(rf"\b{code}\b" for code in _CODES) + ")"
_NUMBER = r"(?:\d{1,3}(?:[ ., '’]\d{3}){1,5}(?:[.,]\d{1,4})?|\d{1,15}(?:[.,]\d{1,4})?)"
_AMOUNT = re.compile(
    rf"(?<![\w.,/:-])(?P<sign>[-−–(]\s?)?(?P<before>{_CURRENCY})?\s?(?P<minus>[-−]\s?)?(?P<number>{_NUMBER})"
    rf"(?P<dash>,-|\.-)?\s?(?P<after>{_CURRENCY})?(?P<share>\s?%)?(?![\w/]|[.,:]\d|-\d)"
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jän jänner janvier janv enero ene gennaio gen januari",
            "february feb februar février févr fevrier febrero febbraio februari",
            "march mar märz mrz mars marzo maart",
            "april apr avril avr abril abr aprile",
            "may mai mayo maggio mag mei",
            "june jun juni juin junio giugno giu",
            "july jul juli juillet juil julio luglio lug",
            "august aug août aout agosto ago augustus",
            "september sep sept septembre septiembre settembre set",
            "october oct oktober okt octobre octubre ottobre ott",
            "november nov novembre noviembre",
            "december dec dezember dez décembre déc decembre diciembre dic dicembre",
        ),
        1,
    )
    for name in names.split()
}
_NAMED = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATES = (
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)"),
    re.compile(
        r"(?<![\d.,])(?P<a>\d{1,2})(?P<mark>[-/.])\s?(?P<b>\d{1,2})(?P=mark)\s?(?P<y>(?:19|20)\d\d|\d\d)(?![\d.])"
    ),
    re.compile(
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th|er)?\.?[\s/-]?\s?(?:de\s|of\s)?(?P<n>{_NAMED})\b\.?,?[\s/-]?\s?(?:de\s)?"
        r"(?P<y>(?:19|20)\d\d|'?\d\d(?!\d|:))",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<![^\W\d_])(?P<n>{_NAMED})\b\.?\s?(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>(?:19|20)\d\d)", re.IGNORECASE
    ),
)


class Amount(msgspec.Struct, frozen=True):
    value: Decimal
    currency: str
    """ISO 4217; empty: none is written beside it."""
    start: int
    end: int
    """In the text that was looked at."""
    decimals: bool
    """Written with cents: surely an amount."""


class Day(msgspec.Struct, frozen=True):
    value: date
    start: int
    end: int


def amounts_in(text: str) -> Iterator[Amount]:
    """Amounts from left to right; shares in percent are none."""
    for found in _AMOUNT.finditer(text):
        value, decimals = _decimal(found["number"])
        if found["share"] or value is None:
            continue
        written = found["before"] or found["after"] or ""
        negative = bool(found["minus"]) or (found["sign"] or "")[:1] in ("-", "−") or (found["sign"] or "")[:1] == "("
        dash = bool(found["dash"])
        yield Amount(-value if negative else value, currency_of(written), found.start(), found.end(), decimals or dash)


def amount_in(text: str, *, whole: bool = False) -> Amount | None:
    """The last amount in `text`; `whole`: only if there is nothing else, and it has cents or a currency."""
    found = list(amounts_in(text))
    if not found:
        return None
    last = found[-1]
    if whole and (
        text[: last.start].strip(" :") or text[last.end :].strip(" *.") or not (last.decimals or last.currency)
    ):
        return None
    return last


def _decimal(number: str) -> tuple[Decimal | None, bool]:
    """Value, and whether it has cents: the last mark before one, two or four digits is the decimal one."""
    parts = re.split(r"[ ., '’]", number)
    if len(parts) > 1 and number[-len(parts[-1]) - 1] in ".," and len(parts[-1]) != 3:
        whole, cents = "".join(parts[:-1]), parts[-1]
    else:
        whole, cents = "".join(parts), ""
    try:
        return Decimal(f"{whole}.{cents or 0}"), len(cents) == 2
    except InvalidOperation:
        return None, False


def currency_of(written: str) -> str:
    """ISO 4217 of a code or sign; empty for what is none."""
    written = written.strip()
    if written.upper() in _CODES:
        return written.upper()
    named = {"US$": "USD", "C$": "CAD", "A$": "AUD", "S$": "SGD"}
    return named.get(written) or _SYMBOLS.get(written, "")


def currency_in(text: str) -> tuple[str, int, int] | None:
    """The first currency that is written in `text`: ISO code, start, end."""
    found = re.search(_CURRENCY, text)
    return (currency_of(found[0]), found.start(), found.end()) if found else None


def dates_in(text: str, *, month_first: bool = False) -> Iterator[Day]:
    """Dates in `text`, by their place. `month_first`: how 1/2/2025 is understood."""
    found: dict[int, Day] = {}
    for pattern in _DATES:
        for match in pattern.finditer(text):
            value = _date(match.groupdict(), month_first)
            if value is not None and not any(
                day.start < match.end() and match.start() < day.end for day in found.values()
            ):
                found[match.start()] = Day(value, match.start(), match.end())
    return iter([found[at] for at in sorted(found)])


def date_in(text: str, *, whole: bool = False, month_first: bool = False) -> Day | None:
    """The first date in `text`; `whole`: only if there is nothing else."""
    for day in dates_in(text, month_first=month_first):
        if whole and (text[: day.start].strip(" :") or text[day.end :].strip(" .")):
            return None
        return day
    return None


def _date(parts: dict[str, str], month_first: bool) -> date | None:
    written = parts["y"].strip("'")
    year = int(written) if len(written) == 4 else 2000 + int(written) if int(written) < 70 else 1900 + int(written)
    if parts.get("n"):
        month, day = _MONTHS[parts["n"].lower()], int(parts["d"])
    elif "m" in parts:
        month, day = int(parts["m"]), int(parts["d"])
    else:
        first, second = int(parts["a"]), int(parts["b"])
        swap = (month_first and first <= 12 and parts["mark"] != ".") or second > 12
        month, day = (first, second) if swap else (second, first)
    try:
        return date(year, month, day)
    except ValueError:
        return None
