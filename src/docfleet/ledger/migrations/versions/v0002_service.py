"""The service: tenants, keys, contents, labels, idempotency, workers, deaths, webhooks and their deliveries.

Additive: new tables, and new columns with constant defaults (no table is rewritten, old rows stay as they are).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from docfleet.errors import LedgerError

revision = "0002"
down_revision = "0001"

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
DOCUMENT_MOVES = (
    "received>running", "received>assembling", "received>succeeded", "received>partial",
    "received>failed", "received>cancelled",
    "running>assembling", "running>failed", "running>cancelled",
    "assembling>succeeded", "assembling>partial", "assembling>failed", "assembling>cancelled",
    "partial>running", "partial>assembling",
    "failed>received", "failed>running", "failed>assembling",
    "cancelled>received",
)  # fmt: skip


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False, server_default=default)


def _real(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _whole(name: str, default: int | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=None if default is None else str(default))


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # rather give up and be started again than make everybody wait behind this migration
        op.execute("SET LOCAL lock_timeout = '5s'")
    _make_access()
    _make_content()
    _make_fleet()
    _make_delivery()
    _widen_batch_and_document()
    _widen_slice_and_event()
    if op.get_context().dialect.name == "postgresql":
        _guard_in_postgres()
    else:
        _guard_in_sqlite()


def _make_access() -> None:
    op.create_table(
        "tenant",
        sa.Column("id", sa.String, primary_key=True),
        _text("name"),
        _text("region"),
        _text("settings_json"),
        _real("created_at"),
        _real("disabled_at", nullable=True),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenant.id"), nullable=False),
        _text("name"),
        sa.Column("secret_hash", sa.String, nullable=False, unique=True),
        _text("role"),
        _text("scopes_json"),
        _real("created_at"),
        _real("expires_at", nullable=True),
        _real("revoked_at", nullable=True),
        _real("last_used_at", nullable=True),
    )
    op.create_index("ix_api_key_tenant_id", "api_key", ["tenant_id"])
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        _text("request_digest"),
        _text("response_json"),
        _real("created_at"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])


def _make_content() -> None:
    op.create_table(
        "content",
        sa.Column("id", sa.String, primary_key=True),
        _text("tenant_id"),
        _text("region"),
        _text("sha256"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        _text("media_type"),
        sa.Column("wrapped_key", sa.LargeBinary),
        _whole("refs"),
        _real("created_at"),
        _real("erased_at", nullable=True),
        _real("purged_at", nullable=True),
    )
    op.create_index(
        "ix_content_erased",
        "content",
        ["erased_at"],
        sqlite_where=sa.text("erased_at IS NOT NULL AND purged_at IS NULL"),
        postgresql_where=sa.text("erased_at IS NOT NULL AND purged_at IS NULL"),
    )
    op.create_table(
        "label",
        sa.Column("document_id", sa.String, sa.ForeignKey("document.id"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        _text("value"),
        _text("tenant_id"),
    )
    op.create_index("ix_label_tenant_id_name_value_document_id", "label", ["tenant_id", "name", "value", "document_id"])


def _make_fleet() -> None:
    op.create_table(
        "worker",
        sa.Column("name", sa.String, primary_key=True),
        _text("host"),
        _text("pool"),
        _text("region"),
        _whole("slots"),
        _text("version"),
        _text("mode"),
        _real("started_at"),
        _real("seen_at"),
        _real("ended_at", nullable=True),
        _text("cause"),
    )
    op.create_index("ix_worker_seen_at", "worker", ["seen_at"])
    op.create_table(
        "death",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        _real("at"),
        _text("worker"),
        sa.Column("slice_id", sa.BigInteger, nullable=False),
        _text("document_id"),
        _real("seconds"),
        _text("cause"),
        _flag("innocent"),
    )
    op.create_index("ix_death_slice_id", "death", ["slice_id"])
    op.create_index("ix_death_at", "death", ["at"])


def _make_delivery() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant_id", sa.String, sa.ForeignKey("tenant.id"), nullable=False),
        _text("url"),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        _text("event_types_json"),
        _real("created_at"),
        _real("disabled_at", nullable=True),
        _text("cause"),
    )
    op.create_index("ix_webhook_tenant_id", "webhook", ["tenant_id"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.String, primary_key=True),
        _text("tenant_id"),
        sa.Column("webhook_id", sa.String, sa.ForeignKey("webhook.id"), nullable=False),
        _text("event_type"),
        _text("dedupe_key"),
        _text("document_id"),
        _text("batch_id"),
        _text("payload_json"),
        _text("state"),
        _whole("attempts"),
        sa.Column("token", sa.BigInteger, nullable=False),
        _real("lease_until", nullable=True),
        _real("available_at"),
        _real("created_at"),
        _real("finished_at", nullable=True),
        sa.UniqueConstraint("webhook_id", "dedupe_key"),
    )
    due = sa.text("state IN ('waiting', 'sending')")
    op.create_index(
        "ix_delivery_due", "delivery", ["webhook_id", "available_at"], sqlite_where=due, postgresql_where=due
    )
    op.create_index("ix_delivery_webhook_id_id", "delivery", ["webhook_id", "id"])
    op.create_table(
        "delivery_attempt",
        sa.Column("id", BIG_ID, primary_key=True, autoincrement=True),
        sa.Column("delivery_id", sa.String, sa.ForeignKey("delivery.id"), nullable=False),
        _real("at"),
        _whole("status"),
        _real("seconds"),
        _text("error"),
    )
    op.create_index("ix_delivery_attempt_delivery_id", "delivery_attempt", ["delivery_id"])


def _widen_batch_and_document() -> None:
    for column in (
        _text("tenant_id", "local"), _text("region", ""), _flag("implicit"), _text("labels_json", "{}"),
        _real("sealed_at", nullable=True), _real("finished_at", nullable=True), _real("deleted_at", nullable=True),
    ):  # fmt: skip
        op.add_column("batch", column)
    op.create_index("ix_batch_tenant_id_id", "batch", ["tenant_id", "id"])
    wider: tuple[sa.Column[Any], ...] = (
        _text("tenant_id", "local"), _text("region", ""), sa.Column("content_id", sa.String), _text("name", ""),
        _text("labels_json", "{}"), _text("options_json", "{}"), _text("options_key", ""), _text("urgency", "normal"),
        _text("pool", ""), _real("deadline_at", nullable=True), sa.Column("follows", sa.String),
        _text("duplicate_of", ""), _text("results_json", "[]"), _text("submitted_by", ""),
        sa.Column("sealed_passwords", sa.LargeBinary), _real("deleted_at", nullable=True),
    )  # fmt: skip
    for column in wider:
        op.add_column("document", column)
    op.create_index("ix_document_tenant_id_id", "document", ["tenant_id", "id"])
    op.create_index("ix_document_tenant_id_state_id", "document", ["tenant_id", "state", "id"])
    op.create_index("ix_document_tenant_id_batch_id_id", "document", ["tenant_id", "batch_id", "id"])
    _partial(
        "ix_document_same", "document", ["tenant_id", "sha256", "options_key", "state", "id"],
        "content_id IS NOT NULL AND follows IS NULL",
    )  # fmt: skip
    op.create_index("ix_document_content_id", "document", ["content_id"])
    _partial("ix_document_follows", "document", ["follows"], "follows IS NOT NULL")
    _partial("ix_document_open", "document", ["state", "id"], "state IN ('received', 'running', 'assembling')")


def _widen_slice_and_event() -> None:
    for column in (
        _text("tenant_id", "local"), _text("region", ""), _text("pool", ""), _text("urgency", "normal"),
        _real("deadline_at", nullable=True), _real("dispatched_at", nullable=True),
        _real("settled_at", nullable=True),
    ):  # fmt: skip
        op.add_column("slice", column)
    _partial(
        "ix_slice_window", "slice", ["pool", "urgency", "tenant_id", "priority", "id"],
        "state = 'queued' AND dispatched_at IS NULL",
    )  # fmt: skip
    _partial("ix_slice_hinted", "slice", ["pool", "dispatched_at"], "state = 'queued' AND dispatched_at IS NOT NULL")
    _partial("ix_slice_running", "slice", ["pool", "tenant_id"], "state = 'running'")
    _partial("ix_slice_dead", "slice", ["tenant_id", "code", "id"], "state = 'dead' AND settled_at IS NULL")
    for extra in (
        _text("tenant_id", ""),
        _text("batch_id", ""),
        sa.Column("xact", sa.BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("event", extra)
    if op.get_context().dialect.name == "postgresql":
        # events are read in the order of their transactions: a row number may become visible after a later one
        op.execute("ALTER TABLE event ALTER COLUMN xact SET DEFAULT pg_current_xact_id()::text::bigint")
    op.create_index("ix_event_batch_id_xact_id", "event", ["batch_id", "xact", "id"])


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where: dict[str, Any] = {f"{dialect}_where": sa.text(condition) for dialect in ("sqlite", "postgresql")}
    op.create_index(name, table, columns, **where)


def _condition() -> str:
    moves = ", ".join(f"'{move}'" for move in DOCUMENT_MOVES)
    return f"OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({moves})"


def _guard_in_sqlite() -> None:
    op.execute("DROP TRIGGER document_moves")
    op.execute(
        f"CREATE TRIGGER document_moves BEFORE UPDATE OF state ON document WHEN {_condition()} "
        "BEGIN SELECT RAISE(ABORT, 'illegal move of a document'); END"
    )


def _guard_in_postgres() -> None:
    op.execute("DROP TRIGGER document_moves ON document")
    op.execute(
        f"CREATE TRIGGER document_moves BEFORE UPDATE OF state ON document FOR EACH ROW WHEN ({_condition()}) "
        "EXECUTE FUNCTION document_moves()"
    )


def downgrade() -> None:
    raise LedgerError("the ledger is only migrated forward; restore a backup to go back")
