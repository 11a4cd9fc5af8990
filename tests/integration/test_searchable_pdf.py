"""Words put onto PDFs: they can be found and copied where they stand, and nobody can see a difference."""

from __future__ import annotations

import math
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from searchable_pages import boxes_of, check, copied, pdftotext, rendered, searchable, word

from docfleet.domain.searchable import LayerMode, LayerWord, layer_mode
from docfleet.errors import Damaged, PasswordRequired, PasswordWrong
from docfleet.sandbox.glyphless_font import GlyphlessFont, true_type, visual_order

SCANS = Path(__file__).parents[3] / "shared" / "corpora" / "scans"
TOLERANCE = 0.004
"""Of the page's width or height."""
PATH_DRAWING = b"0.8 0.2 0.2 rg 50 50 100 60 re f 0 0 1 RG 3 w 20 20 m 180 250 l S"


def make_pdf(path: Path, *contents: bytes, **attributes: object) -> Path:
    """A PDF with a page for each content; attributes go onto each page."""
    with pikepdf.new() as pdf:
        for content in contents or (PATH_DRAWING,):
            pdf.add_blank_page(page_size=(200, 300))
            page = pdf.pages[-1]
            page.Contents = pdf.make_stream(content)
            for name, value in attributes.items():
                page.obj["/" + name] = value
        pdf.docinfo["/Title"] = "Kept"
        pdf.save(path)
    return path


def add_helvetica(path: Path) -> Path:
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        font = pdf.make_indirect(
            pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        )
        for page in pdf.pages:
            page.obj["/Resources"] = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        pdf.save(path)
    return path


BOXES = {
    "plain": {},
    "offset": {"MediaBox": pikepdf.Array([-30, 40, 170, 340])},
    "reversed": {"MediaBox": pikepdf.Array([200, 300, 0, 0])},
    "cropped": {"CropBox": pikepdf.Array([20, 30, 150, 250])},
    "crop beyond": {"CropBox": pikepdf.Array([-50, 100, 400, 500])},
    "crop outside": {"CropBox": pikepdf.Array([0, 0, 0, 0])},
    "user unit": {"UserUnit": 2},
}


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
@pytest.mark.parametrize("boxes", BOXES)
def test_words_land_in_their_boxes_whatever_the_page_is_like(tmp_path: Path, rotation: int, boxes: str) -> None:
    source = make_pdf(tmp_path / "in.pdf", Rotate=rotation, **BOXES[boxes])
    out = tmp_path / "out.pdf"
    words = [word("Upright", 0.1, 0.2, 0.45, 0.25), word("down", 0.5, 0.6, 0.55, 0.9, line=1, angle=90)]
    assert searchable(source, out, {1: words})["words"] == 2
    check(out)
    assert boxes_of(out, "Upright") == pytest.approx((0.1, 0.2, 0.45, 0.25), abs=TOLERANCE)
    assert boxes_of(out, "down") == pytest.approx((0.5, 0.6, 0.55, 0.9), abs=TOLERANCE)
    assert sorted(pdftotext(out)) == ["Upright", "down"]
    assert np.array_equal(rendered(source), rendered(out))


def test_inherited_boxes_and_resources(tmp_path: Path) -> None:
    drawn = b"BT /F1 20 Tf 30 200 Td (Seen) Tj ET"
    source = add_helvetica(make_pdf(tmp_path / "in.pdf", drawn, drawn))
    with pikepdf.open(source, allow_overwriting_input=True) as pdf:
        tree = pdf.Root.Pages
        for name in ("/MediaBox", "/Resources"):
            tree[name] = pdf.pages[0].obj[name]
        tree["/Rotate"] = 90
        for page in pdf.pages:
            del page.obj["/MediaBox"], page.obj["/Resources"]
        pdf.save(source)
    out = tmp_path / "out.pdf"
    searchable(source, out, {1: [word("layer", 0.2, 0.5, 0.4, 0.55)]}, LayerMode.ADD)
    check(out)
    assert boxes_of(out, "layer") == pytest.approx((0.2, 0.5, 0.4, 0.55), abs=TOLERANCE)
    assert (set(pdftotext(out)), set(pdftotext(out, 2))) == ({"layer", "Seen"}, {"Seen"})
    assert np.array_equal(rendered(source), rendered(out))
    with pikepdf.open(out) as pdf:
        assert list(pdf.pages[1].resources.Font.keys()) == ["/F1"], "what pages share was changed"


