"""Makes the bucket in the object store, once that answers; does nothing where it is there.

    make_bucket.py NAME

Address and keys come from the AWS_… variables. The request is signed by hand (Signature Version 4, as AWS describes it
in "Create a signed AWS API request"), since nothing else in the image could make a bucket.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 2.0
NOTHING = hashlib.sha256(b"").hexdigest()


def signed_headers(method: str, url: str, environment: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Headers of an S3 request without query and body."""
    parts = urlsplit(url)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    region = environment.get("AWS_REGION", "us-east-1")
    headers = {"host": parts.netloc, "x-amz-content-sha256": NOTHING, "x-amz-date": stamp}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join([method, parts.path, "", lines, names, NOTHING])
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{environment['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{environment['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers


def ask(method: str, url: str, environment: Mapping[str, str]) -> int:
    """The status of the answer. Raises OSError while nobody answers."""
    headers = signed_headers(method, url, environment, datetime.now(UTC))
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def make_bucket(name: str, environment: Mapping[str, str]) -> str:
    """What is wrong; empty: the bucket is there."""
    url = f"{environment['AWS_ENDPOINT_URL'].rstrip('/')}/{name}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            status = ask("HEAD", url, environment)
            if status == 404:
                status = ask("PUT", url, environment)
            fault = "" if status in (200, 204) else f"{url} answered {status}"
        except OSError as error:
            status, fault = 503, f"{url}: {error}"
        if not fault or status < 500 or time.monotonic() > deadline:
            return fault
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(make_bucket(sys.argv[1], os.environ) or 0)
