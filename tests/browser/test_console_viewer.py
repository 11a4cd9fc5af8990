"""What a clerk meets beside the main path: a lost connection, a locked file, a page that lies, another zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_files import write_pdf

from console_service import ConsoleService
from running import SAMPLES

CHOSEN = ".df-upload input[type=file]:not([webkitdirectory])"
PASSWORD = (Path(SAMPLES).parent / "tests/samples_truth/passwords.txt").read_text().split()[1]


def test_uploads_are_cancelled_and_outlive_a_lost_connection(
    signed_in: Any, service: ConsoleService, tmp_path: Path
) -> None:
    """The first answer is lost after the service has taken the file: sent again it makes no second document."""
    page = signed_in("submitter", "/documents")
    names = [f"connection-{number}.pdf" for number in range(3)]
    for name in names:
        write_pdf(tmp_path / name, [{}], (name,))
    keys: list[str] = []

    def meet(route: Any) -> None:
        if "connection-1" in route.request.url:
            return  # it is never answered: only cancelling ends it
        if "connection-2" in route.request.url:
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) == 1:
                assert route.fetch(post_data=(tmp_path / names[2]).read_bytes()).status == 202
                route.abort("connectionreset")
                return
        route.continue_()

    page.route("**/data/uploads?*", meet)
    page.set_input_files(CHOSEN, [str(tmp_path / name) for name in names])
    page.wait_for_function("document.querySelector('.df-upload-summary').textContent.includes('2 accepted')")
    page.get_by_role("button", name="Cancel connection-1.pdf").click()
    page.wait_for_function("document.querySelector('.df-upload-summary').textContent.includes('1 cancelled')")
    assert page.get_by_role("button", name="Cancel all").is_hidden()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    with service.api() as api:
        found = api.get("/v1/documents", params={"name": "connection-"}).json()["items"]
    assert sorted(one["name"] for one in found) == [names[0], names[2]]


def test_what_was_not_sent_when_the_page_was_left_is_told(signed_in: Any, tmp_path: Path) -> None:
    page = signed_in("submitter", "/documents")
    page.route("**/data/uploads?*", lambda route: None)
    page.set_input_files(CHOSEN, str(write_pdf(tmp_path / "left behind.pdf", [{}])))
    page.get_by_role("button", name="Cancel all").wait_for()
    page.reload()
    told = page.locator(".df-uploads .df-failed")
    told.wait_for()
    assert "left behind.pdf" in told.inner_text()
    assert "Choose it once more" in told.inner_text()
    page.reload()
    page.wait_for_selector(".df-upload")
    assert told.count() == 0, "it was told"


def test_a_page_is_turned_and_times_are_of_who_looks(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    document = service.submit(write_pdf(tmp_path / "lies.pdf", [{"Rotate": 90}, {}], ("lying words",)))
    service.wait_for_end(document)
    page = signed_in("viewer", f"/documents/{document}", timezone_id="Asia/Tokyo", locale="en-GB")
    page.wait_for_selector(".df-stage[data-picture=shown]")
    assert page.title() == "lies.pdf · docfleet"
    standing = page.locator(".df-sheet").bounding_box()
    assert standing["width"] > standing["height"], "the page lies, its words stand"
    page.keyboard.press("r")
    turned = page.locator(".df-sheet").bounding_box()
    assert turned["width"] < turned["height"]
    page.keyboard.press("n")
    page.wait_for_selector(".df-viewer[data-page='2'] .df-stage[data-picture=shown]")
    assert page.url.endswith("?page=2")
    page.click("text=History")
    page.wait_for_selector(".history time")
    assert page.locator(".history time").first.inner_text().endswith(("GMT+9", "JST"))
    assert page.locator(".history time").first.get_attribute("title").endswith("UTC")
    assert "every page was read" in page.inner_text(".history")


@pytest.mark.slow
def test_an_encrypted_file_is_drawn_once_it_was_read(signed_in: Any, service: ConsoleService) -> None:
    locked = service.submit(SAMPLES / "password-protected.pdf", reuse="false")
    opened = service.submit(SAMPLES / "password-protected.pdf", password=PASSWORD, reuse="false")
    without = service.submit(SAMPLES / "password-protected.pdf", password=PASSWORD, formats="json", reuse="false")
    for document in (locked, opened, without):
        service.wait_for_end(document)
    page = signed_in("viewer", f"/documents/{locked}")
    for document in (locked, without):
        page.goto(f"{service.console}/documents/{document}")
        page.wait_for_selector(".df-stage[data-picture=none]")
        assert "no searchable PDF" in page.inner_text(".df-note")
    page.goto(f"{service.console}/documents/{opened}")
    page.wait_for_selector(".df-stage[data-picture=shown]")
    assert page.locator(".df-word").count() > 10
