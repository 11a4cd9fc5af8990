"""All in one on a laptop: the API, housekeeping and delivery in this process, and a worker in direct mode beside it.

Where a cloud engine is set up there is a cloud worker, too."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from pydantic import BaseModel
from pydantic_settings import NoDecode

from docfleet.domain.urgency import Pool
from docfleet.errors import UsageError
from docfleet.runtime import Runtime
from docfleet.settings import ServiceSettings, Settings
from docfleet.stack.children import Child
from docfleet.stack.first_key import FirstKey, first_key
from docfleet.stack.housekeeping import dispatch_parts, keep_house
from docfleet.stack.metrics import begin_counting_requests, metrics_below, telling
from docfleet.stack.mounting import add_console
from docfleet.stack.offering import offering_engines
from docfleet.stack.roles import stopping_on_signals
from docfleet.stack.web import address_of, check_tls, listening, make_api, serve_http
from docfleet.telemetry.otlp import exporting

_TEND_SECONDS = 0.2
_REQUEST_SECONDS = 3.0
"""Ctrl-C on a laptop: requests under way have this long."""
_EXTRA_SECONDS = 8.0
"""What a worker may take to hand back, beyond its grace time."""


class Served(msgspec.Struct, frozen=True):
    """What is told once the service answers."""

    url: str
    key: FirstKey
    data_folder: Path
    worker_pid: int | None


def serve(settings: Settings, started: Callable[[Served], None]) -> None:
    """Serves until SIGTERM or SIGINT; `started` is called once it answers.

    What was accepted before and is not done goes on. Raises `UsageError` when another one works in the data folder.
    """
    check_tls(settings.api)
    service = settings.service
    _refuse_servers(service)
    settings = offering_engines(settings)
    with ExitStack() as opened:
        opened.enter_context(exporting(settings.telemetry.otlp_options(), "serve", service.region))
        stop = opened.enter_context(stopping_on_signals())
        # what is made in the folder is for this user alone: the folder itself may have been there, open to everybody
        opened.callback(os.umask, os.umask(0o077))
        opened.enter_context(sole_user(service.data_folder))
        sock = opened.enter_context(listening(settings.api))
        begin_counting_requests(settings, "serve")
        below = opened.enter_context(metrics_below(settings))
        opened.enter_context(telling(settings, "serve", below.snapshots))
        runtime = opened.enter_context(Runtime(settings))
        _ = runtime.master_key  # made now, so that the worker finds it
        url = address_of(settings.api, sock)
        key = first_key(runtime.access, service.data_folder, url)
        app = make_api(runtime)
        add_console(app, runtime)
        parts = dispatch_parts(runtime, _nothing, _drop)
        house = threading.Thread(target=keep_house, args=(runtime, stop, parts), name="dispatcher")
        environment = environment_of(settings)
        workers = [Child("worker", ["worker", "--pool", "all"], environment | below.environment("worker"))]
        if settings.documentai.processors:
            # whoever asks for it would wait for ever without one
            cloud = ["worker", "--pool", Pool.CLOUD]
            workers.append(Child("cloud", cloud, environment | below.environment("cloud")))
        told = False

        def on_turn() -> None:
            nonlocal told
            if not told:
                told = True
                started(Served(url, key, service.data_folder, workers[0].pid))

        for worker in workers:
            opened.callback(worker.end, settings.fleet.grace_seconds + _EXTRA_SECONDS)
            worker.start()
        tending = threading.Thread(target=_tend, args=(workers, stop), name="tending")
        for thread in (house, tending):
            thread.start()
            opened.callback(thread.join)
        # first of all when anything goes wrong: everyone is told to stop
        opened.callback(stop.set)
        serve_http(app, settings.api, sock, stop, on_turn, _REQUEST_SECONDS)


def _tend(workers: Sequence[Child], stop: threading.Event) -> None:
    while not stop.wait(_TEND_SECONDS):
        for worker in workers:
            worker.tend()
    for worker in workers:
        worker.ask_to_stop()


def environment_of(settings: Settings) -> dict[str, str]:
    """Variables under which another process of this service reads these very settings."""
    found: dict[str, str] = {}
    for section in type(settings).model_fields:
        part: BaseModel = getattr(settings, section)
        for name, value in part.model_dump(mode="json").items():
            if value is not None:
                has_commas = NoDecode in type(part).model_fields[name].metadata
                found[f"DOCFLEET_{section}__{name}".upper()] = _as_variable(value, has_commas)
    # relative to where this process stands, which is where that one will stand too
    return found


def _as_variable(value: object, has_commas: bool) -> str:
    if isinstance(value, list) and has_commas:
        return ",".join(value)
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Holds a data folder for this process, made if need be. Raises `UsageError` when another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "in-use").open("wb")
    except OSError as error:
        raise UsageError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"Another docfleet works in {folder}: stop it, or choose another --data folder."
            ) from error
        yield


def _refuse_servers(service: ServiceSettings) -> None:
    if service.broker_url or "://" in service.ledger_url:
        raise UsageError(
            "`docfleet serve` is all in one, on SQLite and without a broker; with Postgres or Redis run its pieces: "
            "`docfleet api`, `docfleet dispatcher` and `docfleet worker`, or `docfleet up` for all of them here."
        )


def _nothing() -> None: ...


def _drop(gauges: dict[str, float]) -> None: ...
