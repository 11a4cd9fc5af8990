"""Documents that ended are traced once each, also those whose end is committed late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from docfleet.dispatch import telling
from docfleet.dispatch.telling import Telling
from docfleet.domain.retry import Failure
from docfleet.errors import PasswordRequired
from docfleet.ledger import Ledger
from docfleet.ledger.rows import DOCUMENT
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.telemetry.spans import DOCUMENT as WHOLE
from docfleet.telemetry.traces import Collected
from service_driver import submit


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Runtime(Settings.model_validate({"service": {"data_folder": str(tmp_path), "region": "eu"}})) as runtime:
        runtime.access.ensure_tenant("acme", "Acme")
        yield runtime.ledger


def end(ledger: Ledger, name: str, seconds_ago: float = 0.0) -> str:
    submit(ledger, name)
    [claim] = ledger.claim_next("w/0", ["pdf"])
    ledger.fail(claim, Failure.of_error(PasswordRequired("It is so.")))
    with ledger.unit_of_work() as session:
        moved = DOCUMENT.c.finished_at - seconds_ago
        session.execute(update(DOCUMENT).where(DOCUMENT.c.id == claim.document.id).values(finished_at=moved))
    return claim.document.id


def documents(traced: Collected) -> list[str]:
    return [str(span.attributes["docfleet.document"]) for span in traced.take() if span.name == WHOLE]


def test_each_is_told_once_and_one_that_comes_late_with_the_next_full_look(ledger: Ledger, traced: Collected) -> None:
    looking = Telling(ledger, "eu")
    first = end(ledger, "first.pdf")
    assert looking.look() == 1
    assert documents(traced) == [first]
    second, late = end(ledger, "second.pdf"), end(ledger, "late.pdf", seconds_ago=telling.OVERLAP_SECONDS / 2)
    looking.look()
    assert second in documents(traced)
    for _ in range(2 * telling.LOOKS_TO_A_FULL_ONE):
        looking.look()
    assert documents(traced) == [late]


def test_who_begins_to_lead_tells_what_ended_before(ledger: Ledger, traced: Collected) -> None:
    ids = {end(ledger, f"{number}.pdf", seconds_ago=number) for number in range(3)}
    long_ago = end(ledger, "old.pdf", seconds_ago=2 * telling.CATCH_UP_SECONDS)
    looking = Telling(ledger, "eu")
    looking.look()
    assert set(documents(traced)) == ids
    looking.begin()
    looking.look()
    assert long_ago not in documents(traced)
