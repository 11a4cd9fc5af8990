"""The auditor finds nothing in a sound ledger, and every kind of tampering in one that is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from chaos.auditor import (
    Acceptance,
    Reception,
    audit_acceptances,
    audit_deliveries,
    audit_everything,
    open_ledger,
    read_lines,
)
from chaos.recovery import Fault, SliceChange, measure
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import Step
from docfleet.ledger import DocumentSummary, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.service_values import ReadingOptions, ResultFile, Submission
from docfleet.store.encryption import EncryptedStore
from docfleet.store.keys import MasterKey
from docfleet.store.open import open_store


class Sound:
    """A ledger and a store with three documents: one of two slices, a short one, a duplicate of that."""

    def __init__(self, folder: Path) -> None:
        self.ledger_path, self.store_path = folder / "ledger.db", folder / "store"
        self.master = MasterKey.generate()
        self.accepted: list[Acceptance] = []
        self.store_path.mkdir()
        store = open_store(str(self.store_path))
        with Ledger.open(self.ledger_path) as ledger:
            access = Access(ledger)
            access.ensure_tenant("t", "T")
            access.close()
            desk = Desk(ledger)
            for name, data in (("long", b"many pages"), ("short", b"one page"), ("again", b"one page")):
                wrapped, key = self.master.new_data_key()
                content = f"c-{name}"
                encrypted = EncryptedStore(store, key)
                encrypted.put(f"contents/{content}/source", data)
                digest = hashlib.sha256(data).hexdigest()
                got = desk.accept(
                    Submission(
                        "t", name, content, wrapped, digest, len(data), "application/pdf", str(Pool.PDF),
                        Urgency.NORMAL, ReadingOptions(), idempotency_key=name, request_digest=name,
                    )
                )  # fmt: skip
                self.accepted.append(Acceptance(0.0, name, got.document_id, digest, ("succeeded",)))
                if name != "again":
                    self._read(ledger, encrypted, content, name == "short")

    def _read(self, ledger: Ledger, store: EncryptedStore, content: str, is_short: bool) -> None:
        [plan] = ledger.claim_next("w/0-1", [str(Pool.PDF)])
        if is_short:
            ledger.finish_in_one(plan, Plan(1), [PageOutcome(1)], "", self._result(store, content, plan.slice_id, 1))
            return
        ledger.finish(plan, plan=Plan(4), next_slices=[NewSlice(Step.LOCAL, 1, 2), NewSlice(Step.LOCAL, 3, 4)])
        for _ in range(2):
            [part] = ledger.claim_next("w/0-1", [str(Pool.PDF)])
            pages = range(part.first_page, part.last_page + 1)
            ledger.finish(part, part.result_prefix, [PageOutcome(page) for page in pages])
        [last] = ledger.claim_next("w/0-1", [str(Pool.PDF)])
        ledger.finish_document(last, self._result(store, content, last.slice_id, last.token))

    def _result(self, store: EncryptedStore, content: str, slice_id: int, token: int) -> DocumentSummary:
        key, data = f"contents/{content}/results/{slice_id}-{token}", b"{}"
        store.put(f"{key}/document.json", data)
        file = ResultFile("json", "document.json", "application/json", len(data), hashlib.sha256(data).hexdigest())
        return DocumentSummary(key, results_json=msgspec.json.encode([file]).decode())

    def audit(self) -> list[str]:
        found = audit_everything(str(self.ledger_path), str(self.store_path), self.master.to_base64())
        with open_ledger(str(self.ledger_path)) as connection:
            found += audit_acceptances(connection, self.accepted)
        return [f"{item.invariant} {item.sentence}" for item in found]

    def tamper(self, statement: str) -> None:
        with open_ledger(str(self.ledger_path)) as connection:
            for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f'DROP TRIGGER "{row.name}"'))
            connection.execute(text(statement))
            connection.commit()


@pytest.fixture
def sound(tmp_path: Path) -> Sound:
    return Sound(tmp_path)


def test_a_sound_ledger_is_found_sound(sound: Sound) -> None:
    assert sound.audit() == []


LIES: dict[str, tuple[str, str]] = {
    "lost": ("I1", "DELETE FROM document WHERE name = 'again'"),
    "other bytes": ("I1", "UPDATE document SET sha256 = 'f' WHERE name = 'long'"),
    "told twice": ("I1", "UPDATE document SET id = id || 'x' WHERE name = 'again'"),
    "page lost": ("I2", "DELETE FROM page WHERE number = 3"),
    "no result": ("I2", "UPDATE document SET results_json = '[]' WHERE name = 'long'"),
    "result of another": ("I2", "UPDATE document SET result_key = 'contents/c-long/results/1-7' WHERE name = 'long'"),
    "counted wrongly": ("I2", "UPDATE content SET refs = refs + 1"),
    "digest": ("I2", "UPDATE document SET results_json = replace(results_json, 'sha256\":\"4', 'sha256\":\"5')"),
    "done twice": (
        "I2",
        "INSERT INTO event (at, entity, document_id, slice_id, from_state, to_state, token, worker, cause) "
        "SELECT at, entity, document_id, slice_id, to_state, to_state, token, worker, '' FROM event "
        "WHERE to_state = 'done'",
    ),
    "key gone": ("I2", "UPDATE content SET wrapped_key = NULL WHERE id = 'c-long'"),
    "stuck": ("I3", "UPDATE document SET state = 'running' WHERE name = 'long'"),
    "slice stuck": ("I3", "UPDATE slice SET state = 'queued' WHERE step = 'assemble'"),
    "still following": ("I3", "UPDATE document SET follows = id WHERE name = 'again'"),
    "innocent dead": ("I4", "UPDATE document SET state = 'failed', code = 'worker_died' WHERE name = 'long'"),
    "no reason": ("I4", "UPDATE document SET state = 'failed' WHERE name = 'long'"),
    "attempts": ("I4", "UPDATE slice SET attempt = 7 WHERE step = 'plan'"),
    "stale write": (
        "I5",
        "INSERT INTO event (at, entity, document_id, slice_id, from_state, to_state, token, worker, cause) "
        "SELECT at, entity, document_id, slice_id, to_state, 'queued', token - 1, worker, '' FROM event "
        "WHERE to_state = 'running'",
    ),
    "another's claim": ("I5", "UPDATE event SET worker = 'thief' WHERE to_state = 'done' AND token > 0"),
}


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_noticed(sound: Sound, lie: str) -> None:
    invariant, statement = LIES[lie]
    sound.tamper("PRAGMA foreign_keys = OFF")
    sound.tamper(statement)
    found = sound.audit()
    assert any(sentence.startswith(invariant) for sentence in found), found


def _damage_result(sound: Sound) -> None:
    next(sound.store_path.rglob("document.json")).write_bytes(b"rubbish")


def _lose_source(sound: Sound) -> None:
    next(sound.store_path.rglob("source")).unlink()


def _leave_bytes(sound: Sound) -> None:
    sound.tamper(
        "INSERT INTO content SELECT 'c-gone', tenant_id, region, sha256, 1, '', NULL, 0, 1, 2, 3 FROM content LIMIT 1"
    )
    left = sound.store_path / "contents" / "c-gone"
    left.mkdir(parents=True)
    (left / "source").write_bytes(b"left")


@pytest.mark.parametrize("damage", [_damage_result, _lose_source, _leave_bytes])
def test_the_store_is_looked_into(sound: Sound, damage: Callable[[Sound], None]) -> None:
    damage(sound)
    assert any(sentence.startswith("I2") for sentence in sound.audit())


def test_messages_that_say_two_things_or_nothing(sound: Sound) -> None:
    def found(connection: Connection, *lines: Reception) -> list[str]:
        return [item.sentence for item in audit_deliveries(connection, lines)]

    with open_ledger(str(sound.ledger_path)) as connection:
        assert found(connection) == []
        stray = Reception(0.0, "msg-1", "document.succeeded", "d", "succeeded", 204)
        assert len(found(connection, stray)) == 1
        assert len(found(connection, stray, msgspec.structs.replace(stray, document_id="e"))) == 2


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    whole = msgspec.json.encode(Acceptance(1.0, "k", "d", "s"))
    log.write_bytes(whole + b"\n" + whole[:9])
    assert len(read_lines(log, Acceptance)) == 1


def test_recovery_is_the_longest_of_its_kind() -> None:
    faults = [Fault("kill", 10.0, 10.0, {7: 1}), Fault("kill", 20.0, 20.0), Fault("wipe", 30.0, 31.0)]
    changes = [SliceChange(9.0, 7, "running", 1), SliceChange(10.5, 7, "queued", 1), SliceChange(26.0, 7, "running", 2)]
    kill, wipe = measure(faults, [11.0, 25.0], [12.0, 21.0, 33.5], changes)
    assert (kill.count, kill.accept, kill.completion, kill.again) == (2, 5.0, 2.0, 16.0)
    assert (wipe.accept, wipe.completion, wipe.again, wipe.longest) == (None, 3.5, None, 3.5)


def test_the_time_without_a_database_is_not_counted_to_an_earlier_fault() -> None:
    faults = [Fault("kill", 10.0, 10.0, {7: 1}), Fault("away", 40.0, 41.0, database_gone_at=25.0)]
    away, kill = measure(faults, [11.0, 43.0], [50.0], [SliceChange(52.0, 7, "running", 2)])
    assert (kill.accept, kill.completion, kill.again) == (1.0, 25.0, 27.0)
    assert (away.accept, away.completion) == (3.0, 10.0)
