"""Money on one machine: every call of a cloud engine is paid for out of what the run may spend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from docfleet.domain.budgeting import ALL, BudgetPolicy, Refused
from docfleet.domain.pricing import usd_of
from docfleet.engines.documentai.calls import Answer, Asks, Call, Failed, Postponed
from docfleet.errors import BudgetExhausted, NotFound
from docfleet.ledger import Claim
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_values import Ask, Reservation

ENGINE = "documentai"


class Purse:
    """A caller that reserves the price of each call before, and settles it after.

    Of one worker, which works on one claim at a time: `claim` says which. `addons`: of every call. Raises
    `BudgetExhausted` where the run may not spend so much, and as the caller.
    """

    def __init__(self, caller: Asks, budgets: Budgets, claim: Callable[[], Claim], addons: frozenset[str]) -> None:
        self._caller = caller
        self._budgets = budgets
        self._claim = claim
        self._addons = addons
        self._last = (0, 0)
        self._calls = 0

    def call(self, call: Call) -> Answer | Postponed | Failed:
        reserved = self._reserve(call)
        try:
            outcome = self._caller.call(call)
        except BaseException:
            # nobody knows what became of it
            self._budgets.write_off([reserved.id])
            raise
        billed = sum(attempt.billed for attempt in outcome.attempts)
        if isinstance(outcome, Answer):
            micros = [one * max(1, billed) for one in reserved.page_micros]
            # in a transaction of its own: it was paid for, whatever becomes of its pages
            self._budgets.settle(reserved.id, sum(micros))
            return msgspec.structs.replace(outcome, page_usd=tuple(map(usd_of, micros)))
        if billed:
            self._budgets.write_off([reserved.id])
        else:
            self._budgets.release([reserved.id])
        return outcome

    def close(self) -> None:
        self._caller.close()

    def _reserve(self, call: Call) -> Reservation:
        claim = self._claim()
        of = (claim.slice_id, claim.token)
        self._calls = self._calls + 1 if of == self._last else 1
        self._last = of
        [answer] = self._budgets.reserve(
            [
                Ask(
                    *of, claim.document.tenant, ENGINE, call.kind, call.pages, claim.document.id, call=self._calls,
                    addons=self._addons,
                )
            ]
        )  # fmt: skip
        if isinstance(answer, Refused):
            left = usd_of(max(0, answer.limit_micros - answer.taken_micros))
            raise BudgetExhausted(
                f"The limit of this run has no room for it: it costs {usd_of(answer.amount_micros):.4f} USD, "
                f"and {left:.4f} are left."
            )
        return answer


class RunMoney:
    """What one run may spend, in the ledger of its output folder; nobody else works there.

    A limit of the run is one of its month: where the month ends under way, the next one gets what is left.
    """

    def __init__(self, budgets: Budgets, limit_micros: int | None) -> None:
        self._budgets = budgets
        self._limit = limit_micros
        # what a killed run left open: nobody knows whether it was charged
        budgets.repair_reservations(0.0)
        self._add_up()
        month, taken = budgets.taken()
        self._before = {month: taken}
        self._allow(month, taken + (limit_micros or 0))

    def keep(self) -> None:
        """Now and then while the run lasts."""
        self._add_up()
        month, _ = self._budgets.taken()
        if month not in self._before:
            left = max(0, (self._limit or 0) - self.spent_micros)
            self._before[month] = 0
            self._allow(month, left)

    @property
    def spent_micros(self) -> int:
        """Since the run began, calls under way included."""
        return sum(self._budgets.taken(month)[1] - before for month, before in self._before.items())

    def end(self) -> int:
        """When no worker lives any more; returns the micro-dollars that were spent."""
        self._budgets.repair_reservations(0.0)
        self._add_up()
        return self.spent_micros

    def _add_up(self) -> None:
        while self._budgets.fold():
            pass

    def _allow(self, month: str, at_most_micros: int) -> None:
        if self._limit is None:
            for each in (month, ALL):
                with suppress(NotFound):
                    self._budgets.remove_budget(ALL, ALL, each)
            return
        # of every other month: nothing, until `keep` has seen it begin
        self._budgets.set_budget(ALL, ALL, 0, BudgetPolicy.STOP)
        self._budgets.set_budget(ALL, ALL, at_most_micros, BudgetPolicy.STOP, month)
