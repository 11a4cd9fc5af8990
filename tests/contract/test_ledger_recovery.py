"""What the ledger does when the database goes, and when a document has lost its next slice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import LedgerError, LedgerUnavailable
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan, in_one
from ledger_driver import PostgresServer, audit, read
from service_driver import document_row, submit


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def claim_one(ledger: Ledger, worker: str = "w") -> Claim:
    [claim] = ledger.claim_next(worker, ["pdf"])
    return claim


def run_sql(ledger: Ledger, *statements: str) -> None:
    with ledger.unit_of_work() as session:
        for statement in statements:
            session.execute(text(statement))


END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname LIKE 'test%'"
)


def test_a_lost_connection_is_said_so_and_made_anew(on_postgres: Ledger, postgres: PostgresServer) -> None:
    document = submit(on_postgres)
    with pytest.raises(LedgerUnavailable), on_postgres.unit_of_work() as session:  # noqa: PT012
        session.execute(text("SELECT 1"))
        postgres.run_sql(END_ALL)
        session.execute(text("SELECT 1"))
    assert claim_one(on_postgres).document.id == document
    postgres.run_sql(END_ALL)
    assert on_postgres.is_reachable(), "connections that are lost while nobody uses them go unnoticed"


def test_a_database_that_takes_no_changes_now_is_waited_for_like_one_that_is_away(
    on_postgres: Ledger, postgres: PostgresServer
) -> None:
    submit(on_postgres)
    claim = claim_one(on_postgres)
    name = on_postgres.engine.url.database
    postgres.run_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    on_postgres.engine.dispose()
    with pytest.raises(LedgerUnavailable, match="read-only"):
        on_postgres.finish_in_one(claim, Plan(1), read(1, 1), "k")
    with pytest.raises(LedgerUnavailable):
        on_postgres.fail(claim, Failure(FailureKind.WAIT, "handed_back"))
    postgres.run_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    on_postgres.engine.dispose()
    assert on_postgres.finish_in_one(claim, Plan(1), read(1, 1), "k") is DocumentState.SUCCEEDED


def test_a_ledger_that_is_locked_too_long_is_waited_for(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", busy_seconds=0.05) as ledger:
        submit(ledger)
        claim = claim_one(ledger)
        with ledger.unit_of_work() as session:
            session.execute(text("SELECT 1"))
            with pytest.raises(LedgerUnavailable, match="locked"):
                ledger.finish_in_one(claim, Plan(1), read(1, 1), "k")
        assert ledger.finish_in_one(claim, Plan(1), read(1, 1), "k") is DocumentState.SUCCEEDED


def test_a_beat_does_not_wait_for_whoever_ends_the_slice(on_postgres: Ledger) -> None:
    for _ in range(2):
        submit(on_postgres)
    claims = on_postgres.claim_next("w", ["pdf"], limit=2)
    ending, going_on = claims
    with on_postgres.unit_of_work() as session:
        session.execute(text("SELECT 1 FROM slice WHERE id = :id FOR UPDATE"), {"id": ending.slice_id})
        leases = "SELECT id, lease_until FROM slice"
        before = dict(session.execute(text(leases)).all())  # type: ignore[arg-type]
        started = time.monotonic()
        assert on_postgres.beat("w", claims) == frozenset(), "who is to finish holds it still"
        assert time.monotonic() - started < 5
        after = dict(session.execute(text(leases)).all())  # type: ignore[arg-type]
    assert after[ending.slice_id] == before[ending.slice_id]
    assert after[going_on.slice_id] > before[going_on.slice_id]
    on_postgres.hand_back(ending)
    assert on_postgres.beat("w", claims) == {ending.slice_id}


def test_an_illegal_change_is_no_reason_to_wait(ledger: Ledger) -> None:
    submit(ledger)
    with pytest.raises(LedgerError) as refused:
        run_sql(ledger, "UPDATE slice SET state = 'done'")
    assert not isinstance(refused.value, LedgerUnavailable)


def losing(call: Callable[..., Any]) -> tuple[Callable[..., Any], list[bool]]:
    """The same call, whose first answer is lost on its way; and whether it was."""
    import psycopg

    lost: list[bool] = []

    def call_and_lose(*given: Any) -> Any:
        answer = call(*given)
        if not lost:
            lost.append(True)
            gone = psycopg.OperationalError("server closed the connection unexpectedly")
            # below SQLAlchemy, or above it
            raise gone if answer is None else DBAPIError("", None, gone, connection_invalidated=True)
        return answer

    return call_and_lose, lost


def test_a_finish_whose_reply_is_lost_is_a_finish(on_postgres: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    document = submit(on_postgres)
    claim = claim_one(on_postgres)
    dialect = on_postgres._engine.dialect
    commit, lost = losing(dialect.do_commit)
    monkeypatch.setattr(dialect, "do_commit", commit)
    on_postgres.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    assert lost
    assert document_row(on_postgres, document).state is DocumentState.RUNNING
    audit(on_postgres)


def test_an_end_whose_reply_is_lost_is_an_end(on_postgres: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    document = submit(on_postgres)
    claim = claim_one(on_postgres)
    end, lost = losing(in_one.end_by_itself)
    monkeypatch.setattr(in_one, "end_by_itself", end)
    assert on_postgres.finish_in_one(claim, Plan(1), read(1, 1), "k") is DocumentState.SUCCEEDED
    assert lost
    assert [event.to_state for event in on_postgres.events_of(document) if event.entity == "document"] == [
        "received", "succeeded",
    ]  # fmt: skip
    audit(on_postgres)


def test_a_claim_whose_reply_is_lost_is_not_told_to_be_none(
    on_postgres: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    submit(on_postgres)

    def lose(connection: Any) -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(on_postgres._engine.dialect, "do_commit", lose)
    with pytest.raises(LedgerUnavailable):
        on_postgres.claim_next("w", ["pdf"])


def test_a_database_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger.open(f"postgresql:///ledger?host={tmp_path}")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerUnavailable):
        Ledger.open(tmp_path / "folder")


def test_reachable_or_not(ledger: Ledger, address: str | Path) -> None:
    assert ledger.is_reachable()


def test_a_database_that_went_away_is_not_reachable(postgres: PostgresServer) -> None:
    name = postgres.new_ledger()
    with Ledger.open(postgres.url(name)) as ledger:
        postgres.run_sql(f"DROP DATABASE {name} WITH (FORCE)")
        assert not ledger.is_reachable()


def test_a_transaction_that_is_frozen_loses_its_locks(on_postgres: Ledger) -> None:
    with on_postgres.reading() as session:
        limits = [
            session.execute(text(f"SHOW {name}")).scalar()
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        ]
    assert limits == ["30s", "2min", "15s"]


def test_nothing_is_stranded_that_has_work_or_a_leader(ledger: Ledger) -> None:
    leader = submit(ledger)
    submit(ledger, follows=leader)
    submit(ledger, "b.pdf")
    claim_one(ledger)
    assert ledger.stranded() == 0


def test_stranded_documents_get_their_next_slice(address: str | Path) -> None:
    """Somebody wrote to the database, past the ledger and its log."""
    with Ledger.open(address, jitter=lambda: 0.0) as ledger:
        _strand_and_rescue(ledger)


def _strand_and_rescue(ledger: Ledger) -> None:
    received = submit(ledger, "received")
    claim = claim_one(ledger)
    running = submit(ledger, "running")
    claim_running = claim_one(ledger)
    ledger.finish(claim_running, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    assembling = submit(ledger, "assembling")
    for _ in range(10):
        plan = claim_one(ledger)
        if plan.document.id == assembling:
            break
    ledger.finish(plan, next_slices=[NewSlice(Step.LOCAL, 1, 1)], plan=Plan(1))
    pages = claim_one(ledger)
    while pages.document.id != assembling:
        pages = claim_one(ledger)
    ledger.finish(pages, "k", read(1, 1))
    follower = submit(ledger, "follower", follows=running)
    run_sql(
        ledger,
        f"UPDATE slice SET state = 'cancelled', lease_until = NULL WHERE document_id = '{received}'",
        f"DELETE FROM slice WHERE document_id = '{assembling}' AND step = 'assemble'",
        f"UPDATE slice SET state = 'cancelled', lease_until = NULL WHERE document_id = '{running}' AND step = 'local'",
    )
    assert ledger.stranded() == 3
    assert ledger.stranded() == 0
    assert claim.document.id == received
    assert document_row(ledger, received).round == 2
    assert document_row(ledger, running).state is DocumentState.FAILED
    assert document_row(ledger, follower).follows is None
    ended = set()
    for _ in range(4):
        [found] = ledger.claim_next("w", ["pdf"]) or [None]
        if found is None:
            break
        if found.step is Step.ASSEMBLE:
            ledger.finish_document(found, DocumentSummary("r"))
        else:
            ledger.finish_in_one(found, Plan(1), read(1, 1), "k")
        ended.add(found.document.id)
    assert ended == {received, assembling, follower}


def test_a_follower_whose_leader_succeeded_without_it_takes_the_results(ledger: Ledger) -> None:
    leader = submit(ledger)
    ledger.finish_in_one(claim_one(ledger), Plan(1), read(1, 1), "k")
    follower = submit(ledger, follows=leader)
    assert ledger.stranded() == 1
    assert document_row(ledger, follower).state is DocumentState.SUCCEEDED


def test_a_follower_whose_leader_failed_without_it_is_read(ledger: Ledger) -> None:
    leader = submit(ledger)
    ledger.finish_in_one(claim_one(ledger), Plan(1), [PageOutcome(1, "damaged")], "k")
    follower = submit(ledger, follows=leader)
    assert ledger.stranded() == 1
    assert claim_one(ledger).document.id == follower
