"""The nemesis: real signals, cuts and wipes, chosen by seed, each written down with what it broke off."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import psutil
from sqlalchemy import Engine, create_engine, text

from chaos.fleet import Fleet, Part
from chaos.recovery import Fault

LONGER_THAN_A_LEASE = 20.0
SLOT, SANDBOX = "docfleet.worker.slot", "docfleet.sandbox"

DISK_FULL_SECONDS = 10.0

SMALL = {
    "slot killed": 10,
    "sandbox killed": 4,
    "suspect's slot killed": 4,
    "worker killed": 4,
    "dispatcher killed": 2,
    "hints tenfold": 1,
    "database connections cut": 1,
}
"""Kinds that come every two seconds, with their weights."""
LARGE = (
    "Redis killed",
    "slot stopped for longer than a lease",
    "worker stopped in order",
    "API killed in mid-upload",
    "Redis emptied",
    "Postgres crashed",
    "worker stopped for longer than a lease",
    "Redis replaced by an empty one",
    "Redis silent",
    "dispatcher stopped for longer than a lease",
    "store's disk full",
    "worker's cable pulled",
    "worker's machine frozen",
    "Postgres away for long",
)
"""Kinds that come once in a round, evenly over it."""
ROUND_SECONDS = 420.0


class Nemesis:
    """Works in a thread of its own until told to stop; `faults` is what it did."""

    def __init__(
        self, fleet: Fleet, seed: int, kinds: frozenset[str], every_seconds: float = 2.0, outage_seconds: float = 15.0
    ) -> None:
        self.faults: list[Fault] = []
        self.misses = 0
        self._fleet, self._dice, self._every = fleet, random.Random(seed), every_seconds
        self._kinds, self._outage = kinds, outage_seconds
        self._engine: Engine = create_engine(
            fleet.postgres.url.replace("postgresql:", "postgresql+psycopg:"), pool_pre_ping=True
        )
        self._lock = threading.Lock()
        self._background: list[threading.Thread] = []
        self._deeds: Mapping[str, Callable[[], None]] = {
            "slot killed": lambda: self._kill_child(SLOT, "slot killed"),
            "sandbox killed": lambda: self._kill_child(SANDBOX, "sandbox killed"),
            "suspect's slot killed": self._kill_suspect,
            "worker killed": lambda: self._kill_part("worker", "worker killed"),
            "dispatcher killed": lambda: self._kill_part("dispatcher", "dispatcher killed"),
            "hints tenfold": self._multiply_hints,
            "database connections cut": self._cut_connections,
            "Redis killed": self._kill_redis,
            "Redis emptied": self._flush_redis,
            "Redis replaced by an empty one": lambda: self._replace_redis("Redis replaced by an empty one"),
            "Redis silent": self._silence_redis,
            "Postgres crashed": self._crash_postgres,
            "worker stopped in order": self._roll_worker,
            "slot stopped for longer than a lease": self._stop_slot,
            "worker stopped for longer than a lease": lambda: self._stop_part("worker"),
            "dispatcher stopped for longer than a lease": lambda: self._stop_part("dispatcher"),
            "store's disk full": self._fill_disk,
            "worker's cable pulled": self._pull_cable,
            "worker's machine frozen": self._freeze_machine,
            "Postgres away for long": self._take_postgres_away,
            "API killed in mid-upload": lambda: self._kill_part("api", "API killed in mid-upload"),
        }

    def rage(self, seconds: float) -> None:
        """One small fault every few seconds; the large ones evenly, each once in a round (a short storm is one)."""
        begun = time.monotonic()
        rounds = max(1, round(seconds / ROUND_SECONDS))
        small = {kind: weight for kind, weight in SMALL.items() if kind in self._kinds}
        large = [kind for kind in LARGE if kind in self._kinds] * rounds
        due = [(begun + seconds * (number + 0.5) / len(large), kind) for number, kind in enumerate(large)]
        while time.monotonic() < begun + seconds:
            time.sleep(self._every * self._dice.uniform(0.7, 1.3))
            if due and time.monotonic() >= due[0][0]:
                self._do(due.pop(0)[1])
            elif small:
                self._do(self._dice.choices(list(small), list(small.values()))[0])
        for _, kind in due:
            self._do(kind)
        for thread in self._background:
            thread.join()

    def close(self) -> None:
        self._engine.dispose()

    def _do(self, kind: str) -> None:
        try:
            self._deeds[kind]()
        except (psutil.Error, OSError, LookupError):
            # who was to be hit had gone already
            self.misses += 1

    def _note(
        self,
        kind: str,
        begun: float,
        target: str = "",
        broke_off: Mapping[int, int] | None = None,
        gone_at: float | None = None,
    ) -> None:
        with self._lock:
            self.faults.append(Fault(kind, begun, time.time(), broke_off or {}, target, gone_at))

    # --- who is at what

    def _running(self, name_has: str = "") -> dict[int, int]:
        """Slices that run now under workers whose name has this, with their tokens."""
        query = text("SELECT id, token FROM slice WHERE state = 'running' AND worker LIKE :name")
        with suppress(Exception), self._engine.connect() as connection:
            return {row.id: row.token for row in connection.execute(query, {"name": f"%{name_has}%"})}
        return {}

    def _choose(self, kind: str) -> Part:
        return self._dice.choice(
            [part for name, part in self._fleet.parts.items() if name.startswith(kind) and part.is_alive()]
        )

    # --- small faults

    def _kill_child(self, word: str, kind: str) -> None:
        part = self._choose("worker")
        child = self._dice.choice(part.children(word))
        broke_off = self._running(f"-{part.pid}-") if word == SLOT else {}
        begun = time.time()
        child.kill()
        self._note(kind, begun, str(child.pid), broke_off)

    def _kill_suspect(self) -> None:
        """Whoever works in the isolation lane is killed: the innocent there must not pay for it."""
        query = text("SELECT id, token, worker FROM slice WHERE state = 'running' AND isolated")
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LookupError("nobody is in the isolation lane")
        for part in self._fleet.workers:
            for child in part.children(SLOT):
                begun = time.time()
                child.kill()
                self._note("suspect's slot killed", begun, row.worker, {row.id: row.token})

    def _kill_part(self, name: str, kind: str) -> None:
        part = self._choose(name)
        broke_off = self._running(f"-{part.pid}-") if name == "worker" else {}
        begun = time.time()
        part.send(signal.SIGKILL)
        self._note(kind, begun, part.name, broke_off)

    def _multiply_hints(self) -> None:
        import redis

        begun = time.time()
        with suppress(redis.RedisError), redis.Redis.from_url(self._fleet.redis.url, socket_timeout=2) as link:
            for key in link.scan_iter(match="*.*", _type="list"):
                items = link.lrange(key, 0, -1)
                for _ in range(9 if items else 0):
                    link.rpush(key, *items)
        self._note("hints tenfold", begun)

    def _cut_connections(self) -> None:
        broke_off, begun = self._running(), time.time()
        self._fleet.postgres.run_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        self._note("database connections cut", begun, "", broke_off)

    # --- large ones

    def _kill_redis(self) -> None:
        broke_off, begun = self._running(), time.time()
        self._fleet.redis.kill()
        time.sleep(3.0)
        self._fleet.redis.start()
        self._note("Redis killed", begun, "", broke_off)

    def _flush_redis(self) -> None:
        import redis

        begun = time.time()
        with redis.Redis.from_url(self._fleet.redis.url) as link:
            link.flushall()
        self._note("Redis emptied", begun, "", self._running())

    def _replace_redis(self, kind: str) -> None:
        begun = time.time()
        self._fleet.redis.kill()
        self._fleet.redis.restart(empty=True)
        self._note(kind, begun, "", self._running())

    def _silence_redis(self) -> None:
        """Connections stay open and nothing answers, as behind a cut cable."""
        broke_off, begun, pid = self._running(), time.time(), self._fleet.redis.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(12.0)
        os.kill(pid, signal.SIGCONT)
        self._note("Redis silent", begun, "", broke_off)

    def _crash_postgres(self) -> None:
        broke_off, begun = self._running(), time.time()
        self._fleet.postgres.kill()
        time.sleep(1.0)
        self._fleet.postgres.start()
        self._note("Postgres crashed", begun, "", broke_off)

    def _take_postgres_away(self) -> None:
        """Recovery counts from its return."""
        broke_off, gone_at = self._running(), time.time()
        self._fleet.postgres.kill()
        time.sleep(self._outage)
        begun = time.time()
        self._fleet.postgres.start()
        self._note("Postgres away for long", begun, f"{self._outage:.0f} s", broke_off, gone_at)

    def _fill_disk(self) -> None:
        if self._fleet.disk is None:
            raise LookupError("the store has no disk of its own")
        broke_off, begun = self._running(), time.time()
        self._fleet.disk.fill()
        time.sleep(DISK_FULL_SECONDS)
        self._fleet.disk.free()
        self._note("store's disk full", begun, "", broke_off)

    def _pull_cable(self) -> None:
        """The first worker hears nothing and is not heard, and no connection says so."""
        cable = self._fleet.cable
        if cable is None:
            raise LookupError("nobody is at the other end of a cable")
        broke_off, begun = self._running(f"-{self._fleet.parts['worker1'].pid}-"), time.time()
        cable.pull()
        time.sleep(LONGER_THAN_A_LEASE)
        cable.plug()
        self._note("worker's cable pulled", begun, cable.name, broke_off)

    def _freeze_machine(self) -> None:
        """All processes of a worker stop in the same moment; awake again, each goes on as if nothing had happened."""
        part = self._choose("worker")
        pids = [part.pid, *(child.pid for word in (SLOT, SANDBOX) for child in part.children(word))]
        self._freeze(pids, "worker's machine frozen", self._running(f"-{part.pid}-"))

    def _roll_worker(self) -> None:
        part = self._choose("worker")
        broke_off, begun = self._running(f"-{part.pid}-"), time.time()
        part.send(signal.SIGTERM)
        self._note("worker stopped in order", begun, part.name, broke_off)

    def _stop_slot(self) -> None:
        part = self._choose("worker")
        child = self._dice.choice(part.children(SLOT))
        broke_off = self._running(f"-{part.pid}-")
        self._freeze([child.pid], "slot stopped for longer than a lease", broke_off)

    def _stop_part(self, name: str) -> None:
        part = self._choose(name)
        broke_off = self._running(f"-{part.pid}-") if name == "worker" else {}
        self._freeze([part.pid], f"{name} stopped for longer than a lease", broke_off)

    def _freeze(self, pids: Sequence[int], kind: str, broke_off: Mapping[int, int]) -> None:
        def thaw() -> None:
            time.sleep(LONGER_THAN_A_LEASE)
            # slots first: a supervisor that wakes before them would end them for what they lost
            for pid in reversed(pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        begun = time.time()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self._note(kind, begun, str(pids[0]), broke_off)
        thread = threading.Thread(target=thaw, daemon=True)
        thread.start()
        self._background.append(thread)
