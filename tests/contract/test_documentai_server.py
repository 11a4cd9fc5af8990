"""Google's own client against the server, over every transport: documents, masks, options, limits, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import documentai
from google.protobuf import field_mask_pb2

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.storage import StorageOptions
from docfleet.documentai_server.tls import self_signed
from docfleet.telemetry.spans import DOCUMENTAI_CALL
from docfleet.telemetry.traces import Collected, start_tracing, stop_tracing
from documentai_clients import TRANSPORTS, client_over, numbered_pdf, pdf_of, refused

SAMPLES = Path(__file__).parents[2] / "samples"
PLACE = "projects/my-project/locations/us"
OCR = f"{PLACE}/processors/ocr"
LIMIT = 41943040
PDF = "application/pdf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documentai-server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[DocumentAIServer]:
    """Text layers are read; nothing here needs a recogniser."""
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=4),
        listeners=(Listener("plain"), Listener("tls", tls=self_signed(folder / "tls"))),
        storage=StorageOptions(folder / "buckets"),
        processors={"expense": "EXPENSE_PROCESSOR", "identity": "ID_PROOFING_PROCESSOR"},
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        yield running


@pytest.fixture(scope="module", params=TRANSPORTS)
def client(request: pytest.FixtureRequest, server: DocumentAIServer, folder: Path) -> Iterator[Any]:
    tls = request.param.endswith("_tls")
    authority = folder / "tls" / "ca.pem" if tls else None
    with client_over(request.param, server.addresses[int(tls)], authority) as made:
        yield made


def ask(client: Any, content: bytes, name: str = OCR, mime_type: str = PDF, **more: Any) -> Any:
    raw = documentai.RawDocument(content=content, mime_type=mime_type)
    return client.process_document(request=documentai.ProcessRequest(name=name, raw_document=raw, **more))


def pages_of(document: Any) -> list[int]:
    return [page.page_number for page in document.pages]


def text_of(document: Any, layout: Any) -> str:
    return "".join(document.text[int(s.start_index) : int(s.end_index)] for s in layout.text_anchor.text_segments)


# --- what comes back


def test_a_document_is_read_by_googles_conventions(client: Any) -> None:
    answer = ask(client, pdf_of("The first line.\nAnd the second", "Another page"))
    document = answer.document
    assert document.text == "The first line.\nAnd the second\nAnother page\n"
    assert document.mime_type == PDF
    assert answer.human_review_status.state == documentai.HumanReviewStatus.State.SKIPPED
    assert pages_of(document) == [1, 2]
    for name in ("tokens", "lines", "paragraphs", "blocks"):
        parts = [text_of(document, one.layout) for page in document.pages for one in getattr(page, name)]
        assert "".join(parts) == document.text
    breaks = [token.detected_break.type_.name for token in document.pages[0].tokens]
    assert breaks == ["SPACE", "SPACE", "TYPE_UNSPECIFIED", "WIDE_SPACE", "SPACE", "SPACE", "WIDE_SPACE"]
    first = document.pages[0]
    assert first.dimension.unit == "pixels"
    assert 3.9e6 < first.dimension.width * first.dimension.height < 4.1e6
    assert (first.image.width, first.image.height) == (first.dimension.width, first.dimension.height)
    assert first.image.content[:3] == b"\xff\xd8\xff" or first.image.content[:4] == b"\x89PNG"
    assert not first.image_quality_scores.quality_score
    assert not document.error.code


def test_a_call_is_told_in_the_trace_of_its_client(client: Any) -> None:
    told = Collected()
    start_tracing(0.0, told)
    try:
        for flags in ("01", "00"):
            header = f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"
            client.get_processor(name=OCR, metadata=[("traceparent", header)])
        metadata = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01")]
        with pytest.raises(GoogleAPICallError):
            client.get_processor(name=f"{PLACE}/processors/nowhere", metadata=metadata)
        client.get_processor(name=OCR, metadata=[("traceparent", "no trace at all")])
        well, wrong = told.take()
    finally:
        stop_tracing()
    assert (well.name, well.trace_id) == (DOCUMENTAI_CALL, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert (well.parent_id, wrong.parent_id) == ("00f067aa0ba902b7", "00f067aa0ba902b8")
    assert well.attributes["rpc.method"] == "GetProcessor"
    assert (well.attributes["docfleet.outcome"], wrong.error) == ("OK", "NOT_FOUND")
    assert well.start <= well.end


def test_an_image_is_read(client: Any) -> None:
    answer = ask(client, (SAMPLES / "letter-de.png").read_bytes(), mime_type="image/png")
    (page,) = answer.document.pages
    assert page.image.content
    assert (page.image.width, page.image.height) == (page.dimension.width, page.dimension.height)


def test_imageless_pages_have_no_picture(client: Any) -> None:
    (page,) = ask(client, numbered_pdf(1), imageless_mode=True).document.pages
    assert not page.image.content
    assert page.tokens


def test_a_version_can_be_named(client: Any) -> None:
    new = ask(client, numbered_pdf(1), f"{OCR}/processorVersions/pretrained-ocr-v2.1-2024-08-07", imageless_mode=True)
    old = ask(client, numbered_pdf(1), f"{OCR}/processorVersions/pretrained-ocr-v1.1-2022-09-12", imageless_mode=True)
    token = new.document.pages[0].tokens[0]
    assert not token.layout.bounding_poly.vertices
    assert len(old.document.pages[0].tokens[0].layout.bounding_poly.vertices) == 4
    assert refused(lambda: ask(client, numbered_pdf(1), f"{OCR}/processorVersions/someone-elses")).code == 404


def test_a_form_parser_finds_tables_and_ocr_leaves_them_out(client: Any) -> None:
    content = (SAMPLES / "invoice-01.pdf").read_bytes()
    assert not ask(client, content, imageless_mode=True).document.pages[0].tables
    tables = ask(client, content, f"{PLACE}/processors/form", imageless_mode=True).document.pages[0].tables
    assert tables
    assert tables[0].body_rows[0].cells


def test_a_form_parser_finds_names_and_values(client: Any) -> None:
    content = pdf_of("Name: Jane Doe\nCity: Lausanne", "Born: 3 May 1990")
    document = ask(client, content, f"{PLACE}/processors/form", imageless_mode=True).document
    found = [
        (text_of(document, f.field_name), text_of(document, f.field_value))
        for p in document.pages
        for f in p.form_fields
    ]
    assert found == [("Name: ", "Jane Doe\n"), ("City: ", "Lausanne\n"), ("Born: ", "3 May 1990\n")]
    first = document.pages[0].form_fields[0]
    assert first.field_value.text_anchor.content == "Jane Doe\n"
    assert first.field_value.bounding_poly.normalized_vertices
    assert 0 < first.field_name.confidence < 1
    mask = {"paths": ["text", "pages.tokens"]}
    masked = ask(client, content, f"{PLACE}/processors/form", field_mask=mask).document
    assert not masked.pages[0].form_fields
    assert not ask(client, content, imageless_mode=True).document.pages[0].form_fields


def test_an_invoice_parser_answers_entities(client: Any) -> None:
    content = (SAMPLES / "invoice-01.pdf").read_bytes()
    document = ask(client, content, f"{PLACE}/processors/invoice", imageless_mode=True).document
    found = {one.type_: one for one in document.entities}
    assert {"invoice_id", "invoice_date", "total_amount", "currency", "line_item"} <= set(found)
    assert found["total_amount"].normalized_value.money_value.currency_code
    assert found["invoice_date"].normalized_value.date_value.year
    assert found["line_item"].properties[0].type_ == "line_item/description"
    assert [int(one.id) for one in document.entities][:2] == [0, 1]
    for one in document.entities:
        for segment in one.text_anchor.text_segments[:1]:
            stands = document.text[int(segment.start_index) : int(segment.end_index)]
            assert len(one.text_anchor.text_segments) > 1 or stands == one.mention_text
        assert one.page_anchor.page_refs[0].bounding_poly.normalized_vertices
    assert not document.error.code
    masked = ask(client, content, f"{PLACE}/processors/invoice", field_mask={"paths": ["text"]}).document
    assert not masked.entities


def test_an_extractor_says_that_it_extracts_nothing(client: Any) -> None:
    document = ask(client, numbered_pdf(1), f"{PLACE}/processors/identity").document
    assert document.text == "This is page number 1 of the document.\n"
    assert not document.entities
    assert document.error.code == 12
    assert "entities" in document.error.message


def test_a_layout_parser_answers_a_tree_and_chunks(client: Any) -> None:
    content = (SAMPLES / "article-two-column.pdf").read_bytes()
    chunking = {"chunk_size": 60, "include_ancestor_headings": True}
    options = documentai.ProcessOptions(layout_config={"chunking_config": chunking, "return_bounding_boxes": True})
    document = ask(client, content, f"{PLACE}/processors/layout", process_options=options).document
    assert not document.pages
    assert not document.text
    assert document.document_layout.blocks
    kinds = {block.text_block.type_ for block in document.document_layout.blocks}
    assert "heading-1" in kinds
    assert document.document_layout.blocks[0].bounding_box.normalized_vertices
    ids = [chunk.chunk_id for chunk in document.chunked_document.chunks]
    assert ids == [f"c{n}" for n in range(1, len(ids) + 1)]
    assert len(ids) > 1
    used = [id for chunk in document.chunked_document.chunks for id in chunk.source_block_ids]
    assert len(used) == len(set(used))


def test_quality_is_sent_when_asked_for(client: Any) -> None:
    options = documentai.ProcessOptions(ocr_config={"enable_image_quality_scores": True})
    content = (SAMPLES / "letter-de.png").read_bytes()
    (page,) = ask(client, content, mime_type="image/png", process_options=options, imageless_mode=True).document.pages
    assert 0 < page.image_quality_scores.quality_score <= 1


# --- sources


def test_inline_documents(client: Any) -> None:
    inline = documentai.Document(content=numbered_pdf(1), mime_type=PDF)
    request = documentai.ProcessRequest(name=OCR, inline_document=inline, imageless_mode=True)
    assert client.process_document(request=request).document.text == "This is page number 1 of the document.\n"


def test_documents_in_storage(client: Any, server: DocumentAIServer) -> None:
    assert server.buckets is not None
    server.buckets.put("inbox", "a/one.pdf", numbered_pdf(1))
    stored = documentai.GcsDocument(gcs_uri="gs://inbox/a/one.pdf", mime_type=PDF)
    document = client.process_document(request=documentai.ProcessRequest(name=OCR, gcs_document=stored)).document
    assert document.text == "This is page number 1 of the document.\n"
    assert document.uri == "gs://inbox/a/one.pdf"
    missing = documentai.GcsDocument(gcs_uri="gs://inbox/a/two.pdf", mime_type=PDF)
    request = documentai.ProcessRequest(name=OCR, gcs_document=missing)
    assert refused(lambda: client.process_document(request=request)).code == 404


def test_a_request_without_a_document_is_refused(client: Any) -> None:
    request = documentai.ProcessRequest(name=OCR)
    assert refused(lambda: client.process_document(request=request)).code == 400
    assert refused(lambda: ask(client, b"")).code == 400


# --- masks and options


def masks_of(client: Any) -> list[Any]:
    """The spellings the client lets through: over REST it refuses the camel's in a FieldMask."""
    snake = field_mask_pb2.FieldMask(paths=["text", "pages.page_number"])
    camel = field_mask_pb2.FieldMask(paths=["text", "pages.pageNumber"])
    rest = getattr(getattr(client, "transport", None), "kind", "") == "rest"
    return ["text,pages.pageNumber", snake, *([] if rest else [camel])]


