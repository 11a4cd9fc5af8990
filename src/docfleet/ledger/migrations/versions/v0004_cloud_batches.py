"""Batches at a cloud engine: each operation, and each file that waits for one or is in one.

Additive: new tables only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0004"
down_revision = "0003"

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=key, nullable=False)


def _moment(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "cloud_batch",
        _text("id", key=True),
        _text("group_json"),
        _text("place"),
        _text("output"),
        _text("state"),
        _text("operation"),
        _text("host"),
        _text("grant_json"),
        _number("tries"),
        _number("polls"),
        _moment("made_at"),
        _moment("asked_at", nullable=True),
        _moment("due_at"),
        _moment("ended_at", nullable=True),
        _text("code"),
        _text("message"),
    )
    op.create_index("ix_cloud_batch_due", "cloud_batch", ["state", "due_at"])
    op.create_table(
        "cloud_file",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("slice_id", sa.BigInteger, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        _text("document_id"),
        sa.Column("reservation_id", sa.BigInteger, nullable=False),
        _text("group_json"),
        sa.Column("batch_id", sa.String, nullable=True),
        _text("place"),
        _text("key"),
        _number("pages"),
        _text("state"),
        _text("output"),
        _text("code"),
        _text("message"),
        _moment("made_at"),
        _moment("staged_at", nullable=True),
        _moment("cleaned_at", nullable=True),
        sa.UniqueConstraint("slice_id"),
    )
    op.create_index("ix_cloud_file_state_group_json", "cloud_file", ["state", "group_json"])
    op.create_index("ix_cloud_file_batch_id", "cloud_file", ["batch_id"])


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
