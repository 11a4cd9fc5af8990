"""Signatures, against the specification's own example and an independent reckoning."""

from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest

from docfleet.delivery.sending import body_of, retry_after
from docfleet.delivery.signing import new_secret, open_secret, seal_secret, sign
from docfleet.errors import StoreError
from docfleet.ledger.webhook_values import ClaimedDelivery
from docfleet.store.encryption import MasterKey


def test_the_published_example() -> None:
    # from the reference libraries' own tests
    secret, id_, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    assert sign(secret, id_, at, b'{"test": 2432232314}') == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def hmac_by_the_book(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out."""
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def test_an_independent_reckoning() -> None:
    secret = new_secret()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    body = '{"type":"document.succeeded","data":"ü"}'.encode()
    mac = hmac_by_the_book(key, b"msg_1.1700000000." + body)
    assert sign(secret, "msg_1", 1700000000, body) == "v1," + base64.b64encode(mac).decode()
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"],
        input=b"msg_1.1700000000." + body, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert said.stdout == mac


def test_a_sealed_secret_opens_under_its_master_key_only() -> None:
    master = MasterKey.generate()
    secret = new_secret()
    assert open_secret(master, seal_secret(master, secret)) == secret
    with pytest.raises(StoreError):
        open_secret(MasterKey.generate(), seal_secret(master, secret))


def test_every_try_sends_the_same_bytes() -> None:
    data = '{"document": {"name": "a\\"b\\u00fc.pdf", "pages": null}}'
    first = ClaimedDelivery("msg_1", 1, "document.failed", data, 1700000000.25, 1, 1700000001.0, "w", "t", "u", b"")
    body = body_of(first)
    assert body == b'{"type":"document.failed","timestamp":"2023-11-14T22:13:20.250Z","data":' + data.encode() + b"}"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120.0), (" 7 ", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("", None), ("1.5", None),
     ("99999999999999999999", 86400.0), ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0), ("Tue, 14 Nov 2023 22:13:30", 10.0),
     ("Tue, 14 Nov 2000 22:13:30 GMT", 0.0), ("Tue, 14 Nov 2050 22:13:30 GMT", 86400.0), ("\u0662", None)],
)  # fmt: skip
def test_retry_after_in_both_forms(said: str, seconds: float | None) -> None:
    assert retry_after([(b"Retry-After", said.encode("latin-1", "replace"))], 1700000000.0) == seconds
