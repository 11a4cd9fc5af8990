"""Webhooks: who is told when documents and batches end, and what came of telling them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from docfleet.api.inputs import Cursor, DeliveryId, Limit, Parts, Text, WebhookId, Who
from docfleet.api.resource import Resource
from docfleet.api.schemas import BATCH_ID, DOCUMENT_ID, example, moment
from docfleet.delivery.addresses import check_url
from docfleet.delivery.signing import new_secret, seal_secret
from docfleet.domain.access import Permission
from docfleet.domain.delivery import EVENT_TYPES, DeliveryState
from docfleet.errors import Conflict, NotFound
from docfleet.ledger.webhook_values import AttemptView, DeliveryView, WebhookView

webhooks = Resource("Webhooks")
_AT = "2026-03-14T09:26:53.589000Z"
_HOOK: dict[str, Any] = {
    "id": "0197c6a2d3417b4c9d5e6f7081920a1b",
    "url": "https://example.com/docfleet",
    "event_types": ["document.succeeded", "document.failed"],
    "created_at": _AT,
    "disabled_at": None,
    "cause": None,
}
_DELIVERY: dict[str, Any] = {
    "id": "msg_5f1c0d5e8b1a4c6f9d0e1f2a3b4c5d",
    "event_type": "document.succeeded",
    "document_id": DOCUMENT_ID,
    "batch_id": BATCH_ID,
    "state": "delivered",
    "attempts": 1,
    "last_status": 204,
    "last_error": None,
    "created_at": _AT,
    "delivered_at": _AT,
    "next_attempt_at": None,
}
_ATTEMPT = {"at": _AT, "status": 204, "seconds": 0.12, "error": None}


class WebhookOut(BaseModel):
    """An address that is told, without its secret."""

    model_config = example(**_HOOK)

    id: str
    url: str
    event_types: list[str] = Field(description="Empty: all.")
    created_at: datetime | None
    disabled_at: datetime | None = Field(description="From then on nothing is sent.")
    cause: str | None = Field(description="Why it was disabled.")

    @classmethod
    def of(cls, view: WebhookView) -> WebhookOut:
        return cls(**_facts(view))


class WebhookMadeOut(WebhookOut):
    """A new webhook. The secret is shown this once."""

    model_config = example(**_HOOK, secret="whsec_…")

    secret: str = Field(description="Signs the deliveries (Standard Webhooks): keep it to verify them.")


def _facts(view: WebhookView) -> dict[str, Any]:
    return {
        "id": view.id, "url": view.url, "event_types": list(view.event_types), "created_at": moment(view.created_at),
        "disabled_at": moment(view.disabled_at), "cause": view.cause or None,
    }  # fmt: skip


class WebhooksOut(BaseModel):
    model_config = example(items=[_HOOK], next_cursor=None)

    items: list[WebhookOut]
    next_cursor: str | None = None


class WebhookIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://example.com/docfleet", "event_types": ["batch.finished"]}]},
    )

    url: Annotated[Text, Field(min_length=1, max_length=2000, description="HTTPS, at a public address.")]
    event_types: Annotated[list[Text], Field(max_length=20)] = Field([], description=f"Of {', '.join(EVENT_TYPES)}.")


class DeliveryOut(BaseModel):
    """One message to a webhook. Its id is the `webhook-id` header of every try."""

    model_config = example(**_DELIVERY)

    id: str
    event_type: str
    document_id: str | None
    batch_id: str | None
    state: DeliveryState
    attempts: int
    last_status: int | None = Field(description="HTTP status of the last try; null when there was no answer.")
    last_error: str | None
    created_at: datetime | None
    delivered_at: datetime | None
    next_attempt_at: datetime | None

    @classmethod
    def of(cls, view: DeliveryView) -> DeliveryOut:
        waits = view.state in (DeliveryState.WAITING, DeliveryState.SENDING)
        return cls(
            id=view.id, event_type=view.event_type, document_id=view.document_id or None,
            batch_id=view.batch_id or None, state=view.state, attempts=view.attempts,
            last_status=view.last_status or None, last_error=view.last_error or None,
            created_at=moment(view.created_at),
            delivered_at=moment(view.finished_at) if view.state is DeliveryState.DELIVERED else None,
            next_attempt_at=moment(view.available_at) if waits else None,
        )  # fmt: skip


class DeliveriesOut(BaseModel):
    """One page of a listing, the newest first."""

    model_config = example(items=[_DELIVERY], next_cursor=None)

    items: list[DeliveryOut]
    next_cursor: str | None


class AttemptOut(BaseModel):
    """One try to deliver, and its answer."""

    model_config = example(**_ATTEMPT)

    at: datetime | None
    status: int | None = Field(description="Null: there was no answer.")
    seconds: float
    error: str | None

    @classmethod
    def of(cls, view: AttemptView) -> AttemptOut:
        return cls(at=moment(view.at), status=view.status or None, seconds=view.seconds, error=view.error or None)


class AttemptsOut(BaseModel):
    model_config = example(items=[_ATTEMPT])

    items: list[AttemptOut]


@webhooks.route(
    "POST", "/v1/webhooks", Permission.MANAGE_WEBHOOKS, out=WebhookMadeOut, status=201, problems=(Conflict,)
)
def add_webhook(body: WebhookIn, response: Response, parts: Parts, caller: Who) -> WebhookMadeOut:
    """Register an address. The answer alone holds the secret that signs its deliveries."""
    check_url(body.url, allow_private=parts.options.webhooks_allow_private)
    secret = new_secret()
    view = parts.webhooks.add(caller.tenant, body.url, seal_secret(parts.master_key, secret), body.event_types)
    response.headers["location"] = f"{parts.options.public_url}/v1/webhooks/{view.id}"
    return WebhookMadeOut(**_facts(view), secret=secret)


@webhooks.route("GET", "/v1/webhooks", Permission.READ_WEBHOOKS, out=WebhooksOut)
def list_webhooks(parts: Parts, caller: Who) -> WebhooksOut:
    """The tenant's webhooks."""
    return WebhooksOut(items=[WebhookOut.of(view) for view in parts.webhooks.list(caller.tenant)])


