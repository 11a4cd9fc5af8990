"""The server put together: catalog, readers, methods, interceptors, listeners."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from starlette.routing import BaseRoute

from docfleet.documentai_server.access import Access
from docfleet.documentai_server.batch import Batches, BatchLimits, preparing
from docfleet.documentai_server.catalog import Catalog
from docfleet.documentai_server.emulation.admin import admin_app
from docfleet.documentai_server.emulation.clock import Clock, MachineClock
from docfleet.documentai_server.emulation.intercepting import EmulationInterceptor
from docfleet.documentai_server.emulation.plan import Plan, plan_from_file
from docfleet.documentai_server.emulation.playing import Emulation
from docfleet.documentai_server.grpc_server import GrpcOptions, GrpcServer
from docfleet.documentai_server.long_running import LongRunning
from docfleet.documentai_server.methods import MethodTable
from docfleet.documentai_server.numbering import project_number
from docfleet.documentai_server.operations import Operations
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.processing import Processing
from docfleet.documentai_server.processors import Processors
from docfleet.documentai_server.readers import Readers
from docfleet.documentai_server.rest_server import HttpServer, RestFront, RestOptions
from docfleet.documentai_server.service import Service
from docfleet.documentai_server.storage import Buckets, StorageDocuments
from docfleet.documentai_server.storage_rest import storage_routes
from docfleet.documentai_server.tls import check_tls
from docfleet.engines.documentai.facts import Facts, read_facts
from docfleet.errors import UsageError
from docfleet.telemetry import logger

_log = logger("documentai_server")
CATALOG_FILE = "processors.json"
OPERATIONS_FILE = "operations.db"


class Address(msgspec.Struct, frozen=True):
    """Where one listener answers; None: not by this transport."""

    listener: str
    grpc: str | None
    """`host:port`, as `api_endpoint` takes it."""
    rest: str | None
    """`http://host:port`, as `api_endpoint` takes it."""


class DocumentAIServer:
    """A server that listens once made and answers after `start`. Use it as a context manager, or `stop` it.

    Raises `UsageError` for options that cannot be: an address that is taken, certificates that do not fit, a type of
    processor nobody knows.
    """

    def __init__(self, options: ServerOptions, *, clock: Clock | None = None) -> None:
        for listener in options.listeners:
            if listener.tls is not None:
                check_tls(listener.tls)
        self.options = options
        self._undo = contextlib.ExitStack()
        try:
            self._build(options, clock or MachineClock())
        except BaseException:
            self._undo.close()
            raise

    def _build(self, options: ServerOptions, clock: Clock) -> None:
        self.facts: Facts = read_facts(options.facts)
        folder = options.data_folder
        if folder is not None:
            _make(folder)
        self.catalog = Catalog(
            self.facts,
            processors=options.processors,
            unknown=options.unknown_processors,
            locations=options.locations,
            projects=tuple(project_number(project) for project in options.projects),
            path=folder / CATALOG_FILE if folder else None,
        )
        plan = plan_from_file(options.emulation_plan) if options.emulation_plan else Plan()
        self.emulation = Emulation(plan, clock)
        emulated = options.emulation_plan is not None or options.emulation_port is not None
        interceptors = [EmulationInterceptor(self.emulation)] if emulated else []
        self.service = Service(MethodTable(), self.catalog, Access(options.keys), interceptors)
        self.readers = Readers(options.readers)
        self._undo.callback(self.readers.close)
        self._register(options, emulated)
        self._grpc: list[GrpcServer] = []
        self._http: list[HttpServer] = []
        self.addresses = [self._listen(listener) for listener in options.listeners]
        self.emulation_address: str | None = None
        if options.emulation_port is not None:
            admin = HttpServer(admin_app(self.emulation), RestOptions(port=options.emulation_port))
            self._undo.callback(admin.stop)
            self._http.append(admin)
            self.emulation_address = f"http://127.0.0.1:{admin.port}"

    def _register(self, options: ServerOptions, emulated: bool) -> None:
        methods, folder = self.service.methods, options.data_folder
        self.buckets = Buckets(options.storage) if options.storage is not None else None
        documents = StorageDocuments(self.buckets) if self.buckets is not None else None
        processing = Processing(self.catalog, self.readers, self.facts, documents, options.always_pixels)
        methods.register("ProcessDocument", processing.process)
        operations = Operations(folder / OPERATIONS_FILE if folder else None)
        self._undo.callback(operations.close)
        self._batches: Batches | None = None
        if self.buckets is not None:
            self._batches = Batches(
                operations,
                self.buckets,
                self.readers,
                preparing(processing, self.facts),
                self._batch_limits if emulated else lambda: BatchLimits(concurrent=None),
                workers=options.batch_workers,
                waiting_seconds=lambda: self.emulation.plan.batch_waiting_seconds,
            )
            self._batches.register(methods)
        running = LongRunning(operations, self._batches.cancel if self._batches else _nothing)
        running.register(methods)
        Processors(self.catalog, running.keep).register(methods)

    def _batch_limits(self) -> BatchLimits:
        concurrent = self.emulation.plan.concurrent_batches
        sizes = self.facts.sizes
        kept = BatchLimits(files=sizes.batch_files, file_bytes=sizes.batch_file_bytes)
        return msgspec.structs.replace(kept, concurrent=concurrent) if concurrent is not None else kept

    def _listen(self, listener: Listener) -> Address:
        options, grpc, rest = self.options, None, None
        host = "localhost" if listener.host in ("", "0.0.0.0", "::", "127.0.0.1", "::1") else listener.host
        if listener.grpc_port is not None:
            server = GrpcServer(
                self.service,
                GrpcOptions(
                    host=listener.host,
                    port=listener.grpc_port,
                    tls=listener.tls,
                    listener=listener.name,
                    locations=listener.locations,
                    max_calls=options.max_calls,
                    max_request_bytes=options.max_request_bytes,
                ),
            )
            self._undo.callback(server.stop, options.grace_seconds)
            self._grpc.append(server)
            grpc = f"{host}:{server.port}"
        if listener.rest_port is not None:
            given = RestOptions(
                host=listener.host,
                port=listener.rest_port,
                tls=listener.tls,
                listener=listener.name,
                locations=listener.locations,
                max_calls=options.max_calls,
                max_request_bytes=options.max_request_bytes,
                grace_seconds=options.grace_seconds,
            )
            extra: list[BaseRoute] = list(storage_routes(self.buckets)) if self.buckets is not None else []
            http = HttpServer(RestFront(self.service, given, extra).app, given)
            self._undo.callback(http.stop)
            self._http.append(http)
            rest = f"{'https' if listener.tls else 'http'}://{host}:{http.port}"
        return Address(listener.name, grpc, rest)

    def start(self) -> None:
        """Returns once every listener answers."""
        if not self.options.keys:
            _log.warning("documentai_server_open_to_all", remedy="Name a file of API keys with --keys-file.")
        self.readers.start()
        if self._batches is not None:
            self._undo.callback(self._batches.close)
            self._batches.start()
        for http in self._http:
            http.start()
        for grpc in self._grpc:
            grpc.start()

    def stop(self) -> None:
        """Takes no more calls; those under way have the grace time."""
        self._undo.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_server(options: ServerOptions, stop: threading.Event, started: Callable[[DocumentAIServer], None]) -> None:
    """Serves until `stop` is set; `started` is called once it answers."""
    with DocumentAIServer(options) as server:
        started(server)
        stop.wait()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"The data folder {folder} cannot be used: {error.strerror}.") from error


def _nothing(id: str) -> None: ...