@pytest.mark.parametrize("degrees", [3.0, -7.5, 30.0, 90.0, 123.0])
def test_skewed_words_stand_on_their_slope(tmp_path: Path, degrees: float) -> None:
    out = tmp_path / "out.pdf"
    turn, (width, height) = math.radians(degrees), (200, 300)
    cos, sin = math.cos(turn), math.sin(turn)

    def corner(u: float, v: float) -> tuple[float, float]:
        return ((100 + u * cos - v * sin) / width, (150 + u * sin + v * cos) / height)

    quad = (corner(-40, -6), corner(40, -6), corner(40, 6), corner(-40, 6))
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: [LayerWord("slanting", quad, 0)]})
    xs, ys = [x for x, _ in quad], [y for _, y in quad]
    assert boxes_of(out, "slanting") == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=0.01)
    # Poppler takes text apart that stands at angles nobody writes at.
    assert "".join(pdftotext(out)) == "slanting" if degrees > 90 else pdftotext(out) == ["slanting"]


@pytest.mark.parametrize(
    "text",
    ["Straße", "漢字かな", "𝔘𝔫𝔦", "👍🏽", "ﬁne", "e\u0301te\u0301", "שלום", "مرحبا", "ไทย", "<b>(x)\\", "A" * 300],
)
def test_any_text_can_be_copied(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.pdf"
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: [word(text, 0.1, 0.1, 0.9, 0.15)]})
    check(out)
    assert "".join(copied(out).split()) in (text, unicodedata.normalize("NFKC", text))  # PDFium unfolds ligatures
    assert "".join(pdftotext(out)) == text


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]), min_size=1), max_size=5))
def test_the_font_maps_every_character_back(texts: list[str]) -> None:
    font = GlyphlessFont()
    codes = [font.encode(text) for text in texts]
    mapping = font._to_unicode().decode()
    pairs = dict(line.strip("<>").split("> <") for line in mapping.splitlines() if line.count("> <") == 1)
    del pairs["0000"]
    for text, code in zip(texts, codes, strict=True):
        back = "".join(bytes.fromhex(pairs[code[i : i + 4]]).decode("utf-16-be") for i in range(0, len(code), 4))
        assert back == text


def test_the_font_gives_out_no_code_twice_and_survives_all_of_unicode() -> None:
    font = GlyphlessFont()
    everything = "".join(map(chr, range(0x20, 0x12000)))
    codes = font.encode(everything)
    assert len(codes) == 4 * len(everything)
    assert codes.endswith("0001"), "what has no code is the replacement character"
    assert len(true_type()) < 1000


def test_words_of_a_line_are_copied_with_spaces_and_on_one_line(tmp_path: Path) -> None:
    # Boxes as OCR gives them: uneven in height, gaps of every width.
    boxes = [(0.1, 0.2), (0.215, 0.3), (0.301, 0.42), (0.6, 0.68), (0.69, 0.9)]
    texts = ["The", "total", "amount", "is", "12.50,-"]
    uneven = [0.0, 0.002, -0.002, 0.003, 0.001]
    words = [word(text, x0, 0.5 + dy, x1, 0.53 - dy) for text, (x0, x1), dy in zip(texts, boxes, uneven, strict=True)]
    words += [word("Next", 0.1, 0.55, 0.2, 0.58, line=1), word("line", 0.22, 0.55, 0.3, 0.58, line=1)]
    out = tmp_path / "out.pdf"
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: words})
    assert copied(out).replace("\r\n", "\n") == "The total amount is 12.50,-\nNext line"
    assert pdftotext(out) == [*texts, "Next", "line"]


def test_glued_words_are_copied_without_space(tmp_path: Path) -> None:
    words = [
        LayerWord(text, word("", x0, 0.2, x1, 0.23).quad, 0, glued)
        for text, x0, x1, glued in (("東京", 0.1, 0.2, True), ("都庁", 0.2, 0.3, False))
    ]
    out = tmp_path / "out.pdf"
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: words})
    assert copied(out) == "東京都庁"


