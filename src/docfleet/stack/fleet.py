"""The distributed service on one machine: Postgres, Redis, API, dispatcher and workers, each its own process."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from docfleet.domain.urgency import HINTED_POOLS, Pool
from docfleet.errors import DocfleetError, ServerFailed
from docfleet.runtime import MASTER_KEY_FILE, Runtime
from docfleet.settings import Settings
from docfleet.stack.children import Child, MergedLog
from docfleet.stack.first_key import FirstKey, first_key
from docfleet.stack.offering import offering_engines
from docfleet.stack.roles import stopping_on_signals
from docfleet.stack.servers import PostgresServer, RedisServer, start_postgres, start_redis
from docfleet.stack.serving import environment_of, sole_user
from docfleet.stack.web import address_of, check_tls, listening
from docfleet.telemetry import logger

_log = logger(__name__)
_TEND_SECONDS = 0.2
_START_SECONDS = 60.0
_EXTRA_SECONDS = 8.0


class FleetPlan(msgspec.Struct, frozen=True):
    """What `docfleet up` starts."""

    folder: Path | None
    """Where the data is and stays; None: a temporary folder, deleted at the end."""
    workers: int = 1
    """Worker processes of each pool."""
    cloud: bool = False
    """A cloud worker as well, whatever the settings; there is one wherever they name processors."""


class Started(msgspec.Struct, frozen=True):
    """What is told once the service answers."""

    url: str
    key: FirstKey
    folder: Path
    log: Path
    pids: dict[str, int]
    settings: Settings


class Standing(msgspec.Struct, frozen=True):
    """How the processes stand, for the status line."""

    running: int
    wanted: int
    restarts: int
    open_documents: int | None
    """None: the ledger does not answer."""


def run_fleet(
    settings: Settings, plan: FleetPlan, started: Callable[[Started], None], show: Callable[[Standing], None]
) -> None:
    """Runs all of it until SIGTERM or SIGINT, and takes all of it down again, in the order that loses no time.

    `started` is called once the API answers, `show` every second. Raises `ServerFailed` when Postgres, Redis or the
    API cannot be started.
    """
    check_tls(settings.api)
    settings = offering_engines(settings)
    with ExitStack() as opened:
        stop = opened.enter_context(stopping_on_signals())
        folder = opened.enter_context(_data_folder(plan.folder))
        log = MergedLog(folder / "logs" / "docfleet.log")
        opened.callback(log.close)
        postgres = opened.enter_context(start_postgres(folder / "postgres", durable=plan.folder is not None))
        redis = opened.enter_context(start_redis(folder / "redis"))
        settings = _settings_of(settings, folder, postgres, redis)
        runtime = opened.enter_context(Runtime(settings))
        _make_master_key(settings)
        url, port = _address(settings)
        key = first_key(runtime.access, folder, url)
        settings = _with(settings, "api", port=port)
        children = _children(settings, plan, log.write)
        opened.callback(_end_all, children, settings.fleet.grace_seconds + _EXTRA_SECONDS)
        for child in children:
            child.start()
        if not _answers(url, children[0], stop.is_set):
            if stop.is_set():
                return
            raise ServerFailed(f"The API did not answer within {_START_SECONDS:.0f} s; see {log.path}.")
        started(Started(url, key, folder, log.path, _pids(children, postgres, redis), settings))
        shown_at = 0.0
        while not stop.wait(_TEND_SECONDS):
            _tend_servers(postgres, redis)
            running = sum([child.tend() for child in children])
            if time.monotonic() - shown_at >= 1.0:
                shown_at = time.monotonic()
                restarts = sum(child.restarts for child in children)
                show(Standing(running, len(children), restarts, _open_documents(runtime)))


@contextmanager
def _data_folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        with sole_user(kept):
            yield kept.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="docfleet-", dir="/tmp"))
    # Postgres may run as another user, who has to pass; what is private in here has modes of its own
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings_of(settings: Settings, folder: Path, postgres: PostgresServer, redis: RedisServer) -> Settings:
    service = {
        "data_folder": folder,
        "ledger_url": postgres.url,
        "broker_url": redis.url,
        "store_url": settings.service.store_url or str(folder / "store"),
    }
    if not settings.service.master_key and settings.service.master_key_file is None:
        service["master_key_file"] = folder / MASTER_KEY_FILE
    slots = settings.fleet.slots or max(1, len(os.sched_getaffinity(0)) // len(HINTED_POOLS))
    return _with(_with(settings, "service", **service), "fleet", slots=slots)


def _with(settings: Settings, section: str, **values: object) -> Settings:
    changed = getattr(settings, section).model_copy(update=values)
    return settings.model_copy(update={section: changed})


def _make_master_key(settings: Settings) -> None:
    """On the first start; a folder with a database but without its key is refused by whoever needs the key."""
    from docfleet.runtime import write_private
    from docfleet.store.encryption import MasterKey

    path = settings.service.master_key_file
    if path is not None and not path.exists() and path.parent == settings.service.data_folder:
        write_private(path, MasterKey.generate().to_base64() + "\n", replace=False)


def _address(settings: Settings) -> tuple[str, int]:
    """Where the API will answer: a free port when none is set, so that it is the same after a restart."""
    with listening(settings.api) as sock:
        return address_of(settings.api, sock), sock.getsockname()[1]


def _children(settings: Settings, plan: FleetPlan, lines: Callable[[str, bytes], None]) -> list[Child]:
    """The API first."""
    environment = environment_of(settings)
    children = [
        Child("api", ["api"], environment, lines),
        Child("dispatcher", ["dispatcher"], environment, lines),
    ]
    for pool in HINTED_POOLS:
        children += [
            Child(f"{pool}-{number}", ["worker", "--pool", pool], environment, lines)
            for number in range(1, plan.workers + 1)
        ]
    if plan.cloud or settings.documentai.processors:
        children.append(Child("cloud", ["worker", "--pool", Pool.CLOUD], environment, lines))
    return children


def _end_all(children: list[Child], seconds: float) -> None:
    """All are asked at once, so that their grace times pass together."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + seconds
    for child in children:
        child.end(max(0.1, deadline - time.monotonic()))


def _answers(url: str, api: Child, stopped: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not stopped():
        try:
            # the certificate is checked by clients; here only our own child is listened for
            import ssl

            urllib.request.urlopen(f"{url}/healthz", timeout=2.0, context=ssl._create_unverified_context()).close()
        except (urllib.error.URLError, OSError):
            if not api.tend():
                time.sleep(0.1)
            time.sleep(0.05)
        else:
            return True
    return False


def _pids(children: list[Child], postgres: PostgresServer, redis: RedisServer) -> dict[str, int]:
    pids = {"postgres": postgres.pid, "redis": redis.pid}
    return pids | {child.name: child.pid for child in children if child.pid is not None}


def _tend_servers(postgres: PostgresServer, redis: RedisServer) -> None:
    for name, server in (("postgres", postgres), ("redis", redis)):
        if not server.is_running():
            _log.warning("server_ended", name=name)
            with contextlib.suppress(ServerFailed):
                server.start()


def _open_documents(runtime: Runtime) -> int | None:
    try:
        return runtime.desk.open_documents()
    except DocfleetError:
        return None
