"""Money as its users see it: every call is one transaction, but for those that take a session."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from docfleet.domain.budgeting import ALL, WARN_PERCENT, Budget, BudgetPolicy, Refused, Scope
from docfleet.domain.costing import CostTerms
from docfleet.domain.months import is_month, month_of
from docfleet.domain.pricing import PriceBook
from docfleet.errors import BadRequest, Conflict, LedgerError, LedgerUnavailable, NotFound
from docfleet.ledger import limits, reserving, settling, spending
from docfleet.ledger.dialect import database_now, is_busy
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.money_values import Ask, BudgetView, Costs, MonthSpend, Reservation, TenantCost
from docfleet.ledger.service_rows import TenantRow
from docfleet.ledger.use import Prices, add_up

MOST_MICROS = 10**15
"""A thousand million dollars."""
GRACE_SECONDS = 30.0
"""A reservation whose claim is gone may still be released or settled by its holder for so long."""
CLOUD_ENGINES = frozenset({"documentai"})
CLOUD_PROCESSOR = "OCR_PROCESSOR"
_ENGINE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOW = select(database_now())
_TRIES = 4

T = TypeVar("T")


class Budgets:
    """Threads may share one. Raises `LedgerError` when the database fails; nothing has changed then, unless the
    connection was lost, when it may have: all calls may be repeated.

    settle(session, reservation_id, micros) -> bool, release(session, ids) and write_off(session, ids) of
    `ledger.settling` work inside somebody else's transaction: that in which the slice ends or goes back.
    """

    def __init__(
        self,
        ledger: Ledger,
        book: PriceBook,
        *,
        terms: CostTerms | None = None,
        cloud_engines: Collection[str] = CLOUD_ENGINES,
        cloud_processor: str = CLOUD_PROCESSOR,
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._prices = Prices(book, terms or CostTerms())
        self._cloud_engines = frozenset(cloud_engines)
        self._cloud_processor = cloud_processor

    def _write(self, change: Callable[[Session], T]) -> T:
        """One transaction; again when another got in its way, or once when the connection was lost."""
        for attempt in range(_TRIES):
            try:
                with self._ledger.unit_of_work() as session:
                    return change(session)
            except LedgerError as error:
                may_help = is_busy(error) or (attempt == 0 and isinstance(error, LedgerUnavailable))
                if attempt == _TRIES - 1 or not may_help:
                    raise
                time.sleep(0.02 * (attempt + random.random()))
        raise AssertionError("unreachable")

    # --- setting

    def set_budget(
        self,
        tenant: str,
        engine: str,
        limit_micros: int,
        policy: BudgetPolicy,
        month: str = ALL,
        warn_percent: int = WARN_PERCENT,
        set_by: str = "",
    ) -> BudgetView:
        """Makes a budget or changes it; in force at once. `ALL` as tenant, engine or month: all of them.

        A budget of one month counts in it instead of the one of all months. `set_by`: id of the API key; empty for
        whoever operates the service, whose budgets no key changes. Raises BadRequest, NotFound, Conflict.
        """
        _check(engine, month)
        if not 0 <= limit_micros <= MOST_MICROS:
            raise BadRequest("A budget is from 0 to 1,000,000,000 USD.")
        if not 1 <= warn_percent <= 100:
            raise BadRequest("The warning comes at 1 to 100 percent.")
        budget = Budget(Scope(tenant, engine), month, limit_micros, policy, warn_percent)

        def change(session: Session) -> BudgetView:
            if tenant != ALL and session.get(TenantRow, tenant) is None:
                raise NotFound(f"There is no tenant {tenant}.")
            if set_by and limits.is_fixed(session, budget.scope):
                raise Conflict("This budget was set by whoever operates the service, and only there it is changed.")
            limits.set_budget(session, budget, set_by)
            now = month_of(session.execute(_NOW).scalar_one())
            views = spending.budgets(session, tenant, now if month == ALL else month)
            return next(view for view in views if view.budget == budget)

        return self._write(change)

    def remove_budget(self, tenant: str, engine: str, month: str = ALL, removed_by: str = "") -> None:
        """Raises NotFound when there is none, Conflict as `set_budget`."""
        _check(engine, month)

        def change(session: Session) -> bool:
            if removed_by and limits.is_fixed(session, Scope(tenant, engine)):
                raise Conflict("This budget was set by whoever operates the service, and only there it is changed.")
            return limits.remove_budget(session, Scope(tenant, engine), month)

        if not self._write(change):
            raise NotFound("There is no such budget.")

    def budgets(self, tenant: str | None, month: str | None = None) -> list[BudgetView]:
        """The tenant's budgets (None: everybody's) and how they stand in this month (or that)."""
        with self._ledger.reading() as session:
            return spending.budgets(session, tenant, self._month(session, month))

    # --- paying

    def reserve(self, asks: Sequence[Ask]) -> list[Reservation | Refused]:
        """For each ask, in their order, leave to pay for it, or why not (`Refused.policy` says what then).

        Right before the call. The same claim and call number again get the same answer, unless it was refused. Raises
        UsageError for a processor or add-on without a price.
        """
        if not asks:
            return []
        return self._write(
            lambda session: reserving.reserve(session, asks, self._book, session.execute(_NOW).scalar_one())
        )

    def settle(self, reservation_id: int, micros: int) -> bool:
        """As `settling.settle`, in a transaction of its own: for a slice that was lost meanwhile."""
        return self._write(lambda session: settling.settle(session, reservation_id, micros))

    def release(self, reservation_ids: Collection[int]) -> int:
        """Nothing was charged (see `settling.release`)."""
        return self._write(lambda session: settling.release(session, reservation_ids))

    def write_off(self, reservation_ids: Collection[int]) -> int:
        """Nobody knows whether it was charged: it counts as spent (see `settling.write_off`)."""
        return self._write(lambda session: settling.write_off(session, reservation_ids))

    # --- keeping house

    def repair_reservations(self, grace_seconds: float = GRACE_SECONDS) -> int:
        """Writes off what dead workers had reserved; every few seconds, by the dispatcher. Returns how many."""
        return len(self._write(lambda session: settling.repair(session, grace_seconds)))

    def fold(self) -> int:
        """Adds up what was closed; every second or so, by the dispatcher. Returns how many."""
        return self._write(settling.fold)

    def count_use(self, most_steps: int = 200) -> int:
        """Counts up what was used of workers and storage (see `ledger.use`); every few minutes, by the dispatcher.

        Returns how many steps, of an hour at most, there were; they stop after `most_steps`.
        """
        for done in range(most_steps):
            if not self._write(lambda session: add_up(session, session.execute(_NOW).scalar_one(), self._prices)):
                return done
        return most_steps

    # --- asking

    def month_spend(self, tenant: str, month: str | None = None) -> list[MonthSpend]:
        """By engine and processor type; of the present month when none is said."""
        with self._ledger.reading() as session:
            return spending.month_spend(session, tenant, self._month(session, month))

    def taken(self, month: str | None = None) -> tuple[str, int]:
        """The month (the present one when none is said), and the micro-dollars spent or reserved in it by anybody."""
        with self._ledger.reading() as session:
            month = self._month(session, month)
            sums = spending.sums_of(session, month).get((ALL, ALL, ALL))
            return month, sums.settled + sums.reserved if sums else 0

    def costs(self, tenant: str, month: str | None = None) -> Costs:
        """The account of a month; of the present one when none is said. Raises BadRequest for what is no month."""
        with self._ledger.reading() as session:
            now = session.execute(_NOW).scalar_one()
            return spending.costs(
                session, tenant, self._month(session, month, now), now, self._prices, self._cloud_engines,
                self._cloud_processor,
            )  # fmt: skip

    def tenant_costs(self, month: str | None = None) -> tuple[str, list[TenantCost]]:
        """(the month, every tenant's cost in it, the dearest first). Raises BadRequest for what is no month."""
        with self._ledger.reading() as session:
            now = session.execute(_NOW).scalar_one()
            asked = self._month(session, month, now)
            return asked, spending.tenant_costs(session, asked, now, self._prices)

    def _month(self, session: Session, month: str | None, now: float | None = None) -> str:
        if month is None:
            return month_of(session.execute(_NOW).scalar_one() if now is None else now)
        if not is_month(month):
            raise BadRequest("A month is written like 2026-11.")
        return month


def _check(engine: str, month: str) -> None:
    if engine != ALL and not _ENGINE.fullmatch(engine):
        raise BadRequest("An engine's name has up to 64 letters, digits, dots, dashes and underscores.")
    if month != ALL and not is_month(month):
        raise BadRequest("A month is written like 2026-11.")
