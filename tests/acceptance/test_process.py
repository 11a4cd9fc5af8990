"""`docfleet process` as a user meets it: inputs of every kind, outcomes, exit codes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from running import SAMPLES, docfleet, index_of

PASSWORDS = SAMPLES.parent / "tests" / "samples_truth" / "passwords.txt"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_every_input_ends_with_an_outcome_and_none_stops_the_others(inbox: Path, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "invoice-01.pdf", inbox / "named-wrongly.txt")
    (inbox / "empty.pdf").touch()
    (inbox / "note.pdf").write_text("This is prose and no PDF, whatever its name says. " * 20)
    (inbox / "cut.pdf").write_bytes((SAMPLES / "unrepairable.pdf").read_bytes())
    shutil.copy(SAMPLES / "password-protected.pdf", inbox)
    (inbox / ".hidden").write_text("not submitted")
    (inbox / "deep").mkdir()
    shutil.copy(SAMPLES / "letter-fr.pdf", inbox / "deep")
    out = tmp_path / "out"

    ran = docfleet("process", inbox, "--out", out, "--json", "--no-report")

    assert ran.exit_code == 1, ran.stderr
    rows = {Path(name).name: row for name, row in index_of(out).items()}
    assert {name: row["code"] for name, row in rows.items()} == {
        "named-wrongly.txt": "",
        "empty.pdf": "empty",
        "note.pdf": "unsupported_type",
        "cut.pdf": "damaged",
        "password-protected.pdf": "password_required",
        "letter-fr.pdf": "",
    }
    for row in rows.values():
        assert (row["outcome"] == "succeeded") == (row["code"] == "")
        assert bool(row["message"]) == bool(row["remedy"]) == (row["code"] != "")
    assert len(ran.summary["documents"]) == 6
    assert ran.summary["outcomes"] == {"succeeded": 2, "failed": 4}


def test_a_succeeded_document_has_all_its_results_and_nothing_half_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = docfleet("process", SAMPLES / "invoice-01.pdf", "--out", out, "--formats", "json,md,txt,pdf,csv,hocr")
    assert ran.exit_code == 0, ran.stderr
    folder = out / "invoice-01"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "document.json", "document.md", "document.txt", "document.hocr", "searchable.pdf", "tables", "outcome.json",
    }  # fmt: skip
    assert list((folder / "tables").glob("*.csv"))
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert not [path for path in out.rglob("*") if path.name.endswith((".part", ".old"))]
    assert not any((out / "ledger" / "store").rglob("*.msgpack"))
    assert json.loads((folder / "outcome.json").read_text())["pages"][0]["engine"] == "text_layer"


@pytest.mark.slow
def test_index_csv_and_json_tell_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out"
    docfleet("process", SAMPLES / "letter-fr.pdf", SAMPLES / "unrepairable.pdf", "--out", out, "--no-report")
    told = json.loads((out / "index.json").read_text())
    with (out / "index.csv").open(newline="") as file:
        sheet = list(csv.DictReader(file))
    assert len(told) == len(sheet) == 2
    for row, line in zip(told, sheet, strict=True):
        assert list(row) == list(line)
        assert line["file"] == row["file"]
        assert line["code"] == row["code"]
        assert int(line["pages"]) == row["pages"]


def test_same_bytes_are_read_once(inbox: Path, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "letter-fr.pdf", inbox / "a.pdf")
    shutil.copy(SAMPLES / "letter-fr.pdf", inbox / "b.pdf")
    with zipfile.ZipFile(inbox / "c.zip", "w") as archive:
        archive.write(SAMPLES / "letter-fr.pdf", "inside/d.pdf")
        archive.write(SAMPLES / "invoice-01.pdf", "inside/e.pdf")
    out = tmp_path / "out"
    ran = docfleet("process", inbox, "--out", out, "--no-report")
    assert ran.exit_code == 0, ran.stderr
    rows = {Path(name).name: row for name, row in index_of(out).items()}
    assert set(rows) == {"a.pdf", "b.pdf", "d.pdf", "e.pdf"}
    assert rows["a.pdf"]["duplicate_of"] == ""
    assert rows["b.pdf"]["duplicate_of"] == rows["d.pdf"]["duplicate_of"] == str(inbox / "a.pdf")
    assert rows["a.pdf"]["folder"] == rows["b.pdf"]["folder"] == rows["d.pdf"]["folder"] == "a"
    assert rows["e.pdf"]["folder"] == "e"
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["a", "e", "ledger"]


@pytest.mark.slow
def test_a_password_given_later_opens_what_was_locked(tmp_path: Path) -> None:
    out, wrong = tmp_path / "out", tmp_path / "wrong.txt"
    locked = SAMPLES / "password-protected.pdf"
    wrong.write_text("nonsense\nüñ\n")
    assert docfleet("process", locked, "--out", out, "--no-report").exit_code == 1
    assert index_of(out)[str(locked)]["code"] == "password_required"
    assert docfleet("process", locked, "--out", out, "--no-report", "--password-file", wrong).exit_code == 1
    assert index_of(out)[str(locked)]["code"] == "password_wrong"
    ran = docfleet("process", locked, "--out", out, "--no-report", "--password-file", PASSWORDS)
    assert ran.exit_code == 0, ran.stderr
    assert index_of(out)[str(locked)]["outcome"] == "succeeded"
    secret = PASSWORDS.read_text().splitlines()[0].encode()
    kept = b"".join(path.read_bytes() for path in (out / "ledger").rglob("*") if path.is_file())
    assert secret not in kept


@pytest.mark.slow
def test_names_that_clash_get_folders_of_their_own(inbox: Path, tmp_path: Path) -> None:
    for folder, sample in (("one", "letter-fr.pdf"), ("two", "invoice-01.pdf")):
        (inbox / folder).mkdir()
        shutil.copy(SAMPLES / sample, inbox / folder / "Same.pdf")
    shutil.copy(SAMPLES / "contract.pdf", inbox / "ledger.pdf")
    out = tmp_path / "out"
    assert docfleet("process", inbox, "--out", out, "--no-report").exit_code == 0
    folders = {row["folder"] for row in index_of(out).values()}
    assert len(folders) == 3
    assert all((out / name / "document.txt").is_file() for name in folders)
    assert "ledger" not in folders


@pytest.mark.slow
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "letter-fr").mkdir(parents=True)
    (out / "letter-fr" / "diary.txt").write_text("mine")
    ran = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", out, "--no-report")
    assert ran.exit_code == 0, ran.stderr
    assert (out / "letter-fr" / "diary.txt").read_text() == "mine"
    [row] = index_of(out).values()
    assert row["folder"] != "letter-fr"
    assert (out / row["folder"] / "document.txt").is_file()


@pytest.mark.slow
def test_other_options_read_again_into_the_same_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", out, "--no-report", "--formats", "txt")
    again = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", out, "--no-report", "--formats", "json")
    assert (first.exit_code, again.exit_code) == (0, 0)
    [row] = index_of(out).values()
    assert row["folder"] == "letter-fr"
    assert (out / "letter-fr" / "document.json").is_file()
    assert not (out / "letter-fr" / "document.txt").exists()


def test_a_pipe_in_the_folder_does_not_hang_the_run(inbox: Path, tmp_path: Path) -> None:
    os.mkfifo(inbox / "pipe.pdf")
    (inbox / "gone.pdf").symlink_to(inbox / "nowhere")
    out = tmp_path / "out"
    ran = docfleet("process", inbox, "--out", out, "--no-report", seconds=60)
    assert ran.exit_code == 1
    codes = {Path(name).name: row["code"] for name, row in index_of(out).items()}
    assert codes == {"pipe.pdf": "unsupported_type", "gone.pdf": "source_changed"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["process", "nowhere.pdf", "--out", "OUT"], "nowhere.pdf"),
        (["process", "nothing-*.pdf", "--out", "OUT"], "nothing-*.pdf"),
        (["process", "SAMPLE", "--out", "OUT", "--formats", "docx"], "docx"),
        (["process", "SAMPLE", "--out", "OUT", "--engine", "oracle"], "oracle"),
        (["process", "SAMPLE", "--out", "OUT", "--mode", "magic"], "mode"),
        (["process", "SAMPLE", "--out", "OUT", "--password-file", "nowhere.txt"], "nowhere.txt"),
        (["process", "SAMPLE"], "--out"),
        (["process", "SAMPLE", "--out", "FILE"], "FILE"),
        (["inspect", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_2(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "FILE").touch()
    places = {"OUT": tmp_path / "out", "SAMPLE": SAMPLES / "letter-fr.pdf", "FILE": tmp_path / "FILE"}
    ran = docfleet(*[places.get(argument, argument) for argument in arguments])
    assert ran.exit_code == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    env = {"DOCFLEET_LIMITS__MAX_PAGES": "many"}
    ran = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", tmp_path / "out", env=env)
    assert ran.exit_code == 2
    assert "limits.max_pages" in ran.stderr


@pytest.mark.slow
def test_limits_are_settings(tmp_path: Path) -> None:
    out = tmp_path / "out"
    env = {"DOCFLEET_LIMITS__MAX_PAGES": "2", "DOCFLEET_LIMITS__MAX_FILE_BYTES": "35000"}
    ran = docfleet(
        "process", SAMPLES / "contract.pdf", SAMPLES / "invoice-01.pdf", "--out", out, "--no-report", env=env
    )
    assert ran.exit_code == 1
    codes = {Path(name).name: row["code"] for name, row in index_of(out).items()}
    assert codes == {"contract.pdf": "too_many_pages", "invoice-01.pdf": "too_many_bytes"}


@pytest.mark.slow
def test_plain_lines_when_piped_and_nothing_but_json_when_asked(tmp_path: Path) -> None:
    ran = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", tmp_path / "out", "--no-report")
    assert "1 input (1 succeeded), 1 page " in ran.stderr
    assert "\x1b" not in ran.stderr
    again = docfleet("process", SAMPLES / "letter-fr.pdf", "--out", tmp_path / "out", "--no-report", "--json")
    assert again.summary["outcomes"] == {"succeeded": 1}
    assert again.stderr == ""


@pytest.mark.slow
def test_inspect_tells_what_was_read(tmp_path: Path) -> None:
    out = tmp_path / "out"
    docfleet("process", SAMPLES / "letter-fr.pdf", "--out", out, "--no-report")
    ran = docfleet("inspect", out / "letter-fr")
    assert ran.exit_code == 0
    assert "text_layer" in ran.stdout
    assert "The text layer is sound" in " ".join(ran.stdout.split())
    told = json.loads(docfleet("inspect", out / "letter-fr", "--json").stdout)
    assert told["pages"][0]["reason"] == "sound_text"
