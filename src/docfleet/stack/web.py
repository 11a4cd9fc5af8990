"""The REST API as a process or as a part of one: uvicorn on a socket of our own, with TLS given a certificate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from docfleet.errors import DocfleetError, UsageError
from docfleet.runtime import DOCUMENTAI, Runtime, engine_options
from docfleet.settings import ApiSettings
from docfleet.stack.metrics import begin_counting_requests, telling
from docfleet.stack.mounting import add_console
from docfleet.stack.renewing import RenewedCertificate
from docfleet.stack.roles import Liveness, stopping_on_signals, wait_for_ledger
from docfleet.telemetry.otlp import exporting

if TYPE_CHECKING:
    from fastapi import FastAPI

BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 75
"""Longer than the minute after which common load balancers drop a connection that is idle."""
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def make_api(runtime: Runtime) -> FastAPI:
    """The API over the parts of a runtime. Opens ledger and store."""
    from docfleet.api.app import make_app
    from docfleet.api.limits import TlsFiles
    from docfleet.api.parts import ApiOptions, ApiParts
    from docfleet.engines.documentai.options import read_options
    from docfleet.fleet.cloud_quotas import open_cloud_quotas
    from docfleet.ledger.service_values import ReadingOptions
    from docfleet.stack.reporting import report_office

    settings = runtime.settings
    api, service, reading = settings.api, settings.service, settings.reading
    hints = runtime.hints
    formats = tuple(settings.output.formats)
    options = ApiOptions(
        defaults=ReadingOptions(formats, tuple(reading.languages), reading.mode, reading.engine),
        engines=tuple(api.engines),
        region=service.region,
        public_url=api.public_url,
        requests_per_minute=api.requests_per_minute,
        limits_url=settings.quota.redis_url or service.broker_url,
        limits_tls=TlsFiles(
            str(service.broker_ca_file or ""), str(service.broker_cert_file or ""), str(service.broker_key_file or "")
        ),
        max_file_bytes=settings.limits.max_file_bytes,
        max_waiting_documents=api.max_waiting_documents,
        max_tenant_waiting_documents=api.max_tenant_waiting_documents,
        min_free_bytes=api.min_free_bytes,
        max_concurrent_uploads=api.max_concurrent_uploads,
        allowed_sources=tuple(api.allowed_sources),
        webhooks_allow_private=settings.delivery.allow_private,
    )
    parts = ApiParts(
        ledger=runtime.ledger,
        desk=runtime.desk,
        access=runtime.access,
        webhooks=runtime.webhooks,
        store=runtime.store,
        master_key=runtime.master_key,
        options=options,
        budgets=runtime.budgets,
        office=report_office(runtime),
        broker_is_up=hints.is_up if hints is not None else None,
        quotas=open_cloud_quotas(
            read_options(engine_options(settings)[DOCUMENTAI]),
            runtime.quota_redis(),
            service.data_folder,
            runtime.ledger,
        ),
    )
    return make_app(parts)


@contextlib.contextmanager
def listening(api: ApiSettings) -> Iterator[socket.socket]:
    """A socket on the address of the settings. Raises `UsageError` when it is taken or may not be had."""
    family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
    try:
        sock = socket.create_server((api.host, api.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            f"{api.host}:{api.port} cannot be listened on: {error.strerror or error}. Choose another with --port."
        ) from error
    with sock:
        yield sock


def address_of(api: ApiSettings, sock: socket.socket) -> str:
    """`http://…` by which clients of this machine reach a listening socket."""
    host = _ANY_ADDRESS.get(api.host, api.host)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if api.tls_cert_file else 'http'}://{host}:{sock.getsockname()[1]}"


def check_tls(api: ApiSettings) -> None:
    """Raises `UsageError` unless certificate and key are both there and belong together, or neither is given."""
    if api.tls_cert_file is None and api.tls_key_file is None:
        return
    for what, path in (("certificate", api.tls_cert_file), ("private key", api.tls_key_file)):
        if path is None or not path.is_file():
            raise UsageError(f"TLS needs a certificate and its private key: there is no {what} {path or ''}".rstrip())
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(api.tls_cert_file), str(api.tls_key_file))
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"The certificate and its private key cannot be used: {error}.") from error


class _Server(uvicorn.Server):
    """Stops by an event, leaves signals alone, and tells with every turn of its loop that it lives."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event, on_turn: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_turn = on_turn
        self._renewed: RenewedCertificate | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        if config.ssl is not None:
            self._renewed = RenewedCertificate(
                config.ssl, Path(str(config.ssl_certfile)), Path(str(config.ssl_keyfile))
            )
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        self._on_turn()
        if self._renewed is not None:
            self._renewed.look()
        if self._stop.is_set():
            self.should_exit = True
        return await super().on_tick(counter)


def serve_http(
    app: FastAPI,
    api: ApiSettings,
    sock: socket.socket,
    stop: threading.Event,
    on_turn: Callable[[], None],
    grace_seconds: float,
) -> None:
    """Answers requests until `stop` is set; those under way then have `grace_seconds`.

    `on_turn` is called about ten times a second by the loop that answers: a stuck one is seen from outside.
    """
    from docfleet.api.connection import LimitedHeadProtocol

    config = uvicorn.Config(
        app,
        http=LimitedHeadProtocol,
        log_config=None,
        log_level="error",  # its warnings are about what strangers send: whoever sent it is told
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
        lifespan="on",
        ssl_certfile=api.tls_cert_file,
        ssl_keyfile=api.tls_key_file,
    )
    server = _Server(config, stop, on_turn)
    try:
        server.run(sockets=[sock])
    except asyncio.CancelledError as error:
        raise DocfleetError("The API was stopped before it had started.") from error


def api_process(runtime: Runtime, liveness: Path | None) -> None:
    """The role `api`: answers until SIGTERM or SIGINT."""
    settings = runtime.settings
    check_tls(settings.api)
    begin_counting_requests(settings, "api")
    traces = exporting(settings.telemetry.otlp_options(), "api", settings.service.region)
    with traces, stopping_on_signals() as stop, listening(settings.api) as sock, telling(settings, "api"):
        alive = Liveness(liveness)
        if not wait_for_ledger(runtime, stop, alive):
            return
        print(f"docfleet API on {address_of(settings.api, sock)}", flush=True)
        app = make_api(runtime)
        add_console(app, runtime)
        serve_http(app, settings.api, sock, stop, alive.touch, settings.fleet.grace_seconds)
        alive.end()
