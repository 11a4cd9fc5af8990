"""`docfleet submit` and the commands beside it, as a user runs them, against the real API."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from client_service import Service, pdf, service
from running import Ran, docfleet, end, start


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Service:
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two documents, one of them twice, an archive with a third, and a file that is none."""
    folder = tmp_path / "inbox"
    (folder / "deep").mkdir(parents=True)
    unique = str(tmp_path)  # the service knows no two tests' files as the same
    (folder / "a.pdf").write_bytes(pdf(f"a {unique}"))
    (folder / "copy of a.pdf").write_bytes(pdf(f"a {unique}"))
    (folder / "deep" / "a.pdf").write_bytes(pdf(f"b {unique}"))
    (folder / "notes.txt").write_text("milk, bread, butter and whatever else there is to be had at the market\n" * 20)
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("inner/c.pdf", pdf(f"c {unique}"))
    return folder


def environment(served: Service, tmp_path: Path) -> dict[str, str]:
    return {"DOCFLEET_URL": served.url, "DOCFLEET_API_KEY": served.key, "XDG_STATE_HOME": str(tmp_path / "state")}


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_there_and_its_results_come_back(served: Service, inbox: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    env = environment(served, tmp_path)
    with served.reading():
        ran = docfleet("submit", inbox, "--out", out, "--batch", "march", "--label", "k=v", env=env)
    assert ran.exit_code == 1, ran.stderr
    assert "notes.txt" in ran.stderr
    assert "unsupported_type" in ran.stderr
    rows = {Path(row["file"]).name: row for row in json.loads((out / "index.json").read_text())}
    assert {name: (row["outcome"], row["folder"]) for name, row in rows.items() if name != "a.pdf"} == {
        "copy of a.pdf": ("succeeded", rows["copy of a.pdf"]["folder"]),
        "notes.txt": ("failed", ""),
        "c.pdf": ("succeeded", "c"),
    }
    assert rows["copy of a.pdf"]["folder"] in ("a", "a-2")  # two are called a.pdf; whichever was accepted first
    assert rows["copy of a.pdf"]["duplicate_of"].endswith("inbox/a.pdf")
    with (out / "index.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    own = {"document.json", "document.txt", "outcome.json", "tables/page-001-table-1.csv"}
    expected = {f"{folder}/{name}" for folder in ("a", "a-2", "c") for name in own} | {"index.csv", "index.json"}
    assert {name for name in files_below(out) if not name.startswith(".docfleet")} == expected
    words = {(out / folder / "document.txt").read_bytes() for folder in ("a", "a-2", "c")}
    assert words == {b"words of " + path for path in (pdf(f"a {tmp_path}"), pdf(f"b {tmp_path}"), pdf(f"c {tmp_path}"))}


def uploads(served: Service) -> int:
    return len(list(served.parts.desk.documents("acme", limit=1000).items))


@pytest.mark.slow
def test_the_same_command_sends_nothing_twice(served: Service, inbox: Path, tmp_path: Path) -> None:
    env = environment(served, tmp_path)
    (inbox / "notes.txt").unlink()
    first = docfleet("submit", inbox, "--json", env=env)
    assert first.exit_code == 0, first.stderr
    assert first.summary["outcomes"] == {"pending": 4}
    before = uploads(served)
    out = tmp_path / "results"
    with served.reading():
        again = docfleet("submit", inbox, "--wait", "--json", env=env)
        assert again.summary["ids"] == first.summary["ids"]
        (inbox / "new.pdf").write_bytes(pdf(f"new {tmp_path}"))
        more = docfleet("submit", inbox, "--wait", "--json", env=env)
    assert again.exit_code == 0
    assert again.summary["outcomes"] == {"succeeded": 4}
    assert uploads(served) == before + 1
    assert set(more.summary["ids"].values()) > set(first.summary["ids"].values())
    fetched = docfleet("fetch", "--batch", first.summary["batch"], "--out", out, "--json", env=env)
    assert fetched.exit_code == 0, fetched.stderr
    assert sorted(row["folder"] for row in fetched.summary["documents"]) == ["a", "a-2", "c"]


def test_killed_between_acceptance_and_journal(served: Service, inbox: Path, tmp_path: Path) -> None:
    """The Idempotency-Key tells the service that it has the document already."""
    env = environment(served, tmp_path)
    out = tmp_path / "results"
    process = start("submit", inbox / "a.pdf", "--out", out, env=env)
    try:
        [journal] = wait_for(lambda: list(out.glob(".docfleet-submitted-*.jsonl")))
        wait_for(lambda: "document_id" in journal.read_text())
    finally:
        end(process)
        process.communicate()
    [first, *_] = journal.read_text().splitlines()
    journal.write_text(f"{first}\n")
    before = uploads(served)
    with served.reading():
        again = docfleet("submit", inbox / "a.pdf", "--out", out, "--json", env=env)
    assert again.exit_code == 0, again.stderr
    # the batch may have been sealed before the kill: then the bytes are sent into another, and not read twice
    assert uploads(served) - before <= 1
    assert (out / "a" / "document.txt").is_file()


def test_ctrl_c_while_waiting_leaves_the_work_running(served: Service, inbox: Path, tmp_path: Path) -> None:
    env = environment(served, tmp_path)
    out = tmp_path / "results"
    process = start("submit", inbox / "a.pdf", "--out", out, env=env)
    try:
        [journal] = wait_for(lambda: list(out.glob(".docfleet-submitted-*.jsonl")))
        wait_for(lambda: "sealed" in journal.read_text())
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=40)
    finally:
        end(process)
    assert process.returncode == 130
    assert b"same command" in told
    assert b"docfleet status --batch" in told
    assert b"Traceback" not in told
    assert json.loads((out / "index.json").read_text())[0]["outcome"] == "pending"
    assert served.read() >= 1
    ran = docfleet("submit", inbox / "a.pdf", "--out", out, env=env)
    assert ran.exit_code == 0, ran.stderr
    assert "1 was sent before" in ran.stderr
    assert (out / "a" / "document.txt").is_file()


@pytest.mark.slow
def test_results_that_are_there_are_not_fetched_again(served: Service, inbox: Path, tmp_path: Path) -> None:
    env = environment(served, tmp_path)
    out = tmp_path / "results"
    with served.reading():
        docfleet("submit", inbox / "a.pdf", "--out", out, env=env)
        before = (out / "a" / "document.txt").stat().st_ino
        (out / "a" / "document.json").write_text("torn")
        (out / "a-2").mkdir()
        (out / "a-2" / "mine.txt").write_text("of somebody else")
        docfleet("submit", inbox / "deep", inbox / "a.pdf", "--out", out, env=env)
    assert (out / "a" / "document.json").read_text() != "torn"
    assert (out / "a" / "document.txt").stat().st_ino != before
    assert (out / "a-2" / "mine.txt").read_text() == "of somebody else"
    assert (out / "a-3" / "document.txt").is_file()
    inode = (out / "a" / "document.txt").stat().st_ino
    docfleet("submit", inbox / "a.pdf", "--out", out, env=env)
    assert (out / "a" / "document.txt").stat().st_ino == inode


@pytest.mark.slow
def test_status_cancel_retry_and_dead_letters(served: Service, inbox: Path, tmp_path: Path) -> None:
    env = environment(served, tmp_path)

    def run(*arguments: object) -> Ran:
        ran = docfleet(*arguments, env=env)
        assert "Traceback" not in ran.stderr
        return ran

    served.read()
    sent = run("submit", inbox / "a.pdf", inbox / "deep" / "a.pdf", "--batch", "to fail", "--json").summary
    one, two = sent["ids"].values()
    assert run("status", "--batch", "to fail", "--json").summary["batch"]["documents"] == {"received": 2}
    assert one in run("status").stdout
    assert "to fail" in run("status", "--batches").stdout
    assert run("cancel", one).exit_code == 0
    assert run("status", one, "--json").summary["documents"][0]["state"] == "cancelled"
    assert served.fail("damaged") == 1
    shown = run("status", two).stdout
    assert "damaged" in shown
    [group] = [g for g in run("dead-letters", "groups", "--json").summary["groups"] if g["code"] == "damaged"]
    assert group["count"] >= 1
    assert two in run("dead-letters", "list").stdout
    refused = run("dead-letters", "retry")
    assert refused.exit_code == 2
    assert run("dead-letters", "retry", "--document", two, "--json").summary == {"count": 1}
    assert served.fail("damaged") == 1
    assert run("retry", "--batch", "to fail").exit_code == 0
    served.fail("damaged")
    assert run("dead-letters", "discard", "--document", two, "--json").summary["count"] >= 1
    assert run("retry", two, "--pages", "x").exit_code == 2
    assert run("cancel", two).exit_code == 1
    assert run("fetch", two, "--out", tmp_path / "results").exit_code == 1
    assert run("status", "0" * 24).exit_code == 1
    assert run("status", "--batch", "no such batch").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "http://127.0.0.1:1"], "No answer from http://127.0.0.1:1"),
        (["--to", "ftp://host"], "is not the address of a service"),
        (["--label", "novalue"], "name=value"),
        (["--deadline", "soon"], "neither minutes nor a time"),
    ],
)
def test_wrong_use_is_a_sentence(arguments: list[str], says: str, served: Service, inbox: Path, tmp_path: Path) -> None:
    ran = docfleet("submit", inbox, *arguments, env=environment(served, tmp_path), seconds=30)
    assert ran.exit_code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_no_key_and_a_wrong_key(served: Service, inbox: Path, tmp_path: Path) -> None:
    env = {**environment(served, tmp_path), "DOCFLEET_API_KEY": ""}
    assert "DOCFLEET_API_KEY" in docfleet("submit", inbox, env=env).stderr
    key = tmp_path / "key"
    key.write_text("df_wrong\n")
    ran = docfleet("submit", inbox, "--key-file", key, env=env)
    assert ran.exit_code == 2
    assert "key" in ran.stderr
    key.write_text(f"{served.key}\n")
    assert docfleet("status", "--key-file", key, env=env).exit_code == 0


def wait_for(look: Any, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.mark.slow
def test_documents_of_one_name_are_fetched_beside_one_another(served: Service, tmp_path: Path) -> None:
    out, env = tmp_path / "results", environment(served, tmp_path)
    client = served.client()
    with served.reading():
        texts = [pdf(f"{number} {tmp_path}") for number in range(3)]
        ids = [client.submit(text, name="invoice.pdf").wait(60).id for text in texts]
    assert docfleet("fetch", ids[2], "--out", out, env=env).exit_code == 0
    assert docfleet("fetch", ids[0], ids[1], "--out", out, env=env).exit_code == 0
    assert docfleet("fetch", *ids, "--out", out, env=env).exit_code == 0
    rows = json.loads((out / "index.json").read_text())
    assert [row["file"] for row in rows] == ["invoice.pdf"] * 3
    told = {row["sha256"]: (out / row["folder"] / "document.txt").read_bytes() for row in rows}
    assert told == {hashlib.sha256(text).hexdigest(): b"words of " + text for text in texts}
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"invoice", "invoice-2", "invoice-3"}
