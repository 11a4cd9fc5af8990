"""The tables that only the service uses: tenants and keys, contents, workers and their deaths, webhooks."""

from __future__ import annotations

from typing import cast

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Table, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from docfleet.ledger.rows import Base, BigId


class TenantRow(Base):
    """An organisation (or team) that sees its own documents and nothing else."""

    __tablename__ = "tenant"

    id: Mapped[str] = mapped_column(primary_key=True)
    """A short lower-case name: "acme"."""
    name: Mapped[str]
    region: Mapped[str]
    settings_json: Mapped[str]
    """Limits and defaults that differ from the service's."""
    created_at: Mapped[float]
    disabled_at: Mapped[float | None]


class ApiKeyRow(Base):
    """Who may call. The secret itself is kept nowhere."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    name: Mapped[str]
    secret_hash: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the whole key, hexadecimal: the key holds 256 random bits, so a slow hash would add nothing."""
    role: Mapped[str]
    scopes_json: Mapped[str]
    """Permissions this key is narrowed to; an empty list: all of its role."""
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    """To the minute."""


class IdempotencyRow(Base):
    """A request that was answered, under the key its client gave it."""

    __tablename__ = "idempotency"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str]
    response_json: Mapped[str]
    created_at: Mapped[float] = mapped_column(index=True)


class ContentRow(Base):
    """Stored bytes and the results read from them, under one data key.

    Documents of the same tenant with the same bytes and options share one; the last document that goes takes it along.
    Everything in the store lies under `contents/{id}/`.
    """

    __tablename__ = "content"
    __table_args__ = (
        Index(
            "ix_content_erased",
            "erased_at",
            sqlite_where=text("erased_at IS NOT NULL AND purged_at IS NULL"),
            postgresql_where=text("erased_at IS NOT NULL AND purged_at IS NULL"),
        ),
        Index(None, "created_at"),
        Index(
            "ix_content_purged_at",
            "purged_at",
            sqlite_where=text("purged_at IS NOT NULL"),
            postgresql_where=text("purged_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    region: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str]
    wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The data key, encrypted with the master key; null once erased, and then nobody can read the bytes any more."""
    refs: Mapped[int]
    """Documents that point here. At 0 it is erased."""
    created_at: Mapped[float]
    erased_at: Mapped[float | None]
    purged_at: Mapped[float | None]
    """When its objects were deleted from the store."""


class LabelRow(Base):
    """A label of a document, for filters; the document row has them all as JSON as well."""

    __tablename__ = "label"
    __table_args__ = (Index(None, "tenant_id", "name", "value", "document_id"),)

    document_id: Mapped[str] = mapped_column(ForeignKey("document.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    tenant_id: Mapped[str]


class WorkerRow(Base):
    """A worker host process (one supervisor with its slots): seen every few seconds while it lives."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pool: Mapped[str]
    region: Mapped[str]
    slots: Mapped[int]
    version: Mapped[str]
    mode: Mapped[str]
    """"broker" or "direct"."""
    started_at: Mapped[float]
    seen_at: Mapped[float] = mapped_column(index=True)
    ended_at: Mapped[float | None]
    cause: Mapped[str]


class DeathRow(Base):
    """An attempt whose worker process died under it, and whether the slice turned out to be innocent."""

    __tablename__ = "death"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column(index=True)
    worker: Mapped[str]
    slice_id: Mapped[int] = mapped_column(BigInteger, index=True)
    document_id: Mapped[str]
    seconds: Mapped[float]
    """How long the attempt had run."""
    cause: Mapped[str]
    innocent: Mapped[bool] = mapped_column(server_default=false())
    """The slice ended well later, so something else had killed the worker."""


class WebhookRow(Base):
    """Where a tenant wants to be told."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    url: Mapped[str]
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)
    """The signing secret, encrypted with the master key."""
    event_types_json: Mapped[str]
    """Empty list: all."""
    created_at: Mapped[float]
    disabled_at: Mapped[float | None]
    cause: Mapped[str]
    """Why it was disabled."""


class DeliveryRow(Base):
    """The outbox: one message to one webhook, made in the transaction of what it tells of."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("webhook_id", "dedupe_key"),
        Index(
            "ix_delivery_due",
            "webhook_id",
            "available_at",
            sqlite_where=text("state IN ('waiting', 'sending')"),
            postgresql_where=text("state IN ('waiting', 'sending')"),
        ),
        Index(None, "webhook_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """The `webhook-id` header: the same in every try, so that the receiver can tell repeats."""
    tenant_id: Mapped[str]
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id"))
    event_type: Mapped[str]
    dedupe_key: Mapped[str]
    document_id: Mapped[str]
    batch_id: Mapped[str]
    payload_json: Mapped[str]
    state: Mapped[str]
    """"waiting", "sending", "delivered" or "dead"."""
    attempts: Mapped[int]
    token: Mapped[int] = mapped_column(BigInteger)
    lease_until: Mapped[float | None]
    available_at: Mapped[float]
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class DeliveryAttemptRow(Base):
    """The delivery log: one try and its answer."""

    __tablename__ = "delivery_attempt"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("delivery.id"), index=True)
    at: Mapped[float]
    status: Mapped[int]
    """HTTP status; 0 when there was no answer."""
    seconds: Mapped[float]
    error: Mapped[str]


CONTENT = cast(Table, ContentRow.__table__)
WEBHOOK = cast(Table, WebhookRow.__table__)
WORKER = cast(Table, WorkerRow.__table__)
DEATH = cast(Table, DeathRow.__table__)
DELIVERY = cast(Table, DeliveryRow.__table__)
DELIVERY_ATTEMPT = cast(Table, DeliveryAttemptRow.__table__)
ALL_TABLES = Base.metadata
"""With the tables of this module, which exist once it is imported."""
