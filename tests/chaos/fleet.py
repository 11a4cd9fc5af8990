"""The whole service as real processes: two APIs, two dispatchers, two workers, Postgres and Redis.

Whoever dies is started again after a moment, as an orchestrator would.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from chaos.surroundings import Cable, NotHere, SmallDisk, a_cable, small_disk
from docfleet.stack.lifeline import start_program
from docfleet.stack.servers import POSTGRES_USER, PostgresServer, RedisServer, start_postgres, start_redis
from docfleet.store.keys import MasterKey

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
RESTART_SECONDS = 0.5
T = TypeVar("T")


class Part:
    """One process of the service and how to start it again."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name, self.command, self.environment = name, list(command), dict(environment)
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.may_run = True
        self.dead_since: float | None = None

    def start(self) -> None:
        # whatever ends this process ends the service: a run that was killed leaves nothing behind
        self.process = start_program(
            self.command, log=self.log, folder=None, last_signal=signal.SIGKILL, environment=self.environment
        )
        self.starts += 1
        self.dead_since = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def children(self, word: str) -> list[psutil.Process]:
        """Processes below it whose command line has `word`."""
        found = []
        with suppress(psutil.Error):
            for child in psutil.Process(self.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if any(word in argument for argument in child.cmdline()):
                        found.append(child)
        return found

    def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL for what is left of its session after the grace."""
        self.may_run = False
        if self.process is None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


class Fleet:
    """The parts by name ("api1", "dispatcher2", "worker1" …) and what they share."""

    def __init__(
        self,
        folder: Path,
        postgres: PostgresServer,
        redis: RedisServer,
        settings: Mapping[str, str],
        slots: int,
        plugins: Path | None,
    ) -> None:
        self.folder, self.postgres, self.redis = folder, postgres, redis
        self.master_key = MasterKey.generate().to_base64()
        self.store_url = str(folder / "store")
        self.parts: dict[str, Part] = {}
        self.ports: dict[str, int] = {}
        self.disk: SmallDisk | None = None
        self.cable: Cable | None = None
        self._settings = settings
        self._slots = slots
        self._plugins = plugins
        self._stop = threading.Event()
        self._guard = threading.Thread(target=self._keep_alive, daemon=True)

    def environment(self, **more: str) -> dict[str, str]:
        """What every part reads; `more` in the settings' own names."""
        shared = {
            "SERVICE__LEDGER_URL": self.postgres.url,
            "SERVICE__STORE_URL": self.store_url,
            "SERVICE__BROKER_URL": self.redis.url,
            "SERVICE__MASTER_KEY": self.master_key,
            "SERVICE__DATA_FOLDER": str(self.folder / "data"),
            "DELIVERY__ALLOW_PRIVATE": "true",
            "API__REQUESTS_PER_MINUTE": "10000000",
            "FLEET__SLOTS": str(self._slots),
            **self._settings,
            **more,
        }
        said = {f"DOCFLEET_{name}": value for name, value in shared.items()}
        path = {"PYTHONPATH": str(self._plugins)} if self._plugins else {}
        return {**os.environ, **said, **path, "OMP_NUM_THREADS": "1"}

    def add(self, name: str, arguments: Sequence[str], prefix: Sequence[str] = (), **more: str) -> Part:
        clock = {"LD_PRELOAD": more.pop("LD_PRELOAD", ""), "FAKETIME": more.pop("FAKETIME", "")}
        environment = {**self.environment(**more), **{key: value for key, value in clock.items() if value}}
        command = [*prefix, sys.executable, "-m", "docfleet", *arguments]
        part = self.parts[name] = Part(name, command, environment, self.folder)
        part.start()
        return part

    def start(self, wrong_clock: bool, each: int) -> None:
        for number in range(1, each + 1):
            port = self.ports[f"api{number}"] = free_port()
            self.add(f"api{number}", ["api"], API__PORT=str(port))
        self._wait_for_ledger()
        for number in range(1, each + 1):
            self.add(f"dispatcher{number}", ["dispatcher"])
            # the second worker lives a minute in the future
            more = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+60s"} if wrong_clock and number == 2 else {}
            prefix: Sequence[str] = ()
            if self.cable is not None and number == 1:
                more, prefix = more | self._far_addresses(self.cable), self.cable.prefix
            self.add(f"worker{number}", ["worker", "--pool", "pdf,image"], prefix, **more)
        self._guard.start()

    def _far_addresses(self, cable: Cable) -> dict[str, str]:
        """Postgres and Redis as they are called at the other end of the cable."""
        ledger = f"postgresql://{POSTGRES_USER}@{cable.address}:5432/{POSTGRES_USER}"
        broker = self.redis.url.replace("127.0.0.1", cable.address)
        return {"SERVICE__LEDGER_URL": ledger, "SERVICE__BROKER_URL": broker}

    def _wait_for_ledger(self) -> None:
        import httpx

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if all(httpx.get(f"{url}/healthz", timeout=2).status_code == 200 for url in self.urls):
                    return
            time.sleep(0.1)
        raise SystemExit(f"the API did not start; see {self.folder}/api1.log")

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports.values()]

    @property
    def workers(self) -> list[Part]:
        return [part for name, part in self.parts.items() if name.startswith("worker")]

    def _keep_alive(self) -> None:
        while not self._stop.wait(0.1):
            for part in list(self.parts.values()):
                if part.is_alive() or not part.may_run:
                    continue
                part.dead_since = part.dead_since or time.monotonic()
                if time.monotonic() - part.dead_since > RESTART_SECONDS:
                    part.start()

    def stop(self) -> None:
        self._stop.set()
        if self._guard.is_alive():
            self._guard.join()
        for kind in ("worker", "dispatcher", "api"):
            enders = [
                threading.Thread(target=part.end, args=(25.0,))
                for name, part in self.parts.items()
                if name.startswith(kind)
            ]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()


