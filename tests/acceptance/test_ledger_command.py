"""`docfleet ledger`: tables are made once, waited for by others, and told about."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg
import pytest

from docfleet.ledger.schema import HEAD
from ledger_driver import PostgresServer
from running import docfleet, end, start


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    return postgres.url(postgres.new_database())


def on(address: str) -> dict[str, str]:
    return {"DOCFLEET_SERVICE__LEDGER_URL": address}


@pytest.mark.slow
def test_pieces_wait_until_the_tables_are_there(address: str) -> None:
    before = docfleet("ledger", "status", "--json", env=on(address))
    assert before.exit_code == 1
    assert before.summary == {"revision": "", "needed": HEAD, "can_be_worked_on": False}
    impatient = docfleet("ledger", "wait", "--seconds", 1, env=on(address))
    assert impatient.exit_code == 1
    assert "not there" in impatient.stderr
    assert docfleet("ledger", "status", env=on(address)).exit_code == 1, "who waits makes nothing"
    waiting = start("ledger", "wait", env=on(address))
    try:
        time.sleep(2)
        assert waiting.poll() is None
        made = docfleet("ledger", "migrate", "--json", env=on(address))
        assert made.exit_code == 0
        assert made.summary["revision"] == HEAD
        assert waiting.wait(30) == 0
    finally:
        end(waiting)
    assert docfleet("ledger", "migrate", env=on(address)).exit_code == 0, "the second time changes nothing"


@pytest.mark.slow
def test_a_migration_gives_way_and_tries_again(address: str) -> None:
    """Somebody holds what it needs: it waits for him, and he does not wait for it."""
    with psycopg.connect(address) as holder:
        holder.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        holder.commit()
        holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        migrating = start("ledger", "migrate", "--seconds", "120", env=on(address))
        try:
            assert migrating.stderr is not None
            assert b"trying again" in migrating.stderr.readline()
            assert migrating.poll() is None
            holder.rollback()
            assert migrating.wait(60) == 0
        finally:
            end(migrating)


def test_an_earlier_version_is_content_with_tables_that_were_added_to(address: str) -> None:
    assert docfleet("ledger", "migrate", env=on(address)).exit_code == 0
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9998'")
        assert docfleet("ledger", "wait", "--seconds", 5, env=on(address)).exit_code == 0
        connection.execute("UPDATE alembic_version SET version_num = 'b0001'")
    refused = docfleet("ledger", "migrate", "--seconds", 5, env=on(address))
    assert refused.exit_code != 0
    assert "newer docfleet" in refused.stderr


def test_looking_makes_no_file(tmp_path: Path) -> None:
    env = {"DOCFLEET_SERVICE__DATA_FOLDER": str(tmp_path / "data")}
    assert docfleet("ledger", "status", env=env).exit_code == 1
    assert not (tmp_path / "data").exists()
    assert docfleet("ledger", "migrate", "--json", env=env).summary["revision"] == HEAD
    assert json.loads(docfleet("ledger", "status", "--json", env=env).stdout)["can_be_worked_on"]
