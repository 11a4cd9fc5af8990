from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_service import WorkerService

from engine_packages import install
from ledger_driver import PostgresServer


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package of faulty engines is installed."""
    target = tmp_path_factory.mktemp("faulty-site")
    install("docfleet_engine_faulty", tmp_path_factory.mktemp("faulty-build"), target)
    return target


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.slow), "postgres"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkerService]:
    """A service without workers, on either database: what they say is told apart by the contract tests already."""
    url = ""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url(server.new_ledger())
    made = WorkerService(tmp_path, url)
    yield made
    made.close()


@pytest.fixture
def on_postgres(postgres: PostgresServer, tmp_path: Path) -> Iterator[WorkerService]:
    """The same where only several connections at once can show something."""
    made = WorkerService(tmp_path, postgres.url(postgres.new_ledger()))
    yield made
    made.close()
