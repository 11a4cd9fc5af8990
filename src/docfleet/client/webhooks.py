"""Who is told when documents and batches end."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from docfleet.client.connection import Connection, decoded
from docfleet.client.listing import listed
from docfleet.client.values import Delivery, Webhook

_PATH = "/v1/webhooks"


class Webhooks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, url: str, event_types: Sequence[str] = ()) -> Webhook:
        """Registers an address; without event types it is told of all. The answer alone holds the `secret`: keep it."""
        said = {"url": url, "event_types": builtins.list(event_types)}
        return decoded(self._connection.request("POST", _PATH, body=lambda: {"json": said}), Webhook)

    def list(self) -> Iterator[Webhook]:
        return listed(self._connection, _PATH, Webhook, {})

    def get(self, webhook_id: str) -> Webhook:
        return decoded(self._connection.request("GET", _place(webhook_id)), Webhook)

    def remove(self, webhook_id: str) -> None:
        self._connection.request("DELETE", _place(webhook_id))

    def test(self, webhook_id: str) -> None:
        """Sends it a message of the type `webhook.test`."""
        self._connection.request("POST", f"{_place(webhook_id)}/test")

    def deliveries(self, webhook_id: str) -> Iterator[Delivery]:
        """What was sent to it, the newest first."""
        return listed(self._connection, f"{_place(webhook_id)}/deliveries", Delivery, {})

    def redeliver(self, webhook_id: str, delivery_id: str) -> None:
        """Sends a message once more, under the same `webhook-id`."""
        place = f"{_place(webhook_id)}/deliveries/{quote(delivery_id, safe='')}/redeliver"
        self._connection.request("POST", place)


def _place(webhook_id: str) -> str:
    return f"{_PATH}/{quote(webhook_id, safe='')}"
