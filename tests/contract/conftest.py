"""What tests of contracts share: installed engine packages, an S3 server, ledgers on both databases."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet.ledger import Ledger
from docfleet.ledger.desk import Desk
from engine_packages import install
from ledger_driver import PostgresServer
from new_ledger import new_ledger
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


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """An empty ledger's database of each kind."""
    if request.param == "sqlite":
        return new_ledger(tmp_path / "ledger.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.new_ledger())


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    """Without jitter: what waits after a failure waits exactly as long as the policy says."""
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened


@pytest.fixture
def on_postgres(postgres: PostgresServer) -> Iterator[Ledger]:
    """For what only several connections at once can show."""
    with Ledger.open(postgres.url(postgres.new_ledger()), jitter=lambda: 0.0) as opened:
        yield opened


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server
