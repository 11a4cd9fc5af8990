"""The main paths of a clerk and an operator: drop, watch, look, search, change many, redrive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dead_letters import end_badly, submit_elsewhere
from page_files import write_pdf

from console_service import ConsoleService
from running import SAMPLES


def rows(page: Any) -> list[str]:
    return [name.strip() for name in page.locator(".df-list-scroll .df-row .df-name a").all_inner_texts()]


def wait_for_rows(page: Any, *names: str) -> None:
    page.wait_for_function(
        """(names) => {
          const shown = [...document.querySelectorAll('.df-list-scroll .df-row .df-name a')].map((a) => a.textContent);
          return JSON.stringify(shown) === JSON.stringify(names);
        }""",
        arg=list(names),
    )


def test_a_clerk_drops_files_and_reads_the_results(signed_in: Any, tmp_path: Path) -> None:
    page = signed_in("submitter", "/documents")
    folder = tmp_path / "post"
    folder.mkdir()
    write_pdf(folder / "clerk-1.pdf", [{}, {}], ("Invoice 4711", "Total 12.50"))
    (folder / "clerk-2.txt").write_text("this is no document we know")
    page.click("text=How they are read")
    page.fill("input[aria-label='Labels (k=v, k=v)']", "origin=clerk")
    page.wait_for_timeout(400)
    page.set_input_files(
        ".df-upload input[type=file]:not([webkitdirectory])", [str(p) for p in sorted(folder.iterdir())]
    )
    page.wait_for_selector(".df-uploads .df-failed")
    refused = page.inner_text(".df-uploads .df-failed")
    assert "clerk-2.txt" in refused
    assert "plain text file" in refused
    assert re.search(r"1 accepted.*1 refused", page.inner_text(".df-upload-summary"))
    row = page.locator(".df-list-scroll .df-row", has_text="clerk-1.pdf")
    row.locator(".df-chip[data-state=succeeded]").wait_for()
    assert "origin=clerk" in row.inner_text()
    row.locator("a").click()
    page.wait_for_selector(".df-text >> text=4711")
    assert page.input_value(".df-pager input") == "1"
    assert "of 2" in page.inner_text(".df-pager")
    # the same bytes again are known
    page.goto(page.url.rpartition("/")[0])
    page.set_input_files(".df-upload input[type=file]:not([webkitdirectory])", str(folder / "clerk-1.pdf"))
    page.wait_for_selector("text=/known already/")


def test_pointing_lights_both_sides_and_the_keyboard_does_too(
    signed_in: Any, service: ConsoleService, tmp_path: Path
) -> None:
    document = service.submit(write_pdf(tmp_path / "point.pdf", [{}, {}], ("alpha beta gamma", "delta")))
    service.wait_for_end(document)
    page = signed_in("viewer", f"/documents/{document}", viewport={"width": 1500, "height": 1000})
    page.wait_for_selector(".df-stage[data-picture=shown]")
    page.hover(".df-word >> text=gamma")
    assert page.locator(".df-lit polygon").count() == 1
    lit = page.locator(".df-lit polygon").get_attribute("data-key")
    page.mouse.move(5, 5)
    page.wait_for_function("!document.querySelector('.df-lit polygon')")
    page.locator(f"[data-layer=tokens] polygon[data-key='{lit}']").hover(force=True)
    assert page.inner_text(".df-text .df-on") == "gamma"
    page.focus(".df-word >> text=alpha")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "beta"
    assert page.inner_text(".df-text .df-on") == "beta"
    assert "confidence" in page.inner_text(".df-viewer > [aria-live]")
    for layer in ("lines", "paragraphs", "blocks"):
        page.check(f".df-layer[data-layer={layer}] input")
        assert page.locator(f"svg [data-layer={layer}] polygon").count() >= 1
    page.check("text=Colour by confidence")
    assert page.is_visible(".df-legend")
    page.focus(".df-view")
    page.keyboard.press("PageDown")
    page.wait_for_selector(".df-viewer[data-page='2']")
    page.wait_for_url("**?page=2")
    page.focus("[data-tab=text]")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("[data-tab=tables]", "aria-selected") == "true"


@pytest.mark.slow
def test_search_filters_and_changes_of_many(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    made = [
        service.submit(write_pdf(tmp_path / f"many-{n}.pdf", [{}], (f"many {n}",)), labels=f"row={n % 2}")
        for n in range(4)
    ]
    for document in made:
        service.wait_for_end(document)
    page = signed_in("operator", "/documents")
    page.fill("input[aria-label='Search names']", "many-")
    wait_for_rows(page, "many-3.pdf", "many-2.pdf", "many-1.pdf", "many-0.pdf")
    page.fill("input[aria-label='Labels (k=v)']", "row=1")
    wait_for_rows(page, "many-3.pdf", "many-1.pdf")
    assert "label=" in page.url
    page.reload()
    wait_for_rows(page, "many-3.pdf", "many-1.pdf")
    page.fill("input[aria-label='Labels (k=v)']", "")
    wait_for_rows(page, "many-3.pdf", "many-2.pdf", "many-1.pdf", "many-0.pdf")
    page.focus(".df-list-scroll")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("text=1 chosen")
    page.click("text=Label …")
    page.fill(".dialog input >> nth=0", "seen=yes")
    page.click(".dialog >> text=Label >> nth=-1")
    page.locator(".df-row", has_text="many-2.pdf").locator("text=seen=yes").wait_for()
    page.check(".df-head input")
    page.wait_for_selector("text=4 chosen")
    page.click(".bulk >> text=Retry")
    page.click(".dialog >> text=Retry >> nth=-1")
    page.wait_for_selector("text=0 started again, 4 refused")
    assert page.locator(".refused li").count() == 4
    assert "succeeded" in page.inner_text(".refused li >> nth=0")
    page.click("text=Close")
    page.check(".df-head input")
    page.click("text=Delete …")
    page.click(".dialog >> text=Delete >> nth=-1")
    page.wait_for_selector("text=Nothing fits these filters")
    with service.api() as api:
        assert api.get(f"/v1/documents/{made[0]}").status_code == 410


@pytest.mark.slow
def test_read_again_and_labels(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    document = service.submit(write_pdf(tmp_path / "again.pdf", [{}], ("once more",)))
    service.wait_for_end(document)
    page = signed_in("submitter", f"/documents/{document}")
    page.click("text=Labels …")
    page.fill(".dialog input >> nth=0", "a=b")
    page.click(".dialog >> text=Save")
    page.wait_for_selector(".chip >> text=a=b")
    page.click("text=Read again …")
    page.click(".dialog >> text=Read again >> nth=-1")
    page.wait_for_function(f"!location.pathname.endsWith('{document}')")
    page.wait_for_selector("text=Reads an earlier document again")
    page.wait_for_selector(".df-text >> text=more")
    page.click("text=Reads an earlier document again")
    page.wait_for_url(f"**/{document}")


@pytest.mark.slow
def test_a_failed_document_says_what_to_do(signed_in: Any, service: ConsoleService) -> None:
    document = service.submit(SAMPLES / "password-protected.pdf")
    service.wait_for_end(document)
    page = signed_in("submitter", f"/documents/{document}")
    page.wait_for_selector(".notice >> text=Press Retry to give its password")
    page.wait_for_selector(".df-note >> text=encrypted")
    page.click("button:has-text('Retry')")
    page.fill(".dialog input", (Path(SAMPLES).parent / "tests/samples_truth/passwords.txt").read_text().split()[1])
    page.click(".dialog >> text=Retry >> nth=-1")
    page.wait_for_selector(".chip >> text=succeeded", timeout=60_000)
    page.wait_for_selector(".df-word")


@pytest.mark.slow
def test_batches(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    page = signed_in("submitter", "/batches")
    page.click("text=New batch …")
    page.fill(".dialog input", "Post of Monday")
    page.click("text=Open it")
    page.wait_for_selector("h2 >> text=Post of Monday")
    batch = page.url.rpartition("/")[2]
    page.click("text=Add documents")
    page.wait_for_selector(".df-upload")
    page.set_input_files(
        ".df-upload input[type=file]:not([webkitdirectory])", str(write_pdf(tmp_path / "monday.pdf", [{}], ("monday",)))
    )
    wait_for_rows(page, "monday.pdf")
    page.goto(f"{service.console}/batches/{batch}")
    page.wait_for_selector("text=1 of 1 documents ended")
    page.click("text=Seal …")
    page.click(".dialog >> text=Seal >> nth=-1")
    page.wait_for_selector("text=finished")
    page.goto(f"{service.console}/batches")
    page.wait_for_selector("text=Post of Monday")


def test_dead_letters_are_redriven_by_page_document_and_group(signed_in: Any, service: ConsoleService) -> None:
    with service.ledger() as ledger, service.desk() as desk:
        made = [submit_elsewhere(desk, f"dead-{number}.pdf") for number in range(3)]
        for document in made:
            end_badly(ledger, document)
    page = signed_in("operator", "/dead-letters")
    page.wait_for_selector("text=3 in 3 documents")
    page.click("text=Look at them")
    page.wait_for_selector("tr >> text=dead-0.pdf")
    assert "<b>damaged</b>" in page.inner_text(".dead-group")
    page.locator("tr", has_text="dead-0.pdf").locator("text=Retry pages").click()
    page.wait_for_selector("text=2 in 2 documents")
    page.locator("tr", has_text="dead-1.pdf").locator("text=Retry the document").click()
    page.wait_for_selector("text=1 in 1 documents")
    page.locator(".dead-group", has_text="damaged").locator("text=Retry all 1").click()
    page.wait_for_selector("text=dead-2.pdf", state="hidden")
    with service.api() as api:
        assert {api.get(f"/v1/documents/{document}").json()["state"] for document in made} == {"running"}
        for document in made:
            api.post(f"/v1/documents/{document}/cancel")


def test_a_viewer_is_offered_nothing_it_may_not_do(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    document = service.submit(write_pdf(tmp_path / "seen.pdf", [{}], ("seen",)))
    service.wait_for_end(document)
    page = signed_in("viewer", "/documents")
    page.wait_for_selector(".df-row[data-id]")
    assert page.locator(".df-upload, .df-check").count() == 0
    page.goto(f"{service.console}/documents/{document}")
    page.wait_for_selector(".df-word")
    for text in ("Retry", "Delete …", "Read again …", "Labels …"):
        assert page.locator(f"button:has-text('{text}')").count() == 0


@pytest.mark.slow
def test_on_a_phone_the_picture_is_a_tab(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    document = service.submit(write_pdf(tmp_path / "phone.pdf", [{}], ("phone",)))
    service.wait_for_end(document)
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    page = signed_in("submitter", f"/documents/{document}", **phone)
    page.wait_for_selector(".df-narrow .df-stage[data-picture=shown]")
    page.tap("[data-tab=text]")
    page.wait_for_selector(".df-word >> text=phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{service.console}/documents")
    page.wait_for_selector(".df-small .df-row[data-id]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
