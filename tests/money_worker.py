"""A process that pays, for the tests of budgets.

    python money_worker.py LEDGER spend FIRST TURNS     reserves, then settles, releases or writes off, in turns
    python money_worker.py LEDGER die WHERE             claims the slice that waits and dies: "after_reserve",
                                                        "in_call", "before_commit", "after_commit"

`spend` prints the micro-dollars it kept. `die` prints "there" when it has come to the place, and waits to be killed.
"""

from __future__ import annotations

import sys
import time

from docfleet.domain.budgeting import Refused
from docfleet.domain.pricing import PriceBook, Rate, usd_of
from docfleet.domain.work import Step
from docfleet.ledger import Ledger, PageOutcome, ending, settling
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import Ask, Reservation

ENGINE, PROCESSOR = "documentai", "OCR_PROCESSOR"
BOOK = PriceBook({PROCESSOR: Rate.flat(1_500)})
LEASE_SECONDS = 2.0


def open_ledger(address: str) -> Ledger:
    return Ledger.open(address, lease_seconds=LEASE_SECONDS, busy_seconds=60)


def spend(budgets: Budgets, first: int, turns: int) -> int:
    kept = 0
    for turn in range(turns):
        number = first + turn
        [answer] = budgets.reserve([Ask(number, 1, "acme", ENGINE, PROCESSOR, 1 + number % 3)])
        if isinstance(answer, Refused):
            continue
        if turn % 3 == 2:
            budgets.release([answer.id])
            continue
        if turn % 3 == 1:
            budgets.write_off([answer.id])
        else:
            assert budgets.settle(answer.id, answer.amount_micros)
        kept += answer.amount_micros
    return kept


def here() -> None:
    print("there", flush=True)
    time.sleep(60)


def die(ledger: Ledger, budgets: Budgets, where: str) -> None:
    [claim] = ledger.claim("payer", {Step.LOCAL})
    pages = claim.last_page - claim.first_page + 1
    [held] = budgets.reserve([Ask(claim.slice_id, claim.token, "acme", ENGINE, PROCESSOR, pages, claim.document.id)])
    assert isinstance(held, Reservation)
    if where == "after_reserve":
        here()
    outcomes = [
        PageOutcome(number, engine=ENGINE, confidence=1.0, cost_usd=usd_of(micros))
        for number, micros in enumerate(held.page_micros, claim.first_page)
    ]
    if where == "in_call":
        here()
    with ledger.unit_of_work() as session:
        ending.finish(session, claim, claim.result_prefix, outcomes, [], None)
        settling.settle(session, held.id, held.amount_micros)
        if where == "before_commit":
            here()
    here()


def main() -> None:
    address, what, *given = sys.argv[1:]
    with open_ledger(address) as ledger:
        budgets = Budgets(ledger, BOOK)
        if what == "spend":
            print(spend(budgets, int(given[0]), int(given[1])))
        else:
            die(ledger, budgets, given[0])


if __name__ == "__main__":
    main()
