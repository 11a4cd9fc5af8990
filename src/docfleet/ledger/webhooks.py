"""Webhooks and the messages to them: what a tenant sets up and looks at, and what the senders take and give back."""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import ColumnElement, Double, String, bindparam, delete, exists, func, insert, select, text, update
from sqlalchemy.orm import Session

from docfleet.domain.delivery import EVENT_TYPES, Answer, DeliveryState, Receiver, Verdict
from docfleet.errors import BadRequest, Conflict, NotFound
from docfleet.ledger.checks import checked_limit, known_id, plain_text
from docfleet.ledger.cursors import from_cursor, to_cursor
from docfleet.ledger.dialect import database_now
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.outbox import enqueue_test
from docfleet.ledger.registering import new_id
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import DELIVERY, DELIVERY_ATTEMPT, WEBHOOK
from docfleet.ledger.webhook_values import (
    BY_REQUEST,
    AttemptView,
    ClaimedDelivery,
    DeliveryListing,
    DeliveryView,
    WebhookView,
)
from docfleet.telemetry.traces import is_on

MAX_WEBHOOKS = 20
"""Of one tenant."""
MAX_URL = 2000
PRUNED_AT_ONCE = 1000
_MESSAGE_ID = re.compile(r"msg_[0-9a-f]{30}")


