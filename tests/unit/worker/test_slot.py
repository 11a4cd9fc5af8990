"""What a slot could not tell the ledger, it tells before it asks for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

from docfleet.domain.work import SliceState
from docfleet.errors import LedgerUnavailable
from docfleet.ledger import Claim, Ledger
from docfleet.ledger.rows import SliceRow
from docfleet.telemetry.traces import Collected
from docfleet.worker.messages import Next, SlotConfig
from docfleet.worker.service_steps import ServicePlace
from docfleet.worker.slot import Orders, Slot
from new_ledger import new_ledger
from service_driver import submit


class Away:
    """A place whose results find the database away, the first so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def do(self, claim: Claim) -> None:
        self.left -= 1
        if self.left >= 0:
            raise LedgerUnavailable()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(new_ledger(tmp_path / "ledger.db"), jitter=lambda: 0.0) as opened:
        yield opened


def slice_of(ledger: Ledger) -> SliceRow:
    with ledger.reading() as session:
        return session.execute(select(SliceRow)).scalar_one()


def slot_on(ledger: Ledger, place: Away, tmp_path: Path) -> Slot:
    replies = os.open(tmp_path / "replies", os.O_CREAT | os.O_WRONLY, 0o600)
    config = SlotConfig("host-1-ab/0-1", {}, ["pdf"], str(tmp_path), replies, os.getpid())
    return Slot(config, ledger, cast(ServicePlace, place), Orders(), Collected())


def test_a_result_that_was_let_go_costs_its_slice_nothing(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger)
    slot = slot_on(ledger, Away(1), tmp_path)
    assert slot._obey(Next()) == "no_ledger"
    assert slot._obey(Next()) == "done"
    row = slice_of(ledger)
    assert (row.attempt, row.crash_count, row.loss_count, row.wait_count) == (2, 0, 0, 1)


def test_a_claim_whose_answer_was_lost_does_not_wait_for_its_lease(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(ledger)
    slot = slot_on(ledger, Away(0), tmp_path)
    claim_next = ledger.claim_next

    def lose(worker: str, pools: list[str]) -> list[Claim]:
        claim_next(worker, pools)
        raise LedgerUnavailable()

    with monkeypatch.context() as away:
        away.setattr(ledger, "claim_next", lose)
        assert slot._obey(Next()) == "no_ledger"
    assert slot._obey(Next()) == "done"
    row = slice_of(ledger)
    assert (row.attempt, row.crash_count, row.wait_count) == (2, 0, 1)


def test_a_slot_that_gets_no_more_orders_lets_go_by_itself(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger)
    slot = slot_on(ledger, Away(1), tmp_path)
    assert slot._obey(Next()) == "no_ledger"
    assert slice_of(ledger).state is SliceState.RUNNING
    slot._rest()
    row = slice_of(ledger)
    assert (row.state, row.crash_count, row.loss_count, row.wait_count) == (SliceState.QUEUED, 0, 0, 1)
