"""Documents that are fetched from an object store instead of being uploaded; only from places the operator allowed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import msgspec

from docfleet.api.parts import ApiParts
from docfleet.api.storing import too_large
from docfleet.errors import BadKey, BadRequest, NotFound, NotStored, SourceNotAllowed
from docfleet.store.base import check_key
from docfleet.store.open import open_store


class Place(msgspec.Struct, frozen=True):
    """An object: the store it is in and its key there."""

    store: str
    key: str


def find_place(url: str, allowed: tuple[str, ...]) -> Place:
    """Where `url` points to, under the allowed place it is in. Raises `SourceNotAllowed` and `BadRequest`.

    Whole parts count: `s3://bucket/in` allows `s3://bucket/in/a.pdf`, not `s3://bucket/inside/a.pdf`.

    >>> find_place("s3://bucket/in/a.pdf", ("s3://bucket/in",))
    Place(store='s3://bucket/in', key='a.pdf')
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise SourceNotAllowed()
    address = f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}"
    for place in sorted(allowed, key=len, reverse=True):
        root = place.rstrip("/")
        if root and "://" in root and address.startswith(f"{root}/"):
            key = address.removeprefix(f"{root}/")
            try:
                check_key(key)
            except BadKey as error:
                raise BadRequest("The names in a source URL have letters, digits and . _ = @ + - only.") from error
            return Place(root, key)
    raise SourceNotAllowed()


def open_source(url: str, parts: ApiParts) -> Iterator[bytes]:
    """The bytes of the object at `url`. Blocks. Raises as `find_place`, `NotFound`, `PayloadTooLarge`, `StoreError`."""
    place = find_place(url, parts.options.allowed_sources)
    store = (parts.open_source or open_store)(place.store)
    try:
        size = store.size(place.key)
        if size > parts.options.max_file_bytes:
            raise too_large(parts.options.max_file_bytes)
        return store.get_stream(place.key)
    except NotStored as error:
        raise NotFound("There is nothing at this source URL.") from error
