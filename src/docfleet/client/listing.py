"""Listings of the service, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from docfleet.client.connection import Connection, decoded
from docfleet.client.values import Slice
from docfleet.errors import ServiceError

T = TypeVar("T")


def listed(connection: Connection, path: str, kind: type[T], params: Mapping[str, Any]) -> Iterator[T]:
    """Every item of a listing; the next page is asked for when the one before is used up."""
    cursor: str | None = None
    while True:
        page = decoded(connection.request("GET", path, params={**params, "cursor": cursor}), Slice)
        for item in page.items:
            try:
                yield msgspec.convert(item, kind)
            except msgspec.ValidationError as error:
                raise ServiceError(f"The service listed something else under {path}: {error}.") from error
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
