"""The sample documents: what is committed is what the script draws, and the truth beside it is true."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageChops, ImageOps, ImageSequence, ImageStat

from scoring import word_match

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
TRUTH = ROOT / "tests" / "samples_truth"
PASSWORD = (TRUTH / "passwords.txt").read_text().split()[-1]
NAMES = sorted(path.name.removesuffix(".json") for path in TRUTH.glob("*.json"))
READABLE = [name for name in NAMES if name not in ("unrepairable.pdf", "mixed.zip")]


def truth_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TRUTH / f"{name}.json").read_text(encoding="utf-8"))
    return found


def pictures_of(path: Path) -> list[Image.Image]:
    """Every page as a grey picture, turned as the file says."""
    if path.suffix == ".pdf":
        document = pdfium.PdfDocument(path, password=PASSWORD)
        pages = [document[index].render(scale=1).to_pil().convert("L") for index in range(len(document))]
        document.close()
        return pages
    with Image.open(path) as image:
        return [ImageOps.exif_transpose(frame.copy()).convert("L") for frame in ImageSequence.Iterator(image)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    script = [sys.executable, str(ROOT / "tools" / "draw_samples.py")]
    where = ["--out", str(folder / "samples"), "--truth", str(folder / "truth")]
    subprocess.run([*script, *where], check=True, capture_output=True, timeout=300)
    return folder


def test_every_sample_has_its_truth() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == NAMES
    assert len(NAMES) >= 12


def test_every_sample_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "samples.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


def test_samples_are_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 3_000_000


@pytest.mark.parametrize("name", READABLE)
def test_drawing_again_gives_the_same_document(drawn: Path, name: str) -> None:
    """Same pixels within the rounding of another processor; the same bytes except for the locked one's random key."""
    committed, again = pictures_of(SAMPLES / name), pictures_of(drawn / "samples" / name)
    assert len(committed) == len(again)
    for one, other in zip(committed, again, strict=True):
        assert one.size == other.size
        assert ImageStat.Stat(ImageChops.difference(one, other)).mean[0] < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_drawing_again_gives_the_same_truth(drawn: Path, name: str) -> None:
    again = json.loads((drawn / "truth" / f"{name}.json").read_text(encoding="utf-8"))
    assert again == truth_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_truth_is_complete(name: str) -> None:
    truth = truth_of(name)
    assert truth["file"] == name
    assert (truth["outcome"], bool(truth["code"])) in {("succeeded", False), ("failed", True)}
    for page in truth["pages"]:
        assert page["engine"] in {"text_layer", "ocr", "both"}
        assert " ".join(page["text"]).split() == [word[0] for word in page["words"]]
        assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for _, x0, y0, x1, y1 in page["words"])
        for table in page["tables"]:
            assert len({len(row) for row in table}) == 1
            cells = " ".join(cell for row in table for cell in row)
            assert word_match(" ".join(page["text"]), cells).precision == 1, "every cell stands on the page"


@pytest.mark.parametrize("name", READABLE)
def test_boxes_hold_ink(name: str) -> None:
    """In each box there is something much darker than its lightest pixel, or lighter than its darkest."""
    path = SAMPLES / name
    for picture, page in zip(pictures_of(path), truth_of(name)["pages"], strict=True):
        empty = []
        for text, x0, y0, x1, y1 in page["words"]:
            box = (x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height)
            x_low, y_low, x_high, y_high = (round(value) for value in box)
            pixels = np.asarray(picture.crop((x_low, y_low, x_high, y_high)))
            if np.ptp(pixels) < 50:
                empty.append(text)
        assert len(empty) <= 0.02 * len(page["words"]), empty


