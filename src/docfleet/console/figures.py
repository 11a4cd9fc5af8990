"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "–"
"""What is not known, or does not apply."""


def count(number: float | None) -> str:
    """1234567 -> "1,234,567"."""
    return NONE if number is None else f"{number:,.0f}"


def short_count(number: float | None) -> str:
    """1234567 -> "1.23 M", for tiles; below ten thousand all of it."""
    if number is None:
        return NONE
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            scaled = number / (1e3 if letter == "k" else size)
            return f"{scaled:.3g} {letter}" if abs(scaled) < 999.5 else f"{scaled:,.0f} {letter}"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"


def money(usd: float | None) -> str:
    """Dollars with cents; below a cent as many digits as say something."""
    if usd is None:
        return NONE
    if usd == 0 or abs(usd) >= 0.995:
        return f"${usd:,.2f}" if usd >= 0 else f"-${-usd:,.2f}"
    digits = 2 if abs(usd) >= 0.1 else 4 if abs(usd) >= 0.001 else 6
    return f"{'-' if usd < 0 else ''}${abs(usd):.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """0.987 -> "98.7 %". What is not quite all or nothing never reads as 100 % or 0 %."""
    if share is None:
        return NONE
    most = 100 - 10.0**-digits
    shown = share * 100
    if 0 < share < 1:
        shown = min(max(shown, 10.0**-digits), most)
    text = f"{shown:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def duration(seconds: float | None) -> str:
    """0.4 -> "400 ms", 75 -> "1 min 15 s", 200000 -> "2 d 7 h"."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95 and not float(seconds).is_integer():
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def size(number: float | None) -> str:
    """Bytes: 1536 -> "1.5 kB" (by thousands)."""
    if number is None:
        return NONE
    for limit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            return f"{number / limit:.3g} {name}"
    return f"{number:.0f} B"


def when(moment: str | None) -> datetime | None:
    """A time of the API, aware."""
    if not moment:
        return None
    found = datetime.fromisoformat(moment)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def moment(text: str | None) -> str:
    """A time of the API to the second, in UTC: "2026-03-14 09:26:53"."""
    found = when(text)
    return NONE if found is None else found.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(text: str | None, now: datetime | None = None) -> str:
    """How long a time of the API is past: "3 min ago"; to come: "in 3 min"."""
    found = when(text)
    if found is None:
        return NONE
    seconds = ((now or datetime.now(UTC)) - found).total_seconds()
    if abs(seconds) < 2:
        return "now"
    told = " ".join(duration(round(abs(seconds))).split(" ")[:2])
    return f"{told} ago" if seconds > 0 else f"in {told}"