@pytest.mark.parametrize("which", range(3))
def test_a_field_mask_in_both_spellings(client: Any, which: int) -> None:
    masks = masks_of(client)
    mask = masks[min(which, len(masks) - 1)]
    request = {"name": OCR, "raw_document": {"content": numbered_pdf(2), "mime_type": PDF}, "field_mask": mask}
    document = client.process_document(request=request).document
    assert pages_of(document) == [1, 2]
    assert document.text
    assert not document.mime_type
    for page in document.pages:
        assert not page.tokens
        assert not page.image.content
        assert not page.dimension.width


def test_a_raw_field_mask(client: Any) -> None:
    paths = ["pages.layout", "pages.image"]
    document = ask(client, numbered_pdf(1), field_mask=field_mask_pb2.FieldMask(paths=paths)).document
    (page,) = document.pages
    assert page.image.content
    assert page.layout.bounding_poly.normalized_vertices
    assert not page.page_number
    assert not document.text


def test_a_mask_of_nothing_known_is_refused(client: Any) -> None:
    for path in ("nothing", "pages.nothing", "pages.layout.confidence", "entities.type"):
        mask = field_mask_pb2.FieldMask(paths=[path])
        assert refused(lambda mask=mask: ask(client, numbered_pdf(1), field_mask=mask)).code == 400


