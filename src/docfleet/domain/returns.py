"""What a month of documents costs here beside the same work by hand, under assumptions somebody chose. Pure."""

from __future__ import annotations

import math

import msgspec

REFERENCE_DOCUMENTS = 10_000
REFERENCE_BY_HAND_USD = 5_000.0
"""The reference case: so many documents a month, done by hand for so much."""
MOST_DOCUMENTS = 1e12
"""A month: more than anybody has."""
ROUNDING = 1e-9
"""Of a document: where both cost the same, the last bits of the prices decide nothing."""


class Assumptions(msgspec.Struct, frozen=True):
    """Dollars."""

    documents: int = REFERENCE_DOCUMENTS
    """A month."""
    by_hand_usd: float = REFERENCE_BY_HAND_USD / REFERENCE_DOCUMENTS
    """One document."""
    standing_usd: float = 0.0
    """What stands for a month, whatever is read."""
    each_usd: float = 0.0
    """What one more document costs here."""


class Return(msgspec.Struct, frozen=True):
    """Dollars of a month."""

    by_hand_usd: float
    here_usd: float
    per_document_usd: float | None
    """Here; None: of no documents."""
    saved_usd: float
    """Negative: by hand is cheaper."""
    return_on_cost: float | None
    """What each dollar spent here saves; 0 breaks even. None: nothing is spent."""
    break_even_documents: int | None
    """From so many documents a month on it is no dearer here; None: it always is."""


def by_minutes(minutes: float, usd_per_hour: float) -> float:
    """What a document costs by hand that takes somebody so long."""
    return minutes / 60.0 * usd_per_hour


def compare(given: Assumptions) -> Return:
    """Raises ValueError for what is negative or no number."""
    figures = (given.documents, given.by_hand_usd, given.standing_usd, given.each_usd)
    if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
        raise ValueError("Figures are numbers from 0 on.")
    by_hand = given.documents * given.by_hand_usd
    here = given.standing_usd + given.documents * given.each_usd
    return Return(
        by_hand_usd=by_hand,
        here_usd=here,
        per_document_usd=here / given.documents if given.documents else None,
        saved_usd=by_hand - here,
        return_on_cost=(by_hand - here) / here if here else None,
        break_even_documents=break_even(given.standing_usd, given.each_usd, given.by_hand_usd),
    )


def break_even(standing_usd: float, each_usd: float, by_hand_usd: float) -> int | None:
    """The least number of documents a month that cost no more here than by hand; None: none does.

    What stands for a month, and what one more document costs here and by hand, in dollars.
    """
    margin = by_hand_usd - each_usd
    if margin * MOST_DOCUMENTS <= standing_usd:
        return None
    return max(0, math.ceil(standing_usd / margin - ROUNDING))
