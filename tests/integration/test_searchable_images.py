"""Image files become PDFs: the same pixels, upright, at their size, packed without loss, and searchable."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest
from PIL import Image, ImageDraw, ImageOps
from searchable_pages import boxes_of, check, pdftotext, searchable, word

from docfleet.domain.media import MEDIA_TYPES
from docfleet.errors import Damaged, DocumentError, PageTooLarge, UnsupportedType
from docfleet.sandbox.image_pages import resolution

SIZE = (300, 200)
FILTERS = {"dct": "/DCTDecode", "flate": "/FlateDecode", "fax": "/CCITTFaxDecode", "jpx": "/JPXDecode"}
TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "jp2": "image/jp2",
    "heic": "image/heic",
}


def picture(mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 10, 120, 60), fill="red")
    draw.rectangle((200, 100, 280, 180), fill="blue")
    draw.text((130, 90), "Hello", fill="black")
    return image.convert(mode)


def with_alpha(mode: str) -> Image.Image:
    image = picture("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image.convert(mode)


def deep_grey() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65535, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE[::-1]))


CASES = {
    "rgb.jpg": (picture(), {"quality": 90}, "dct"),
    "grey.jpg": (picture("L"), {}, "dct"),
    "progressive.jpg": (picture(), {"progressive": True}, "dct"),
    "plain-rgb.jpg": (picture(), {"keep_rgb": True}, "dct"),
    "rgb.png": (picture(), {}, "flate"),
    "palette.png": (picture("P"), {}, "flate"),
    "four-colours.png": (picture().quantize(4), {"bits": 2}, "flate"),
    "clear-colour.png": (picture("P"), {"transparency": 0}, "flate"),
    "grey-alpha.png": (with_alpha("LA"), {}, "flate"),
    "alpha.png": (with_alpha("RGBA"), {}, "flate"),
    "two-tone.png": (picture("1"), {}, "fax"),
    "two-tone-grey.png": (picture("1").convert("L"), {}, "fax"),
    "fax.tif": (picture("1"), {"compression": "group4"}, "fax"),
    "lzw.tif": (picture(), {"compression": "tiff_lzw"}, "flate"),
    "jpeg.tif": (picture(), {"compression": "jpeg"}, "flate"),
    "lab.tif": (picture("LAB"), {}, "flate"),
    "alpha.webp": (with_alpha("RGBA"), {"lossless": True}, "flate"),
    "photo.webp": (picture(), {}, "flate"),
    "animation.gif": (picture("P"), {"save_all": True, "append_images": [picture("P").rotate(180)]}, "flate"),
    "rgb.bmp": (picture(), {}, "flate"),
    "two-tone.bmp": (picture("1"), {}, "fax"),
    "rgb.jp2": (picture(), {}, "jpx"),
    "alpha.jp2": (with_alpha("RGBA"), {}, "flate"),
    "rgb.heic": (picture(), {}, "flate"),
}


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    import pillow_heif

    pillow_heif.register_heif_opener()
    image.save(folder / name, **options)
    return folder / name


def mime_type(path: Path) -> str:
    return TYPES[path.suffix[1:]]


def on_white(path: Path) -> np.ndarray:
    """What a viewer shows of an image file on white, RGB."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB")).astype(int)


def shown(path: Path, longest: int) -> np.ndarray:
    """The first page as RGB, its longer side `longest` pixels."""
    with pdfium.PdfDocument(path) as document:
        page = document[0]
        pixels = page.render(scale=longest / max(page.get_size())).to_numpy()
        return np.array(pixels)[:, :, ::-1].astype(int)


def image_of(path: Path, page: int = 1) -> pikepdf.Object:
    with pikepdf.open(path) as pdf:
        image = pdf.pages[page - 1].Resources.XObject.Image
        return {key: str(value) for key, value in image.items()} | {"raw": image.read_raw_bytes()}


def test_every_image_type_is_tried() -> None:
    assert {TYPES[name.rsplit(".")[-1]] for name in CASES} == {
        name for name, media in MEDIA_TYPES.items() if media.pillow_formats
    }


