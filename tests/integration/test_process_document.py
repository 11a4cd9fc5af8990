"""The Python door: path or bytes in, a typed document out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docfleet import Document, process_document
from docfleet.documentai_format import from_json, to_json
from docfleet.errors import Damaged, Empty, PasswordRequired, PasswordWrong, TooManyPages, UnsupportedType, UsageError
from docfleet.runtime import Runtime
from docfleet.settings import read_settings
from scoring import word_match

SAMPLES = Path(__file__).parents[2] / "samples"
PASSWORDS = Path(__file__).parents[1] / "samples_truth" / "passwords.txt"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime(read_settings()) as made:
        yield made


def test_a_path_and_its_bytes_give_the_same(runtime: Runtime) -> None:
    by_path = process_document(SAMPLES / "letter-fr.pdf", runtime=runtime)
    by_bytes = process_document((SAMPLES / "letter-fr.pdf").read_bytes(), runtime=runtime)
    assert isinstance(by_path, Document)
    assert by_path.text == by_bytes.text
    assert by_path.pages == by_bytes.pages
    assert (by_path.uri, by_bytes.uri) == ("letter-fr.pdf", "")
    assert "Librairie" in by_path.text


def test_anchors_hold_over_all_pages(runtime: Runtime) -> None:
    document = process_document(SAMPLES / "contract.pdf", runtime=runtime)
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert [reading.page for reading in document.readings] == [1, 2, 3]
    for kind in ("tokens", "lines", "paragraphs", "blocks"):
        spelled = "".join(document.text_of(part.layout) for page in document.pages for part in getattr(page, kind))
        assert spelled == document.text, kind
    assert from_json(to_json(document)).text == document.text


def test_pixels_are_read_and_the_reading_says_why(runtime: Runtime) -> None:
    document = process_document(SAMPLES / "letter-de.png", languages=None, runtime=runtime)
    [reading] = document.readings
    assert (reading.engine, reading.reason, reading.outcome) == ("rapidocr", "image_file", "read")
    assert 0.8 < reading.confidence <= 1
    assert word_match("Große Straße 18 24999 Süderau", document.text).recall == 1


def test_refusals_have_their_class(tmp_path: Path, runtime: Runtime) -> None:
    locked = SAMPLES / "password-protected.pdf"
    with pytest.raises(PasswordRequired):
        process_document(locked, runtime=runtime)
    with pytest.raises(PasswordWrong):
        process_document(locked, passwords=["nonsense"], runtime=runtime)
    assert process_document(locked, passwords=PASSWORDS.read_text().splitlines(), runtime=runtime).text
    with pytest.raises(Empty):
        process_document(b"", runtime=runtime)
    with pytest.raises(UnsupportedType):
        process_document(b"just some prose, nothing else " * 9, runtime=runtime)
    with pytest.raises(UnsupportedType):
        process_document(SAMPLES / "mixed.zip", runtime=runtime)
    with pytest.raises(Damaged):
        process_document(SAMPLES / "unrepairable.pdf", runtime=runtime)
    with pytest.raises(UsageError):
        process_document(tmp_path / "nowhere.pdf", runtime=runtime)


def test_limits_come_from_the_settings() -> None:
    with pytest.raises(TooManyPages):
        process_document(SAMPLES / "contract.pdf", settings=read_settings(limits={"max_pages": 2}))


def test_engine_and_runtime_do_not_mix(runtime: Runtime) -> None:
    with pytest.raises(UsageError):
        process_document(SAMPLES / "letter-fr.pdf", engine="null", runtime=runtime)


def test_another_engine_reads_only_what_has_no_sound_text() -> None:
    document = process_document(SAMPLES / "half-scan.pdf", engine="null")
    assert [reading.engine for reading in document.readings] == ["text_layer+null", "null"]
    assert "Complaint file" in document.text
