"""Pages taken out of documents, and put together, for a cloud engine."""

from __future__ import annotations

import io
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from docfleet.errors import Damaged, NoPages, PasswordRequired
from docfleet.sandbox.page_pdf import join_pages, write_pages

PDF = "application/pdf"


def sizes(path: Path) -> list[tuple[float, float, int]]:
    with pikepdf.open(path) as pdf:
        return [(float(p.mediabox[2]), float(p.mediabox[3]), int(p.obj.get("/Rotate", 0))) for p in pdf.pages]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four pages; size and rotation are inherited from the tree, and one page has a script."""
    path = tmp_path / "source.pdf"
    with pikepdf.new() as pdf:
        for number in range(4):
            page = pdf.add_blank_page(page_size=(100 + number, 200))
            page.contents_add(b"0 0 10 10 re f")
        del pdf.pages[1].obj["/MediaBox"]
        pdf.Root.Pages["/MediaBox"] = [0, 0, 333, 444]
        pdf.Root.Pages["/Rotate"] = 90
        pdf.pages[2].obj["/AA"] = pikepdf.Dictionary(O=pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="x"))
        pdf.Root["/OpenAction"] = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="x")
        pdf.save(path)
    return path


def test_pages_come_in_the_order_asked_for_as_they_are(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pdf"
    told = write_pages(str(source), str(out), [3, 2], None, PDF)
    assert told["size"] == out.stat().st_size
    assert sizes(out) == [(102, 200, 90), (333, 444, 90)]
    with pikepdf.open(out) as pdf:
        assert "/AA" not in pdf.pages[0].obj
        assert "/OpenAction" not in pdf.Root
        assert b"".join(part.read_bytes() for part in pdf.pages[0].Contents).strip() == b"0 0 10 10 re f"


def test_the_same_pages_are_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        write_pages(str(source), str(tmp_path / name), [1], None, PDF)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_what_is_not_there_or_not_open_is_told(source: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.pdf")
    for wrong in ([0], [5]):
        with pytest.raises(NoPages):
            write_pages(str(source), out, wrong, None, PDF)
    locked = tmp_path / "locked.pdf"
    with pikepdf.open(source) as pdf:
        pdf.save(locked, encryption=pikepdf.Encryption(owner="o", user="u"))
    with pytest.raises(PasswordRequired):
        write_pages(str(locked), out, [1], None, PDF)
    write_pages(str(locked), out, [1], "u", PDF)
    with pikepdf.open(out) as pdf:
        assert not pdf.is_encrypted
    bad = tmp_path / "bad.pdf"
    bad.write_bytes(b"%PDF-1.7\nnothing")
    with pytest.raises(Damaged):
        write_pages(str(bad), out, [1], None, PDF)


def test_pages_of_an_image_file_keep_their_pixels(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30 + n, 20), (n * 90, 10, 10)) for n in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    source, out = tmp_path / "scan.tif", tmp_path / "out.pdf"
    source.write_bytes(file.getvalue())
    write_pages(str(source), str(out), [3, 1], None, "image/tiff")
    with pikepdf.open(out) as pdf:
        pictures = [pikepdf.PdfImage(page.Resources.XObject.Image).as_pil_image() for page in pdf.pages]
    assert [picture.size for picture in pictures] == [(32, 20), (30, 20)]
    assert pictures[0].convert("RGB").getpixel((0, 0)) == (180, 10, 10)
    with pytest.raises(NoPages):
        write_pages(str(source), str(out), [4], None, "image/tiff")


def test_files_are_joined_in_order(source: Path, tmp_path: Path) -> None:
    parts = []
    for number, pages in enumerate(([1], [3, 4], [2])):
        parts.append(tmp_path / f"{number}.pdf")
        write_pages(str(source), str(parts[-1]), pages, None, PDF)
    out = tmp_path / "joined.pdf"
    assert join_pages([str(part) for part in parts], str(out))["pages"] == 4
    assert [width for width, _, _ in sizes(out)] == [100, 102, 103, 333]
