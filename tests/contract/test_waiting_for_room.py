"""A slice that waits for room waits as long as it may, over all its attempts, and then ends with its cause."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from desk_driver import submission

from docfleet.domain.retry import Action, Failure, FailureKind
from docfleet.errors import NoScratchSpace, ScratchFull
from docfleet.ledger import Claim, Ledger
from docfleet.ledger.desk import Desk
from docfleet.ledger.waits import seconds_waited
from docfleet.runtime import Runtime
from docfleet.settings import read_settings
from docfleet.store import FolderStore
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.worker.engine_shelf import EngineShelf
from docfleet.worker.room import Room
from docfleet.worker.service_steps import Parts, ServicePlace
from docfleet.worker.sources import Sources

WAIT = Failure(FailureKind.WAIT, ScratchFull.code)
DATA = b"x" * (2 * 1024 * 1024)


@pytest.fixture
def place(ledger: Ledger, desk: Desk, tmp_path: Path) -> ServicePlace:
    """Of a worker that has no room while others hold a terabyte; one document waits."""
    key, store = MasterKey.generate(), FolderStore(tmp_path / "store")
    wrapped, data_key = key.new_data_key()
    EncryptedStore(store, data_key).put(f"contents/{'c' * 32}/source", DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    desk.accept(submission(content_id="c" * 32, wrapped_key=wrapped, sha256=sha256, size_bytes=len(DATA)))
    sources = Sources(tmp_path / "scratch", lambda folder: Room(0, 1 << 40))
    settings = read_settings()
    sandbox = Runtime(settings).sandbox
    return ServicePlace(Parts(settings, sandbox, ledger, store, key, EngineShelf(), sources, lambda: True))


def wait_once(ledger: Ledger, place: ServicePlace) -> Claim:
    [claim] = ledger.claim("w")
    with pytest.raises(ScratchFull):
        place.do(claim)
    assert ledger.fail(claim, WAIT).decision.action is Action.RETRY
    return claim


def test_waits_are_summed_up_over_attempts(
    ledger: Ledger, place: ServicePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wait_once(ledger, place)
    assert 0.0 <= seconds_waited(ledger, first, ScratchFull.code) < 60.0
    assert seconds_waited(ledger, first, "store_unavailable") == 0.0, "waiting for something else does not count"
    wait_once(ledger, place)
    monkeypatch.setattr("docfleet.worker.service_steps.PATIENCE_SECONDS", 0.0)
    [claim] = ledger.claim("w")
    with pytest.raises(NoScratchSpace, match="no room"):
        place.do(claim)


def test_it_ends_as_a_dead_letter_with_its_cause(ledger: Ledger, desk: Desk, place: ServicePlace) -> None:
    wait_once(ledger, place)
    for _ in range(3):
        [claim] = ledger.claim("w")
        ledger.fail(claim, Failure.of_error(NoScratchSpace()))
    [group] = desk.dead_letter_groups("acme")
    assert group.code == "no_scratch_space"
