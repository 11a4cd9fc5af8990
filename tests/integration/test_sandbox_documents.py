"""Documents read through the sandbox: text, places, pixels, facts, damage, passwords, images, archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageDraw
from sandbox_documents import stream, text_content, write_pages, write_pdf, write_text_pdf

from docfleet.domain.text_layer import TextLayer
from docfleet.errors import (
    ArchiveUnsafe,
    Damaged,
    DocumentError,
    NoPages,
    PageTooLarge,
    PasswordRequired,
    PasswordWrong,
    TooManyPages,
)
from docfleet.sandbox import ArchiveLimits, PageBundle, Sandbox, SandboxLimits

PDF = "application/pdf"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxLimits(max_page_pixels=20_000_000)) as made:
        yield made


def read_page(sandbox: Sandbox, path: Path, number: int = 1, mime_type: str = PDF) -> PageBundle:
    sandbox.open(path, mime_type)
    (page,) = sandbox.pages([number])
    assert isinstance(page, PageBundle), page
    return page


def text_of(layer: TextLayer | None) -> str:
    assert layer is not None
    return "".join(map(chr, layer.codes))


def ink_box(pixels: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(pixels < 128)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


# --- text and places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [b"", b"/CropBox [50 100 500 760]"])
def test_boxes_stand_where_the_ink_is(sandbox: Sandbox, tmp_path: Path, rotation: int, crop: bytes) -> None:
    entries = b"/MediaBox [10 20 610 812] /Rotate %d %s" % (rotation, crop)
    path = write_pages(tmp_path / "a.pdf", [text_content("Hxg", 120, 600, 40)], entries)
    page = read_page(sandbox, path)
    assert page.text is not None
    rendered = sandbox.render(1, 72, grey=True)
    assert rendered.pixels.shape == (round(page.facts.height), round(page.facts.width))
    x0, y0, x1, y1 = ink_box(rendered.pixels)
    boxes = page.text.boxes
    assert boxes[:, 0].min() <= x0 + 2
    assert boxes[:, 1].min() <= y0 + 2
    assert boxes[:, 2].max() >= x1 - 2
    assert boxes[:, 3].max() >= y1 - 2
    assert boxes[:, 2].max() - boxes[:, 0].min() < (x1 - x0) + 40
    assert set(page.text.angles.tolist()) == {rotation}
    assert page.text.sizes == pytest.approx(40, abs=0.1)


def test_characters_carry_font_visibility_and_generation(sandbox: Sandbox, tmp_path: Path) -> None:
    content = b"BT /F1 12 Tf 72 700 Td (seen) Tj 0 -30 Td 3 Tr (hidden) Tj ET"
    page = read_page(sandbox, write_pages(tmp_path / "a.pdf", [content]))
    layer = page.text
    assert layer is not None
    text = text_of(layer)
    assert text.split() == ["seen", "hidden"]
    invisible = [bool(flag & 4) for flag in layer.flags]
    assert not any(invisible[:4])
    assert all(invisible[text.index("h") :])
    generated = [char for char, flag in zip(text, layer.flags, strict=True) if flag & 1]
    assert generated
    assert "".join(generated).isspace()
    assert layer.font_names[layer.fonts[0]] == "Helvetica"
    assert (page.facts.characters, page.facts.visible_characters) == (10, 4)


def test_glyphs_without_meaning_are_counted(sandbox: Sandbox, tmp_path: Path) -> None:
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [.1 0 0 .1 0 0] /FirstChar 1 /LastChar 2 "
        b"/Widths [9 9] /CharProcs << /g 5 0 R >> /Encoding << /Type /Encoding /Differences [1 /g /g] >> >>"
    )
    glyph = stream(b"9 0 d0 0 0 8 8 re f")
    resources = b"/MediaBox [0 0 612 792] /Resources << /Font << /F2 4 0 R >> >>"
    path = write_pages(tmp_path / "a.pdf", [b"BT /F2 12 Tf 72 700 Td <01020102> Tj ET"], resources, [font, glyph])
    page = read_page(sandbox, path)
    assert page.facts.characters == 4
    assert page.facts.unmapped_ratio == 1.0


def test_rulings_from_lines_boxes_and_forms(sandbox: Sandbox, tmp_path: Path) -> None:
    content = (
        b"1 w 100 700 m 300 700 l S "  # a level line
        b"100 600 0.8 90 re f "  # an upright one, filled
        b"100 400 200 100 re S "  # a box: four
        b"1 1 1 RG 50 50 m 500 50 l S 0 0 0 RG "  # white: none
        b"q 100 100 50 400 re W n 20 300 m 580 300 l S Q "  # clipped
        b"q 2 0 0 2 0 0 cm /X Do Q 100 200 m 150 250 l S"  # within a form; a slant: none
    )
    form = stream(b"50 80 m 100 80 l S", b"/Type /XObject /Subtype /Form /BBox [0 0 300 300]")
    entries = b"/MediaBox [0 0 612 792] /Resources << /XObject << /X 4 0 R >> >>"
    page = read_page(sandbox, write_pages(tmp_path / "a.pdf", [content], entries, [form]))
    assert page.text is not None
    found = [(r.x0, r.y0, r.x1, r.y1) for r in page.text.rulings]
    expected = [(100, 92, 300, 92), (100, 102, 100, 192), (100, 292, 300, 292), (100, 392, 300, 392),
                (100, 292, 100, 392), (300, 292, 300, 392), (100, 492, 150, 492), (100, 632, 200, 632)]  # fmt: skip
    assert len(found) == len(expected), found
    for line in expected:
        assert any(line == pytest.approx(other, abs=1.0) for other in found), (line, found)


def test_text_of_form_fields_is_read_and_drawn(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "form.pdf"
    font = b"/DA (/Helv 14 Tf 0 g) /DR << /Font << /Helv 3 0 R >> >>"
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace) /Rect [100 600 300 630] /P 5 0 R "
        b"/F 4 %s >>" % font
    )
    write_pdf(path, [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] /NeedAppearances true %s >> >>" % font,
        b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        field,
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Annots [4 0 R] >>",
    ])  # fmt: skip
    page = read_page(sandbox, path)
    assert "Ada Lovelace" in text_of(page.text)
    assert sandbox.render(1, 72, grey=True).pixels.min() < 100


# --- facts -----------------------------------------------------------------------------------------------------------


def picture_of_text(size: tuple[int, int]) -> Image.Image:
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    for row in range(20, size[1] - 40, 50):
        draw.text((20, row), "the quick brown fox jumps over the lazy dog " * 3, fill=0, font_size=30)
    return image


def image_object(image: Image.Image) -> bytes:
    return stream(
        image.tobytes(),
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8 /ColorSpace /DeviceGray" % image.size,
    )


def write_scan(path: Path, image: Image.Image, content: bytes, size: bytes = b"612 792") -> Path:
    entries = b"/MediaBox [0 0 %s] /Resources << /XObject << /I 4 0 R >> /Font << /F1 3 0 R >> >>" % size
    return write_pages(path, [content], entries, [image_object(image)])


def test_facts_of_a_digital_page(sandbox: Sandbox, tmp_path: Path) -> None:
    facts = read_page(sandbox, write_text_pdf(tmp_path / "a.pdf", ["plain words on a page"])).facts
    assert facts.characters == facts.visible_characters == 17
    assert (facts.image_coverage, facts.ink_outside_text, facts.text_in_images, facts.dpi) == (0, 0, 0, 0)
    assert facts.image_regions == ()


def test_facts_of_a_scan(sandbox: Sandbox, tmp_path: Path) -> None:
    image = picture_of_text((1275, 1650))
    facts = read_page(sandbox, write_scan(tmp_path / "a.pdf", image, b"q 612 0 0 792 0 0 cm /I Do Q")).facts
    assert facts.image_coverage == pytest.approx(1.0, abs=0.01)
    assert facts.dpi == pytest.approx(150, abs=1)
    assert facts.text_in_images > 0.1
    assert len(facts.image_regions) == 1


def test_facts_of_a_blank_scan(sandbox: Sandbox, tmp_path: Path) -> None:
    image = Image.new("L", (1275, 1650), 250)
    facts = read_page(sandbox, write_scan(tmp_path / "a.pdf", image, b"q 612 0 0 792 0 0 cm /I Do Q")).facts
    assert facts.text_in_images == 0
    assert facts.image_regions == ()


def test_facts_of_a_page_half_digital_half_scan(sandbox: Sandbox, tmp_path: Path) -> None:
    content = text_content("digital words above") + b" q 500 0 0 300 50 100 cm /I Do Q"
    facts = read_page(sandbox, write_scan(tmp_path / "a.pdf", picture_of_text((1000, 600)), content)).facts
    assert facts.image_coverage == pytest.approx(500 * 300 / (612 * 792), abs=0.02)
    (region,) = facts.image_regions
    assert region == pytest.approx((50, 392, 550, 692), abs=2)
    assert facts.text_in_images > 0.1


def test_a_photograph_is_no_text(sandbox: Sandbox, tmp_path: Path) -> None:
    yy, xx = np.mgrid[0:600, 0:800]
    noise = np.random.default_rng(7).normal(0, 12, (600, 800))
    values = 120 + 70 * np.sin(xx / 90) * np.cos(yy / 60) + noise
    image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    content = text_content("a caption") + b" q 500 0 0 375 50 100 cm /I Do Q"
    facts = read_page(sandbox, write_scan(tmp_path / "a.pdf", image, content)).facts
    assert facts.text_in_images < 0.02


def test_text_under_an_image_is_not_visible(sandbox: Sandbox, tmp_path: Path) -> None:
    content = text_content("covered") + b" q 612 0 0 792 0 0 cm /I Do Q"
    facts = read_page(sandbox, write_scan(tmp_path / "a.pdf", picture_of_text((600, 800)), content)).facts
    assert (facts.characters, facts.visible_characters) == (7, 0)


# --- opening ---------------------------------------------------------------------------------------------------------


def encrypted(path: Path, password: str) -> Path:
    write_text_pdf(path, ["secret"])
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        pdf.save(path, encryption=pikepdf.Encryption(owner="owner", user=password, R=6))
    return path


def test_passwords(sandbox: Sandbox, tmp_path: Path) -> None:
    path = encrypted(tmp_path / "a.pdf", "käse")
    with pytest.raises(PasswordRequired):
        sandbox.open(path, PDF)
    with pytest.raises(PasswordWrong):
        sandbox.open(path, PDF, ["one", "two"])
    opened = sandbox.open(path, PDF, ["one", "käse"])
    assert (opened.encrypted, opened.password, opened.pages) == (True, "käse", 1)
    opened = sandbox.open(encrypted(tmp_path / "b.pdf", ""), PDF)
    assert (opened.encrypted, opened.password) == (True, None)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data.replace(b"xref\n0", b"xxxx\n9"), id="no cross-reference table"),
        pytest.param(lambda data: b"junk" * 100 + data, id="junk before"),
        pytest.param(lambda data: b"junk" * 1000 + data, id="much junk before"),
        pytest.param(lambda data: data.replace(b"startxref", b"startxxxx"), id="no startxref"),
        pytest.param(lambda data: data.replace(b"/Type /Catalog", b"/Typo /Katalog"), id="no catalogue"),
        pytest.param(lambda data: data.replace(b"/Kids [4 0 R]", b"/Kids [9 0 R]"), id="page tree leads nowhere"),
        pytest.param(lambda data: data.replace(b"/Pages 2 0 R", b"/Pages 9 0 R"), id="no page tree"),
    ],
)
def test_damaged_files_are_repaired(sandbox: Sandbox, tmp_path: Path, damage: object) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["survived"])
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    assert "survived" in text_of(read_page(sandbox, path).text)


def test_beyond_repair(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 20)
    with pytest.raises(Damaged):
        sandbox.open(path, PDF)
    write_pdf(path, [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 0 /Kids [] >>"])
    with pytest.raises(NoPages):
        sandbox.open(path, PDF)


def test_page_limit(tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text"] * 4)
    with Sandbox(SandboxLimits(max_pages=3)) as made, pytest.raises(TooManyPages):
        made.open(path, PDF)


def test_resolution_is_lowered_to_the_pixel_limit(tmp_path: Path) -> None:
    path = write_text_pdf(tmp_path / "a.pdf", ["text"])
    with Sandbox(SandboxLimits(max_page_pixels=500_000)) as made:
        made.open(path, PDF)
        rendered = made.render(1, 600, grey=True)
        assert rendered.pixels.size <= 500_000
        assert rendered.dpi == pytest.approx(72, abs=2)


def test_regions_are_cut_from_the_page(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.open(write_text_pdf(tmp_path / "a.pdf", ["some text"]), PDF)
    whole = sandbox.render(1, 144, grey=True).pixels
    part = sandbox.render(1, 144, grey=True, region=(70, 80, 200, 110)).pixels
    assert part.shape == (60, 260)
    assert np.abs(part.astype(int) - whole[160:220, 140:400]).mean() < 3


# --- images ----------------------------------------------------------------------------------------------------------


def draw_mark(mode: str = "RGB", size: tuple[int, int] = (400, 300)) -> Image.Image:
    """White, with a dark block in the upper left corner."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).rectangle((10, 10, 120, 60), fill=0)
    return image if mode == "L" else image.convert(mode)