def test_right_to_left_lines_keep_their_order(tmp_path: Path) -> None:
    words = [word("שלום", 0.6, 0.2, 0.7, 0.23), word("עולם", 0.45, 0.2, 0.58, 0.23), word("123", 0.3, 0.2, 0.4, 0.23)]
    out = tmp_path / "out.pdf"
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: words})
    assert pdftotext(out) == ["שלום", "עולם", "123"]
    assert copied(out).split() == ["שלום", "עולם", "123"]


def test_visual_order_keeps_numbers_and_marks() -> None:
    assert visual_order("abc123") == "abc123"
    assert visual_order("אבג12.5") == "12.5גבא"
    assert visual_order("א\u05b8ב") == "בא\u05b8"


INVISIBLE = b"BT 3 Tr /F1 10 Tf 20 200 Td (garbage) Tj 0 -20 Td [(old) -200 (layer)] TJ ET"
MIXED = b"BT /F1 10 Tf 20 250 Td 3 Tr (hid) Tj 0 Tr (seen) Tj 3 Tr 12 TL (gone) ' 0 0 (too) \" 0 Tr T* (last) Tj ET"


def test_replaced_layers_lose_their_invisible_text_only(tmp_path: Path) -> None:
    visible = b"BT /F1 20 Tf 20 100 Td (Visible) Tj ET q " + INVISIBLE + b" Q BT /F1 9 Tf 9 9 Td (after) Tj ET"
    source = add_helvetica(make_pdf(tmp_path / "in.pdf", visible, MIXED))
    out = tmp_path / "out.pdf"
    ours = [word("ours", 0.1, 0.3, 0.2, 0.33)]
    assert searchable(source, out, {1: ours, 2: ours})["removed_runs"] == 4
    check(out)
    assert set(pdftotext(out)) == {"ours", "Visible", "after"}
    # "hid" stays: "seen" goes on where it ends, so without it that would move.
    assert set(pdftotext(out, 2)) == {"ours", "hidseen", "last"}
    for page in (1, 2):
        assert np.array_equal(rendered(source, page), rendered(out, page))


def test_sound_layers_stay_and_only_gaps_are_filled(tmp_path: Path) -> None:
    source = add_helvetica(make_pdf(tmp_path / "in.pdf", b"BT 3 Tr /F1 20 Tf 20 200 Td (Sound) Tj ET"))
    out = tmp_path / "out.pdf"
    box = boxes_of(source, "Sound")
    words = [word("S0und", *box), word("new", 0.1, 0.8, 0.2, 0.84, line=1)]
    assert searchable(source, out, {1: words}, LayerMode.ADD)["words"] == 1
    assert sorted(pdftotext(out)) == ["Sound", "new"]


def test_invisible_text_in_forms_is_removed_from_copies(tmp_path: Path) -> None:
    source = add_helvetica(make_pdf(tmp_path / "in.pdf", b"/Old Do", b"/Old Do", b"/Loop Do"))
    with pikepdf.open(source, allow_overwriting_input=True) as pdf:
        fonts = pdf.pages[0].Resources.Font
        head = {"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Form, "/BBox": pikepdf.Array([0, 0, 200, 300])}
        old, loop = (pikepdf.Stream(pdf, data) for data in (INVISIBLE, b"/Loop Do " + INVISIBLE))
        for form in (old, loop):
            for key, value in head.items():
                form[key] = value
        forms = pikepdf.Dictionary(Old=pdf.make_indirect(old), Loop=pdf.make_indirect(loop))
        resources = pdf.make_indirect(pikepdf.Dictionary(Font=fonts, XObject=forms))
        old.Resources = loop.Resources = resources
        for page in pdf.pages:
            page.obj["/Resources"] = resources
        pdf.save(source)
    out = tmp_path / "out.pdf"
    ours = [word("ours", 0.1, 0.3, 0.2, 0.33)]
    searchable(source, out, {1: ours, 3: ours})  # the third draws a form that draws itself
    check(out)
    assert pdftotext(out) == ["ours"]
    assert "garbage" in pdftotext(out, 2), "the other page still draws the form as it was"


def test_type3_text_is_painted_in_every_mode_and_stays(tmp_path: Path) -> None:
    source = make_pdf(tmp_path / "in.pdf", b"BT 3 Tr /T3 20 Tf 20 200 Td (a) Tj ET")
    with pikepdf.open(source, allow_overwriting_input=True) as pdf:
        glyph = pdf.make_stream(b"1000 0 0 0 750 750 d1 0 0 750 750 re f")
        font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.Type3,
            FontBBox=pikepdf.Array([0, 0, 750, 750]),
            FontMatrix=pikepdf.Array([0.001, 0, 0, 0.001, 0, 0]),
            CharProcs=pikepdf.Dictionary(square=glyph),
            Encoding=pikepdf.Dictionary(Differences=pikepdf.Array([97, pikepdf.Name.square])),
            FirstChar=97,
            LastChar=97,
            Widths=pikepdf.Array([1000]),
        )
        pdf.pages[0].obj["/Resources"] = pikepdf.Dictionary(Font=pikepdf.Dictionary(T3=font))
        pdf.save(source)
    out = tmp_path / "out.pdf"
    assert searchable(source, out, {1: [word("x", 0.1, 0.1, 0.2, 0.2)]})["removed_runs"] == 0
    assert np.array_equal(rendered(source), rendered(out))


