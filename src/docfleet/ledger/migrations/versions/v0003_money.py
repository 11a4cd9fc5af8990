"""Money: budgets, what is spent and reserved, and every reservation.

Additive: new tables only.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0003"
down_revision = "0002"

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def _moment(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _amount(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "budget",
        _text("tenant_id", key=True),
        _text("engine", key=True),
        _text("month", key=True),
        _amount("limit_micros"),
        _text("policy"),
        sa.Column("warn_percent", sa.Integer, nullable=False),
        _text("set_by"),
        _moment("set_at"),
        sa.CheckConstraint("limit_micros >= 0", name="ck_budget_limit"),
    )
    op.create_table(
        "spend",
        _text("tenant_id", key=True),
        _text("engine", key=True),
        _text("processor", key=True),
        _text("month", key=True),
        _amount("reserved_micros"),
        _amount("settled_micros"),
        _amount("pages"),
        _moment("warned_at", nullable=True),
        _moment("exhausted_at", nullable=True),
        sa.CheckConstraint("reserved_micros >= 0 AND settled_micros >= 0 AND pages >= 0", name="ck_spend_sums"),
    )
    op.create_table(
        "reservation",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        _amount("slice_id"),
        _amount("token"),
        sa.Column("call", sa.Integer, nullable=False),
        _text("call_id"),
        _text("document_id"),
        _text("tenant_id"),
        _text("engine"),
        _text("processor"),
        _text("month"),
        sa.Column("pages", sa.Integer, nullable=False),
        _amount("amount_micros"),
        _amount("settled_micros", nullable=True),
        _amount("folded_micros", nullable=True),
        sa.Column("to_fold", sa.Boolean, nullable=False),
        _text("state"),
        _moment("made_at"),
        _moment("closed_at", nullable=True),
        sa.UniqueConstraint("slice_id", "token", "call"),
        sa.CheckConstraint("amount_micros >= 0 AND pages >= 0", name="ck_reservation_amount"),
    )
    op.create_index("ix_reservation_month_tenant_id", "reservation", ["month", "tenant_id"])
    _partial("ix_reservation_open", "reservation", ["made_at"], "state = 'open'")
    _partial("ix_reservation_fold", "reservation", ["id"], "to_fold")


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where: dict[str, Any] = {f"{dialect}_where": sa.text(condition) for dialect in ("sqlite", "postgresql")}
    op.create_index(name, table, columns, **where)


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
