"""Public holidays of a country or of a part of it, from the `holidays` library (extra `fleet`)."""

from __future__ import annotations

from datetime import UTC, datetime

from docfleet.errors import UsageError

YEARS_BACK, YEARS_AHEAD = 3, 1


def public_holidays(country: str, now: float) -> frozenset[str]:
    """Dates ("2026-12-25") from three years before `now` (seconds since 1970) to a year after it; none without a
    country. `country`: "DE", or with a part "DE-BY". Raises `UsageError` when it is unknown, or the library missing.
    """
    if not country:
        return frozenset()
    try:
        import holidays
    except ImportError as error:
        raise UsageError(
            "`scaling.holiday_country` needs the library of holidays: pip install 'docfleet[fleet]'."
        ) from error
    this_year = datetime.fromtimestamp(now, UTC).year
    name, _, part = country.upper().partition("-")
    try:
        found = holidays.country_holidays(
            name, subdiv=part or None, years=range(this_year - YEARS_BACK, this_year + YEARS_AHEAD + 1)
        )
    except (NotImplementedError, KeyError, AttributeError) as error:  # the library's word for an unknown country
        raise UsageError(f"The public holidays of {country} are not known: take a code such as DE or US-CA.") from error
    return frozenset(day.isoformat() for day in found)
