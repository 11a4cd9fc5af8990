"""The ledger under real processes that are killed, stopped and started at random."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from docfleet.domain.work import DocumentState, SliceState
from docfleet.ledger import Ledger
from docfleet.ledger.rows import SliceRow
from docfleet.store import FolderStore
from ledger_driver import BATCH, audit, file_named
from ledger_worker import LEASE_SECONDS, PAGES, open_ledger

TESTS = Path(__file__).parents[1]


class Crew:
    """Worker processes on one ledger and one store."""

    def __init__(self, ledger: Path, store: Path) -> None:
        self.arguments = [str(ledger), str(store)]
        self.started = 0
        self.alive: dict[str, subprocess.Popen[str]] = {}
        self.gone: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> str:
        self.started += 1
        name = f"worker{self.started}"
        self.alive[name] = subprocess.Popen(
            [sys.executable, str(TESTS / "ledger_worker.py"), *self.arguments, name, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        return name

    def kill(self, name: str) -> None:
        process = self.alive.pop(name)
        process.kill()
        process.wait()
        self.gone.append(process)

    def stop(self) -> str:
        """Kills all; returns what they printed."""
        for name in list(self.alive):
            self.kill(name)
        said = "".join(process.stdout.read() for process in self.gone if process.stdout)
        for process in self.gone:
            if process.stdout:
                process.stdout.close()
        self.gone.clear()
        return said


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    workers = Crew(tmp_path / "ledger.db", tmp_path / "store")
    yield workers
    workers.stop()


def check_results(ledger: Ledger, store: FolderStore, batch: str) -> None:
    """Every page points to bytes written by the very attempt that finished its slice."""
    with ledger.reading() as session:
        slices = {row.id: row for row in session.execute(select(SliceRow)).scalars()}
    for row in ledger.rows_for_index(batch):
        assert row.state is DocumentState.SUCCEEDED
        assert row.document_id is not None
        records = list(ledger.pages_of(row.document_id))
        assert [record.page.page for record in records] == list(range(1, PAGES + 1))
        for record in records:
            owner = slices[record.slice_id]
            said = f"{row.document_id} {owner.id} {owner.first_page} {owner.last_page} {owner.token}"
            assert store.get(record.result_key).decode() == said
    assert {row.state for row in slices.values()} == {SliceState.DONE}


def test_workers_killed_at_random_lose_nothing_and_do_nothing_twice(crew: Crew, tmp_path: Path) -> None:
    chance = random.Random(7)
    with open_ledger(str(tmp_path / "ledger.db")) as ledger:
        batch = ledger.register(BATCH, [file_named(f"{n}.pdf") for n in range(12)]).batch_id
        for _ in range(4):
            crew.start()
        faults, sleeping, deadline = 0, {}, time.monotonic() + 180
        while not ledger.is_drained(batch):
            assert time.monotonic() < deadline, ledger.progress(batch)
            time.sleep(chance.uniform(0.05, 0.4))
            ledger.expire_leases()
            for name in [name for name, until in sleeping.items() if until < time.monotonic()]:
                crew.alive[name].send_signal(signal.SIGCONT)
                del sleeping[name]
            awake = [name for name in crew.alive if name not in sleeping]
            if faults >= 10 or not awake:
                continue
            faults += 1
            name = chance.choice(awake)
            if chance.random() < 0.3:
                # long enough to lose its lease; it comes back as a zombie
                crew.alive[name].send_signal(signal.SIGSTOP)
                sleeping[name] = time.monotonic() + LEASE_SECONDS * 1.6
            else:
                crew.kill(name)
                if chance.random() < 0.5:
                    ledger.release_worker(name, crashed=True)
                crew.start()
        crew.stop()
        audit(ledger)
        check_results(ledger, FolderStore(tmp_path / "store"), batch)
        assert faults >= 5, "too little went wrong to prove anything"


def test_death_between_store_and_ledger_shows_nothing(crew: Crew, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with open_ledger(str(tmp_path / "ledger.db")) as ledger:
        batch = ledger.register(BATCH, [file_named("a.pdf")]).batch_id
        name = crew.start("die_before_finish")
        assert crew.alive[name].wait(60) == 9
        [orphan] = store.list("slices")
        assert list(ledger.pages_of(_document(ledger, batch))) == []
        assert ledger.progress(batch).pages_read == 0
        ledger.release_worker(name, crashed=True)
        crew.start()
        deadline = time.monotonic() + 60
        while not ledger.is_drained(batch):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        crew.stop()
        check_results(ledger, store, batch)
        pointers = {record.result_key for record in ledger.pages_of(_document(ledger, batch))}
        assert orphan not in pointers


def _document(ledger: Ledger, batch: str) -> str:
    [row] = ledger.rows_for_index(batch)
    assert row.document_id is not None
    return row.document_id


def test_a_stopped_worker_that_wakes_up_is_fenced(crew: Crew, tmp_path: Path) -> None:
    with open_ledger(str(tmp_path / "ledger.db")) as ledger:
        batch = ledger.register(BATCH, [file_named("a.pdf")]).batch_id
        [zombie] = ledger.claim("zombie")
        time.sleep(LEASE_SECONDS * 1.3)
        assert [ended.slice_id for ended in ledger.expire_leases()] == [zombie.slice_id]
        crew.start()
        deadline = time.monotonic() + 60
        while not ledger.is_drained(batch):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert ledger.beat("zombie", [zombie]) == {zombie.slice_id}
        crew.stop()
        audit(ledger)


def test_processes_that_open_a_new_ledger_at_once_all_get_it(tmp_path: Path) -> None:
    program = (
        "import sys; from ledger_driver import BATCH, file_named; from docfleet.ledger import Ledger\n"
        "sys.stdin.readline()\n"
        "with Ledger.open(sys.argv[1]) as ledger: print(ledger.register(BATCH, [file_named('a.pdf')]).new_documents)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "new" / "ledger.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(TESTS), "PATH": ""},
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert sorted(said) == ["0"] * 5 + ["1"]
    with Ledger.open(tmp_path / "new" / "ledger.db") as ledger:
        audit(ledger)
