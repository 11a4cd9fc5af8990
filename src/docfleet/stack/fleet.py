"""The distributed service on one machine: Postgres, Redis, API, dispatcher and workers, each its own process."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from docfleet.domain.urgency import HINTED_POOLS, Pool
from docfleet.errors import DocfleetError, ServerFailed
from docfleet.runtime import MASTER_KEY_FILE, Runtime
from docfleet.settings import Settings
from docfleet.stack.autoscaling import Autoscaler, PoolStanding, bounds_of, busy_workers, decided
from docfleet.stack.children import Child, MergedLog
from docfleet.stack.first_key import FirstKey, first_key
from docfleet.stack.fleet_servers import Servers
from docfleet.stack.metrics import Below, metrics_below, telling
from docfleet.stack.offering import offering_engines
from docfleet.stack.roles import stopping_on_signals
from docfleet.stack.serving import environment_of, sole_user
from docfleet.stack.sizing import SizeChange
from docfleet.stack.web import address_of, check_tls, listening
from docfleet.stack.worker_pool import WorkerChange, WorkerPool

_TEND_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_START_SECONDS = 60.0
_EXTRA_SECONDS = 8.0


class FleetPlan(msgspec.Struct, frozen=True):
    """What `docfleet up` starts."""

    folder: Path | None
    """Where the data is and stays; None: a temporary folder, deleted at the end."""
    workers: int = 1
    """Worker processes of each pool, where they do not follow the work."""
    cloud: bool = False
    """A cloud worker as well, whatever the settings; there is one wherever they name processors."""
    autoscale: bool = False
    """As many workers as the dispatcher decides, within the settings `scaling`."""
    sentinel: bool = False
    """Three Redis under Sentinel in place of one."""


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
    pools: tuple[PoolStanding, ...] = ()
    """Those that follow the work."""


class Teller(Protocol):
    """Hears what happens."""

    def started(self, facts: Started) -> None:
        """Once, when the API answers."""
        ...

    def changed(self, change: WorkerChange, standing: PoolStanding | None) -> None:
        """A worker was started or drained, and how its pool stands then."""
        ...

    def show(self, standing: Standing) -> None:
        """Every second."""
        ...


def run_fleet(settings: Settings, plan: FleetPlan, teller: Teller) -> None:
    """Runs all of it until SIGTERM or SIGINT, and takes all of it down again, in the order that loses no time.

    Raises `ServerFailed` when Postgres, Redis or the API cannot be started.
    """
    check_tls(settings.api)
    settings = offering_engines(settings)
    with ExitStack() as opened:
        stop = opened.enter_context(stopping_on_signals())
        folder = opened.enter_context(_data_folder(plan.folder))
        log = MergedLog(folder / "logs" / "docfleet.log")
        opened.callback(log.close)
        servers = Servers(folder, opened, durable=plan.folder is not None, sentinel=plan.sentinel)
        settings = _settings_of(settings, folder, servers, plan)
        runtime = opened.enter_context(Runtime(settings))
        _make_master_key(settings)
        url, port = _address(settings)
        key = first_key(runtime.access, folder, url)
        settings = _with(settings, "api", port=port)
        below = opened.enter_context(metrics_below(settings))
        opened.enter_context(telling(settings, "up", below.snapshots))
        fleet = _Fleet(settings, plan, runtime, log.write, below)
        opened.callback(fleet.end)
        fleet.start()
        if not _answers(url, fleet.api, stop.is_set):
            if stop.is_set():
                return
            raise ServerFailed(f"The API did not answer within {_START_SECONDS:.0f} s; see {log.path}.")
        teller.started(Started(url, key, folder, log.path, servers.pids | fleet.pids(), settings))
        _watch(servers, fleet, teller, stop)


def _watch(servers: Servers, fleet: _Fleet, teller: Teller, stop: threading.Event) -> None:
    looked_at = 0.0
    while not stop.wait(_TEND_SECONDS):
        servers.tend()
        running = fleet.tend()
        changes = fleet.drained()
        if time.monotonic() - looked_at >= _LOOK_SECONDS:
            looked_at = time.monotonic()
            changes += fleet.look()
            teller.show(fleet.standing(running))
        for change in changes:
            teller.changed(change, fleet.pool_standing(change.pool))


class _Fleet:
    """The processes of ours: API, dispatcher and the pools of workers. For one thread."""

    def __init__(
        self,
        settings: Settings,
        plan: FleetPlan,
        runtime: Runtime,
        lines: Callable[[str, bytes], None],
        below: Below,
    ) -> None:
        environment = environment_of(settings)

        def role(name: str, *arguments: str) -> Child:
            return Child(name, arguments or [name], environment | below.environment(name), lines)

        self.api = role("api")
        self._roles = [self.api, role("dispatcher")]
        self._seconds = settings.fleet.grace_seconds + _EXTRA_SECONDS
        self._runtime = runtime

        def pool(name: str) -> WorkerPool:
            return WorkerPool(name, lambda child: role(child, "worker", "--pool", name), self._seconds)

        hinted = [pool(name) for name in HINTED_POOLS]
        cloud = [pool(Pool.CLOUD)] if plan.cloud or settings.documentai.processors else []
        self._pools = [*hinted, *cloud]
        self._first = {pool.pool: plan.workers for pool in hinted} | {pool.pool: 1 for pool in cloud}
        self._scaler: Autoscaler | None = None
        if plan.autoscale:
            bounds = bounds_of(settings.scaling, [pool.pool for pool in self._pools])
            wanted, busy = partial(decided, runtime), partial(busy_workers, runtime)
            self._first = {pool: own.least for pool, own in bounds.items()}
            self._scaler = Autoscaler(self._pools, bounds, wanted, busy, max(2, len(os.sched_getaffinity(0))))

    @property
    def _children(self) -> list[Child]:
        return [*self._roles, *(child for pool in self._pools for child in pool.children)]

    def start(self) -> None:
        for child in self._roles:
            child.start()
        for pool in self._pools:
            pool.apply(SizeChange(start=self._first[pool.pool]))

    def tend(self) -> int:
        """Starts again what ended unasked; how many processes run."""
        return sum([child.tend() for child in self._roles]) + sum([pool.tend() for pool in self._pools])

    def drained(self) -> list[WorkerChange]:
        return [change for pool in self._pools for change in pool.drained()]

    def look(self) -> list[WorkerChange]:
        return self._scaler.look() if self._scaler is not None else []

    def pids(self) -> dict[str, int]:
        return {child.name: child.pid for child in self._children if child.pid is not None}

    def standing(self, running: int) -> Standing:
        restarts = sum(child.restarts for child in self._roles) + sum(pool.restarts for pool in self._pools)
        return Standing(
            running,
            len(self._roles) + sum(pool.size for pool in self._pools),
            restarts,
            _open_documents(self._runtime),
            tuple(self._scaler.standings()) if self._scaler is not None else (),
        )

    def pool_standing(self, pool: str) -> PoolStanding | None:
        standings = self._scaler.standings() if self._scaler is not None else []
        return next((one for one in standings if one.pool == pool), None)

    def end(self) -> None:
        """All are asked at once, so that their grace times pass together."""
        children = self._children
        for child in children:
            child.ask_to_stop()
        deadline = time.monotonic() + self._seconds
        for child in children:
            child.end(max(0.1, deadline - time.monotonic()))


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


def _settings_of(settings: Settings, folder: Path, servers: Servers, plan: FleetPlan) -> Settings:
    service = {
        "data_folder": folder,
        "store_url": settings.service.store_url or str(folder / "store"),
        **servers.settings,
    }
    if not settings.service.master_key and settings.service.master_key_file is None:
        service["master_key_file"] = folder / MASTER_KEY_FILE
    # one slot each where the number of workers follows the work: small steps
    own_share = 1 if plan.autoscale else max(1, len(os.sched_getaffinity(0)) // len(HINTED_POOLS))
    return _with(_with(settings, "service", **service), "fleet", slots=settings.fleet.slots or own_share)


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


def _open_documents(runtime: Runtime) -> int | None:
    try:
        return runtime.desk.open_documents()
    except DocfleetError:
        return None
