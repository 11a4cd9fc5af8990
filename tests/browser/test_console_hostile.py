"""Names, labels, texts and messages that would do something if they were taken for anything but text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_files import write_pdf

from console_service import ConsoleService

WATCH = """
window.hacked = [];
window.alert = window.confirm = window.prompt = () => { window.hacked.push('dialog'); };
document.addEventListener('securitypolicyviolation', (event) => window.hacked.push('blocked ' + event.blockedURI));
"""
EVIL = '<img src=x onerror="window.hacked.push(1)"><script>window.hacked.push(2)</script>'
LINES = (
    EVIL,
    "{{ constructor.constructor('window.hacked.push(3)')() }}",
    "javascript:window.hacked.push(4)",
    "</script>",
)
NAMES = (
    f"{EVIL}.pdf",
    "harmless\u202efdp.exe",
    "{{ $emit.constructor('window.hacked.push(5)')() }}.pdf",
    "\x01\x1b[31m\x7f" + "a" * 490,
    "../../../etc/passwd",
)
LABELS = {"javascript:window.hacked.push(6)": EVIL, "__proto__": "\u202e<b>bold</b>", "constructor": "x"}


@pytest.fixture(scope="module")
def documents(service: ConsoleService, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    path = write_pdf(tmp_path_factory.mktemp("hostile") / "evil.pdf", [{}, {"Rotate": 90}], LINES)
    made = []
    with service.api() as api:
        batch = api.post("/v1/batches", json={"name": EVIL, "labels": LABELS}).json()["id"]
        for name in NAMES:
            with path.open("rb") as content:
                said = {
                    "name": name,
                    "batch": batch,
                    "reuse": "false",
                    "labels": [f"{k}={v}" for k, v in LABELS.items()],
                }
                answer = api.post("/v1/documents", params=said, content=content.read())
            assert answer.status_code == 202, answer.text
            made.append(answer.json()["id"])
        damaged = api.post("/v1/documents", params={"name": EVIL}, content=b"%PDF-1.4 nothing of a PDF")
        made.append(damaged.json()["id"])
    for document in made:
        service.wait_for_end(document)
    return [batch, *made]


def untouched(page: Any) -> None:
    assert page.evaluate("window.hacked") == []


def test_nothing_of_a_document_is_ever_executed(signed_in: Any, service: ConsoleService, documents: list[str]) -> None:
    batch, first, *_, damaged = documents
    page = signed_in("admin", "/documents")
    page.add_init_script(WATCH)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    page.goto(f"{service.console}/documents")
    page.wait_for_selector(f".df-row[data-id='{first}']")
    assert page.inner_text(f".df-row[data-id='{first}'] .df-name a") == NAMES[0]
    untouched(page)
    page.goto(f"{service.console}/documents/{first}")
    page.wait_for_selector(".df-stage[data-picture=shown]")
    assert page.inner_text("h2.document-name") == NAMES[0]
    text = page.inner_text(".df-text")
    assert '<img src=x onerror="window.hacked.push(1)">' in text
    for tab in ("markdown", "json", "account", "tables", "fields", "text"):
        page.click(f"[data-tab={tab}]")
        page.wait_for_timeout(120)
    page.click("[data-tab=json]")
    for summary in page.query_selector_all(".df-json > details > summary")[:4]:
        summary.click()
    page.click("text=History")
    page.wait_for_selector(".history table")
    page.click("text=Facts")
    untouched(page)
    page.goto(f"{service.console}/documents/{damaged}")
    page.wait_for_selector(".notice")
    untouched(page)
    page.goto(f"{service.console}/batches")
    page.wait_for_selector(f"text={EVIL[:20]}")
    page.goto(f"{service.console}/batches/{batch}")
    page.wait_for_selector(".df-row[data-id]")
    untouched(page)
    page.goto(f"{service.console}/documents?name=%3Cscript%3Ewindow.hacked.push(7)%3C/script%3E&state=failed,%3Cb%3E")
    page.wait_for_selector("text=Nothing fits these filters")
    untouched(page)


def test_results_and_originals_are_saved_and_never_shown(
    signed_in: Any, service: ConsoleService, documents: list[str]
) -> None:
    page = signed_in("viewer", f"/documents/{documents[1]}")
    for part in ("source", "results/json/document.json", "results/md/document.md"):
        answer = page.request.get(f"{service.console}/data/documents/{documents[1]}/{part}")
        assert answer.ok, part
        assert answer.headers["content-disposition"].startswith("attachment"), part
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-store" in answer.headers["cache-control"]


def test_what_changes_something_must_come_from_the_console(service: ConsoleService, signed_in: Any) -> None:
    page = signed_in("submitter", "/documents")
    answer = page.request.post(
        f"{service.console}/data/uploads?name=a.pdf", data=b"%PDF-", headers={"origin": "https://evil.example"}
    )
    assert answer.status == 403


def test_who_may_not_read_sees_no_page_and_who_is_not_signed_in_nothing(
    signed_in: Any, browser: Any, service: ConsoleService, documents: list[str]
) -> None:
    address = f"{service.console}/data/documents/{documents[1]}"
    reader = signed_in("viewer", f"/documents/{documents[1]}")
    reader.wait_for_selector(".df-stage[data-picture=shown]")
    auditor = signed_in("auditor", f"/documents/{documents[1]}")
    auditor.wait_for_selector("text=not what is in them")
    stranger = signed_in("admin", "/documents", tenant="rival")
    nobody = browser.new_context()
    for part in ("source", "pages/1", "pages/1/picture?width=960", "pages/1/json", "text/md"):
        assert reader.request.get(f"{address}/{part}").status == 200, part
        assert auditor.request.get(f"{address}/{part}").status == 403, part
        assert stranger.request.get(f"{address}/{part}").status == 404, part
        assert nobody.request.get(f"{address}/{part}", max_redirects=0).status in (303, 401), part
    nobody.close()


def test_a_deleted_document_is_shown_no_more(signed_in: Any, service: ConsoleService, tmp_path: Path) -> None:
    document = service.submit(write_pdf(tmp_path / "gone.pdf", [{}], ("soon gone",)))
    service.wait_for_end(document)
    page = signed_in("admin", f"/documents/{document}")
    page.wait_for_selector(".df-stage[data-picture=shown]")
    page.click("text=Delete …")
    page.click(".dialog >> text=Delete >> nth=-1")
    page.wait_for_url("**/documents")
    for part in ("pages/1", "pages/1/picture?width=960"):
        assert page.request.get(f"{service.console}/data/documents/{document}/{part}").status == 410
    page.goto(f"{service.console}/documents/{document}")
    page.wait_for_selector("text=/deleted|gone/i")
