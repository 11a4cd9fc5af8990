"""Workers without a broker, over SQLite: documents in, results out."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typst
from worker_service import TENANT, WorkerService, page_image, wait_for

from docfleet.domain.work import DocumentState, SliceState, Step
from docfleet.ledger.service_values import ReadingOptions
from docfleet.store.passwords import seal_passwords


@pytest.fixture
def service(tmp_path: Path) -> Iterator[WorkerService]:
    service = WorkerService(tmp_path, "")
    yield service
    service.close()


def pdf_of(pages: int, folder: Path) -> bytes:
    source = folder / "source.typ"
    source.write_text(
        "#set page(width: 300pt, height: 400pt)\n"
        f"#for n in range(1, {pages + 1}) [Page number #n. #lorem(20)\n"
        "#table(columns: 2, [a], [b], [1], [2]) #pagebreak(weak: true)]"
    )
    return bytes(typst.compile(str(source)))


def test_a_short_document_is_read_in_one_claim(service: WorkerService, tmp_path: Path) -> None:
    service.worker()
    formats = ("json", "md", "txt", "pdf", "csv")
    accepted = service.submit(pdf_of(2, tmp_path), "letter.pdf", options=ReadingOptions(formats, engine="null"))
    view = service.wait_end(accepted)
    assert (view.state, view.pages, view.pages_read) == (DocumentState.SUCCEEDED, 2, 2)
    assert {row.state for row in service.slices(accepted)} == {SliceState.DONE}
    assert sum(row.attempt for row in service.slices(accepted)) == 1
    assert {file.format for file in view.results} == {*formats, "outcome"}
    for file in view.results:
        data = service.result(accepted, file.path)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
    assert b"Page number 2." in service.result(accepted, "document.txt")
    # others with the same bytes share the results, and may outlive this document
    assert json.loads(service.result(accepted, "outcome.json"))["file"] == "document.pdf"
    assert not any(b"letter" in service.result(accepted, file.path) for file in view.results)
    with zipfile.ZipFile(io.BytesIO(service.result(accepted, "tables.zip"))) as archive:
        tables = {name: archive.read(name) for name in archive.namelist()}
    listed = {Path(file.path).name for file in view.results if file.path.startswith("tables/")}
    assert set(tables) == listed


def test_a_long_document_is_cut_and_put_together(service: WorkerService, tmp_path: Path) -> None:
    service.worker(slots=2)
    accepted = service.submit(pdf_of(20, tmp_path))
    view = service.wait_end(accepted)
    assert (view.state, view.pages_read) == (DocumentState.SUCCEEDED, 20)
    assert [row.step for row in service.slices(accepted)].count(Step.LOCAL) == 3
    text = service.result(accepted, "document.txt").decode()
    places = [text.index(f"Page number {n}.") for n in range(1, 21)]
    assert places == sorted(places)
    # the pieces are deleted after the end is told, so that nobody waits for it
    wait_for(lambda: not any("/slices/" in key for key in service.runtime.store.list()), 10)


def test_bytes_at_rest_and_in_passing_are_nobody_elses(service: WorkerService, tmp_path: Path) -> None:
    worker = service.worker()
    accepted = service.submit(pdf_of(1, tmp_path))
    service.wait_end(accepted)
    for path in (tmp_path / "data" / "store").rglob("*"):
        if path.is_file():
            assert b"Page number" not in path.read_bytes()
            assert b"%PDF" not in path.read_bytes()
    copies = [path for path in tmp_path.glob("docfleet-*/*/*/*") if path.is_file()]
    assert copies, "the slot keeps a copy of the last document"
    assert all(path.stat().st_mode & 0o077 == 0 for path in copies)
    assert worker.stop() == 0
    assert not list(tmp_path.glob("docfleet-*/*/*/*"))


def test_a_document_that_cannot_be_read_fails_with_its_code(service: WorkerService) -> None:
    service.worker()
    view = service.wait_end(service.submit(b"%PDF-1.7\nnothing"))
    assert view.state is DocumentState.FAILED
    assert view.code in ("damaged", "no_pages")


@pytest.mark.slow
def test_an_engine_nobody_has_fails_the_document_and_not_the_worker(service: WorkerService, tmp_path: Path) -> None:
    worker = service.worker()
    lost = service.submit(page_image(), options=ReadingOptions(("txt",), mode="ocr", engine="nowhere"))
    view = service.wait_end(lost)
    assert (view.state, view.code) == (DocumentState.FAILED, "engine_unavailable")
    assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
    assert worker.events("slot_died") == []


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["missing", "cut", "exchanged"])
def test_stored_bytes_that_are_not_those_submitted(service: WorkerService, tmp_path: Path, harm: str) -> None:
    accepted = service.submit(pdf_of(1, tmp_path))
    [key] = [key for key in service.runtime.store.list() if key.endswith("/source")]
    if harm == "missing":
        service.runtime.store.delete(key)
    elif harm == "cut":
        service.runtime.store.put(key, service.runtime.store.get(key)[:-100])
    else:
        wrapped = service.runtime.desk.wrapped_key(TENANT, accepted.document_id)
        service.runtime.content_store(wrapped).put(key, b"%PDF-1.7 of somebody else")
    service.worker()
    view = service.wait_end(accepted)
    assert (view.state, view.code) == (DocumentState.FAILED, "source_damaged")


def test_a_page_that_fails_leaves_a_partial_document_that_can_be_tried_again(
    service: WorkerService, tmp_path: Path
) -> None:
    service.worker()
    accepted = service.submit(page_image(), options=ReadingOptions(("txt",), mode="ocr", engine="null"))
    assert service.wait_end(accepted).state is DocumentState.SUCCEEDED


def test_an_encrypted_document_opens_with_the_password_of_its_retry(service: WorkerService) -> None:
    samples = Path(__file__).parents[2] / "samples"
    words = (samples.parent / "tests" / "samples_truth" / "passwords.txt").read_text().splitlines()
    worker = service.worker()
    accepted = service.submit((samples / "password-protected.pdf").read_bytes(), "locked.pdf")
    assert service.wait_end(accepted).code == "password_required"
    key, sha256 = service.runtime.master_key, service.view(accepted).sha256
    for given, code in ((["nonsense"], "password_wrong"), (words, "")):
        sealed = seal_passwords(key, given, TENANT, sha256)
        service.runtime.desk.retry(TENANT, accepted.document_id, sealed_passwords=sealed)
        assert service.wait_end(accepted).code == code
    assert service.result(accepted, "document.txt").strip()
    log = worker.log.read_text()
    assert not any(word in log for word in words)


@pytest.mark.slow
def test_the_plain_copy_of_a_document_does_not_wait_for_the_next(service: WorkerService) -> None:
    service.worker()
    accepted = service.submit(page_image())
    wait_for(lambda: list(service.folder.glob("docfleet-*/*/*/source")))
    assert service.wait_end(accepted).state is DocumentState.SUCCEEDED
    wait_for(lambda: not list(service.folder.glob("docfleet-*/*/*/*")), 15)
    assert service.wait_end(service.submit(page_image())).state is DocumentState.SUCCEEDED
