"""The REST door for callers by hand, malformed calls through both doors, and the version of the API before."""

from __future__ import annotations

import base64
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import MethodNotImplemented
from google.cloud import documentai_v1, documentai_v1beta3

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.methods import DOCUMENTAI, METHODS
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.rest_server import HttpServer, RestFront, RestOptions
from documentai_clients import BIG, numbered_pdf

PLACE = "projects/my-project/locations/us"
PROCESS = f"/v1/{PLACE}/processors/ocr:process"
RAW = {"content": base64.b64encode(numbered_pdf(1)).decode(), "mimeType": "application/pdf"}
BODY = {"rawDocument": RAW, "imagelessMode": True}


@pytest.fixture(scope="module")
def server() -> Iterator[DocumentAIServer]:
    readers = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=4)
    with DocumentAIServer(ServerOptions(readers=readers, listeners=(Listener(),), grace_seconds=1.0)) as running:
        yield running


def ask(server: DocumentAIServer, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """GET, or POST of `body`: JSON, or bytes as they are."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{server.addresses[0].rest}{path}", data, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def violations(server: DocumentAIServer, path: str, body: Any = None) -> list[tuple[str, str]]:
    """(field, description) of a 400; the message says the same."""
    status, answer = ask(server, path, body)
    error = json.loads(answer)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    found = [(one.get("field", ""), one["description"]) for one in detail["fieldViolations"]]
    assert error["message"] == "\n".join(said for _, said in found)
    return found


# --- bodies


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({**BODY, "bogus": 1}, "", 'Invalid JSON payload received. Unknown name "bogus": Cannot find field.'),
        (
            {"rawDocument": {**RAW, "bogus": 1}},
            "raw_document",
            "Invalid JSON payload received. Unknown name \"bogus\" at 'raw_document': Cannot find field.",
        ),
        (
            {**BODY, "imagelessMode": "maybe"},
            "imageless_mode",
            "Invalid value at 'imageless_mode' (TYPE_BOOL), \"maybe\"",
        ),
        (
            {"rawDocument": {"content": 5}},
            "raw_document.content",
            "Invalid value at 'raw_document.content' (TYPE_BYTES), 5",
        ),
        (
            {"rawDocument": {"content": "???"}},
            "raw_document.content",
            "Invalid value at 'raw_document.content' (TYPE_BYTES), Base64 decoding failed for \"???\"",
        ),
        (
            {**BODY, "gcsDocument": {"gcsUri": "gs://a/b"}},
            "source",
            "Invalid value at 'source' (oneof), oneof field 'source' is already set. Cannot set 'gcsDocument'",
        ),
        (
            {**BODY, "processOptions": {"individualPageSelector": {"pages": ["one"]}}},
            "process_options.individual_page_selector.pages[0]",
            "Invalid value at 'process_options.individual_page_selector.pages[0]' (TYPE_INT32), \"one\"",
        ),
        (
            {"rawDocument": "here"},
            "raw_document",
            "Invalid value at 'raw_document' (type.googleapis.com/google.cloud.documentai.v1.RawDocument), \"here\"",
        ),
    ],
)
def test_what_is_wrong_with_a_body_is_told_by_its_place(
    server: DocumentAIServer, body: Any, field: str, said: str
) -> None:
    assert violations(server, PROCESS, body) == [(field, said)]


def test_everything_that_is_wrong_is_told_at_once(server: DocumentAIServer) -> None:
    found = violations(server, PROCESS, {"one": 1, "imagelessMode": 3, "processOptions": {"two": 2}})
    assert [field for field, _ in found] == ["", "imageless_mode", "process_options"]


def test_what_is_wrong_with_a_query_is_told(server: DocumentAIServer) -> None:
    assert violations(server, f"/v1/{PLACE}/processors?foo=1") == [
        (
            "",
            'Invalid JSON payload received. Unknown name "foo": Cannot bind query parameter. '
            "Field 'foo' could not be found in request message.",
        )
    ]
    assert violations(server, f"/v1/{PLACE}/processors?pageSize=x") == [
        ("page_size", "Invalid value at 'page_size' (TYPE_INT32), \"x\"")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        json.dumps(BODY).encode("utf-16"),
        b'{"imagelessMode": NaN}',
        b'{"inlineDocument":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
        b'{"labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["half", "null", "list", "utf-16", "nan", "deep", "deeper"],
)
def test_what_is_no_body_is_a_bad_request(server: DocumentAIServer, body: bytes) -> None:
    status, answer = ask(server, PROCESS, body)
    error = json.loads(answer)["error"]
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"].startswith("Invalid JSON payload received.")


def test_whoever_sends_too_slowly_holds_no_place(server: DocumentAIServer) -> None:
    http = HttpServer(
        RestFront(server.service, RestOptions(max_calls=1, body_seconds=0.5)).app, RestOptions(grace_seconds=1.0)
    )
    http.start()
    try:
        with socket.create_connection(("127.0.0.1", http.port)) as slow:
            slow.sendall(f"POST {PROCESS} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{".encode())
            slow.settimeout(10)
            assert b"504" in slow.recv(100)
        url = f"http://127.0.0.1:{http.port}/v1/{PLACE}/processors/ocr"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
    finally:
        http.stop()


# --- parts of an answer


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?fields=document(text,pages/pageNumber)", {}),
        ("?fields=document.text,document.pages.pageNumber", {}),
        ("?%24fields=document.text,document.pages.pageNumber", {}),
        ("", {"X_Goog_FieldMask": "document.text,document.pages.page_number"}),
    ],
)
def test_parts_of_an_answer_can_be_chosen(server: DocumentAIServer, query: str, headers: dict[str, str]) -> None:
    status, answer = ask(server, PROCESS + query, BODY, **headers)
    text = "This is page number 1 of the document.\n"
    assert (status, json.loads(answer)) == (200, {"document": {"text": text, "pages": [{"pageNumber": 1}]}})


def test_a_choice_of_everything_of_nothing_and_of_lists(server: DocumentAIServer) -> None:
    assert json.loads(ask(server, PROCESS, BODY, X_Goog_FieldMask="*")[1])["humanReviewStatus"]
    names = json.loads(ask(server, f"/v1/{PLACE}/processors?fields=processors/type")[1])["processors"]
    assert {tuple(one) for one in names} == {("type",)}
    for wrong in ("nope", "document.nope", "document(text", "document)", "document.text.more"):
        status, answer = ask(server, f"{PROCESS}?fields={wrong}", BODY)
        assert status == 400, wrong
        assert "Invalid field selection" in answer.decode()


def test_answers_are_pretty_when_asked_for_and_json_alone(server: DocumentAIServer) -> None:
    plain = ask(server, PROCESS + "?alt=json", {**BODY, "fieldMask": "text"})[1]
    pretty = ask(server, PROCESS + "?%24prettyPrint=true", {**BODY, "fieldMask": "text"})[1]
    assert plain.count(b"\n") == 0
    assert pretty.count(b"\n") > 3
    assert json.loads(plain) == json.loads(pretty)
    for alt in ("proto", "media", "xml"):
        assert ask(server, f"{PROCESS}?alt={alt}", BODY)[0] == 400


# --- gRPC by hand


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"\x0a\x7fabc", b"\x0a\x02\xff\xfe"], ids=["noise", "cut", "no-text"]
)
def test_bytes_that_are_no_message_are_the_callers_mistake(server: DocumentAIServer, data: bytes) -> None:
    with grpc.insecure_channel(str(server.addresses[0].grpc)) as channel:
        with pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary(f"/{DOCUMENTAI}/ProcessDocument")(data, timeout=10)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary(f"/{DOCUMENTAI}/NoSuchMethod")(b"", timeout=10)
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


# --- v1beta3


def fields_of(descriptor: Any, seen: set[str]) -> dict[tuple[str, int], tuple[str, int, bool]]:
    """(message, number) -> name, type and whether it is repeated, of a message and all below it."""
    name = descriptor.full_name.replace(".v1beta3.", ".v1.")
    if name in seen:
        return {}
    seen.add(name)
    found = {}
    for field in descriptor.fields:
        found[name, field.number] = (field.name, field.type, field.is_repeated)
        if field.message_type is not None:
            found |= fields_of(field.message_type, seen)
    return found


def test_the_older_version_has_the_same_messages_on_the_wire() -> None:
    for method in METHODS:
        for place in (method.request_type, method.response_type):
            module, _, name = place.partition(":")
            if module == "google.cloud.documentai_v1":
                new = fields_of(getattr(documentai_v1, name).pb().DESCRIPTOR, set())
                old = fields_of(getattr(documentai_v1beta3, name).pb().DESCRIPTOR, set())
                assert {key: old.get(key) for key in new} == new, name


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_clients_of_the_older_version_are_answered(server: DocumentAIServer, transport: str) -> None:
    from google.auth.credentials import AnonymousCredentials

    kind = documentai_v1beta3.DocumentProcessorServiceClient
    if transport == "grpc":
        channel = grpc.insecure_channel(str(server.addresses[0].grpc), options=BIG)
        client = kind(transport=kind.get_transport_class("grpc")(channel=channel))
    else:
        endpoint = {"api_endpoint": server.addresses[0].rest}
        client = kind(transport="rest", credentials=AnonymousCredentials(), client_options=endpoint)
    place = f"projects/older-{transport}/locations/us"
    with client:
        raw = documentai_v1beta3.RawDocument(content=numbered_pdf(1), mime_type="application/pdf")
        request = documentai_v1beta3.ProcessRequest(name=f"{place}/processors/ocr", raw_document=raw)
        assert client.process_document(request=request).document.text == "This is page number 1 of the document.\n"
        wanted = documentai_v1beta3.Processor(type_="OCR_PROCESSOR", display_name="mine")
        made = client.create_processor(parent=place, processor=wanted)
        done = client.disable_processor(request={"name": made.name})
        assert isinstance(done.result(timeout=10), documentai_v1beta3.DisableProcessorResponse)
        assert isinstance(done.metadata, documentai_v1beta3.DisableProcessorMetadata)
        assert client.get_processor(name=made.name).state == documentai_v1beta3.Processor.State.DISABLED
        with pytest.raises(MethodNotImplemented):
            client.batch_process_documents(request={"name": made.name})