IMAGE_KINDS = {
    "PNG": ("image/png", "RGB"), "PNG 1 bit": ("image/png", "1"), "PNG palette": ("image/png", "P"),
    "JPEG": ("image/jpeg", "RGB"), "JPEG CMYK": ("image/jpeg", "CMYK"), "TIFF": ("image/tiff", "RGB"),
    "TIFF 1 bit": ("image/tiff", "1"), "WEBP": ("image/webp", "RGB"), "BMP": ("image/bmp", "RGB"),
    "GIF": ("image/gif", "P"), "JPEG2000": ("image/jp2", "RGB"), "HEIF": ("image/heic", "RGB"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_image_formats(sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    mime_type, mode = IMAGE_KINDS[kind]
    path = tmp_path / "image"
    name = kind.split()[0]
    if name == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC is read only where its library installs")
        pillow_heif.register_heif_opener()
    draw_mark(mode).save(path, format=name)
    page = read_page(sandbox, path, mime_type=mime_type)
    assert (page.facts.is_image, page.facts.width, page.facts.height) == (True, 400, 300)
    for grey in (True, False):
        pixels = sandbox.render(1, page.facts.dpi, grey=grey).pixels
        assert pixels.shape == ((300, 400) if grey else (300, 400, 3))
        assert pixels[35, 60].max() < 60
        assert pixels[200, 300].min() > 200


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF"])
def test_orientation_is_applied(sandbox: Sandbox, tmp_path: Path, orientation: int, name: str) -> None:
    upright = draw_mark("L")
    undo = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "image"
    stored.save(path, format=name, exif=exif)
    page = read_page(sandbox, path, mime_type=f"image/{name.lower()}")
    assert (page.facts.width, page.facts.height) == (400, 300)
    pixels = sandbox.render(1, page.facts.dpi, grey=True).pixels
    assert pixels.shape == (300, 400)
    assert pixels[35, 60] < 60
    assert pixels[200, 300] > 200


def test_pages_of_a_tiff(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "fax.tif"
    pages = [draw_mark("1", (300 + 10 * number, 200)) for number in range(4)]
    pages[0].save(path, format="TIFF", save_all=True, append_images=pages[1:], compression="group4", dpi=(204, 196))
    opened = sandbox.open(path, "image/tiff")
    assert opened.pages == 4
    facts = [page.facts for page in sandbox.pages([4, 2, 1, 3]) if isinstance(page, PageBundle)]
    assert [fact.width for fact in facts] == [330, 310, 300, 320]
    assert facts[0].dpi == pytest.approx(200, abs=1)
    assert sandbox.render(3, 200, grey=True).pixels.shape == (200, 320)


def test_animation_is_one_page(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    draw_mark("P").save(path, format="GIF", save_all=True, append_images=[Image.new("P", (400, 300), 3)])
    assert sandbox.open(path, "image/gif").pages == 1


def test_transparency_lies_on_white(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGBA", (50, 40), (0, 0, 0, 0)).save(path)
    sandbox.open(path, "image/png")
    assert sandbox.render(1, 96).pixels.min() == 255


def test_sixteen_bits(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.linspace(0, 65535, 5000).reshape(50, 100).astype(np.uint16)).save(path)
    sandbox.open(path, "image/png")
    pixels = sandbox.render(1, 96, grey=True).pixels
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    assert np.all(np.diff(pixels.ravel().astype(int)) >= 0)


@pytest.mark.parametrize(("kept", "readable"), [(0.9, True), (0.12, False)])
def test_truncated_jpeg(sandbox: Sandbox, tmp_path: Path, kept: float, readable: bool) -> None:
    buffer = io.BytesIO()
    picture_of_text((800, 1000)).save(buffer, format="JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * kept)])
    sandbox.open(path, "image/jpeg")
    if readable:
        assert sandbox.render(1, 72, grey=True).pixels.min() < 100
    else:
        with pytest.raises(Damaged):
            sandbox.render(1, 72)


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_a_damaged_page_is_damaged_every_time_it_is_asked_for(sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    picture = Image.effect_noise((600, 800), 90)
    if kind == "jpeg":
        picture.save(tmp_path / "cut.jpeg")
        data = (tmp_path / "cut.jpeg").read_bytes()
        data = data[: len(data) // 5]
    else:
        picture.save(tmp_path / "cut.tiff", compression="tiff_lzw", save_all=True, append_images=[picture])
        data = (tmp_path / "cut.tiff").read_bytes()
        with Image.open(tmp_path / "cut.tiff") as image:
            start, length = int(image.tag_v2[273][0]), int(sum(image.tag_v2[279]))  # type: ignore[attr-defined]
        data = data[:start] + bytes(at * 73 % 256 for at in range(length)) + data[start + length :]
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(data)
    sandbox.open(path, f"image/{kind}")
    for dpi in (36, 72, 200):
        with pytest.raises(Damaged):
            sandbox.render(1, dpi)
    if kind == "tiff":
        assert sandbox.render(2, 72).pixels.std() > 10, "its other pages are whole"


def test_image_past_the_pixel_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (2000, 2000)).save(path)
    with Sandbox(SandboxLimits(max_page_pixels=1_000_000)) as made:
        made.open(path, "image/png")
        with pytest.raises(PageTooLarge):
            made.render(1, 72)


# --- archives --------------------------------------------------------------------------------------------------------


def test_archive(sandbox: Sandbox, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.txt", b"deep")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/one.txt", b"one")
        archive.writestr("../evil.txt", b"evil")
        archive.writestr("/absolute.txt", b"absolute")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, b"/etc/passwd")
        archive.writestr("inner.zip", inner.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("good/one.txt", b"another")
    folder = tmp_path / "out"
    folder.mkdir()
    members = sandbox.unpack(path, folder)
    assert [(m.name, Path(m.path).read_bytes() if m.path else None, m.error and m.error.code) for m in members] == [
        ("good/one.txt", b"one", None),
        ("../evil.txt", None, "archive_unsafe"),
        ("/absolute.txt", None, "archive_unsafe"),
        ("link", None, "archive_unsafe"),
        ("inner.zip/deep.txt", b"deep", None),
        ("good/one.txt", None, "archive_unsafe"),
    ]
    assert {item.parent for item in tmp_path.rglob("*") if item.is_file()} == {tmp_path, folder}


def test_archive_limits(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(5):
            archive.writestr(f"{number}", bytes(1000))
    for limits in (ArchiveLimits(max_files=4), ArchiveLimits(max_total_bytes=3_000)):
        folder = tmp_path / f"out{limits.max_files}"
        folder.mkdir()
        with pytest.raises(ArchiveUnsafe):
            sandbox.unpack(path, folder, limits)


def test_damaged_archive(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(DocumentError):
        sandbox.unpack(path, tmp_path)