def test_words_stand_in_their_boxes() -> None:
    """Asked for the text of a word's box, the PDF engine answers with that word."""
    document = pdfium.PdfDocument(SAMPLES / "invoice-01.pdf")
    width, height = document[0].get_size()
    text = document[0].get_textpage()
    words = truth_of("invoice-01.pdf")["pages"][0]["words"]
    found = [
        text.get_text_bounded(x0 * width, (1 - y1) * height, x1 * width, (1 - y0) * height).strip()
        for _, x0, y0, x1, y1 in words
    ]
    document.close()
    assert word_match(" ".join(word[0] for word in words), " ".join(found)).recall > 0.97


def test_figures_add_up() -> None:
    """Documents of business have to be right in themselves: a reader may check them."""

    def number(text: str) -> Decimal:
        return Decimal(text.replace(",", "")) if text else Decimal(0)

    _, *rows = truth_of("invoice-01.pdf")["pages"][0]["tables"][0]
    assert all(number(row[2]) * number(row[3]) == number(row[5]) for row in rows)
    net = sum(number(row[5]) for row in rows)
    shown = " ".join(truth_of("invoice-01.pdf")["pages"][0]["text"])
    assert f"{net:,.2f}" in shown
    assert f"{net * Decimal('1.2'):,.2f}" in shown
    entries = [row for page in truth_of("bank-statement.pdf")["pages"] for row in page["tables"][0][1:]]
    for before, after in pairwise(entries):
        assert number(before[4]) - number(after[2]) + number(after[3]) == number(after[4])


def test_password_protected_is_locked_with_aes_256() -> None:
    path = SAMPLES / "password-protected.pdf"
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(path)
    with pikepdf.open(path, password=PASSWORD) as pdf:
        assert (pdf.encryption.R, pdf.encryption.bits) == (6, 256)


def test_damaged_needs_repair_and_can_be_repaired() -> None:
    with pikepdf.open(SAMPLES / "damaged.pdf") as pdf:
        assert any("reconstruct" in warning for warning in pdf.get_warnings())
        assert len(pdf.pages) == 1


def test_unrepairable_cannot_be_opened() -> None:
    with pytest.raises(pikepdf.PdfError):
        pikepdf.open(SAMPLES / "unrepairable.pdf")
    with pytest.raises(pdfium.PdfiumError):
        pdfium.PdfDocument(SAMPLES / "unrepairable.pdf")


def test_garbage_layer_lies_about_its_text() -> None:
    document = pdfium.PdfDocument(SAMPLES / "garbage-layer.pdf")
    for index, page in enumerate(truth_of("garbage-layer.pdf")["pages"]):
        layer = document[index].get_textpage().get_text_range()
        expected = " ".join(page["text"])
        assert len(layer) > 0.7 * len(expected), "there is a layer"
        assert word_match(expected, layer).f1 < 0.35, "and it is wrong"
    document.close()


def test_scans_have_no_text_layer() -> None:
    for name, index in (("form-scan.pdf", 0), ("half-scan.pdf", 1)):
        document = pdfium.PdfDocument(SAMPLES / name)
        assert document[index].get_textpage().count_chars() == 0
        document.close()


def test_fax_is_group_4_and_its_pixels_are_not_square() -> None:
    with Image.open(SAMPLES / "fax.tif") as fine, Image.open(SAMPLES / "fax-standard.tif") as standard:
        assert (fine.mode, fine.info["compression"]) == ("1", "group4")
        assert tuple(round(value) for value in standard.info["dpi"]) == (204, 98)


def test_receipt_is_stored_on_its_side() -> None:
    with Image.open(SAMPLES / "receipt-photo.jpg") as photo:
        assert photo.getexif()[0x0112] == 6
        assert photo.width > photo.height


def test_archive_holds_duplicates() -> None:
    with zipfile.ZipFile(SAMPLES / "mixed.zip") as archive:
        data = {name: archive.read(name) for name in archive.namelist()}
    assert data["delivery-note.pdf"] == data["copies/delivery-note-copy.pdf"]
    assert data["invoice-01.pdf"] == (SAMPLES / "invoice-01.pdf").read_bytes()
    assert len(pikepdf.open(io.BytesIO(data["delivery-note.pdf"])).pages) == 1
