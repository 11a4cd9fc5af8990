"""document.hocr: well-formed, nested as the specification says, boxes where the words are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from laid_out import HEIGHT, WIDTH, Text, lay_out
from lxml import etree

from docfleet.domain.document import DetectedLanguage, Page, Paragraph, Role
from docfleet.exports.hocr import write_hocr

NESTING = {
    "ocr_page": None,
    "ocr_carea": "ocr_page",
    "ocr_par": "ocr_carea",
    "ocr_line": "ocr_par",
    "ocrx_word": "ocr_line",
}


def written(tmp_path: Path, *pages: tuple[str, Page], title: str = "t") -> etree._Element:
    path = tmp_path / "document.hocr"
    write_hocr(pages, path, title)
    parser = etree.XMLParser(no_network=True, load_dtd=False, resolve_entities=False)
    return etree.parse(str(path), parser).getroot()


def of_class(root: etree._Element, name: str) -> list[etree._Element]:
    return root.xpath(f"//*[@class='{name}']")


def bbox(element: etree._Element) -> tuple[int, ...]:
    found = re.search(r"bbox (\d+) (\d+) (\d+) (\d+)(?:;|$)", element.get("title"))
    assert found, element.get("title")
    return tuple(map(int, found.groups()))


def check_structure(root: etree._Element) -> None:
    identifiers = root.xpath("//@id")
    assert len(identifiers) == len(set(identifiers))
    for name, parent in NESTING.items():
        for element in of_class(root, name):
            assert parent is None or element.getparent().get("class") == parent
            x0, y0, x1, y1 = bbox(element)
            assert x0 <= x1
            assert y0 <= y1
            if parent:
                px0, py0, px1, py1 = bbox(element.getparent())
                assert px0 <= x0 <= x1 <= px1, (name, element.get("title"))
                assert py0 <= y0 <= y1 <= py1, (name, element.get("title"))


@pytest.mark.parametrize("orientation", [0, 90, 180, 270])
@pytest.mark.parametrize("skew", [0.0, 3.0])
def test_structure_on_turned_and_skewed_pages(tmp_path: Path, orientation: int, skew: float) -> None:
    page = lay_out(Text(["The title"], Role.TITLE), Text(["one two", "three"]), orientation=orientation, skew=skew)
    root = written(tmp_path, page, lay_out(number=2), lay_out("last", number=3))
    check_structure(root)
    assert [word.text for word in of_class(root, "ocrx_word")] == ["The", "title", "one", "two", "three", "last"]
    assert len(of_class(root, "ocr_page")) == 3
    turn = of_class(root, "ocr_line")[0].get("title")
    if orientation:
        # hOCR counts counter-clockwise, we clockwise.
        angle = float(re.search(r"textangle ([\d.]+)", turn)[1])
        assert angle == pytest.approx((360 - orientation - skew) % 360, abs=0.2)
    elif skew:
        slope = float(re.search(r"baseline (-?[\d.]+)", turn)[1])
        assert slope == pytest.approx(0.0524, abs=0.001)
    else:
        assert "textangle" not in turn
        assert "baseline" not in turn


def test_pdf_pages_have_300_dpi_pixels_and_images_their_own(tmp_path: Path) -> None:
    root = written(tmp_path, lay_out("word"), lay_out("word", unit="pixels", number=2))
    points, pixels = of_class(root, "ocr_page")
    assert bbox(points) == (0, 0, 2500, 3334)
    assert "scan_res 300 300" in points.get("title")
    assert bbox(pixels) == (0, 0, WIDTH, HEIGHT)
    assert "scan_res" not in pixels.get("title")
    small, large = (bbox(word) for word in reversed(of_class(root, "ocrx_word")))
    assert small == (60, 28, 84, 40)
    assert large == (250, 116, 350, 167)


def test_punctuation_tokens_join_their_word(tmp_path: Path) -> None:
    root = written(tmp_path, lay_out("Hello\x1f, world\x1f!"))
    words = of_class(root, "ocrx_word")
    assert [word.text for word in words] == ["Hello,", "world!"]
    assert bbox(words[0])[2] - bbox(words[0])[0] == 6 * 6 * 300 / 72
    assert "x_wconf 90" in words[0].get("title")


def test_languages_are_stated(tmp_path: Path) -> None:
    german = (DetectedLanguage("de", 0.9),)
    root = written(tmp_path, lay_out(Text(["Straße"], languages=german), languages=(DetectedLanguage("en"),)))
    assert of_class(root, "ocr_page")[0].get("lang") == "en"
    assert of_class(root, "ocr_par")[0].get("lang") == "de"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    root = written(tmp_path, lay_out('<script>&"\x00\ud800\uffff'), title="<a & \x01b>")
    assert of_class(root, "ocrx_word")[0].text == '<script>&"\ufffd\ufffd\ufffd'
    assert root.findtext(".//{*}title") == "<a & b>"


def test_pages_without_layout_are_still_valid(tmp_path: Path) -> None:
    text, page = lay_out("some words")
    loose = Page(number=1, tokens=page.tokens)
    overlapping = Page(
        number=2,
        dimension=page.dimension,
        tokens=page.tokens,
        paragraphs=(Paragraph(page.tokens[1].layout), Paragraph(page.tokens[0].layout)),
    )
    root = written(tmp_path, (text, loose), (text, overlapping))
    check_structure(root)
    assert len(of_class(root, "ocrx_word")) == 4