@pytest.mark.parametrize(
    ("options", "pages"),
    [
        ({"individual_page_selector": {"pages": [3, 1]}}, [1, 3]),
        ({"from_start": 2}, [1, 2]),
        ({"from_end": 2}, [4, 5]),
        ({"from_start": 50}, [1, 2, 3, 4, 5]),
        ({"from_end": 50}, [1, 2, 3, 4, 5]),
    ],
)
def test_pages_can_be_selected(client: Any, options: dict[str, Any], pages: list[int]) -> None:
    chosen = documentai.ProcessOptions(options)
    document = ask(client, numbered_pdf(5), process_options=chosen, imageless_mode=True).document
    assert pages_of(document) == pages
    assert document.text == "".join(f"This is page number {n} of the document.\n" for n in pages)
    starts = [int(page.layout.text_anchor.text_segments[0].start_index) for page in document.pages]
    assert starts == [39 * n for n in range(len(pages))]


@pytest.mark.parametrize("pages", [[6], [0], [-1]])
def test_a_page_that_is_not_there_cannot_be_selected(client: Any, pages: list[int]) -> None:
    chosen = documentai.ProcessOptions(individual_page_selector={"pages": pages})
    found = refused(lambda: ask(client, numbered_pdf(5), process_options=chosen))
    assert (found.code, found.message) == (400, "Request contains an invalid argument.")


