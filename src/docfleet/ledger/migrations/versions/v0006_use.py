"""What was used in a month beside the engines: documents, workers' time, storage; and how far it is counted.

Additive: two new tables, and the indices by which a short time is counted however many rows there are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0006"
down_revision = "0005"


def _text(name: str, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def _real(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "tenant_use",
        _text("month", key=True),
        _text("tenant_id", key=True),
        _count("documents"),
        _count("failed"),
        _count("pages"),
        _text("engines_json"),
        _real("work_seconds"),
        _real("work_micros"),
        _count("stored_bytes"),
        _real("byte_seconds"),
        _real("storage_micros"),
        _count("duplicate_documents"),
        _count("duplicate_pages"),
        _count("duplicate_micros"),
    )
    op.create_table(
        "fleet_use",
        _text("month", key=True),
        _real("counted_to"),
        _text("paid_json"),
        _real("paid_micros"),
        _real("hosting_micros"),
        _real("base_micros"),
    )
    op.create_index("ix_content_created_at", "content", ["created_at"])
    for table, column in (("document", "finished_at"), ("content", "purged_at")):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=known, postgresql_where=known)


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