@contextmanager
def run_fleet(
    folder: Path,
    *,
    slots: int = 1,
    wrong_clock: bool = False,
    settings: Mapping[str, str] | None = None,
    plugins: Path | None = None,
    each: int = 2,
    with_disk: bool = False,
    with_cable: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Fleet]:
    """A fleet of `each` APIs, dispatchers and workers with its data in `folder`, stopped at the end.

    `plugins`: where engines of strangers are installed. `with_disk`: the store has a small disk of its own;
    `with_cable`: the first worker is elsewhere in the network. Where the machine does not allow that, `tell` hears why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store").mkdir(exist_ok=True)
    with ExitStack() as stack:
        # a crash of Postgres is one of the faults; a power cut is not
        disk = _if_allowed(stack, small_disk(folder / "store"), tell) if with_disk else None
        cable = _if_allowed(stack, a_cable(), tell) if with_cable else None
        listen = {"listen_addresses": cable.address, "port": "5432"} if cable else {}
        postgres = stack.enter_context(start_postgres(folder / "pg", durable=False, settings=listen))
        if cable:
            with (folder / "pg" / "db" / "pg_hba.conf").open("a") as access:
                access.write(f"host all all {cable.network} trust\n")
            postgres.run_sql("SELECT pg_reload_conf()")
        bind = {"bind": f"127.0.0.1 {cable.address}"} if cable else {}
        redis = stack.enter_context(start_redis(folder / "redis", config=bind))
        fleet = Fleet(folder, postgres, redis, settings or {}, slots, plugins)
        fleet.disk, fleet.cable = disk, cable
        try:
            fleet.start(wrong_clock, each)
            yield fleet
        finally:
            fleet.stop()


def _if_allowed(stack: ExitStack, thing: AbstractContextManager[T], tell: Callable[[str], None]) -> T | None:
    try:
        return stack.enter_context(thing)
    except NotHere as error:
        tell(f"left out on this machine: {error}")
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh_name(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(4)}"