@pytest.mark.parametrize(
    "content",
    [b"q q 2 0 0 2 0 0 cm BT (open", b"Q Q Q 1 0 0 rg 0 0 50 50 re f", b"\xff\x00 garbage ( [ <<", b""],
    ids=["unclosed", "too many Q", "noise", "empty"],
)
def test_content_in_any_state_is_left_alone(tmp_path: Path, content: bytes) -> None:
    source = make_pdf(tmp_path / "in.pdf", content)
    out = tmp_path / "out.pdf"
    searchable(source, out, {1: [word("found", 0.1, 0.2, 0.4, 0.25)]})
    assert boxes_of(out, "found") == pytest.approx((0.1, 0.2, 0.4, 0.25), abs=TOLERANCE)
    assert np.array_equal(rendered(source), rendered(out))
    with pikepdf.open(out) as pdf:
        assert pdf.pages[0].Contents[-1].read_bytes() == content


def test_pages_without_words_stay_byte_for_byte(tmp_path: Path) -> None:
    source = make_pdf(tmp_path / "in.pdf", PATH_DRAWING, b"1 0 0 rg 0 0 9 9 re f", INVISIBLE)
    out = tmp_path / "out.pdf"
    outcome = searchable(source, out, {2: [word("x", 0.1, 0.1, 0.2, 0.2)]})
    assert (outcome["pages"], outcome["layered"]) == (3, 1)
    with pikepdf.open(source) as before, pikepdf.open(out) as after:
        for page in (0, 2):
            old, new = before.pages[page], after.pages[page]
            assert old.Contents.read_raw_bytes() == new.Contents.read_raw_bytes()
            assert old.obj.keys() == new.obj.keys()
        assert after.docinfo["/Title"] == "Kept"


def test_nothing_read_from_pixels_means_the_same_bytes(tmp_path: Path) -> None:
    source = make_pdf(tmp_path / "in.pdf")
    out = tmp_path / "out.pdf"
    assert searchable(source, out, {})["copied"]
    assert out.read_bytes() == source.read_bytes()


def test_passwords(tmp_path: Path) -> None:
    plain, source, out = make_pdf(tmp_path / "plain.pdf"), tmp_path / "in.pdf", tmp_path / "out.pdf"
    with pikepdf.open(plain) as pdf:
        pdf.save(source, encryption=pikepdf.Encryption(owner="owner", user="gehéim"))
    with pytest.raises(PasswordRequired):
        searchable(source, out, {})
    with pytest.raises(PasswordWrong):
        searchable(source, out, {}, password="other")
    assert searchable(source, out, {1: [word("open", 0.1, 0.1, 0.3, 0.2)]}, password="gehéim")["decrypted"]
    assert pdftotext(out) == ["open"]
    assert np.array_equal(rendered(plain), rendered(out))
    assert searchable(source, out, {}, password="gehéim")["decrypted"], "also without words"
    with pikepdf.open(out) as pdf:
        assert not pdf.is_encrypted


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = make_pdf(tmp_path / "in.pdf", PATH_DRAWING, INVISIBLE)
    words = [word("same", 0.1, 0.1, 0.3, 0.2)]
    for name in ("one.pdf", "two.pdf"):
        searchable(source, tmp_path / name, {1: words, 2: words})
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


