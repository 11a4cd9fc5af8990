"""What is deleted from the store, and above all what is not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.desk_driver import submission
from docfleet.dispatch.purge import purge_erased, purge_orphans
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.store import FolderStore
from new_ledger import new_ledger

DAY = 86400.0


def never() -> bool:
    return False


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.ledger = Ledger.open(new_ledger(folder / "ledger.db"))
        self.desk = Desk(self.ledger)
        Access(self.ledger).ensure_tenant("acme", "Acme")
        self.store = FolderStore(self.folder)

    def accept(self) -> tuple[str, str]:
        one = submission()
        self.put(one.content_id)
        return self.desk.accept(one).document_id, one.content_id

    def put(self, content_id: str, age: float = 0.0, name: str = "source") -> None:
        key = f"contents/{content_id}/{name}"
        self.store.put(key, b"bytes")
        at = time.time() - age
        os.utime(self.folder / key, (at, at))

    def contents(self) -> set[str]:
        return {key.split("/")[1] for key in self.store.list("contents")}

    def sweep(self) -> int:
        return purge_orphans(self.desk, self.store, time.time() - DAY, never)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.ledger.close()


def test_the_last_document_that_goes_takes_the_bytes_along(place: Place) -> None:
    document, content = place.accept()
    _, kept = place.accept()
    assert purge_erased(place.desk, place.store, never) == 0
    place.desk.cancel("acme", document)
    place.desk.delete("acme", document)
    assert place.contents() == {content, kept}
    assert purge_erased(place.desk, place.store, never) == 1
    assert place.contents() == {kept}
    assert purge_erased(place.desk, place.store, never) == 0


def test_only_old_bytes_that_no_row_names_are_orphans(place: Place) -> None:
    kept = {place.accept()[1] for _ in range(5)}
    for content in kept:
        place.put(content, age=30 * DAY)
    place.put("a" * 32, age=2 * DAY)
    place.put("b" * 32, age=60.0)  # an upload under way
    place.put("c" * 32, age=2 * DAY)
    place.put("c" * 32, age=60.0, name="slices/1/1/pages.msgpack")  # old bytes beside young ones
    assert place.sweep() == 1
    assert place.contents() == kept | {"b" * 32, "c" * 32}


def test_the_store_of_another_ledger_is_left_alone(place: Place) -> None:
    place.accept()
    for number in range(4):
        place.put(f"{number}" * 32, age=2 * DAY)
    assert place.sweep() == 0
    assert len(place.contents()) == 5


def test_more_contents_than_are_looked_up_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docfleet.dispatch.purge._BATCH", 3)
    kept = {place.accept()[1] for _ in range(10)}
    for number in range(8):
        place.put(f"{number}" * 32, age=2 * DAY)
    assert place.sweep() == 8
    assert place.contents() == kept
