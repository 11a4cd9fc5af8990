"""The one fixed folder of the whole job: half its pages scans of the corpora, half digital pages, with the true text.

Scans are single images as they come and image-only PDFs (the same pixels, one or three pages); digital pages are PDFs
drawn here, and contracts of the corpora, which are timed but not scored because nobody typed their text. Receipts and
forms have their truth as boxes, without an order: it is read here in rows from top to bottom, each from left to right.
The truth of receipts is all capitals.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pikepdf
import pypdfium2
from PIL import Image

from bench.corpora import CORPORA, images, truth
from bench.drawn_pages import draw

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1, y downwards."""

_DPI = {"receipts": 200, "forms": 100, "ocr_pages": 240}
"""Resolution given to scans whose files say none that can be true (none, or a screen's 96)."""
_LEAST_DPI = 100
_CAPITALS = ("receipts",)
_CONTRACTS = ("1897d60f2aaa58656bc4825339a59266.pdf", "0c7b90701575b147c4ac245ca478ee7c.pdf")


@dataclass(frozen=True)
class Input:
    """One file of the folder."""

    name: str
    kind: str
    """scan or digital."""
    pages: int
    text: str | None
    """True text in reading order; None: timed, not scored."""
    dpi: int = 0
    """Resolution to assume for an image; 0 for PDFs."""
    any_case: bool = False
    """The truth is all capitals whatever the paper says: letters are compared without their case."""


@dataclass(frozen=True)
class Scan:
    path: Path
    text: str
    dpi: int


def build(folder: Path, quick: bool) -> list[Input]:
    """Makes `folder` anew and says what is in it; the same each time for the same corpora.

    Raises FileNotFoundError without the corpora.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return [*_scans(folder, quick), *_digital(folder, quick)]


def _scans(folder: Path, quick: bool) -> list[Input]:
    """Every fifth receipt, every fourth form, all hard pages; half of each as PDFs, forms three pages in one."""
    receipts, forms, pages = receipt_scans()[::5], form_scans()[::4][:12], page_scans()
    if quick:
        receipts, forms, pages = receipts[:2], forms[:6], pages[-1:]
    made = []
    for scans, group in ((receipts, 1), (forms, 3), (pages, 1)):
        split = len(scans) - len(scans) // 2 // group * group
        made += [_image(folder, scan) for scan in scans[:split]]
        made += [_image_pdf(folder, scans[at : at + group]) for at in range(split, len(scans), group)]
    return made


def _digital(folder: Path, quick: bool) -> list[Input]:
    counts = {"article": 3, "invoice": 5, "letter": 4, "report": 4}
    if quick:
        counts = {"article": 1, "invoice": 2, "letter": 2}
    made = []
    for drawn in draw(counts):
        (folder / drawn.name).write_bytes(drawn.pdf)
        made.append(Input(drawn.name, "digital", _pages(folder / drawn.name), drawn.text))
    for name in _CONTRACTS[: 1 if quick else None]:
        path = folder / f"contract-{name[:6]}.pdf"
        shutil.copyfile(CORPORA / "contracts" / name, path)
        made.append(Input(path.name, "digital", _pages(path), None))
    return made


def _pages(path: Path) -> int:
    document = pypdfium2.PdfDocument(path)
    try:
        return len(document)
    finally:
        document.close()


def receipt_scans() -> list[Scan]:
    known = truth("receipts")
    scans = []
    for path in images("receipts"):
        lines = [(line["text"], tuple(line["bbox"])) for line in known[path.name]["lines"]]
        scans.append(Scan(path, in_rows(lines), _dpi(path, "receipts")))
    return scans


def form_scans() -> list[Scan]:
    known = truth("forms")
    scans = []
    for path in images("forms"):
        entities = known[path.name]["form"]
        words = [(word["text"], tuple(word["box"])) for entity in entities for word in entity["words"]]
        scans.append(Scan(path, in_rows(words), _dpi(path, "forms")))
    return scans


def page_scans() -> list[Scan]:
    return [
        Scan(path, path.with_suffix(".txt").read_text(encoding="utf-8"), _dpi(path, "ocr_pages"))
        for path in images("ocr_pages")
    ]


def in_rows(texts: Iterable[tuple[str, Box]]) -> str:
    """Boxed texts as lines: rows go down, texts of a row to the right.

    A text joins the row above when its middle lies less than half its own height from the row's.
    """
    rows: list[list[tuple[str, Box]]] = []
    for text, box in sorted((item for item in texts if item[0].strip()), key=lambda item: item[1][1] + item[1][3]):
        if rows and _middle([box]) - _middle([other for _, other in rows[-1]]) < (box[3] - box[1]) / 2:
            rows[-1].append((text, box))
        else:
            rows.append([(text, box)])
    return "\n".join(" ".join(text for text, _ in sorted(row, key=lambda item: item[1][0])) for row in rows)


def _middle(boxes: Sequence[Box]) -> float:
    return sum(box[1] + box[3] for box in boxes) / 2 / len(boxes)


def _dpi(path: Path, corpus: str) -> int:
    with Image.open(path) as image:
        told = round(image.info.get("dpi", (0, 0))[0])
    return told if told >= _LEAST_DPI else _DPI[corpus]


def _image(folder: Path, scan: Scan) -> Input:
    """The file as it is; only transparency is taken out, which not every reader accepts."""
    target = folder / f"{scan.path.parent.name}-{scan.path.name}"
    with Image.open(scan.path) as image:
        if image.mode == "RGBA":
            on_white(image).save(target, dpi=(scan.dpi, scan.dpi))
        else:
            shutil.copyfile(scan.path, target)
    return Input(target.name, "scan", 1, scan.text, scan.dpi, scan.path.parent.name in _CAPITALS)


def on_white(image: Image.Image) -> Image.Image:
    """RGB; what is transparent shows white paper."""
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    return paper.convert("RGB")


def _image_pdf(folder: Path, scans: Sequence[Scan]) -> Input:
    first = scans[0].path
    target = folder / f"{first.parent.name}-{first.stem}.pdf"
    with pikepdf.new() as pdf:
        for scan in scans:
            _add_page(pdf, scan)
        pdf.save(target, deterministic_id=True)
    text = "\n".join(scan.text for scan in scans)
    return Input(target.name, "scan", len(scans), text, any_case=first.parent.name in _CAPITALS)


def _add_page(pdf: pikepdf.Pdf, scan: Scan) -> None:
    """One page with the picture's pixels: JPEG data as it is, other pictures packed without loss."""
    with Image.open(scan.path) as image:
        image.load()
        jpeg = image.format == "JPEG" and image.mode in ("L", "RGB")
        picture = image if image.mode in ("1", "L", "RGB") else on_white(image)
        width, height = picture.size
        stream = pikepdf.Stream(pdf, scan.path.read_bytes() if jpeg else picture.tobytes())
        stream.stream_dict = pikepdf.Dictionary(
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=width,
            Height=height,
            ColorSpace=pikepdf.Name.DeviceRGB if picture.mode == "RGB" else pikepdf.Name.DeviceGray,
            BitsPerComponent=1 if picture.mode == "1" else 8,
        )
    if jpeg:
        stream.Filter = pikepdf.Name.DCTDecode
    points = (width * 72 / scan.dpi, height * 72 / scan.dpi)
    page = pdf.add_blank_page(page_size=points)
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Scan=pdf.make_indirect(stream)))
    page.Contents = pikepdf.Stream(pdf, b"q %.4f 0 0 %.4f 0 0 cm /Scan Do Q" % points)
