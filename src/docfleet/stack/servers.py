"""Servers of our own: a Postgres and a Redis in a folder, for `docfleet up` and for tests.

Both keep their data in the folder, so that the same folder brings it back. They end with the block that started them,
and with this process. Nobody but this machine's user can reach them: Postgres listens on a socket in a private folder,
Redis on the loopback address behind a password.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docfleet.errors import ServerFailed
from docfleet.stack.lifeline import end_program, last_line, start_program
from docfleet.stack.programs import may_enter, postgres_programs, readable_copy, redis_program, run_as, server_user

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POSTGRES_USER = "docfleet"
_SOCKET_PATH_LENGTH = 80
"""The path of a socket may have about a hundred characters, and Postgres adds twenty of its own."""
LOOPBACK = "127.0.0.1"


class PostgresServer:
    """A running Postgres. `url` names its database `docfleet`."""

    def __init__(self, folder: Path, programs: Path, user: str | None, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.socket_folder = folder / "socket" if len(str(folder)) < _SOCKET_PATH_LENGTH else _short_folder(user)
        self._programs = programs
        self._user = user
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def database_url(self, database: str) -> str:
        """`postgresql://…` of one database."""
        return f"postgresql:///{database}?host={self.socket_folder}&user={POSTGRES_USER}"

    @property
    def url(self) -> str:
        return self.database_url(POSTGRES_USER)

    @property
    def pid(self) -> int:
        """Of the first process, the parent of all the others."""
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run_sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs one statement in a transaction of its own; its rows, if it has any."""
        import psycopg  # here, since only those who run a server need it

        host = str(self.socket_folder)
        with psycopg.connect(host=host, user=POSTGRES_USER, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Starts it and waits until it answers. Raises `ServerFailed`."""
        import psycopg

        deadline = time.monotonic() + START_SECONDS
        while True:
            if not self.is_running():
                self._process = self._launch()
            try:
                self.run_sql("SELECT 1")
            except psycopg.OperationalError as error:
                # after a crash it refuses to start until the last process of the one before has ended
                if time.monotonic() > deadline:
                    raise ServerFailed(f"Postgres did not start: {last_line(self.folder / 'log')}") from error
                time.sleep(0.1)
            else:
                return

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.socket_folder), **self._settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return start_program(
            [str(self._programs / "postgres"), "-D", str(self.folder / "db"), *options],
            log=self.folder / "log",
            folder=self.folder,
            user=self._user,
            last_signal=signal.SIGINT,
        )

    def stop(self) -> None:
        """Ends it in order; clients are disconnected."""
        if self._process is not None:
            end_program(self._process, signal.SIGINT, STOP_SECONDS)

    def kill(self) -> None:
        """As a crash would: what was committed is there after the next start."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def make_database(self, name: str) -> None:
        """Makes a database unless it is there."""
        if not self.run_sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.run_sql(f'CREATE DATABASE "{name}"')


@contextmanager
def start_postgres(
    folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """A Postgres with its data in `folder`, made if need be; stopped at the end, the folder stays.

    `durable`: survives a power cut; off, it survives crashes of its own only, and is faster. `settings` are lines of
    postgresql.conf. Postgres refuses to run as root: it then runs as another user, to whom the folder is given.
    Raises `ServerFailed`.
    """
    programs = postgres_programs()
    user = server_user()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if user:
        shutil.chown(folder, user)
        if not may_enter(user, folder):
            raise ServerFailed(
                f"Postgres does not run as root, and the user {user} cannot enter {folder}: "
                "choose a data folder all users can reach, or run docfleet as another user."
            )
        if not str(programs).startswith("/usr/"):
            programs = readable_copy(programs, folder)
    _make_cluster(programs, folder, user, durable)
    chosen = {"max_connections": "200", "fsync": "on" if durable else "off", **(settings or {})}
    server = PostgresServer(folder, programs, user, chosen)
    server.socket_folder.mkdir(mode=0o700, exist_ok=True)
    if user:
        shutil.chown(server.socket_folder, user)
    try:
        server.start()
        server.make_database(POSTGRES_USER)
        yield server
    finally:
        server.stop()
        if server.socket_folder.parent != folder:
            shutil.rmtree(server.socket_folder, ignore_errors=True)


def _make_cluster(programs: Path, folder: Path, user: str | None, durable: bool) -> None:
    """A fresh database cluster in `folder/db`, unless there is one."""
    if (folder / "db").exists():
        return
    half = folder / "db.half"
    shutil.rmtree(half, ignore_errors=True)
    # trust: only who may enter the socket's folder, this user, can connect at all
    setup = ["-D", str(half), "-A", "trust", "-E", "UTF8", "-U", POSTGRES_USER, "--locale", "C"]
    command = [str(programs / "initdb"), *setup, *([] if durable else ["--no-sync"])]
    as_user = run_as(user)
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True, **as_user)
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()[-1:]), "it said nothing")
        raise ServerFailed(f"A Postgres could not be made in {folder}: {said}")
    half.rename(folder / "db")