def test_damaged_files_are_repaired_or_named(tmp_path: Path) -> None:
    source = make_pdf(tmp_path / "in.pdf")
    out = tmp_path / "out.pdf"
    whole = source.read_bytes()
    source.write_bytes(b"junk before\n" + whole[: whole.rindex(b"startxref")])
    assert searchable(source, out, {1: [word("saved", 0.1, 0.1, 0.3, 0.2)]})["words"] == 1
    check(out)
    source.write_bytes(b"%PDF-1.7\nnothing in here")
    with pytest.raises(Damaged):
        searchable(source, out, {1: [word("lost", 0.1, 0.1, 0.3, 0.2)]})


def test_size_grows_linearly_with_pages_and_words(tmp_path: Path) -> None:
    sizes = []
    for pages in (50, 100, 150):
        source = add_helvetica(make_pdf(tmp_path / "in.pdf", *[PATH_DRAWING] * pages))
        out = tmp_path / "out.pdf"
        words = [word(f"w{n}", 0.1, n / 101, 0.2, (n + 1) / 101, line=n) for n in range(100)]
        searchable(source, out, dict.fromkeys(range(1, pages + 1), words))
        sizes.append(out.stat().st_size - source.stat().st_size)
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.05)
    assert (sizes[1] - sizes[0]) / 50 < 4_000


def test_words_with_senseless_boxes_do_no_harm(tmp_path: Path) -> None:
    flat, far = ((0.1, 0.1),) * 4, ((1e9, 1e9),) * 4
    mirrored = ((0.3, 0.3), (0.2, 0.3), (0.2, 0.25), (0.3, 0.25))
    words = [
        LayerWord("flat", flat, 0),
        LayerWord("far", far, 1),
        LayerWord("mirror", mirrored, 2),
        LayerWord("", flat, 3),
    ]
    out = tmp_path / "out.pdf"
    searchable(make_pdf(tmp_path / "in.pdf"), out, {1: words})
    check(out)
    assert "flat" in copied(out)


def test_reasons_decide_what_becomes_of_existing_text() -> None:
    assert layer_mode("no_text") is LayerMode.ADD
    assert layer_mode("implausible_text") is LayerMode.REPLACE
    assert layer_mode("unheard of") is LayerMode.REPLACE


def graft_scan(path: str, folder: str) -> str:
    """Grafts words onto all pages of a scan; says what is wrong with the result. Runs in a child process."""
    out = Path(folder) / "out.pdf"
    words = [word("Suchwort", 0.1, 0.2, 0.45, 0.22), word("zwei", 0.5, 0.2, 0.6, 0.22)]
    try:
        with pikepdf.open(path) as pdf:
            count = min(3, len(pdf.pages))
    except pikepdf.PdfError:
        return ""  # not a PDF at all: invalid.pdf
    searchable(Path(path), out, dict.fromkeys(range(1, count + 1), words))
    for page in range(1, count + 1):
        if not np.array_equal(rendered(Path(path), page, 500), rendered(out, page, 500)):
            return f"page {page} looks different"
        off = max(abs(a - b) for a, b in zip(boxes_of(out, "Suchwort", page), (0.1, 0.2, 0.45, 0.22), strict=True))
        if off > TOLERANCE:
            return f"page {page}: word is off by {off}"
        if {"Suchwort", "zwei"} - set(pdftotext(out, page)):
            return f"page {page}: words are not found"
    return ""


@pytest.mark.slow
@pytest.mark.skipif(not SCANS.is_dir(), reason="the corpora are not there")
def test_real_scans_look_the_same_and_can_be_searched(tmp_path: Path) -> None:
    script = (
        "import sys; from test_searchable_pdf import graft_scan; "
        "print([p for p in sys.argv[2:] if (m := graft_scan(p, sys.argv[1])) and print(p, m) is None])"
    )
    files = sorted(map(str, SCANS.glob("*.pdf")))
    assert files
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *files],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.stdout == "[]\n", run.stdout + run.stderr[-2000:]
