"""Remote stores: unfinished uploads, dead servers, addresses."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docfleet.errors import StoreError, UsageError
from docfleet.store import FolderStore, MemoryStore
from docfleet.store.objects import PART_BYTES
from docfleet.store.open import open_store
from docfleet.store.remote import RemoteOptions, RemoteStore
from s3_server import running_s3_server


def test_an_upload_that_breaks_off_leaves_no_parts() -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * PART_BYTES
        raise ConnectionResetError

    with running_s3_server() as server:
        bucket = server.new_bucket()
        store = open_store(bucket)
        with pytest.raises(ConnectionResetError):
            store.put_stream("a", broken())
        assert list(store.list()) == []
        assert server.unfinished_uploads(bucket) == 0


def test_a_bucket_that_is_not_there_is_noticed() -> None:
    with running_s3_server():
        store = open_store("s3://no-such-bucket/x")
        with pytest.raises(StoreError):
            store.check()
        with pytest.raises(StoreError):
            store.put("a", b"x")


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.usefixtures("_credentials")
def test_a_server_that_is_gone_is_noticed_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(StoreError):
        open_store("s3://bucket").get("a")
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize("ask", ["get", "put", "put_stream", "check", "delete"])
def test_a_server_that_falls_silent_is_noticed_in_seconds(monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    options = RemoteOptions(connect_seconds=0.5, silence_seconds=0.5, retry_seconds=1.0)
    with silent_server() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        store = RemoteStore("s3://bucket", options)
        arguments = {"put": ("a", b"x"), "put_stream": ("a", [b"x" * PART_BYTES] * 3), "check": ()}.get(ask, ("a",))
        began = time.monotonic()
        with pytest.raises(StoreError):
            getattr(store, ask)(*arguments)
        assert time.monotonic() - began < 6


def test_addresses(tmp_path: Path) -> None:
    assert isinstance(open_store(tmp_path / "a"), FolderStore)
    assert isinstance(open_store(str(tmp_path / "b")), FolderStore)
    open_store(f"file://{tmp_path}/with%20space").put("a", b"x")
    assert (tmp_path / "with space" / "a").read_bytes() == b"x"
    assert isinstance(open_store("memory://"), MemoryStore)
    for bad in ("ftp://x/y", "file://host/x", "http://example.org/", "redis://x"):
        with pytest.raises(UsageError):
            open_store(bad)


@pytest.mark.parametrize("url", ["s3://bucket/a", "gs://bucket/a", "az://container/a"])
def test_every_cloud_is_known(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert isinstance(open_store(url), RemoteStore)
