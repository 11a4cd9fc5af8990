"""Total, net and tax of an invoice: what stands beside their names, and three that add up before any others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from docfleet.engines.local.fields import words
from docfleet.engines.local.fields.pieces import PagePieces, Piece
from docfleet.engines.local.fields.search import BEYOND, Found, Pages, under
from docfleet.engines.local.fields.values import Amount, amounts_in

_MOST_SUMS = 12
"""Of one name, that are weighed against each other."""


class Sums(NamedTuple):
    found: dict[str, Found]
    confirmed: frozenset[str]


def sums_of(pages: Pages) -> Sums:
    """Total, net and tax: of what stands beside their names, three that add up before any others."""
    totals = _rounded(pages, _candidates(pages, words.TOTAL, words.NET))
    nets = _candidates(pages, words.NET, ())
    taxes = _candidates(pages, words.TAX, ())
    for total in totals:
        for net in nets:
            for tax in taxes:
                if _amount(net) + _amount(tax) == _amount(total) and _amount(total) > _amount(net):
                    three = {"total_amount": total, "net_amount": net, "total_tax_amount": tax}
                    return Sums(three, frozenset(three))
    found = {}
    if totals:
        found["total_amount"] = totals[0]
    if nets and (not totals or _amount(nets[0]) <= _amount(totals[0])):
        found["net_amount"] = nets[0]
    if taxes and len({_amount(tax) for tax in taxes}) == 1 and totals and _amount(taxes[0]) < _amount(totals[0]) / 2:
        found["total_tax_amount"] = taxes[0]
    return Sums(found, frozenset())


def _rounded(pages: Pages, totals: list[Found]) -> list[Found]:
    """`totals` with the one first that is another one after rounding, where a rounding is written."""
    for step in _candidates(pages, words.ROUNDING, (), signed=True):
        for total in totals:
            if any(_amount(other) != _amount(total) == _amount(other) + _amount(step) for other in totals):
                return [total, *(other for other in totals if other is not total)]
    return totals


def _amount(found: Found) -> Decimal:
    assert isinstance(found.value, Amount)
    return found.value.value


def _candidates(
    pages: Pages, names: Sequence[re.Pattern[str]], unlike: Sequence[re.Pattern[str]], *, signed: bool = False
) -> list[Found]:
    """Amounts beside these names: by the surest name first, the last in the document first; negative ones only if
    there are no others, or `signed`."""
    found: list[Found] = []
    for rank, name in enumerate(names):
        for number, place in pages:
            for piece in place.pieces:
                match = name.search(piece.text)
                if match is None or any(other.search(piece.text) for other in unlike):
                    continue
                amount = _amount_beside(place, piece, match)
                if amount is not None:
                    value, start, others = amount
                    # a row of several sums is one of a summary by rates of tax
                    order = 2 * rank + (others > 1)
                    found.append(Found(value, number, start, start + value.end - value.start, order))
    positive = (not signed and [one for one in found if _amount(one) > 0]) or found
    positive.sort(key=lambda one: (one.rank, -one.start))
    return positive[:_MOST_SUMS]


def _amount_beside(place: PagePieces, piece: Piece, name: re.Match[str]) -> tuple[Amount, int, int] | None:
    """The last amount on the name's row, or the one under it; where it begins; and how many there are."""
    row = [(piece, name.end()), *((other, 0) for other in place.right_of(piece))]
    on_row = [
        (amount, other.start + begin + amount.start)
        for other, begin in row
        for amount in amounts_in(other.text[begin:])
        if amount.decimals or amount.currency
    ]
    if on_row:
        return (*on_row[-1], len(on_row))

    def sums(text: str) -> Iterator[tuple[object, int, int]]:
        for amount in amounts_in(text):
            if amount.decimals:
                yield amount, amount.start, amount.end

    for other in place.below(piece, BEYOND)[:1]:
        for value, start, _ in under(place, piece, name, other, sums):
            assert isinstance(value, Amount)
            return value, start, 1
    return None
