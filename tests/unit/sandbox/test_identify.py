"""Files are known by their content, whatever they are called."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from docfleet.domain.media import HEIC, PDF, PNG, TIFF, WEBP, ZIP, MediaType, recognise_signature
from docfleet.errors import Empty, SourceChanged, TooManyBytes, UnsupportedType
from docfleet.pipeline.identify import identify


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"%PDF-1.4", PDF),
        (b"\r\n" * 400 + b"%PDF-1.4", PDF),
        (b"\x89PNG\r\n\x1a\n", PNG),
        (b"MM\x00*\x00\x00\x00\x08", TIFF),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", WEBP),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", HEIC),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1", None),
        (b"BMW was sold in 1998 to nobody", None),
        (b" " * 2000 + b"%PDF-1.4", None),
        (b"plain text", None),
        (b"", None),
    ],
)
def test_signatures(head: bytes, media: MediaType | None) -> None:
    assert recognise_signature(head) is media


def test_the_name_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%PDF-1.7\n")
    assert identify(path) is PDF


def test_archives_and_packages(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.pdf", b"%PDF-1.7\n" + b"words " * 100)
    assert identify(path) is ZIP
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("xl/workbook.xml", b"<workbook/>")
    with pytest.raises(UnsupportedType):
        identify(path)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_text("<!DOCTYPE html><html><head><title>A page</title></head><body><p>Hello</p></body></html>\n" * 5)
    with pytest.raises(UnsupportedType, match="HTML"):
        identify(path)


def test_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    for content in (b"", b"\x00" * 50, b" \n"):
        path.write_bytes(content)
        with pytest.raises(Empty):
            identify(path)
    with pytest.raises(SourceChanged):
        identify(tmp_path / "gone")


def test_long_runs_of_zeros_and_empty_archives_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    for data in (bytes(300_000), b"PK\x05\x06" + bytes(18)):
        path.write_bytes(data)
        with pytest.raises(Empty):
            identify(path)


def test_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7\n" + bytes(100))
    with pytest.raises(TooManyBytes):
        identify(path, 100)