class Webhooks:
    """Every call is one transaction. Nothing of another tenant's is ever found."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # --- what a tenant sets up

    def add(self, tenant: str, url: str, sealed_secret: bytes, event_types: Collection[str] = ()) -> WebhookView:
        """`sealed_secret`: the signing secret as `delivery.signing.seal_secret` gives it. No event types: all.

        The address itself is for `delivery.addresses.check_url` to judge. Raises `BadRequest` for an event type that
        is none and `Conflict` when the tenant has too many webhooks.
        """
        unknown = sorted(set(event_types) - set(EVENT_TYPES))
        if unknown:
            raise BadRequest(f"There is no event type {unknown[0]!r}; there are {', '.join(EVENT_TYPES)}.")
        plain_text(url, "The address", MAX_URL)
        webhook_id = new_id()
        row = {
            "id": webhook_id, "tenant_id": tenant, "url": url, "sealed_secret": sealed_secret, "cause": "",
            "event_types_json": msgspec.json.encode(sorted(set(event_types))).decode(),
        }  # fmt: skip
        with self._ledger.unit_of_work() as session:
            count = session.execute(_COUNT, {"tenant": tenant}).scalar_one()
            if count >= MAX_WEBHOOKS:
                raise Conflict(f"A tenant has at most {MAX_WEBHOOKS} webhooks.")
            session.execute(insert(WEBHOOK).values(created_at=database_now(), **row))
            return _webhook(session, tenant, webhook_id)

    def list(self, tenant: str) -> list[WebhookView]:
        """The oldest first."""
        with self._ledger.reading() as session:
            rows = session.execute(_WEBHOOKS.order_by(WEBHOOK.c.id), {"tenant": tenant})
            return [_webhook_view(row) for row in rows]

    def get(self, tenant: str, webhook_id: str) -> WebhookView:
        """Raises `NotFound`."""
        with self._ledger.reading() as session:
            return _webhook(session, tenant, webhook_id)

    def remove(self, tenant: str, webhook_id: str) -> None:
        """With its messages and their log. Raises `NotFound`."""
        with self._ledger.unit_of_work() as session:
            # whoever writes a message to it right now is waited for, and finds it gone if he comes later
            known_id(webhook_id, "webhook")
            if session.execute(_LOCK, {"tenant": tenant, "webhook_id": webhook_id}).one_or_none() is None:
                raise _no_webhook()
            mine = select(DELIVERY.c.id).where(DELIVERY.c.webhook_id == webhook_id)
            session.execute(delete(DELIVERY_ATTEMPT).where(DELIVERY_ATTEMPT.c.delivery_id.in_(mine)))
            session.execute(delete(DELIVERY).where(DELIVERY.c.webhook_id == webhook_id))
            session.execute(delete(WEBHOOK).where(WEBHOOK.c.id == webhook_id))

    def enable(self, tenant: str, webhook_id: str) -> WebhookView:
        """Told of what ends from now on. What was given up is sent by `redeliver`. Raises `NotFound`."""
        with self._ledger.unit_of_work() as session:
            _webhook(session, tenant, webhook_id)
            session.execute(update(WEBHOOK).where(WEBHOOK.c.id == webhook_id).values(disabled_at=None, cause=""))
            return _webhook(session, tenant, webhook_id)

    def disable(self, tenant: str, webhook_id: str, cause: str = BY_REQUEST) -> WebhookView:
        """Nothing more is sent to it; what waits is given up. Raises `NotFound`."""
        with self._ledger.unit_of_work() as session:
            _webhook(session, tenant, webhook_id)
            _disable(session, webhook_id, cause)
            return _webhook(session, tenant, webhook_id)

    def send_test(self, tenant: str, webhook_id: str) -> DeliveryView:
        """A message of the type `webhook.test`. Raises `NotFound`, and `Conflict` when the webhook is disabled."""
        with self._ledger.unit_of_work() as session:
            _must_be_enabled(_webhook(session, tenant, webhook_id))
            return _delivery(session, tenant, enqueue_test(session, tenant, webhook_id))

    # --- what a tenant looks at

    def deliveries(self, tenant: str, webhook_id: str, cursor: str | None = None, limit: int = 50) -> DeliveryListing:
        """The newest first. Raises `NotFound` for the webhook and `BadRequest` for a cursor that is none."""
        limit = checked_limit(limit)
        before = from_cursor("w", cursor) if cursor else None
        conditions: list[ColumnElement[bool]] = [DELIVERY.c.webhook_id == webhook_id]
        if before is not None:
            conditions.append(DELIVERY.c.id < f"msg_{before}")
        with self._ledger.reading() as session:
            _webhook(session, tenant, webhook_id)
            rows = session.execute(
                _DELIVERIES.where(*conditions).order_by(DELIVERY.c.id.desc()).limit(limit + 1), {"tenant": tenant}
            ).all()
        items = tuple(_delivery_view(row) for row in rows[:limit])
        return DeliveryListing(items, to_cursor("w", items[-1].id.removeprefix("msg_")) if len(rows) > limit else None)

    def delivery(self, tenant: str, delivery_id: str) -> DeliveryView:
        """Raises `NotFound`."""
        with self._ledger.reading() as session:
            return _delivery(session, tenant, delivery_id)

    def attempts(self, tenant: str, delivery_id: str) -> Sequence[AttemptView]:
        """Every try, in order. Raises `NotFound`."""
        with self._ledger.reading() as session:
            _delivery(session, tenant, delivery_id)
            return [AttemptView(*row) for row in session.execute(_ATTEMPTS, {"delivery_id": delivery_id})]

    def redeliver(self, tenant: str, delivery_id: str) -> DeliveryView:
        """Sends it anew, under the same id and with as many tries as a new one.

        Raises `NotFound`, and `Conflict` while it is being sent or its webhook is disabled.
        """
        with self._ledger.unit_of_work() as session:
            _must_be_enabled(_webhook(session, tenant, _delivery(session, tenant, delivery_id).webhook_id))
            again = session.execute(_REDELIVER, {"tenant": tenant, "delivery_id": delivery_id}).one_or_none()
            if again is None:
                raise Conflict("The message is being sent at this moment.")
            return _delivery(session, tenant, delivery_id)

    # --- what the senders do

    def due(self, limit: int = 1000) -> builtins.list[Receiver]:
        """Webhooks that messages are due for, in random order."""
        with self._ledger.reading() as session:
            return [Receiver(*row) for row in session.execute(_DUE, {"most": limit})]

    def claim_deliveries(self, shares: Mapping[str, int], lease_seconds: float) -> builtins.list[ClaimedDelivery]:
        """Up to so many due messages of each webhook (id -> count), the oldest first; held until the lease ends."""
        with self._ledger.unit_of_work() as session:
            claimed: builtins.list[ClaimedDelivery] = []
            for webhook_id in sorted(shares):
                given = {"of_webhook": webhook_id, "most": shares[webhook_id], "lease_seconds": lease_seconds}
                rows = session.execute(_CLAIM, given).all()
                webhook = session.execute(_TARGET, given).one_or_none() if rows else None
                if webhook is not None:
                    traces = _traces(session, [row.document_id for row in rows if row.document_id])
                    claimed += [
                        ClaimedDelivery(
                            row.id, row.token, row.event_type, row.payload_json, row.created_at, row.attempts,
                            row.claimed_at, webhook_id, webhook.tenant_id, webhook.url, webhook.sealed_secret,
                            row.document_id, traces.get(row.document_id, ""),
                        )
                        for row in rows
                    ]  # fmt: skip
        return claimed

    def finish_delivery(self, delivery: ClaimedDelivery, answer: Answer, verdict: Verdict) -> bool:
        """Logs the try and moves the message on. False: it was taken over by another sender, or is gone."""
        over = verdict.state is not DeliveryState.WAITING
        with self._ledger.unit_of_work() as session:
            moved = session.execute(
                _FINISH_OVER if over else _FINISH_AGAIN,
                {
                    "delivery_id": delivery.id, "held": delivery.token, "new_state": verdict.state.value,
                    "delay_seconds": verdict.delay_seconds,
                },
            ).one_or_none()  # fmt: skip
            if moved is None:
                return False
            error = "" if verdict.state is DeliveryState.DELIVERED else answer.error or verdict.reason
            session.execute(
                _LOG,
                {
                    "delivery_id": delivery.id, "status": answer.status, "seconds": answer.seconds, "error": error,
                },
            )  # fmt: skip
            if verdict.disable:
                _disable(session, delivery.webhook_id, verdict.reason)
        return True

    def prune(self, days: float = 30.0) -> int:
        """Forgets messages that were over so many days ago, some at a time; returns how many."""
        with self._ledger.unit_of_work() as session:
            ids = list(session.execute(_OLD, {"seconds": days * 86400, "most": PRUNED_AT_ONCE}).scalars())
            session.execute(delete(DELIVERY_ATTEMPT).where(DELIVERY_ATTEMPT.c.delivery_id.in_(ids)))
            session.execute(delete(DELIVERY).where(DELIVERY.c.id.in_(ids)))
            return len(ids)


class _Row(Protocol):
    def __getattr__(self, name: str) -> Any: ...


_COUNT = select(func.count()).select_from(WEBHOOK).where(WEBHOOK.c.tenant_id == bindparam("tenant"))
_WEBHOOKS = select(
    WEBHOOK.c.id, WEBHOOK.c.tenant_id, WEBHOOK.c.url, WEBHOOK.c.event_types_json, WEBHOOK.c.created_at,
    WEBHOOK.c.disabled_at, WEBHOOK.c.cause,
).where(WEBHOOK.c.tenant_id == bindparam("tenant"))  # fmt: skip
_WEBHOOK = _WEBHOOKS.where(WEBHOOK.c.id == bindparam("webhook_id"))
_LOCK = _WEBHOOK.with_for_update()
_last = (
    select(func.max(DELIVERY_ATTEMPT.c.id))
    .where(DELIVERY_ATTEMPT.c.delivery_id == DELIVERY.c.id)
    .correlate(DELIVERY)
    .scalar_subquery()
)
_DELIVERIES = (
    select(
        DELIVERY.c.id, DELIVERY.c.webhook_id, DELIVERY.c.event_type, DELIVERY.c.document_id, DELIVERY.c.batch_id,
        DELIVERY.c.payload_json, DELIVERY.c.state, DELIVERY.c.attempts, DELIVERY_ATTEMPT.c.status,
        func.coalesce(DELIVERY_ATTEMPT.c.error, "").label("error"), DELIVERY.c.available_at, DELIVERY.c.created_at,
        DELIVERY.c.finished_at,
    )
    .outerjoin(DELIVERY_ATTEMPT, DELIVERY_ATTEMPT.c.id == _last)
    .where(DELIVERY.c.tenant_id == bindparam("tenant"))
)  # fmt: skip
_ATTEMPTS = (
    select(
        DELIVERY_ATTEMPT.c.at, DELIVERY_ATTEMPT.c.status, DELIVERY_ATTEMPT.c.seconds, DELIVERY_ATTEMPT.c.error
    )
    .where(DELIVERY_ATTEMPT.c.delivery_id == bindparam("delivery_id"))
    .order_by(DELIVERY_ATTEMPT.c.id)
)  # fmt: skip
_REDELIVER = (
    update(DELIVERY)
    .where(
        DELIVERY.c.id == bindparam("delivery_id"),
        DELIVERY.c.tenant_id == bindparam("tenant"),
        DELIVERY.c.state != DeliveryState.SENDING.value,
    )
    .values(state=DeliveryState.WAITING.value, attempts=0, available_at=database_now(), finished_at=None)
    .returning(DELIVERY.c.id)
)
# a message under way is due again when its lease ends: claiming sets `available_at` to that
# The states are spelt out, not bound: only so does a partial index fit.
_IS_DUE = text("delivery.state IN ('waiting', 'sending')") & (DELIVERY.c.available_at <= database_now())
_DUE = (
    select(WEBHOOK.c.id, WEBHOOK.c.tenant_id)
    .where(WEBHOOK.c.disabled_at.is_(None), exists().where(DELIVERY.c.webhook_id == WEBHOOK.c.id, _IS_DUE))
    .order_by(func.random())
    .limit(bindparam("most"))
)
_until = database_now() + bindparam("lease_seconds", type_=Double())
_CLAIM = (
    update(DELIVERY)
    .where(
        DELIVERY.c.id.in_(
            select(DELIVERY.c.id)
            .where(DELIVERY.c.webhook_id == bindparam("of_webhook", type_=String()), _IS_DUE)
            .order_by(DELIVERY.c.available_at)
            .limit(bindparam("most"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(
        state=DeliveryState.SENDING.value, token=DELIVERY.c.token + 1, attempts=DELIVERY.c.attempts + 1,
        lease_until=_until, available_at=_until,
    )
    .returning(
        DELIVERY.c.id, DELIVERY.c.token, DELIVERY.c.event_type, DELIVERY.c.payload_json, DELIVERY.c.created_at,
        DELIVERY.c.attempts, DELIVERY.c.document_id, database_now().label("claimed_at"),
    )
)  # fmt: skip
_TRACES = select(DOCUMENT.c.id, DOCUMENT.c.trace).where(
    DOCUMENT.c.id.in_(bindparam("ids", expanding=True)), DOCUMENT.c.trace != ""
)


def _traces(session: Session, ids: Sequence[str]) -> dict[str, str]:
    """Those that were kept; nobody asks for them while no traces are told."""
    if not ids or not is_on():
        return {}
    return {row.id: row.trace for row in session.execute(_TRACES, {"ids": list(ids)})}


_TARGET = select(WEBHOOK.c.tenant_id, WEBHOOK.c.url, WEBHOOK.c.sealed_secret).where(
    WEBHOOK.c.id == bindparam("of_webhook")
)
_HELD = (
    update(DELIVERY)
    .where(
        DELIVERY.c.id == bindparam("delivery_id"),
        DELIVERY.c.token == bindparam("held"),
        DELIVERY.c.state == DeliveryState.SENDING.value,
    )
    .returning(DELIVERY.c.id)
)
_FINISH_OVER = _HELD.values(state=bindparam("new_state"), lease_until=None, finished_at=database_now())
_FINISH_AGAIN = _HELD.values(
    state=bindparam("new_state"),
    lease_until=None,
    available_at=database_now() + bindparam("delay_seconds", type_=Double()),
)
_LOG = insert(DELIVERY_ATTEMPT).values(at=database_now())
_OLD = (
    select(DELIVERY.c.id)
    .where(DELIVERY.c.finished_at < database_now() - bindparam("seconds", type_=Double()))
    .order_by(DELIVERY.c.id)
    .limit(bindparam("most"))
)


def _disable(session: Session, webhook_id: str, cause: str) -> None:
    session.execute(update(WEBHOOK).where(WEBHOOK.c.id == webhook_id).values(disabled_at=database_now(), cause=cause))
    session.execute(
        update(DELIVERY)
        .where(DELIVERY.c.webhook_id == webhook_id, DELIVERY.c.state == DeliveryState.WAITING.value)
        .values(state=DeliveryState.DEAD.value, finished_at=database_now())
    )


def _webhook(session: Session, tenant: str, webhook_id: str) -> WebhookView:
    known_id(webhook_id, "webhook")
    row = session.execute(_WEBHOOK, {"tenant": tenant, "webhook_id": webhook_id}).one_or_none()
    if row is None:
        raise _no_webhook()
    return _webhook_view(row)


def _no_webhook() -> NotFound:
    return NotFound("There is no webhook with this id.")


def _must_be_enabled(webhook: WebhookView) -> None:
    if webhook.disabled_at is not None:
        raise Conflict(f"The webhook is disabled ({webhook.cause}): enable it first.")


def _webhook_view(row: _Row) -> WebhookView:
    event_types = msgspec.json.decode(row.event_types_json, type=tuple[str, ...])
    return WebhookView(row.id, row.tenant_id, row.url, event_types, row.created_at, row.disabled_at, row.cause)


_ONE_DELIVERY = _DELIVERIES.where(DELIVERY.c.id == bindparam("delivery_id"))


def _delivery(session: Session, tenant: str, delivery_id: str) -> DeliveryView:
    if not _MESSAGE_ID.fullmatch(delivery_id):
        raise NotFound("There is no delivery with this id.")
    row = session.execute(_ONE_DELIVERY, {"tenant": tenant, "delivery_id": delivery_id}).one_or_none()
    if row is None:
        raise NotFound("There is no delivery with this id.")
    return _delivery_view(row)


def _delivery_view(row: _Row) -> DeliveryView:
    return DeliveryView(
        row.id, row.webhook_id, row.event_type, row.document_id, row.batch_id, row.payload_json,
        DeliveryState(row.state), row.attempts, row.status, row.error, row.available_at, row.created_at,
        row.finished_at,
    )  # fmt: skip
