"""A ledger is brought up to date while others work on it: they wait a moment, or the upgrade gives way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from sqlalchemy import text

from docfleet.errors import LedgerError
from docfleet.ledger import Ledger
from docfleet.ledger.dialect import connect
from docfleet.ledger.migrations import configuration
from docfleet.ledger.schema import HEAD
from ledger_driver import PostgresServer

ROWS = 20_000
LOCK_SECONDS = 5.0


@pytest.fixture
def old(postgres: PostgresServer) -> str:
    """Address of a ledger of the first docfleet with many slices."""
    address = postgres.url(postgres.new_database())
    engine = connect(address, 5, False)
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO batch (id, key, label, options_json, created_at) VALUES ('b', 'k', '', '{}', 1)")
        )
        connection.execute(
            text(
                "INSERT INTO document (id, batch_id, sha256, options_digest, size_bytes, media_type, state, priority, "
                "round, plan_json, code, message, detail, result_key, pages_read, pages_failed, engines_json, "
                "cost_usd, work_seconds, created_at) "
                "VALUES ('d', 'b', 's', 'o', 7, 'application/pdf', 'received', 100, 1, "
                "'', '', '', '', '', 0, 0, '{}', 0, 0, 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO slice (document_id, batch_id, round, step, first_page, last_page, state, priority, "
                "attempt, crash_count, error_count, wait_count, loss_count, token, worker, available_at, isolated, "
                "payload_json, result_key, code, message, detail, created_at) SELECT 'd', 'b', 1, 'local', n, n, "
                "'queued', 100, 0, 0, 0, 0, 0, 0, '', 1, false, '', '', '', '', '', 1 "
                f"FROM generate_series(1, {ROWS}) n"
            )
        )
    engine.dispose()
    return address


class OldWorker(threading.Thread):
    """Does what a worker of the first docfleet does all the time, and notes how long each transaction took."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.error: Exception | None = None
        self.may_run = True
        self._address = address.replace("+psycopg", "")

    def run(self) -> None:
        try:
            with psycopg.connect(self._address, autocommit=True) as connection:
                while self.may_run:
                    begun = time.monotonic()
                    connection.execute(
                        "UPDATE slice SET available_at = available_at + 1 WHERE id = (SELECT id FROM slice "
                        "WHERE state = 'queued' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)"
                    )
                    self.seconds.append(time.monotonic() - begun)
                    time.sleep(0.005)
        except psycopg.Error as error:
            self.error = error


@pytest.fixture
def worker(old: str) -> Iterator[OldWorker]:
    started = OldWorker(old)
    started.start()
    yield started
    started.may_run = False
    started.join()
    assert started.error is None


def revision(address: str) -> str:
    with psycopg.connect(address.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


def test_an_upgrade_lets_old_workers_go_on(old: str, worker: OldWorker) -> None:
    openers = [threading.Thread(target=lambda: Ledger.open(old).close()) for _ in range(3)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert revision(old) == HEAD
    done = len(worker.seconds)
    time.sleep(0.5)
    assert len(worker.seconds) > done, "old and new work on the same tables"
    assert max(worker.seconds) < LOCK_SECONDS


def test_an_upgrade_gives_way_to_whoever_holds_the_tables(old: str, worker: OldWorker) -> None:
    """A dump that runs for an hour must not have everybody wait behind the upgrade for an hour."""
    with psycopg.connect(old.replace("+psycopg", "")) as dump:
        dump.execute("SELECT count(*) FROM slice")
        begun = time.monotonic()
        with pytest.raises(LedgerError):
            Ledger.open(old)
        waited = time.monotonic() - begun
        assert waited < LOCK_SECONDS + 10
        done = len(worker.seconds)
        time.sleep(0.5)
        assert len(worker.seconds) > done, "who waited behind the upgrade goes on"
        assert revision(old) == "0001", "an upgrade that gave way left nothing behind"
    assert max(worker.seconds) < LOCK_SECONDS + 2
    Ledger.open(old).close()
    assert revision(old) == HEAD