@pytest.mark.parametrize("name", CASES)
def test_pixels_survive_and_are_packed_as_promised(tmp_path: Path, name: str) -> None:
    image, options, packing = CASES[name]
    source, out = saved(tmp_path, name, image, **options), tmp_path / "out.pdf"
    outcome = searchable(source, out, {1: [word("Hello", 0.43, 0.45, 0.55, 0.51)]}, mime_type=mime_type(source))
    assert (outcome["pages"], outcome["words"], outcome["unreadable"]) == (1, 1, [])
    check(out)
    assert image_of(out)["/Filter"] == FILTERS[packing]
    expected, got = on_white(source), shown(out, SIZE[0])
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1
    assert boxes_of(out, "Hello") == pytest.approx((0.43, 0.45, 0.55, 0.51), abs=0.005)
    assert pdftotext(out) == ["Hello"]


def test_jpeg_and_png_data_are_taken_over_as_they_are(tmp_path: Path) -> None:
    jpeg = saved(tmp_path, "a.jpg", picture(), quality=60)
    searchable(jpeg, tmp_path / "jpeg.pdf", {}, mime_type="image/jpeg")
    assert image_of(tmp_path / "jpeg.pdf")["raw"] == jpeg.read_bytes()
    png = saved(tmp_path, "a.png", picture())
    searchable(png, tmp_path / "png.pdf", {}, mime_type="image/png")
    assert image_of(tmp_path / "png.pdf")["raw"] in png.read_bytes()


