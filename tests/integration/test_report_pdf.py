"""The report as a PDF: conformance, text, hostile names, sizes, determinism."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pikepdf
import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.errors import DocfleetError
from docfleet.reports.batch import (
    BatchReport,
    DocumentRow,
    Environment,
    Failure,
    Outcome,
    PageRow,
    render_batch_report,
    write_batch_report,
)
from docfleet.reports.figures import figures
from docfleet.reports.typesetting import typeset

START = datetime(2026, 3, 2, 9, 14, 5, 123456, tzinfo=UTC)
ENVIRONMENT = Environment("0.1.0", ("text-layer 0.1.0", "rapidocr 3.10"), 2, "3.11.7", "Linux x86_64")
HOSTILE_NAMES = (
    "#set page(fill: red) *b* _i_ $x^2$ `code` @ref <lab> // c /* */ \\ ~ = h",
    "x" * 300 + ".pdf",
    "\U0001f600\U0001f389 fête ﷽.pdf",
    "שלום עולם.pdf",
    "مرحبا بالعالم.pdf",
    "漢字かな交じり文.pdf",
    "नमस्ते दुनिया.pdf",
    "a\nb\tc\x00\x1b[31m\x7f.pdf",
    "\udcff\udcfe bad.pdf",
    "\u0301\u0302 z\u0335\u0336algo\u0337.pdf",
    "evil\u202efdp.exe",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 ﬁ½²√∑.pdf",
    "",
    " \ufeff\u2028\u2029",
    '"); panic("x',
)


def make_report(documents: int, outcome: Outcome | None = None, names: tuple[str, ...] = ()) -> BatchReport:
    """A batch of `documents`, in turn read in full, in part, failed and repeated, or all with one `outcome`."""
    rows, failures, pages = [], [], []
    for n in range(documents):
        ended = outcome or list(Outcome)[n % 4]
        file = names[n % len(names)] if names else f"inbox/document-{n:05}.pdf"
        failed = ended is Outcome.FAILED
        rows.append(
            DocumentRow(
                file, ended, "damaged" if failed else "", 0 if failed else 3, 12_345, "" if failed else "rapidocr",
                None if failed else 0.5 + (n % 50) / 100, 0.1 * (n % 17), file, float(n),
            )
        )  # fmt: skip
        if ended in (Outcome.FAILED, Outcome.PARTIAL):
            failures.append(Failure(file, "damaged", f"Broken: {file}.", f"Mend {file}.", 0 if failed else 2))
        pages.append(PageRow(file, 1, file, file, 0.3))
    read = sum(row.pages for row in rows)
    return BatchReport(
        title="Batch of 2 March 2026" if not names else names[0],
        started=START,
        finished=START + timedelta(seconds=max(documents, 1)),
        documents=tuple(rows),
        environment=ENVIRONMENT,
        command="docfleet process inbox/ --out results/" if not names else " ".join(names),
        cpu_seconds=12.5,
        pages_by_engine={"rapidocr": read, **(dict.fromkeys(names, 1))},
        pages_by_reason={"no_text_layer": read, **(dict.fromkeys(names, 1))},
        confidence_histogram=(0,) * 15 + (read // 3, 0, 1, 2, read) if read else (),
        least_certain_pages=tuple(pages[:20]),
        failures=tuple(failures),
    )


def text_of(pdf: bytes) -> list[str]:
    document = pdfium.PdfDocument(pdf)
    texts = [page.get_textpage().get_text_bounded() for page in document]
    document.close()
    return texts


CASES = {
    "nothing": make_report(0),
    "one": make_report(1, Outcome.SUCCEEDED),
    "twelve": make_report(12),
    "all failed": make_report(12, Outcome.FAILED),
    "no failures": make_report(40, Outcome.SUCCEEDED),
    "hostile": make_report(60, names=HOSTILE_NAMES),
    "ten thousand": make_report(10_000),
}


@pytest.mark.parametrize("case", CASES)
def test_the_report_is_a_tagged_archive_pdf(case: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "report.pdf"
    write_batch_report(CASES[case], path)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.pdf"]
    with pikepdf.open(path) as pdf:
        metadata = pdf.open_metadata()
        assert metadata.pdfa_status == "2A"
        assert metadata["pdfuaid:part"] == "1"
        assert metadata["dc:title"]
        assert pdf.Root.OutputIntents[0].S == "/GTS_PDFA1"
        assert pdf.Root.OutputIntents[0].DestOutputProfile.read_bytes()
        assert pdf.Root.MarkInfo.Marked
        assert "/StructTreeRoot" in pdf.Root
        assert "/AF" not in pdf.Root
        for page in pdf.pages:
            assert [round(float(side)) for side in page.mediabox] == [0, 0, 595, 842]
            for font in page.resources.get("/Font", {}).values():
                for descendant in font.get("/DescendantFonts", [font]):
                    assert any(f"/FontFile{kind}" in descendant.FontDescriptor for kind in ("", "2", "3"))


def test_what_was_handed_in_stands_in_the_report() -> None:
    texts = text_of(render_batch_report(make_report(12)))
    whole = "\n".join(texts)
    for expected in (
        "Batch of 2 March 2026", "docfleet process inbox/ --out results/", "rapidocr", "Damaged", "No text layer",
        "inbox/document-00002.pdf", "Mend inbox/document-00001.pdf", "list price", "12.5 s", "text-layer 0.1.0",
    ):  # fmt: skip
        assert expected in whole, expected
    assert f"Page 1 of {len(texts)}" in texts[0]
    assert f"Page {len(texts)} of {len(texts)}" in texts[-1]


def test_long_tables_are_cut_with_a_note_and_repeat_their_header() -> None:
    texts = text_of(render_batch_report(make_report(10_000)))
    assert len(texts) < 30
    assert "First 200 of 10,000 documents; the full list is in index.csv." in "\n".join(texts).replace("\r\n", "\n")
    listing = [text for text in texts if "inbox/document-00" in text and "Folder" in text]
    assert len(listing) >= 3


def test_the_headline_counts_do_not_depend_on_what_is_shown() -> None:
    texts = text_of(render_batch_report(make_report(10_000, Outcome.FAILED)))
    assert "10,000" in texts[0]
    assert "0 %" in texts[0]


def test_markup_in_names_is_shown_and_never_run() -> None:
    whole = "\n".join(text_of(render_batch_report(CASES["hostile"])))
    assert "#set page(fill: red)" in whole
    assert "evilfdp.exe" in whole
    assert "(blank name)" in whole


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=40), min_size=1, max_size=4))
def test_no_text_breaks_the_report(names: list[str]) -> None:
    assert render_batch_report(make_report(4, names=tuple(names))).startswith(b"%PDF-")


def test_no_ink_leaves_the_margins() -> None:
    """Beside the cover strip, nothing is drawn within 8 mm of an edge: no cell or name runs off the page."""
    document = pdfium.PdfDocument(render_batch_report(CASES["hostile"]))
    for number, page in enumerate(document):
        pixels = page.render(scale=1.0, grayscale=True).to_numpy()
        first = 158 if number == 0 else 0
        assert pixels[first:, :23].min() >= 250, number
        assert pixels[first:, -23:].min() >= 250, number
    document.close()


@pytest.mark.parametrize("title", ["W" * 200, "Wide Words " * 20, "Batch", ""])
def test_the_cover_strip_holds_its_text(title: str) -> None:
    report = msgspec.structs.replace(CASES["one"], title=title, command="docfleet process " + "inbox/folder/ " * 60)
    document = pdfium.PdfDocument(render_batch_report(report))
    strip = document[0].render(scale=1.0, grayscale=True).to_numpy()
    document.close()
    below = round(55.6 / 25.4 * 72)
    assert strip[: below - 6].min() < 60
    assert strip[below : below + 8].min() >= 250
    assert strip[5 : below - 6, -40:].max() < 60


def test_the_same_value_gives_the_same_bytes() -> None:
    assert render_batch_report(CASES["twelve"]) == render_batch_report(CASES["twelve"])


def test_text_that_slips_past_the_allowlist_costs_its_characters_only() -> None:
    """Neither an undrawable character (an error of the typesetter) nor a lone mark (a panic of it) costs the report."""
    for title in ("漢字 report", "\u0301 report"):
        shown = msgspec.structs.replace(figures(CASES["one"]), title=title)
        assert "report" in text_of(typeset("batch.typ", shown, START))[0]


def test_a_broken_template_is_an_error_of_our_own() -> None:
    with pytest.raises(DocfleetError, match="could not be set"):
        typeset("charts-of-nothing.typ", figures(CASES["one"]), START)


def test_a_report_replaces_an_older_one_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"old")
    write_batch_report(CASES["one"], path)
    assert path.read_bytes().startswith(b"%PDF-")


def test_a_folder_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").mkdir()
    with pytest.raises(OSError, match=r"report\.pdf"):
        write_batch_report(CASES["one"], tmp_path / "report.pdf")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.pdf"]


def test_a_hundred_documents_take_less_than_a_second() -> None:
    report = make_report(100)
    started = time.process_time()
    render_batch_report(report)
    assert time.process_time() - started < 1.0