def _short_folder(user: str | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dfpg", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    return folder


class RedisServer:
    """A running Redis (or Valkey). `url` carries its password."""

    _arguments: tuple[str, ...] = ()

    def __init__(self, folder: Path, program: Path, config: Mapping[str, str], password: str = "") -> None:
        """`password` empty: one of its own."""
        self.folder = folder
        self.port = 0
        self.password = password or secrets.token_urlsafe(24)
        self._program = program
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The same for the life of this object, restarts included."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and waits until it answers. Raises `ServerFailed`."""
        for attempt in range(3):
            port = self.port or _free_port()
            self._process = self._launch(port)
            if self._answers(port):
                self.port = port
                return
            end_program(self._process, signal.SIGKILL, STOP_SECONDS)
            # somebody else may have taken the port in between
            if attempt == 2:
                raise ServerFailed(f"Redis did not start: {last_line(self.folder / 'log')}")

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        file = self.folder / "redis.conf"
        if not self.port:
            # once only: Sentinel writes into it who is whose replica. The password goes by a private file, since
            # arguments are for all to see
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as config:
                config.writelines(f"{name} {value}\n" for name, value in self._lines(port).items())
        command = [str(self._program), str(file), *self._arguments]
        return start_program(command, log=self.folder / "log", folder=self.folder)

    def _lines(self, port: int) -> dict[str, str]:
        return {
            "bind": LOOPBACK,
            "port": str(port),
            "requirepass": self.password,
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            **self._config,
        }

    def _answers(self, port: int) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.is_running() and time.monotonic() < deadline:
            if _ping(port, self.password):
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        if self._process is not None:
            end_program(self._process, signal.SIGTERM, STOP_SECONDS)

    def kill(self) -> None:
        """As a crash would: loses up to a second of writes."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self, *, empty: bool = False) -> None:
        """Ends it (if it runs) and starts it at the same address; `empty`: as a fresh one that knows nothing."""
        self.stop()
        if empty:
            for left in (*self.folder.glob("appendonly*"), *self.folder.glob("*.rdb")):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.start()


@contextmanager
def start_redis(folder: Path, *, config: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """A Redis with its data in `folder`, made if need be; stopped at the end, the folder stays.

    It appends every write to a file, synced each second, and refuses writes rather than drop keys when memory is full.
    `config` are further lines of redis.conf, or others instead. Raises `ServerFailed`.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    server = RedisServer(folder, redis_program(), config or {})
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _ping(port: int, password: str) -> bool:
    """Speaks the protocol itself, so that starting a server needs no client library."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1.0) as line:
        line.sendall(b"AUTH %s\r\nPING\r\n" % password.encode())
        said = b""
        while b"PONG" not in said and (part := line.recv(256)):
            said += part
        return b"PONG" in said
    return False