def test_sixteen_bit_grey_keeps_its_depth(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "deep.png", deep_grey()), tmp_path / "out.pdf"
    searchable(source, out, {}, mime_type="image/png")
    image = image_of(out)
    assert image["/BitsPerComponent"] == "16"
    assert np.abs(shown(out, SIZE[0])[:, :, 0] - np.asarray(deep_grey()).astype(int) // 256).max() <= 1


def test_two_tone_pages_are_small(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "page.png", picture("1").resize((2480, 3508))), tmp_path / "out.pdf"
    searchable(source, out, {}, mime_type="image/png")
    assert out.stat().st_size < 60_000


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_tags_are_obeyed(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    source, out = saved(tmp_path, f"turned.{suffix}", picture(), exif=exif, **options), tmp_path / "out.pdf"
    searchable(source, out, {1: [word("x", 0.2, 0.3, 0.4, 0.35)]}, mime_type=mime_type(source))
    expected = on_white(source)
    got = shown(out, max(SIZE))
    assert got.shape == expected.shape
    assert np.abs(got - expected).mean() < 0.5
    assert boxes_of(out, "x") == pytest.approx((0.2, 0.3, 0.4, 0.35), abs=0.005)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_not_inverted(tmp_path: Path, suffix: str) -> None:
    """PDF readers mix CMYK as they see fit, so colours are compared roughly; inverted ones would be far off."""
    source, out = saved(tmp_path, f"cmyk.{suffix}", picture("CMYK")), tmp_path / "out.pdf"
    searchable(source, out, {}, mime_type=mime_type(source))
    assert image_of(out)["/ColorSpace"] == "/DeviceCMYK"
    assert np.abs(shown(out, SIZE[0]) - on_white(source)).mean() < 15
    if suffix == "tif":
        rows = zlib.decompress(image_of(out)["raw"])
        assert len(rows) == SIZE[1] * (1 + 4 * SIZE[0])


def test_each_page_of_a_tiff_at_its_own_resolution(tmp_path: Path) -> None:
    source, out = tmp_path / "pages.tif", tmp_path / "out.pdf"
    pages = [picture(), picture("1"), picture("L").rotate(90, expand=True)]
    for page, dpi in zip(pages, [(100, 100), (204, 98), (150, 150)], strict=True):
        page.info["dpi"] = dpi
    pages[0].save(source, save_all=True, append_images=pages[1:], dpi=(100, 100), compression="tiff_deflate")
    outcome = searchable(source, out, {3: [word("third", 0.1, 0.1, 0.3, 0.2)]}, mime_type="image/tiff")
    assert (outcome["pages"], outcome["layered"]) == (3, 1)
    check(out)
    assert [image_of(out, page)["/Filter"] for page in (1, 2, 3)] == ["/FlateDecode", "/CCITTFaxDecode", "/FlateDecode"]
    assert pdftotext(out, 3) == ["third"]
    with pikepdf.open(out) as pdf:
        width, height = (float(value) for value in list(pdf.pages[0].MediaBox)[2:])
    assert (width, height) == pytest.approx((216, 144))


def test_fax_resolution_differs_by_axis(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "fax.tif", Image.new("1", (1728, 1100), 1), dpi=(204, 98)), tmp_path / "out.pdf"
    searchable(source, out, {}, mime_type="image/tiff")
    with pikepdf.open(out) as pdf:
        width, height = (float(value) for value in list(pdf.pages[0].MediaBox)[2:])
    assert (width / 72, height / 72) == pytest.approx((1728 / 204, 1100 / 98), abs=0.01)


def test_senseless_resolutions_are_not_believed() -> None:
    assert resolution((300, 300), (2480, 3508), False) == (300, 300)
    assert resolution((204, 98), (1100, 1728), True) == (98, 204)
    for stated in (None, (0, 0), (1, 1), (72, 72), ("x", 1), (float("nan"), 2)):
        across, down = resolution(stated, (3000, 4000), False)
        assert across == down
        assert 4000 / down < 15


def test_an_icc_profile_is_kept_when_it_fits(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for suffix in ("jpg", "png", "tif"):
        source, out = saved(tmp_path, f"icc.{suffix}", picture(), icc_profile=profile), tmp_path / "out.pdf"
        searchable(source, out, {}, mime_type=mime_type(source))
        check(out)
        with pikepdf.open(out) as pdf:
            space = pdf.pages[0].Resources.XObject.Image.ColorSpace
            assert space[1].read_bytes() == profile
    grey = saved(tmp_path, "grey.png", picture("L"), icc_profile=profile)
    searchable(grey, tmp_path / "out.pdf", {}, mime_type="image/png")
    assert image_of(tmp_path / "out.pdf")["/ColorSpace"] == "/DeviceGray"


def test_cut_short_pictures_give_what_is_there(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "tif"):
        source, out = saved(tmp_path, f"cut.{suffix}", noise), tmp_path / "out.pdf"
        data = source.read_bytes()
        if suffix != "tif":
            source.write_bytes(data[: len(data) * 4 // 5])
        searchable(source, out, {1: [word("rest", 0.1, 0.1, 0.3, 0.2)]}, mime_type=mime_type(source))
        assert pdftotext(out) == ["rest"]


@pytest.mark.parametrize("mime", ["image/png", "image/tiff", "image/jpeg", "image/heic", "image/jp2", "image/webp"])
def test_what_is_no_image_is_a_named_outcome(tmp_path: Path, mime: str) -> None:
    source = tmp_path / "broken"
    for data in (b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff\xe0\0\x10JFIF", b"II*\0\xff\xff\xff\x7f"):
        source.write_bytes(data)
        with pytest.raises(Damaged):
            searchable(source, tmp_path / "out.pdf", {}, mime_type=mime)


def test_types_that_cannot_become_pdf_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.eps"
    source.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    for mime in ("image/x-eps", "text/plain", ""):
        with pytest.raises(UnsupportedType):
            searchable(source, tmp_path / "out.pdf", {}, mime_type=mime)


def test_random_bytes_in_images_raise_only_our_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    out = tmp_path / "out.pdf"
    for suffix in ("jpg", "png", "tif", "gif", "bmp", "webp", "jp2"):
        buffer = io.BytesIO()
        picture().save(buffer, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper()))
        for _ in range(12):
            data = bytearray(buffer.getvalue())
            for at in random.integers(0, min(len(data), 400), 4):
                data[at] = random.integers(0, 256)
            source = tmp_path / f"fuzz.{suffix}"
            source.write_bytes(data)
            try:
                searchable(source, out, {}, mime_type=mime_type(source), max_page_pixels=1_000_000)
            except DocumentError:
                continue
            with pikepdf.open(out) as pdf:
                assert len(pdf.pages) >= 1


def test_pages_with_too_many_pixels_are_not_decoded(tmp_path: Path) -> None:
    source, out = saved(tmp_path, "large.png", picture()), tmp_path / "out.pdf"
    with pytest.raises(PageTooLarge):
        searchable(source, out, {}, mime_type="image/png", max_page_pixels=59_999)
    pages = saved(tmp_path, "pages.tif", picture(), save_all=True, append_images=[picture().resize((20, 20))])
    outcome = searchable(pages, out, {2: [word("small", 0, 0, 1, 1)]}, mime_type="image/tiff", max_page_pixels=59_999)
    assert (outcome["pages"], outcome["unreadable"]) == (2, [1])
    assert pdftotext(out, 2) == ["small"]


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    source = saved(tmp_path, "a.png", with_alpha("RGBA"))
    for name in ("one.pdf", "two.pdf"):
        searchable(source, tmp_path / name, {1: [word("x", 0.1, 0.1, 0.2, 0.2)]}, mime_type="image/png")
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
