"""What tests of contracts share: engine packages built and installed as a stranger's would be, an S3 server."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet.ledger import Ledger
from engine_packages import install
from ledger_driver import PostgresServer, postgres_server
from s3_server import S3Server, running_s3_server


@pytest.fixture(scope="session")
def shout_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the sound engine package is installed."""
    target = tmp_path_factory.mktemp("shout-site")
    install("docfleet_engine_shout", tmp_path_factory.mktemp("shout-build"), target)
    return target


@pytest.fixture(scope="session")
def faulty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package of faulty engines is installed."""
    target = tmp_path_factory.mktemp("faulty-site")
    install("docfleet_engine_faulty", tmp_path_factory.mktemp("faulty-build"), target)
    return target


def put_on_path(*folders: Path) -> Iterator[None]:
    """The folders' packages can be imported while this runs, and are forgotten after it."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    yield
    sys.path[:] = before
    for name in [name for name in sys.modules if name.startswith("docfleet_engine_")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def shout_installed(shout_folder: Path) -> Iterator[None]:
    yield from put_on_path(shout_folder)


@pytest.fixture
def faulty_installed(faulty_folder: Path, shout_folder: Path) -> Iterator[None]:
    yield from put_on_path(faulty_folder, shout_folder)


@pytest.fixture(scope="session")
def desk_postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        server.run_sql("CREATE DATABASE migrated")
        Ledger.open(server.url("migrated")).close()
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def desk_address(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """A database of each kind, for what clients ask of the ledger."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    server: PostgresServer = request.getfixturevalue("desk_postgres")
    return server.url(server.new_database("migrated"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server