def test_options_of_other_processors_are_refused(client: Any) -> None:
    ocr = documentai.ProcessOptions(ocr_config={"enable_symbol": True})
    assert refused(lambda: ask(client, numbered_pdf(1), f"{PLACE}/processors/invoice", process_options=ocr)).code == 400
    layout = documentai.ProcessOptions(layout_config={"return_images": True})
    assert refused(lambda: ask(client, numbered_pdf(1), process_options=layout)).code == 400


# --- limits


def test_pages_past_the_limit(client: Any) -> None:
    found = refused(lambda: ask(client, numbered_pdf(31)))
    assert (found.code, found.message) == (400, "Document pages exceed the limit: 30 got 31")
    assert (found.reason, found.metadata) == ("PAGE_LIMIT_EXCEEDED", {"page_limit": "30", "pages": "31"})


def test_pages_past_the_limit_with_images(client: Any) -> None:
    found = refused(lambda: ask(client, numbered_pdf(16)))
    assert found.code == 400
    assert found.message == (
        "Document pages in non-imageless mode exceed the limit: 15 got 16. "
        "Try using imageless mode to increase the limit to 30."
    )
    assert (found.reason, found.metadata) == ("PAGE_LIMIT_EXCEEDED", {"page_limit": "30", "pages": "16"})


def test_imageless_pages_count_from_the_first(client: Any) -> None:
    chosen = documentai.ProcessOptions(individual_page_selector={"pages": list(range(2, 18))})
    found = refused(lambda: ask(client, numbered_pdf(20), process_options=chosen, imageless_mode=True))
    assert (found.code, found.message) == (400, "At most 15 pages in one call please.")
    assert found.details == []
    assert len(ask(client, numbered_pdf(20), imageless_mode=True).document.pages) == 20


def test_the_limit_is_of_the_selection(client: Any) -> None:
    chosen = documentai.ProcessOptions(individual_page_selector={"pages": [39, 40]})
    document = ask(client, numbered_pdf(40), process_options=chosen).document
    assert pages_of(document) == [39, 40]


def test_some_types_take_fewer_pages(client: Any) -> None:
    found = refused(lambda: ask(client, numbered_pdf(11), f"{PLACE}/processors/expense", imageless_mode=True))
    assert found.message == "Document pages exceed the limit: 10 got 11"
    assert refused(lambda: ask(client, numbered_pdf(3), f"{PLACE}/processors/identity")).metadata["page_limit"] == "2"


def test_a_document_of_too_many_bytes(client: Any) -> None:
    found = refused(lambda: ask(client, bytes(LIMIT + 1)))
    assert (found.code, found.message) == (400, "Request contains an invalid argument.")
    (detail,) = found.details
    said = str(detail)
    assert f"Document size ({LIMIT + 1}) exceeds the limit: {LIMIT}." in said
    assert "raw_document.content" in said


# --- documents that cannot be read


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"This is a note and no document at all. " * 20, PDF),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF", PDF),
        (pdf_of("secret", owner="boss", user="open sesame"), PDF),
        (numbered_pdf(1), "image/png"),
        (numbered_pdf(1), ""),
        ((SAMPLES / "mixed.zip").read_bytes(), "application/zip"),
    ],
    ids=["text", "damaged", "encrypted", "other-type", "no-type", "archive"],
)
def test_what_cannot_be_read_is_an_unsupported_format(client: Any, content: bytes, mime_type: str) -> None:
    found = refused(lambda: ask(client, content, mime_type=mime_type))
    assert (found.code, found.message) == (400, "Unsupported input file format.")
    assert found.details == []


# --- names


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (f"{PLACE}/processors/nobody", 404),
        (f"{PLACE}/processors/nobody/processorVersions/v1", 404),
        ("projects/my-project/locations/mars/processors/ocr", 400),
    ],
)
def test_a_processor_that_is_not_there(client: Any, name: str, code: int) -> None:
    assert refused(lambda: ask(client, numbered_pdf(1), name)).code == code


def test_everything_else_is_unimplemented(client: Any) -> None:
    found = refused(lambda: client.train_processor_version(request={"parent": OCR}))
    assert (found.code, found.message) == (501, "docfleet does not serve TrainProcessorVersion.")
    found = refused(lambda: client.list_evaluations(request={"parent": f"{OCR}/processorVersions/v1"}))
    assert (found.code, found.message) == (501, "docfleet does not serve ListEvaluations.")
    version = f"{OCR}/processorVersions/v1"
    for name in ("deploy_processor_version", "undeploy_processor_version", "delete_processor_version"):
        call = getattr(client, name)
        found = refused(lambda call=call: call(request={"name": version}))
        assert (found.code, found.message.startswith("docfleet does not serve ")) == (501, True)
