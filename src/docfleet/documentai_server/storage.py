"""gs:// without Google: buckets by name over folders or any object store that obstore knows.

Object names are Google's, not docfleet's keys: any characters, in a tree only by their slashes. Names with empty parts,
"." or ".." are refused, since a folder cannot hold them; below a folder, nothing can be an object and a prefix of
others at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from docfleet.documentai_server.limits import check_size
from docfleet.documentai_server.refusals import invalid, not_found
from docfleet.errors import BadKey, NotStored, UsageError
from docfleet.store.objects import translating_errors

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Objects

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
OBJECT_NAME_BYTES = 1024
CHUNK_BYTES = 256 * 1024


class StorageOptions(msgspec.Struct, frozen=True):
    """Which buckets there are."""

    folder: Path | None = None
    """Every bucket is a folder below it, made when it is first written to. None: memory, gone with the process."""
    buckets: Mapping[str, str] = {}
    """Buckets that lie elsewhere, by name: `file:///…`, `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://`."""


class StoredObject(msgspec.Struct, frozen=True):
    bucket: str
    name: str
    size: int
    updated: datetime
    etag: str = ""

    @property
    def generation(self) -> int:
        """Microseconds since 1970 of the last write, as Google counts generations."""
        return int(self.updated.timestamp() * 1_000_000)

    @property
    def content_type(self) -> str:
        return guess_type(self.name)[0] or "application/octet-stream"


class Buckets:
    """All buckets. Threads may share one; open it after any fork.

    Methods raise `BadKey` for a name that cannot be, `NotStored` for a bucket or object that is not there, and
    `StoreError` when the medium fails.
    """

    def __init__(self, options: StorageOptions) -> None:
        self._options = options
        self._open: dict[str, Objects] = {}

    def exists(self, bucket: str) -> bool:
        try:
            self._objects(bucket)
        except NotStored:
            return False
        return True

    def make(self, bucket: str) -> None:
        """Making one that exists is no error."""
        self._objects(bucket, make=True)

    def buckets(self) -> list[str]:
        """Names of all there are."""
        names = {*self._open, *self._options.buckets}
        if self._options.folder is not None and self._options.folder.is_dir():
            names |= {entry.name for entry in self._options.folder.iterdir() if entry.is_dir()}
        return sorted(name for name in names if BUCKET_NAME.fullmatch(name))

    def put(self, bucket: str, name: str, data: bytes) -> StoredObject:
        """Stores all of it or nothing, over whatever was there. Makes the bucket."""
        objects = self._objects(bucket, make=True)
        with translating_errors(f"gs://{bucket}/{name}"):
            objects.put(check_name(name), data)
        return self.head(bucket, name)

    def get(self, bucket: str, name: str) -> bytes:
        with translating_errors(f"gs://{bucket}/{name}"):
            return bytes(self._objects(bucket).get(check_name(name)).bytes())

    def chunks(self, bucket: str, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in bounded memory."""
        end = self.head(bucket, name).size if end is None else end
        if start >= end:
            return
        with translating_errors(f"gs://{bucket}/{name}"):
            found = self._objects(bucket).get(check_name(name), options={"range": (start, end)})
            for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def head(self, bucket: str, name: str) -> StoredObject:
        with translating_errors(f"gs://{bucket}/{name}"):
            found = self._objects(bucket).head(check_name(name))
        return _stored(bucket, found)

    def delete(self, bucket: str, name: str) -> None:
        """Raises `NotStored` for what is not there."""
        self.head(bucket, name)
        with translating_errors(f"gs://{bucket}/{name}"):
            self._objects(bucket).delete(check_name(name))

    def list(self, bucket: str, prefix: str = "") -> list[StoredObject]:
        """All whose name begins with `prefix` (any characters, not only whole parts), in the order of their names."""
        objects = self._objects(bucket)
        # stores list whole parts of names only
        folder = prefix.rpartition("/")[0]
        if folder:
            check_name(folder)
        found: list[StoredObject] = []
        with translating_errors(f"gs://{bucket}/{prefix}"):
            for chunk in objects.list(folder or None, chunk_size=1000):
                found += [_stored(bucket, one) for one in chunk if one["path"].startswith(prefix)]
        return sorted(found, key=lambda one: one.name)

    def _objects(self, bucket: str, *, make: bool = False) -> Objects:
        if not BUCKET_NAME.fullmatch(bucket) or ".." in bucket:
            raise BadKey(f"no bucket can be called {bucket[:100]!r}")
        known = self._open.get(bucket)
        if known is not None:
            return known
        with translating_errors(f"gs://{bucket}"):
            opened = self._opened(bucket, make)
        return self._open.setdefault(bucket, opened)

    def _opened(self, bucket: str, make: bool) -> Objects:
        # the Rust client; loaded on first use, after any fork
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, MemoryStore, from_url

        url = self._options.buckets.get(bucket)
        if url is not None and url.startswith("memory:"):
            return MemoryStore()
        if url is not None:
            try:
                return from_url(url)
            except (BaseError, ValueError) as error:
                raise UsageError(f"The bucket {bucket} cannot be opened at {url}.") from error
        if self._options.folder is None:
            if not make:
                raise NotStored(f"there is no bucket {bucket}")
            return MemoryStore()
        folder = self._options.folder / bucket
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise NotStored(f"there is no bucket {bucket}")
        return LocalStore(str(folder))


def check_name(name: str) -> str:
    """The name itself, when an object can have it here; else `BadKey`."""
    parts = name.split("/")
    bad = any(part in ("", ".", "..") or not part.isprintable() for part in parts)
    if bad or len(name.encode(errors="replace")) > OBJECT_NAME_BYTES:
        raise BadKey(f"no object can be called {name[:100]!r} here")
    return name


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and object name (or prefix, which may be empty) of `gs://bucket/name`. Raises `BadKey`."""
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme != "gs" or not BUCKET_NAME.fullmatch(bucket):
        raise BadKey(f"not an address of Cloud Storage: {uri[:200]!r}")
    return bucket, name


class StorageDocuments:
    """What `gs://` addresses name, for requests that point at their document."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def read(self, uri: str, limit: int) -> bytes:
        """The object, of at most `limit` bytes. Raises `Refusal`, and `StoreError` when the medium fails."""
        try:
            bucket, name = split_uri(uri)
            check_size(self._buckets.head(bucket, name).size, limit, "gcs_document.gcs_uri")
            return self._buckets.get(bucket, name)
        except BadKey as error:
            raise invalid("gcs_document.gcs_uri", f"Invalid Cloud Storage URI: {error.message}") from error
        except NotStored as error:
            raise not_found(uri) from error


def _stored(bucket: str, found: Any) -> StoredObject:
    return StoredObject(bucket, found["path"], found["size"], found["last_modified"], (found["e_tag"] or "").strip('"'))
