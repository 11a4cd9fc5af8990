"""The fleet: history of what arrived and was done, service times, demand, decisions, forecasts.

Additive: new tables only.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0005"
down_revision = "0004"

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, primary_key=True, nullable=False) for name in names]


def _of(kind: type[sa.types.TypeEngine[Any]], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "fleet_history",
        *_key("region", "pool"),
        sa.Column("resolution", sa.Integer, primary_key=True, nullable=False),
        sa.Column("bucket", sa.BigInteger, primary_key=True, nullable=False),
        *_key("urgency"),
        *_of(sa.BigInteger, "arrived", "done", "slices_done", "pages_done"),
        *_of(sa.Double, "seconds_done"),
    )
    op.create_table(
        "service_time",
        *_key("pool", "step", "engine"),
        *_of(sa.Double, "amount", "pages", "seconds", "squares", "updated_at"),
    )
    op.create_table(
        "fleet_mark",
        *_key("region"),
        *_of(sa.BigInteger, "last_event", "next_event"),
        *_of(sa.Double, "at", "since"),
    )
    op.create_table(
        "fleet_demand",
        *_key("region", "pool"),
        *_of(sa.Integer, "workers", "before"),
        *_of(sa.String, "reason"),
        *_of(sa.Double, "changed_at", "decided_at"),
        *_of(sa.String, "detail_json"),
    )
    op.create_table(
        "fleet_decision",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        *_of(sa.Double, "at"),
        *_of(sa.String, "region", "pool"),
        *_of(sa.Integer, "before", "workers"),
        *_of(sa.String, "reason", "needs_json"),
    )
    op.create_index("ix_fleet_decision_region_id", "fleet_decision", ["region", "id"])
    op.create_index("ix_fleet_decision_at", "fleet_decision", ["at"])
    op.create_table(
        "fleet_forecast",
        *_key("region", "pool"),
        sa.Column("resolution", sa.Integer, primary_key=True, nullable=False),
        *_of(sa.Double, "made_at"),
        *_of(sa.String, "forecast_json"),
    )


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
