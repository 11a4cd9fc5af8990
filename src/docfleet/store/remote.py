"""Stores of a cloud or of a server that speaks its protocol: S3, Google Cloud Storage, Azure."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from obstore.exceptions import BaseError
from obstore.store import from_url

from docfleet.errors import UsageError
from docfleet.store.objects import ObjectStore


class RemoteOptions(msgspec.Struct, frozen=True):
    """How long to wait for a store that does not answer, in seconds. Together: a dead one is noticed in about ten."""

    connect_seconds: float = 3.0
    silence_seconds: float = 10.0
    """Without a single byte, or for one part of an upload to be taken."""
    retries: int = 2
    retry_seconds: float = 8.0
    """After this long no further try is made."""
    request_seconds: float = 900.0
    """One whole request, however well it goes."""


class RemoteStore(ObjectStore):
    """Credentials and endpoint come from where the vendor's own tools take them (`AWS_…`, `GOOGLE_…`, `AZURE_…`)."""

    def __init__(self, url: str, options: RemoteOptions = RemoteOptions()) -> None:  # noqa: B008 - frozen
        try:
            objects = from_url(
                url,
                client_options={
                    "allow_http": True,  # only where the operator's endpoint says http://
                    "connect_timeout": timedelta(seconds=options.connect_seconds),
                    "read_timeout": timedelta(seconds=options.silence_seconds),
                    "timeout": timedelta(seconds=options.request_seconds),
                },
                retry_config={
                    "max_retries": options.retries,
                    "retry_timeout": timedelta(seconds=options.retry_seconds),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=1),
                        "base": 2,
                    },
                },
            )
        except (BaseError, ValueError) as error:
            said = next(iter(str(error).splitlines()), "")
            raise UsageError(f"The store {url} cannot be opened: {said}") from error
        super().__init__(objects)
