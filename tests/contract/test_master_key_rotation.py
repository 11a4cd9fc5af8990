"""Rotating the master key: everything opens before, meanwhile and after, and the old key is needed no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk_driver import submission
from sqlalchemy import text
from typer.testing import CliRunner

from docfleet.cli.main import app
from docfleet.delivery.renewing import renewed
from docfleet.delivery.signing import open_secret, seal_secret
from docfleet.errors import Conflict, StoreError
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.report_values import ReportKind, StoredReport
from docfleet.ledger.reports import Reports
from docfleet.ledger.sealed import Renewed, SealedKind, count_old, renew_old
from docfleet.ledger.webhooks import Webhooks
from docfleet.store import MemoryStore
from docfleet.store.encryption import EncryptedStore, MasterKey
from docfleet.store.passwords import open_passwords, seal_passwords

SHA = "a" * 64


class Service:
    """Documents, one with passwords, a webhook and a report; all under one master key."""

    def __init__(self, ledger: Ledger, key: MasterKey, documents: int = 3) -> None:
        self.ledger, self.desk, self.webhooks = ledger, Desk(ledger), Webhooks(ledger)
        self.store = MemoryStore()
        Access(ledger).ensure_tenant("acme", "Acme")
        self.ids = [self.accept(key, f"{number}") for number in range(documents)]
        sealed = seal_passwords(key, ["secret"], "acme", SHA)
        self.locked = self.accept(key, "locked", sha256=SHA, sealed_passwords=sealed)
        self.webhook = self.webhooks.add("acme", "https://example.com/", seal_secret(key, "whsec_x"), [])
        wrapped, data_key = key.new_data_key()
        EncryptedStore(self.store, data_key).put("reports/r/report.pdf", b"a report")
        stored = StoredReport("reports/r/report.pdf", wrapped, SHA, 8)
        self.report = Reports(ledger).keep("acme", ReportKind.MONTH, "2026-01", stored, complete=True).view

    def accept(self, key: MasterKey, name: str, **given: object) -> str:
        wrapped, data_key = key.new_data_key()
        one = submission(name, wrapped_key=wrapped, **given)
        EncryptedStore(self.store, data_key).put(f"contents/{one.content_id}/source", name.encode())
        return self.desk.accept(one).document_id

    def open_all(self, key: MasterKey) -> None:
        """Everything can be opened with this key alone."""
        for number, document_id in enumerate(self.ids):
            content = self.desk.document("acme", document_id).content_id
            store = EncryptedStore(self.store, key.unwrap(self.desk.wrapped_key("acme", document_id)))
            assert store.get(f"contents/{content}/source") == f"{number}".encode()
        assert open_passwords(key, self.value("sealed_passwords", "document", self.locked), "acme", SHA) == ("secret",)
        assert open_secret(key, self.value("sealed_secret", "webhook", self.webhook.id)) == "whsec_x"
        data_key = key.unwrap(self.value("wrapped_key", "report", self.report.id))
        assert EncryptedStore(self.store, data_key).get("reports/r/report.pdf") == b"a report"

    def value(self, column: str, table: str, id_: str) -> bytes:
        with self.ledger.reading() as session:
            return bytes(
                session.execute(text(f"SELECT {column} FROM {table} WHERE id = :id"), {"id": id_}).scalar_one()
            )

    def rewrap(self, key: MasterKey) -> int:
        return sum(told.renewed for _, told in renew_old(self.ledger, key.mark, lambda value: renewed(key, value)))


def left(ledger: Ledger, key: MasterKey) -> int:
    return sum(count_old(ledger, key.mark).values())


def test_after_it_the_old_key_is_needed_no_more(ledger: Ledger) -> None:
    old = MasterKey.generate()
    service = Service(ledger, old)
    rotated = old.rotated()
    alone = rotated.without_earlier()
    service.open_all(rotated)
    with pytest.raises(StoreError):
        service.open_all(alone)
    assert count_old(ledger, rotated.mark) == {
        SealedKind.DATA_KEYS: 4, SealedKind.PASSWORDS: 1, SealedKind.WEBHOOK_SECRETS: 1,
        SealedKind.REPORT_KEYS: 1,
    }  # fmt: skip
    assert service.rewrap(rotated) == 7
    assert left(ledger, rotated) == 0
    service.open_all(alone)
    with pytest.raises(StoreError):
        service.open_all(old)
    assert service.rewrap(rotated) == 0, "a second time finds nothing to do"


def test_broken_off_it_goes_on_where_it_was(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docfleet.ledger.sealed.AT_ONCE", 2)
    old = MasterKey.generate()
    service = Service(ledger, old, documents=5)
    rotated = old.rotated()
    rounds = renew_old(ledger, rotated.mark, lambda value: renewed(rotated, value))
    assert next(rounds) == (SealedKind.DATA_KEYS, Renewed(2, 0))
    del rounds  # killed
    assert left(ledger, rotated) == 7
    service.open_all(rotated)
    assert service.rewrap(rotated) == 7
    service.open_all(rotated.without_earlier())


def test_what_was_erased_stays_erased(ledger: Ledger) -> None:
    old = MasterKey.generate()
    service = Service(ledger, old)
    service.desk.cancel("acme", service.ids[0])
    service.desk.delete("acme", service.ids[0])
    rotated = old.rotated()
    assert service.rewrap(rotated) == 6
    with ledger.reading() as session:
        erased = session.execute(text("SELECT wrapped_key FROM content WHERE erased_at IS NOT NULL")).scalars().all()
    assert erased == [None]


def test_what_no_key_opens_is_counted_and_stops_nothing(ledger: Ledger) -> None:
    old = MasterKey.generate()
    service = Service(ledger, old)
    service.accept(MasterKey.generate(), "stranger")
    rotated = old.rotated()
    told = [told for _, told in renew_old(ledger, rotated.mark, lambda value: renewed(rotated, value))]
    assert (sum(one.renewed for one in told), sum(one.unreadable for one in told)) == (7, 1)
    assert left(ledger, rotated) == 1
    service.open_all(rotated.without_earlier())


def test_the_commands(ledger: Ledger, address: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = MasterKey.generate()
    service = Service(ledger, old)
    file = tmp_path / "master.key"
    file.write_text(old.to_base64())
    monkeypatch.setenv("DOCFLEET_SERVICE__MASTER_KEY_FILE", str(file))
    monkeypatch.setenv("DOCFLEET_SERVICE__DATA_FOLDER", str(tmp_path))
    if isinstance(address, str):
        monkeypatch.setenv("DOCFLEET_SERVICE__LEDGER_URL", address)
    run = CliRunner().invoke
    file.write_text(run(app, ["master-key", "rotate"]).output)
    refused = run(app, ["master-key", "retire"])
    assert isinstance(refused.exception, Conflict)
    assert "4 data keys" in str(refused.exception)
    checked = run(app, ["master-key", "rewrap", "--check"])
    assert checked.exit_code == 1
    assert (
        "Left of earlier keys: 4 data keys, 1 passwords of documents, 1 webhook secrets, 1 keys of reports."
        in checked.output
    )
    done = run(app, ["master-key", "rewrap"])
    assert (done.exit_code, "Left of earlier keys: nothing." in done.output) == (0, True), done.output
    file.write_text(run(app, ["master-key", "retire"]).output)
    kept = MasterKey.from_base64(file.read_text())
    assert len(kept.key_ids()) == 1
    service.open_all(kept)
