"""Reports that are kept: where their bytes are, and of those that could not be made, why.

Additive: one new table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "report",
        sa.Column("id", sa.String, primary_key=True, nullable=False),
        sa.Column(
            "tenant_id", sa.String, sa.ForeignKey("tenant.id", name="fk_report_tenant_id_tenant"), nullable=False
        ),
        *(sa.Column(name, sa.String, nullable=False) for name in ("kind", "period")),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("made_at", sa.Double, nullable=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("made_by", "store_key")),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.Double, nullable=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("code", "message")),
        sa.UniqueConstraint("tenant_id", "kind", "period", name="uq_report_tenant_id_kind_period"),
    )


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
