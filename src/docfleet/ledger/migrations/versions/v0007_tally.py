"""What happened to documents and pages in steps of time; and the trace that a submitter wants a document to continue.

Additive: two new tables and a column with a default.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0007"
down_revision = "0006"


def _key(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.String) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "tally",
        _key("tenant_id"),
        _key("resolution", sa.Integer),
        _key("bucket", sa.BigInteger),
        *(_key(name) for name in ("region", "pool", "urgency", "measure", "detail")),
        sa.Column("amount", sa.Double, nullable=False),
    )
    op.create_index("ix_tally_resolution_bucket", "tally", ["resolution", "bucket"])
    op.create_table(
        "tally_mark",
        _key("id", sa.Integer),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("last_event", "next_event", "next_xact")),
        *(sa.Column(name, sa.Double, nullable=False) for name in ("counted_at", "next_at", "since")),
    )
    op.add_column("document", sa.Column("trace", sa.String, nullable=False, server_default=""))


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
