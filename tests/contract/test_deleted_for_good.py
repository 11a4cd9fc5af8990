"""Embedded ledger: what was deleted is in none of its files, not only in none of its rows."""

from __future__ import annotations

from pathlib import Path

from desk_driver import read_through, submission

from docfleet.ledger import Ledger
from docfleet.ledger.desk import Desk

NAME = "redundancy letter of a person nobody may know"
LABEL = "case 7719 of the works council"
KEY = b"\x13wrapped key of one content\x7f" * 4


def _held(folder: Path, secret: bytes) -> bool:
    return any(secret in file.read_bytes() for file in folder.iterdir())


def test_neither_names_nor_labels_nor_keys_stay_in_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    with Ledger.open(folder / "ledger.db", jitter=lambda: 0.0) as ledger:
        desk = Desk(ledger)
        others = [desk.accept(submission(name=f"other {n}")).document_id for n in range(30)]
        wanted = desk.accept(submission(name=NAME, labels={"why": LABEL}, wrapped_key=KEY)).document_id
        read_through(ledger, wanted)
        assert all(_held(folder, secret) for secret in (NAME.encode(), LABEL.encode(), KEY))
        desk.delete("acme", wanted)
        assert desk.empty_log()
        assert not _held(folder, NAME.encode())
        assert not _held(folder, LABEL.encode())
        assert not _held(folder, KEY)
        assert desk.document("acme", others[0]).name == "other 0"


def test_a_reader_delays_it_and_nothing_is_lost(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", jitter=lambda: 0.0) as ledger:
        desk = Desk(ledger)
        desk.accept(submission(name="before"))
        with ledger.reading() as session:
            session.connection().exec_driver_sql("SELECT count(*) FROM document").all()
            desk.accept(submission(name="while somebody reads"))
            assert not desk.empty_log()
        assert desk.empty_log()
        assert {view.name for view in desk.documents("acme").items} == {"before", "while somebody reads"}
