"""Budgets as they are set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, delete, exists, or_, select, tuple_, update
from sqlalchemy.orm import Session

from docfleet.domain.budgeting import ALL, Budget, BudgetPolicy, Scope
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.money_rows import BUDGET, SPEND
from docfleet.ledger.money_sums import at_key


def budgets_of(session: Session, scopes: Collection[Scope], month: str) -> dict[Scope, Budget]:
    """The budget in force in each of the scopes that has one."""
    found = session.execute(
        select(BUDGET).where(
            tuple_(BUDGET.c.tenant_id, BUDGET.c.engine).in_(sorted((one.tenant, one.engine) for one in scopes)),
            BUDGET.c.month.in_((ALL, month)),
        )
    ).all()
    # what is said for the month comes last, and counts
    return {Scope(row.tenant_id, row.engine): budget_of(row) for row in sorted(found, key=lambda row: row.month != ALL)}


def budget_of(row: Any) -> Budget:
    return Budget(
        Scope(row.tenant_id, row.engine), row.month, row.limit_micros, BudgetPolicy(row.policy), row.warn_percent
    )


_FORGET_TOLD = (
    update(SPEND)
    .where(
        SPEND.c.tenant_id == bindparam("of_tenant"),
        SPEND.c.engine == bindparam("of_engine"),
        SPEND.c.processor == ALL,
        or_(SPEND.c.month == bindparam("of_month"), bindparam("of_month") == ALL),
    )
    .values(warned_at=None, exhausted_at=None)
)


def set_budget(session: Session, budget: Budget, set_by: str) -> None:
    """Makes the budget, or changes it. What was told of the one before may be told again."""
    dialect = session.get_bind().dialect.name
    values = {
        "tenant_id": budget.scope.tenant, "engine": budget.scope.engine, "month": budget.month,
        "limit_micros": budget.limit_micros, "policy": budget.policy.value, "warn_percent": budget.warn_percent,
        "set_by": set_by, "set_at": database_now(),
    }  # fmt: skip
    changed = {name: values[name] for name in ("limit_micros", "policy", "warn_percent", "set_by", "set_at")}
    session.execute(
        upserts(BUDGET)[dialect]
        .values(**values)
        .on_conflict_do_update(index_elements=["tenant_id", "engine", "month"], set_=changed)
    )
    session.execute(_FORGET_TOLD, at_key((budget.scope.tenant, budget.scope.engine, ALL), budget.month))


def is_fixed(session: Session, scope: Scope) -> bool:
    """Whether a budget of this scope, of whichever month, was set by whoever operates the service."""
    fixed = exists().where(BUDGET.c.tenant_id == scope.tenant, BUDGET.c.engine == scope.engine, BUDGET.c.set_by == "")
    return bool(session.execute(select(fixed)).scalar())


def remove_budget(session: Session, scope: Scope, month: str) -> bool:
    removed = delete(BUDGET).where(
        BUDGET.c.tenant_id == scope.tenant, BUDGET.c.engine == scope.engine, BUDGET.c.month == month
    )
    return session.execute(removed.returning(BUDGET.c.month)).first() is not None
