"""PDFs that hold only pictures, and PDFs that are locked, broken, cut off, or lie about their text."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
import pikepdf

from samples.typeset import Lines

MAPPING = re.compile(rb"(<[0-9A-Fa-f]{4}>\s*)<((?:[0-9A-Fa-f]{4})+)>(?=\s*[\r\n])")
"""A line of a ToUnicode map: a glyph, and the characters it stands for."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class PicturePage:
    """A JPEG that covers a page of `size` points, and text to be laid over it invisibly."""

    jpeg: bytes
    pixels: tuple[int, int]
    size: tuple[float, float] = (595.28, 841.89)
    hidden: bytes = b""


def picture_pdf(pages: list[PicturePage]) -> bytes:
    """A PDF of grey JPEGs, as a scanner writes it; no dates, so that it is the same each time."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for page in pages:
        width, height = page.size
        image = pdf.make_stream(
            page.jpeg,
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=page.pixels[0],
            Height=page.pixels[1],
            ColorSpace=pikepdf.Name.DeviceGray,
            BitsPerComponent=8,
            Filter=pikepdf.Name.DCTDecode,
        )
        sheet = pdf.add_blank_page(page_size=page.size)
        sheet.Resources = pikepdf.Dictionary(
            XObject=pikepdf.Dictionary(Scan=image), Font=pikepdf.Dictionary(Hidden=font)
        )
        sheet.Contents = pdf.make_stream(f"q {width} 0 0 {height} 0 0 cm /Scan Do Q\n".encode() + page.hidden)
    return _saved(pdf)


def hidden_layer(lines: Lines, size: tuple[float, float], seed: int) -> bytes:
    """Invisible text (render mode 3) over the words, as a recogniser of poor quality would have left it: more than half
    of the letters are wrong."""
    random = np.random.RandomState(seed)
    wrong = LETTERS[:26] + "|!1l;:.,~^*{}"
    out = ["BT 3 Tr"]
    for line in lines:
        for word in line:
            text = "".join(wrong[random.randint(len(wrong))] if random.random_sample() < 0.55 else c for c in word.text)
            safe = text.encode("ascii", "replace").decode().replace("\\", "").replace("(", "").replace(")", "")
            x0, _, _, y1 = word.rect
            height = (y1 - word.rect[1]) * size[1]
            out.append(
                f"/Hidden {height * 0.8:.1f} Tf 1 0 0 1 {x0 * size[0]:.1f} {(1 - y1) * size[1]:.1f} Tm ({safe} ) Tj"
            )
    return "\n".join([*out, "ET"]).encode("latin-1")


def append_pages(first: bytes, second: bytes) -> bytes:
    with pikepdf.open(io.BytesIO(first)) as pdf, pikepdf.open(io.BytesIO(second)) as more:
        pdf.pages.extend(more.pages)
        return _saved(pdf)


def only_page(pdf_bytes: bytes, number: int) -> bytes:
    """Page `number` (from 0) alone."""
    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        for index in reversed(range(len(pdf.pages))):
            if index != number:
                del pdf.pages[index]
        return _saved(pdf)


def scramble_unicode(pdf_bytes: bytes, seed: int) -> bytes:
    """The same glyphs on the page, but ToUnicode maps that send each letter to another one, as broken writers do."""
    random = np.random.RandomState(seed)
    order = random.permutation(len(LETTERS))
    table = str.maketrans(LETTERS, "".join(LETTERS[i] for i in order))

    def swap(match: re.Match[bytes]) -> bytes:
        text = bytes.fromhex(match[2].decode()).decode("utf-16-be").translate(table)
        return match[1] + b"<" + text.encode("utf-16-be").hex().upper().encode() + b">"

    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        for thing in pdf.objects:
            if isinstance(thing, pikepdf.Dictionary) and "/ToUnicode" in thing:
                cmap = thing["/ToUnicode"].read_bytes()
                thing["/ToUnicode"].write(MAPPING.sub(swap, cmap))
        return _saved(pdf)


def lock(pdf_bytes: bytes, password: str) -> bytes:
    """Encrypted with AES-256 (revision 6). The file key is random: the bytes differ each time, the content does not."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner=f"{password}-owner", user=password, R=6))
    return out.getvalue()


def break_apart(pdf_bytes: bytes, seed: int) -> bytes:
    """Still all there, but with bytes of something else before and between, and a cross-reference table of nonsense.

    Whoever looks for the objects themselves finds every one of them.
    """
    with pikepdf.open(io.BytesIO(pdf_bytes)) as pdf:
        plain = _saved(pdf, pikepdf.ObjectStreamMode.disable)
    random = np.random.RandomState(seed)
    rubbish = random.randint(128, 256, 300).astype(np.uint8).tobytes()
    table = plain.rindex(b"\nxref\n")
    middle = plain.index(b"endobj\n", table // 2) + len(b"endobj\n")
    entries = re.sub(rb"\d{10} \d{5} n", lambda _: b"%010d 00000 n" % random.randint(10**9), plain[table:])
    entries = re.sub(rb"startxref\n\d+", b"startxref\n99999999", entries)
    return rubbish[:200] + b"\n" + plain[:middle] + b"%" + rubbish[200:] + b"\n" + plain[middle:table] + entries


def cut_off(pdf_bytes: bytes) -> bytes:
    """Only the first bytes of a download that broke off: a header and the beginning of one stream, no page."""
    end = pdf_bytes.index(b"stream") + 200
    return pdf_bytes[:end]


def _saved(pdf: pikepdf.Pdf, streams: pikepdf.ObjectStreamMode = pikepdf.ObjectStreamMode.preserve) -> bytes:
    out = io.BytesIO()
    pdf.save(out, deterministic_id=True, object_stream_mode=streams)
    return out.getvalue()
