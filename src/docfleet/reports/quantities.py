"""Numbers as a reader of a report wants them: grouped thousands, few digits, a unit."""

from __future__ import annotations

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count(number: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """1, "page" -> "1 page"; 2, "page" -> "2 pages"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def rate(number: float) -> str:
    """A rate with no more digits than it deserves: 0.4213 -> "0.42", 12.34 -> "12.3", 4567.8 -> "4,568"."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def size(number: int) -> str:
    """Bytes with a decimal unit: 1_234_567 -> "1.2 MB"."""
    value, unit = float(max(number, 0)), 0
    while value >= 999.95 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:,.0f} B" if unit == 0 else f"{value:,.1f} {_BYTE_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Seconds with the two largest units that matter: 0.42 -> "0.42 s", 75 -> "1 min 15 s", 7322 -> "2 h 2 min"."""
    seconds = max(seconds, 0.0)
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def share(part: float, whole: float) -> str:
    """A percentage that says 0 % and 100 % only when they are exact: 1 of 3 -> "33.3 %", 9999 of 10000 -> "99.9 %"."""
    if whole <= 0:
        return "–"
    if part <= 0:
        return "0 %"
    if part >= whole:
        return "100 %"
    return f"{min(max(100 * part / whole, 0.1), 99.9):.1f} %"


def confidence(value: float | None) -> str:
    """0.9712 -> "97.1 %"; None -> a dash."""
    return "–" if value is None else share(value, 1.0)


def dollars(amount: float) -> str:
    """Of any sign; four digits of what is below a dollar, whole dollars of what is above ten thousand."""
    sign, size = ("−" if amount < 0 else ""), abs(amount)
    if 0 < size < 0.0001:
        return f"{sign}< $0.0001"
    if 0 < size < 1:
        return f"{sign}${size:.4f}".rstrip("0") if size < 0.1 else f"{sign}${size:.2f}"
    return f"{sign}${size:,.0f}" if size >= 10_000 else f"{sign}${size:,.2f}"


def percent(value: float, digits: int = 1) -> str:
    """A ratio with so many digits, cut rather than rounded where rounding would say 0 % or 100 %: 0.99996, 1 ->
    "99.9 %"; -0.5, 0 -> "−50 %"; no zeros at the end."""
    shown = round(100 * value, digits)
    least = 10.0**-digits
    if shown >= 100 and value < 1:
        shown = 100 - least
    elif shown == 0 and value:
        shown = least if value > 0 else -least
    text = f"{shown:,.{digits}f}".replace("-", "−")
    return f"{text.rstrip('0').rstrip('.') if digits else text} %"


def signed_percent(value: float, digits: int = 1) -> str:
    """A change: 0.123 -> "+12.3 %"."""
    return f"+{percent(value, digits)}" if value > 0 else percent(value, digits)
