"""From the settings to the server's options."""

from __future__ import annotations

import os

from docfleet.documentai_server.access import read_keys
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.storage import StorageOptions
from docfleet.documentai_server.tls import TlsFiles, self_signed
from docfleet.errors import UsageError
from docfleet.settings import DocumentAIServerSettings, Settings

BLANK_ENGINE = "null"
"""With this engine nothing is read at all: pages are counted and answered empty."""


def options_of(settings: Settings) -> ServerOptions:
    """Raises `UsageError` for settings that contradict each other, or name files that cannot be read.

    A certificate of our own is made here when one is asked for.
    """
    own = settings.documentai_server
    listener = Listener(
        host=own.host,
        grpc_port=own.grpc_port if own.grpc_port >= 0 else None,
        rest_port=own.rest_port if own.rest_port >= 0 else None,
        tls=_tls(own),
    )
    if listener.grpc_port is None and listener.rest_port is None:
        raise UsageError("Neither gRPC nor REST: there would be nothing to answer.")
    return ServerOptions(
        readers=ReaderOptions(
            settings=settings.model_dump(mode="json", exclude={"documentai_server"}),
            readers=own.readers or len(os.sched_getaffinity(0)),
            waiting=own.waiting,
            seconds=own.document_seconds,
            recycle_bytes=settings.fleet.recycle_bytes,
            blank=settings.reading.engine == BLANK_ENGINE,
        ),
        listeners=(listener,),
        keys=read_keys(own.keys_file) if own.keys_file else {},
        processors=_processors(own.processors),
        unknown_processors=own.unknown_processors,
        locations=own.locations,
        projects=own.projects,
        always_pixels=own.always_pixels,
        data_folder=own.data_folder,
        storage=StorageOptions(folder=own.storage_folder) if own.storage_folder else None,
        max_calls=own.max_calls,
        grace_seconds=settings.fleet.grace_seconds,
        emulation_plan=own.emulation_plan,
        emulation_port=own.emulation_port,
    )


def _tls(own: DocumentAIServerSettings) -> TlsFiles | None:
    if own.tls_self_signed is not None:
        if own.tls_cert_file or own.tls_key_file:
            raise UsageError("Give a certificate, or have one made in a folder; not both.")
        made = self_signed(own.tls_self_signed, (own.host,) if own.host not in ("0.0.0.0", "::", "") else ())
        return TlsFiles(made.certificate, made.key, own.client_ca_file)
    if own.tls_cert_file is None and own.tls_key_file is None:
        if own.client_ca_file is not None:
            raise UsageError("Callers can show certificates only where the server has one: mutual TLS needs both.")
        return None
    if own.tls_cert_file is None or own.tls_key_file is None:
        raise UsageError("TLS needs a certificate and its private key.")
    return TlsFiles(own.tls_cert_file, own.tls_key_file, own.client_ca_file)


def _processors(said: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in said:
        id, _, kind = one.partition("=")
        if not id.strip() or not kind.strip():
            raise UsageError(f"A processor is given as id=TYPE, not as {one!r}.")
        found[id.strip()] = kind.strip()
    return found
