"""The sample documents, one function each: the file's bytes and the truth about it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from samples import content, damage, degrade
from samples.degrade import Sheet
from samples.typeset import Lines, TrueWord, compile_pdf, picture_bounds, read_lines, render

PASSWORD = "harbour-lane-88120"
Table = list[list[str]]


@dataclass(frozen=True)
class Sample:
    """A file of `samples/`, and its truth as `truth_of` writes it."""

    name: str
    data: bytes
    pages: list[dict[str, Any]] = field(default_factory=list)
    code: str = ""
    """Empty when it can be read, else the code of its outcome."""
    extra: dict[str, Any] = field(default_factory=dict)

    def truth(self) -> dict[str, Any]:
        outcome = "failed" if self.code else "succeeded"
        return {"file": self.name, "outcome": outcome, "code": self.code, "pages": self.pages} | self.extra


def page(
    engine: str,
    lines: Lines,
    *,
    tables: Sequence[Table] = (),
    languages: Sequence[str] = ("en",),
    orientation: int = 0,
    skew: float = 0.0,
) -> dict[str, Any]:
    """The truth of one page; words are [text, x0, y0, x1, y1], normalised to the page as submitted."""
    return {
        "engine": engine,
        "orientation": orientation,
        "skew_degrees": skew,
        "languages": list(languages),
        "text": [" ".join(word.text for word in line) for line in lines],
        "words": [[word.text, *(round(value, 4) for value in word.rect)] for line in lines for word in line],
        "tables": [[list(row) for row in table] for table in tables],
    }


def _sheet(pdf: bytes, number: int, dpi: int) -> Sheet:
    return Sheet(render(pdf, number, dpi), read_lines(pdf)[number])


def _skewed(sheet: Sheet, degrees: float, scale: float = 1.0, fill: int = 255) -> Sheet:
    """Turned clockwise by `degrees` about its middle and brought to `scale` of its size."""
    old = sheet.picture.size
    new = (round(old[0] * scale), round(old[1] * scale))
    matrix = degrade.scaling(new[0] / old[0], new[1] / old[1]) @ degrade.rotation(degrees, old)
    return degrade.warp(sheet, matrix, new, fill=fill)


def invoice() -> Sample:
    data = content.invoice()
    pdf = compile_pdf("invoice", data)
    return Sample(
        "invoice-01.pdf", pdf, [page("text_layer", lines, tables=[data["lines"]]) for lines in read_lines(pdf)]
    )


def statement() -> Sample:
    data = content.statement()
    pdf = compile_pdf("statement", data)
    tables = [[data["first"]], [data["second"]]]
    pages = [page("text_layer", lines, tables=t) for lines, t in zip(read_lines(pdf), tables, strict=True)]
    return Sample("bank-statement.pdf", pdf, pages)


def article() -> Sample:
    pdf = compile_pdf("article", content.ARTICLE)
    tables = [[], [content.ARTICLE["stops"]]]
    pages = [page("text_layer", lines, tables=t) for lines, t in zip(read_lines(pdf), tables, strict=True)]
    return Sample("article-two-column.pdf", pdf, pages)


def contract() -> Sample:
    pdf = compile_pdf("contract", tagged=False)
    return Sample("contract.pdf", pdf, [page("text_layer", lines) for lines in read_lines(pdf)])


def letter_fr() -> Sample:
    pdf = compile_pdf("letter-fr")
    return Sample("letter-fr.pdf", pdf, [page("text_layer", lines, languages=["fr"]) for lines in read_lines(pdf)])


def letter_de() -> Sample:
    """A scan in few greys, 180 dpi, hardly askew."""
    sheet = _skewed(_sheet(compile_pdf("letter-de"), 0, 300), -0.4, 0.6)
    scanned = degrade.scan(sheet, seed=11, grain=4)
    data = degrade.png(degrade.few_greys(scanned.picture), 180)
    return Sample("letter-de.png", data, [page("ocr", scanned.lines, languages=["de"], skew=-0.4)])


def report() -> Sample:
    """Fed the wrong way round and askew: turned by 180 degrees and skewed by 3."""
    sheet = _skewed(_sheet(compile_pdf("report"), 0, 300), 183.0, 2 / 3)
    scanned = degrade.scan(sheet, seed=21, grain=4)
    data = degrade.png(degrade.few_greys(scanned.picture), 200)
    return Sample("upside-down-skewed.png", data, [page("ocr", scanned.lines, orientation=180, skew=3.0)])


def form() -> Sample:
    """A PDF that holds nothing but a scan of 200 dpi."""
    sheet = _skewed(_sheet(compile_pdf("form"), 0, 300), 0.7, 2 / 3)
    scanned = degrade.scan(sheet, seed=31)
    picture = damage.PicturePage(degrade.jpeg(scanned.picture, 55, dpi=200), scanned.picture.size)
    return Sample("form-scan.pdf", damage.picture_pdf([picture]), [page("ocr", scanned.lines, skew=0.7)])


def receipt() -> Sample:
    """Photographed on a table: from the side, in uneven light, with the shadow of a hand; held upright (EXIF 6)."""
    flat = _sheet(compile_pdf("receipt", content.RECEIPT), 0, 330)
    size = (1150, 1600)
    corners = [(236.0, 92.0), (902.0, 128.0), (966.0, 1512.0), (150.0, 1466.0)]
    matrix = degrade.quad(flat.picture.size, corners)
    seen = degrade.warp(flat, matrix, size)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    paper = np.asarray(mask.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float64)[..., None] / 255
    cast = np.asarray(mask.filter(ImageFilter.GaussianBlur(22)), dtype=np.float64)[..., None] / 255
    print_ = np.asarray(seen.picture.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float64)[..., None] / 255
    thermal = np.array([58.0, 58.0, 66.0]) + print_ * np.array([174.0, 169.0, 153.0])
    thermal += 3 * degrade.noise(size, 41, grain=(20, 20))[..., None]
    values = paper * thermal + (1 - paper) * degrade.wood(size, 42) * (1 - 0.45 * cast)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    light = 1.06 - 0.30 * (x / size[0]) * (y / size[1]) - 0.10 * np.hypot(x / size[0] - 0.35, y / size[1] - 0.3)
    hand = Image.new("L", size)
    ImageDraw.Draw(hand).polygon([(1150, 820), (700, 985), (560, 1110), (640, 1240), (1150, 1390)], fill=255)
    shadow = np.asarray(hand.filter(ImageFilter.GaussianBlur(38)), dtype=np.float64) / 255
    values *= (light * (1 - 0.38 * shadow))[..., None]
    values += 4.5 * np.stack([degrade.noise(size, 43 + c) for c in range(3)], axis=-1)
    photo = degrade.to_picture(values)
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    data = degrade.jpeg(stored, 78, dpi=72, orientation=6)
    return Sample("receipt-photo.jpg", data, [page("ocr", seen.lines)])


def fax() -> Sample:
    """Two pages in fine resolution, 204 x 196 dpi."""
    pdf = compile_pdf("fax", content.FAX)
    sheets = []
    for number, (lines, skew) in enumerate(zip(read_lines(pdf), (0.6, -0.5), strict=True)):
        clean = Sheet(render(pdf, number, 204), lines)
        width, height = clean.picture.size
        turned = _skewed(clean, skew)
        fine = degrade.warp(turned, degrade.scaling(1728 / width, 196 / 204), (1728, round(height * 196 / 204)))
        sheets.append((degrade.fax(fine, seed=51 + 10 * number), skew))
    data = degrade.tiff_g4([sheet.picture for sheet, _ in sheets], (204, 196))
    tables = [[], [content.FAX["order"]]]
    pages = [page("ocr", s.lines, skew=skew, tables=t) for (s, skew), t in zip(sheets, tables, strict=True)]
    return Sample("fax.tif", data, pages)


def telefax() -> Sample:
    """One page in standard resolution, 204 x 98 dpi: its pixels are twice as high as they are wide."""
    clean = _sheet(compile_pdf("telefax"), 0, 204)
    width, height = clean.picture.size
    coarse = degrade.warp(clean, degrade.scaling(1728 / width, 98 / 204), (1728, round(height * 98 / 204)))
    done = degrade.fax(coarse, seed=71)
    return Sample("fax-standard.tif", degrade.tiff_g4([done.picture], (204, 98)), [page("ocr", done.lines)])


def half_scan() -> Sample:
    """Page 1: text above, below it a letter pasted in as a scan. Page 2: a scan from edge to edge."""
    blank = degrade.jpeg(Image.new("L", (10, 10), 255))
    clean = compile_pdf("half", content.HALF)
    first, second = read_lines(clean)
    x0, y0, x1, y1 = picture_bounds(compile_pdf("half", content.HALF, {"scan": blank, "page": blank}), 0)
    whole = render(clean, 0, 300)
    box = (round(x0 * whole.width), round(y0 * whole.height), round(x1 * whole.width), round(y1 * whole.height))
    inside = [[_within(word, (x0, y0, x1, y1)) for word in line] for line in first if line[0].rect[1] > y0]
    pasted = degrade.scan(_skewed(Sheet(whole.crop(box), inside), 0.5, 2 / 3), seed=81)
    scanned = degrade.scan(_skewed(Sheet(render(clean, 1, 300), second), -0.8, 2 / 3), seed=91)
    pictures = {"scan": degrade.jpeg(pasted.picture, 60), "page": degrade.jpeg(scanned.picture, 52)}
    outside = [line for line in first if line[0].rect[1] <= y0]
    placed = [[_without(word, (x0, y0, x1, y1)) for word in line] for line in pasted.lines]
    pages = [
        page("both", outside + placed),
        page("ocr", scanned.lines, skew=-0.8, tables=[content.HALF["pallets"]]),
    ]
    return Sample("half-scan.pdf", compile_pdf("half", content.HALF, pictures), pages)


def _within(word: TrueWord, box: tuple[float, float, float, float]) -> TrueWord:
    """A word of the page in coordinates normalised to a part of the page."""
    x0, y0, x1, y1 = box
    a, b, c, d = (((x - x0) / (x1 - x0), (y - y0) / (y1 - y0)) for x, y in word.corners)
    return TrueWord(word.text, (a, b, c, d))


def _without(word: TrueWord, box: tuple[float, float, float, float]) -> TrueWord:
    """The way back from `_within`."""
    x0, y0, x1, y1 = box
    a, b, c, d = ((x0 + x * (x1 - x0), y0 + y * (y1 - y0)) for x, y in word.corners)
    return TrueWord(word.text, (a, b, c, d))


def garbage_layer() -> Sample:
    """Page 1: type whose character map is wrong. Page 2: a scan under an invisible text of poor quality."""
    clean = compile_pdf("conditions", tagged=False)
    first, second = read_lines(clean)
    sheet = _skewed(Sheet(render(clean, 1, 300), second), 0.3, 2 / 3)
    scanned = degrade.scan(sheet, seed=101)
    hidden = damage.hidden_layer(scanned.lines, (595.28, 841.89), seed=103)
    picture = damage.PicturePage(degrade.jpeg(scanned.picture, 52, dpi=200), scanned.picture.size, hidden=hidden)
    typed = damage.only_page(damage.scramble_unicode(clean, seed=105), 0)
    data = damage.append_pages(typed, damage.picture_pdf([picture]))
    return Sample("garbage-layer.pdf", data, [page("ocr", first), page("ocr", scanned.lines, skew=0.3)])


def locked() -> Sample:
    pdf = compile_pdf("business", content.PRICES)
    pages = [page("text_layer", lines, tables=[content.PRICES["rows"]]) for lines in read_lines(pdf)]
    extra = {"needs_password": True, "code_without_password": "password_required"}
    return Sample("password-protected.pdf", damage.lock(pdf, PASSWORD), pages, extra=extra)


def damaged() -> Sample:
    pdf = compile_pdf("business", content.ORDER)
    pages = [page("text_layer", lines, tables=[content.ORDER["rows"]]) for lines in read_lines(pdf)]
    return Sample("damaged.pdf", damage.break_apart(pdf, seed=111), pages)


def unrepairable() -> Sample:
    return Sample("unrepairable.pdf", damage.cut_off(compile_pdf("business", content.ORDER)), code="damaged")


def archive() -> Sample:
    """A new document, the same once more under another name, and the invoice that also lies beside the archive."""
    note = compile_pdf("business", content.NOTE)
    members = [("delivery-note.pdf", note), ("copies/delivery-note-copy.pdf", note), ("invoice-01.pdf", invoice().data)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in members:
            pack.writestr(zipfile.ZipInfo(name, (2026, 3, 2, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    inside = Sample(
        "delivery-note.pdf",
        b"",
        [page("text_layer", lines, tables=[content.NOTE["rows"]]) for lines in read_lines(note)],
    )
    extra = {
        "members": [
            inside.truth(),
            {"file": "copies/delivery-note-copy.pdf", "same_as": "delivery-note.pdf"},
            {"file": "invoice-01.pdf", "same_as": "invoice-01.pdf"},
        ]
    }
    return Sample("mixed.zip", out.getvalue(), extra=extra)


SAMPLES: dict[str, Callable[[], Sample]] = {
    "invoice-01.pdf": invoice,
    "bank-statement.pdf": statement,
    "article-two-column.pdf": article,
    "contract.pdf": contract,
    "letter-fr.pdf": letter_fr,
    "letter-de.png": letter_de,
    "upside-down-skewed.png": report,
    "form-scan.pdf": form,
    "receipt-photo.jpg": receipt,
    "fax.tif": fax,
    "fax-standard.tif": telefax,
    "half-scan.pdf": half_scan,
    "garbage-layer.pdf": garbage_layer,
    "password-protected.pdf": locked,
    "damaged.pdf": damaged,
    "unrepairable.pdf": unrepairable,
    "mixed.zip": archive,
}
"""File name -> what draws it."""
