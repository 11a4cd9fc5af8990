"""Boxes lie on their words, on the screen: on turned, cropped, scaled and skewed pages too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ink import measure, show_page
from page_files import TURNED_AND_CUT, write_pdf

from console_service import ConsoleService, console_service, sign_in
from running import SAMPLES

LARGE = {"viewport": {"width": 1800, "height": 1500}, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def turned_and_cut(service: ConsoleService, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_pdf(tmp_path_factory.mktemp("pages") / "turned.pdf", list(TURNED_AND_CUT.values()))
    document = service.submit(path)
    assert service.wait_for_end(document)["state"] == "succeeded"
    return document


def test_boxes_meet_the_ink_on_pages_of_every_kind(signed_in: Any, turned_and_cut: str) -> None:
    page = signed_in("viewer", f"/documents/{turned_and_cut}", **LARGE)
    for number, kind in enumerate(TURNED_AND_CUT, 1):
        show_page(page, number)
        found = measure(page)
        assert found.boxes >= 15, (kind, found)
        assert found.boxes_with_ink == 1.0, (kind, found)
        assert found.ink_in_boxes > 0.98, (kind, found)
        # a page that lies is shown standing
        assert f"rotate({-TURNED_AND_CUT[kind].get('Rotate', 0) % 360}deg)" in page.get_attribute(".df-paper", "style")


def test_the_measure_notices_a_shift(signed_in: Any, turned_and_cut: str) -> None:
    page = signed_in("viewer", f"/documents/{turned_and_cut}", **LARGE)
    show_page(page, 2)
    page.evaluate("document.querySelector('.df-sheet svg').style.transform = 'translate(1.5%, 0)'")
    assert measure(page).ink_in_boxes < 0.97


def test_boxes_stay_on_the_ink_when_zoomed(signed_in: Any, turned_and_cut: str) -> None:
    page = signed_in("viewer", f"/documents/{turned_and_cut}", **LARGE)
    show_page(page, 5)
    before = page.locator(".df-sheet").bounding_box()["width"]
    page.focus(".df-view")
    page.keyboard.press("-")
    page.wait_for_function(f"document.querySelector('.df-sheet').clientWidth < {before}")
    assert measure(page).ink_in_boxes > 0.95
    page.keyboard.press("0")
    page.mouse.move(500, 900)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(f"document.querySelector('.df-sheet').clientWidth > {before}")


@pytest.mark.slow
def test_boxes_meet_the_ink_of_scans(browser: Any, tmp_path: Path) -> None:
    """Upside down and skewed, pixels that are not square, a photograph turned by its EXIF orientation."""
    from PIL import Image

    with Image.open(SAMPLES / "letter-de.png") as letter:
        exif = Image.Exif()
        exif[0x0112] = 6
        letter.convert("L").rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=90)
    with console_service(tmp_path) as service:
        names = [SAMPLES / "upside-down-skewed.png", SAMPLES / "fax-standard.tif", tmp_path / "turned.jpg"]
        documents = {path.name: service.submit(path) for path in names}
        context = browser.new_context(**LARGE)
        page = context.new_page()
        sign_in(page, service, service.key("viewer"), "/documents")
        for name, document in documents.items():
            assert service.wait_for_end(document)["state"] == "succeeded"
            page.goto(f"{service.console}/documents/{document}")
            show_page(page, 1)
            found = measure(page, darker_than=200)  # the letter's foot is printed in grey, lighter than half
            assert found.boxes > 60, (name, found)
            assert found.boxes_with_ink > 0.97, (name, found)
            # beside the words there is dust, a rule, a signature
            assert found.ink_in_boxes > 0.85, (name, found)
            page.evaluate("document.querySelector('.df-sheet svg').style.transform = 'translate(1.5%, 1%)'")
            shifted = measure(page, darker_than=200)
            assert shifted.boxes_with_ink < 0.9, (name, "a shift is not noticed", shifted)
            assert shifted.ink_in_boxes < 0.5, (name, "a shift is not noticed", shifted)
        context.close()
