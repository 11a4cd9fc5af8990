"""An S3 server on a real socket, for tests."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class S3Server:
    def __init__(self, address: str) -> None:
        self.address = address
        self.client: Any = boto3.client(
            "s3", endpoint_url=address, aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1"
        )

    def new_bucket(self) -> str:
        """The address of an empty one."""
        # servers of one process share what they hold, so a name is never used twice
        name = f"bucket-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def unfinished_uploads(self, url: str) -> int:
        return len(self.client.list_multipart_uploads(Bucket=url.removeprefix("s3://")).get("Uploads", []))


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Requests are no news."""


@contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """With the environment set so that stores find it."""
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    names = {
        "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    started = S3Server(address)
    try:
        yield started
    finally:
        started.client.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.shutdown()
        thread.join()
        server.server_close()
