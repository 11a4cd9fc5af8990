"""What the ledger tells of webhooks and their messages: plain values, no rows."""

from __future__ import annotations

import msgspec

from docfleet.domain.delivery import DeliveryState

BY_REQUEST = "by request"
"""Why a webhook is off that somebody switched off."""


class WebhookView(msgspec.Struct, frozen=True):
    """An address a tenant wants to be told at. The signing secret is not among what is shown."""

    id: str
    tenant: str
    url: str
    event_types: tuple[str, ...]
    """Empty: all."""
    created_at: float
    disabled_at: float | None
    cause: str
    """Why it was disabled."""


class DeliveryView(msgspec.Struct, frozen=True):
    """One message to one webhook."""

    id: str
    """The `webhook-id` header."""
    webhook_id: str
    event_type: str
    document_id: str
    """Empty when it is about none."""
    batch_id: str
    payload_json: str
    """The `data` of the body."""
    state: DeliveryState
    attempts: int
    last_status: int | None
    """HTTP status of the last try; 0 when there was no answer, None before the first."""
    last_error: str
    available_at: float
    """When it is tried next, while it waits."""
    created_at: float
    finished_at: float | None


class DeliveryListing(msgspec.Struct, frozen=True):
    """One page of a listing, the newest first."""

    items: tuple[DeliveryView, ...]
    next_cursor: str | None


class AttemptView(msgspec.Struct, frozen=True):
    """One try of a delivery."""

    at: float
    status: int
    """HTTP status; 0 when there was no answer."""
    seconds: float
    error: str


class ClaimedDelivery(msgspec.Struct, frozen=True):
    """A message its sender holds until the lease ends."""

    id: str
    token: int
    event_type: str
    payload_json: str
    created_at: float
    attempts: int
    """This one included."""
    claimed_at: float
    webhook_id: str
    tenant: str
    url: str
    sealed_secret: bytes
    document_id: str = ""
    """Whose end it tells; empty: of no document."""
    trace: str = ""
    """Of that document, as `telemetry.traces.keep` made it."""
