"""What the server is told. Values of the settings come in here; nothing below reads settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.storage import StorageOptions
from docfleet.documentai_server.tls import TlsFiles


class Listener(msgspec.Struct, frozen=True):
    """One pair of ports. A server with several plays several endpoints."""

    name: str = ""
    host: str = "127.0.0.1"
    grpc_port: int | None = 0
    """None: no gRPC; 0: any free one."""
    rest_port: int | None = 0
    tls: TlsFiles | None = None
    locations: tuple[str, ...] = ()
    """That it answers for; empty: all the server has."""


class ServerOptions(msgspec.Struct, frozen=True):
    readers: ReaderOptions
    listeners: tuple[Listener, ...] = (Listener(),)
    keys: Mapping[str, str] = {}
    """Name -> API key; none: everybody may call."""
    processors: Mapping[str, str] = {}
    """Ids of processors that are there in every project and location, with their types."""
    unknown_processors: str = ""
    """Type of every other id; empty: there is none."""
    locations: tuple[str, ...] = ()
    """Empty: all that are known."""
    projects: tuple[str, ...] = ()
    """Ids or numbers; empty: any."""
    always_pixels: bool = False
    data_folder: Path | None = None
    """For processors that are made and for operations; None: both go with the process."""
    storage: StorageOptions | None = None
    """None: only documents that are sent along are read, and there are no batches."""
    batch_workers: int = 2
    max_calls: int = 128
    max_request_bytes: int = 128 * 1024 * 1024
    grace_seconds: float = 10.0
    emulation_plan: Path | None = None
    emulation_port: int | None = None
    """Of the admin endpoint on this machine; None: there is none."""
    facts: Mapping[str, Any] = {}
    """Over those shipped; see `engines.documentai.facts`."""
