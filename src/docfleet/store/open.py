"""From the address of a store to the store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from docfleet.errors import UsageError
from docfleet.store.base import Store
from docfleet.store.folder import FolderStore
from docfleet.store.memory import MemoryStore

REMOTE_SCHEMES = ("s3", "gs", "az")


def open_store(url: str | Path, *, durable: bool = True) -> Store:
    """The store at a folder's path, `file:///…`, `memory://`, `s3://bucket/prefix`, `gs://…` or `az://container/…`.

    `durable`: see `FolderStore`; the others always are, or never. Raises `UsageError` for an address of no store and
    `StoreError` for a folder that cannot be made; whether a remote store answers is for `Store.check` to say.
    """
    if isinstance(url, Path) or "://" not in url:
        return FolderStore(Path(url), durable=durable)
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"The store {url} names a host; a folder's address has three slashes: file:///folder.")
        return FolderStore(Path(unquote(parts.path)), durable=durable)
    if parts.scheme == "memory":
        return MemoryStore()
    if parts.scheme in REMOTE_SCHEMES:
        from docfleet.store.remote import RemoteStore  # loads the clients of all clouds

        return RemoteStore(url)
    raise UsageError(f"The store {url} is of no kind docfleet knows: use a folder, s3://, gs:// or az://.")