@webhooks.route("GET", "/v1/webhooks/{webhook_id}", Permission.READ_WEBHOOKS, out=WebhookOut, problems=(NotFound,))
def read_webhook(webhook_id: WebhookId, parts: Parts, caller: Who) -> WebhookOut:
    """One webhook."""
    return WebhookOut.of(parts.webhooks.get(caller.tenant, webhook_id))


@webhooks.route("DELETE", "/v1/webhooks/{webhook_id}", Permission.MANAGE_WEBHOOKS, status=204, problems=(NotFound,))
def remove_webhook(webhook_id: WebhookId, parts: Parts, caller: Who) -> None:
    """Remove a webhook, with what was still to be sent to it and its log."""
    parts.webhooks.remove(caller.tenant, webhook_id)


@webhooks.route(
    "POST", "/v1/webhooks/{webhook_id}/enable", Permission.MANAGE_WEBHOOKS, out=WebhookOut, problems=(NotFound,)
)
def enable_webhook(webhook_id: WebhookId, parts: Parts, caller: Who) -> WebhookOut:
    """Send again to a webhook that was disabled, of what ends from now on."""
    return WebhookOut.of(parts.webhooks.enable(caller.tenant, webhook_id))


@webhooks.route(
    "POST", "/v1/webhooks/{webhook_id}/disable", Permission.MANAGE_WEBHOOKS, out=WebhookOut, problems=(NotFound,)
)
def disable_webhook(webhook_id: WebhookId, parts: Parts, caller: Who) -> WebhookOut:
    """Send nothing more; what waits is given up."""
    return WebhookOut.of(parts.webhooks.disable(caller.tenant, webhook_id))


@webhooks.route(
    "POST",
    "/v1/webhooks/{webhook_id}/test",
    Permission.MANAGE_WEBHOOKS,
    out=DeliveryOut,
    status=202,
    problems=(NotFound, Conflict),
)
def send_test_message(webhook_id: WebhookId, parts: Parts, caller: Who) -> DeliveryOut:
    """Send a message of the type `webhook.test`; the deliveries tell what came of it."""
    return DeliveryOut.of(parts.webhooks.send_test(caller.tenant, webhook_id))


@webhooks.route(
    "GET",
    "/v1/webhooks/{webhook_id}/deliveries",
    Permission.READ_WEBHOOKS,
    out=DeliveriesOut,
    problems=(NotFound,),
)
def list_deliveries(
    webhook_id: WebhookId,
    parts: Parts,
    caller: Who,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> DeliveriesOut:
    """What was and will be sent to a webhook, the newest first."""
    found = parts.webhooks.deliveries(caller.tenant, webhook_id, cursor, limit)
    return DeliveriesOut(items=[DeliveryOut.of(view) for view in found.items], next_cursor=found.next_cursor)


@webhooks.route(
    "GET",
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/attempts",
    Permission.READ_WEBHOOKS,
    out=AttemptsOut,
    problems=(NotFound,),
)
def list_attempts(webhook_id: WebhookId, delivery_id: DeliveryId, parts: Parts, caller: Who) -> AttemptsOut:
    """Every try of one delivery."""
    _check_belongs(parts.webhooks.delivery(caller.tenant, delivery_id), webhook_id)
    return AttemptsOut(items=[AttemptOut.of(view) for view in parts.webhooks.attempts(caller.tenant, delivery_id)])


@webhooks.route(
    "POST",
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    Permission.MANAGE_WEBHOOKS,
    out=DeliveryOut,
    status=202,
    problems=(NotFound, Conflict),
)
def redeliver(webhook_id: WebhookId, delivery_id: DeliveryId, parts: Parts, caller: Who) -> DeliveryOut:
    """Send a message once more, under the same `webhook-id`."""
    _check_belongs(parts.webhooks.delivery(caller.tenant, delivery_id), webhook_id)
    return DeliveryOut.of(parts.webhooks.redeliver(caller.tenant, delivery_id))


def _check_belongs(delivery: DeliveryView, webhook_id: str) -> None:
    if delivery.webhook_id != webhook_id:
        raise NotFound("There is no delivery with this id.")
