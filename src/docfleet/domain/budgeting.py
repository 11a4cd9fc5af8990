"""Budgets: whether a call may be paid for, and what happens when not. Pure.

A budget is a limit for one month on what a tenant spends on an engine. `ALL` in place of the tenant, the engine or the
month means all of them, together or (of months) each. A call has to fit into every budget it falls under.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from docfleet.domain.pricing import usd_of
from docfleet.errors import BudgetApproval, BudgetDegraded, BudgetExhausted, DocfleetError

ALL = "*"
WARN_PERCENT = 80


class BudgetPolicy(StrEnum):
    """What becomes of pages that the budget has no room for."""

    STOP = "stop"
    """They end with `budget_exhausted`."""
    DEGRADE = "degrade"
    """The local engine's reading of them stands."""
    QUEUE = "queue"
    """They wait until somebody raises the limit, or until the next month."""


_STRICTEST_FIRST = (BudgetPolicy.STOP, BudgetPolicy.QUEUE, BudgetPolicy.DEGRADE)
_ERRORS: Mapping[BudgetPolicy, type[DocfleetError]] = {
    BudgetPolicy.STOP: BudgetExhausted,
    BudgetPolicy.DEGRADE: BudgetDegraded,
    BudgetPolicy.QUEUE: BudgetApproval,
}


class Scope(msgspec.Struct, frozen=True, order=True):
    """Whose spending on what: `ALL` for everybody's, or on everything."""

    tenant: str
    engine: str


def scopes_of(tenant: str, engine: str) -> tuple[Scope, ...]:
    """The scopes a call falls under, in the order in which everybody locks them."""
    return tuple(sorted({Scope(t, e) for t in (ALL, tenant) for e in (ALL, engine)}))


class Budget(msgspec.Struct, frozen=True):
    scope: Scope
    month: str
    """"2026-11", or `ALL`: every month that has no budget of its own."""
    limit_micros: int
    policy: BudgetPolicy
    warn_percent: int = WARN_PERCENT


class Refused(msgspec.Struct, frozen=True):
    """A call that may not be made, and what is to become of its pages."""

    policy: BudgetPolicy
    scope: Scope
    month: str
    limit_micros: int
    taken_micros: int
    """Spent or reserved already."""
    amount_micros: int
    """What the call would have cost."""

    @property
    def code(self) -> str:
        """`budget_exhausted`, `budget_degraded` or `budget_approval`."""
        return _ERRORS[self.policy].code

    @property
    def error(self) -> DocfleetError:
        """To be raised or told; its class says what to do."""
        who = "of all tenants" if self.scope.tenant == ALL else f"of {self.scope.tenant}"
        what = "all engines" if self.scope.engine == ALL else self.scope.engine
        return _ERRORS[self.policy](
            f"The budget {who} for {what} in {self.month} has no room: {usd_of(self.taken_micros):.2f} of "
            f"{usd_of(self.limit_micros):.2f} USD are spent or reserved, "
            f"and this costs {usd_of(self.amount_micros):.4f}."
        )


def judge(amount_micros: int, budgets: Iterable[Budget], taken: Mapping[Scope, int], month: str) -> Refused | None:
    """None: it fits into each of the budgets. Of several that refuse, the strictest counts.

    `taken`: micro-dollars spent or reserved in each scope. What costs nothing always fits.
    """
    refusing = [
        Refused(budget.policy, budget.scope, month, budget.limit_micros, taken.get(budget.scope, 0), amount_micros)
        for budget in budgets
        if amount_micros > 0 and taken.get(budget.scope, 0) + amount_micros > budget.limit_micros
    ]
    return min(refusing, key=lambda one: (_STRICTEST_FIRST.index(one.policy), one.scope), default=None)


def is_warning(budget: Budget, taken_micros: int) -> bool:
    """Whether so much is spent or reserved that somebody should know."""
    return taken_micros * 100 >= budget.limit_micros * budget.warn_percent
