"""Are these webhook bytes really from the service? (Standard Webhooks, https://www.standardwebhooks.com)

from docfleet.client import verify_webhook
event = verify_webhook(request.headers, request.body, secret)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from docfleet.errors import BadSignature

SECRET_PREFIX = "whsec_"
TOLERANCE_SECONDS = 300.0
"""How old, or how far in the future, a delivery may be: older ones may be replays."""
_VERSION = "v1,"


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One delivery's signature as it stands in `webhook-signature`. Raises `BadSignature` for a malformed secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return _VERSION + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def verify_webhook(headers: Mapping[str, str], body: bytes, secret: str, *, now: float | None = None) -> dict[str, Any]:
    """The payload of a genuine delivery: `{"type": …, "timestamp": …, "data": …}`.

    `headers` as any framework gives them (case does not count), `body` the bytes exactly as received. A delivery may
    come more than once: its `webhook-id` stays the same. Raises `BadSignature`.
    """
    said = {name.lower(): value for name, value in headers.items()}
    message_id, sent, signatures = (said.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (message_id and sent and signatures):
        raise BadSignature("The webhook has no id, timestamp or signature.")
    if not sent.isdecimal() or abs((time.time() if now is None else now) - int(sent)) > TOLERANCE_SECONDS:
        raise BadSignature("The webhook is too old, or its clock is wrong.")
    right = sign(secret, message_id, int(sent), body).encode()
    # every one is compared, so that the time taken does not tell which was nearly right
    matches = [hmac.compare_digest(right, given.encode()) for given in signatures.split()]
    if not any(matches):
        raise BadSignature
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise BadSignature("The webhook's body is no JSON object.") from error


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise BadSignature("The webhook's secret is malformed.") from error
