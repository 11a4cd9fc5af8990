"""The server's doors: endpoint-only clients, mutual TLS, keys, several endpoints, health, processors, bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.cloud import documentai
from google.cloud.documentai_v1.services.document_processor_service.transports import rest_base
from google.cloud.documentai_v1beta3.services.document_processor_service.transports import rest_base as rest_beta

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.methods import MethodTable
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.tls import TlsFiles, environment_lines, self_signed
from docfleet.errors import UsageError
from documentai_clients import client_over, numbered_pdf, refused

PLACE = "projects/my-project/locations/us"
KEY = "a-key-of-sixteen-characters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documentai-doors")


@pytest.fixture(scope="module")
def clients_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(folder: Path, clients_authority: trustme.CA) -> Iterator[DocumentAIServer]:
    tls = self_signed(folder / "tls")
    clients_authority.cert_pem.write_to_path(str(folder / "clients.pem"))
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=0, blank=True),
        listeners=(
            Listener("plain"),
            Listener("tls", tls=tls),
            Listener("mutual", tls=TlsFiles(tls.certificate, tls.key, folder / "clients.pem"), rest_port=None),
            Listener("eu", rest_port=None, locations=("eu",)),
        ),
        data_folder=folder / "data",
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        yield running


def request_of(place: str = PLACE, pages: int = 1) -> documentai.ProcessRequest:
    raw = documentai.RawDocument(content=numbered_pdf(pages), mime_type="application/pdf")
    return documentai.ProcessRequest(name=f"{place}/processors/ocr", raw_document=raw, imageless_mode=True)


@pytest.mark.parametrize(("base", "version"), [(rest_base, "/v1/"), (rest_beta, "/v1beta3/")])
def test_every_rest_rule_of_the_client_is_known(base: Any, version: str) -> None:
    known = {(rule.verb, rule.pattern, rule.body) for method in MethodTable() for rule in method.rules}
    transport = base._BaseDocumentProcessorServiceRestTransport
    for name in set(dir(transport)) - {"_BaseImportProcessorVersion"}:
        options = getattr(getattr(transport, name), "_get_http_options", None)
        for option in options() if options else ():
            if option["uri"].startswith(version):
                assert (option["method"].upper(), option["uri"], option.get("body", "")) in known, name


CHILD = """
import sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import documentai
transport, endpoint, name = sys.argv[1:]
client = documentai.DocumentProcessorServiceClient(
    transport=transport, credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})
print(client.get_processor(name=name, timeout=20).type_)
"""


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_client_moves_by_its_endpoint_alone(server: DocumentAIServer, folder: Path, transport: str) -> None:
    address = server.addresses[1]
    assert address.rest is not None
    endpoint = address.grpc if transport == "grpc" else address.rest.removeprefix("https://")
    lines = dict(line.removeprefix("export ").split("=", 1) for line in environment_lines(folder / "tls"))
    command = [sys.executable, "-W", "ignore", "-c", CHILD, transport, str(endpoint), f"{PLACE}/processors/ocr"]
    done = subprocess.run(command, env={**lines, "PATH": ""}, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "OCR_PROCESSOR\n", done.stderr


def test_mutual_tls(server: DocumentAIServer, folder: Path, clients_authority: trustme.CA) -> None:
    own = clients_authority.issue_cert("caller@example.com")
    address, authority = server.addresses[2], folder / "tls" / "ca.pem"
    shown = {
        "private_key": own.private_key_pem.bytes(),
        "certificate_chain": own.cert_chain_pems[0].bytes(),
    }
    with client_over("grpc_tls", address, authority, **shown) as client:
        assert client.get_processor(name=f"{PLACE}/processors/ocr").type_ == "OCR_PROCESSOR"
    with client_over("grpc_tls", address, authority) as client:
        found = refused(lambda: client.get_processor(name=f"{PLACE}/processors/ocr", timeout=5))
        assert found.code in (503, 504)


def test_a_listener_plays_one_location(server: DocumentAIServer) -> None:
    with client_over("grpc", server.addresses[3]) as client:
        found = refused(lambda: client.process_document(request=request_of(), retry=None))
        assert (found.code, found.message) == (400, "Request contains an invalid argument.")
        assert client.process_document(request=request_of(PLACE.replace("/us", "/eu"))).document.pages


def test_health(server: DocumentAIServer) -> None:
    with urllib.request.urlopen(f"{server.addresses[0].rest}/healthz") as answer:
        assert answer.status == 200
    with grpc.insecure_channel(str(server.addresses[0].grpc)) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01"


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_processors_are_made_listed_and_changed(server: DocumentAIServer, transport: str) -> None:
    place = f"projects/{transport}-project/locations/eu"
    with client_over(transport, server.addresses[0]) as client:
        wanted = documentai.Processor(type_="OCR_PROCESSOR", display_name="mine")
        made = client.create_processor(parent=place, processor=wanted)
        assert made.state == documentai.Processor.State.ENABLED
        assert client.get_processor(name=made.name).display_name == "mine"
        names = [one.name for one in client.list_processors(request={"parent": place, "page_size": 2})]
        assert len(names) == len(set(names)) == 5
        assert made.name in names
        assert len(list(client.list_processor_types(parent=place))) > 10
        assert any(one.type_ == "OCR_PROCESSOR" for one in client.fetch_processor_types(parent=place).processor_types)
        operation = client.disable_processor(request={"name": made.name})
        assert operation.done()
        client.get_operation({"name": operation.operation.name})
        assert client.get_processor(name=made.name).state == documentai.Processor.State.DISABLED
        request = request_of(place)
        request.name = made.name
        assert refused(lambda: client.process_document(request=request)).code == 400
        client.enable_processor(request={"name": made.name}).result(timeout=5)
        assert client.process_document(request=request).document.pages
        version = next(one.name for one in client.list_processor_versions(parent=made.name))
        request_default = {"processor": made.name, "default_processor_version": version}
        client.set_default_processor_version(request=request_default).result(timeout=5)
        assert client.get_processor(name=made.name).default_processor_version == version
        client.delete_processor(name=made.name).result(timeout=5)
        assert refused(lambda: client.get_processor(name=made.name)).code == 404
        bad = documentai.Processor(type_="NO_SUCH_PROCESSOR")
        assert refused(lambda: client.create_processor(parent=place, processor=bad)).code == 400


@pytest.mark.parametrize("paths", ["text,pages.page_number", "text,pages.pageNumber"])
def test_json_by_hand(server: DocumentAIServer, paths: str) -> None:
    import base64

    content = base64.urlsafe_b64encode(numbered_pdf(1)).decode().rstrip("=")
    body = {"raw_document": {"content": content, "mimeType": "application/pdf"}, "fieldMask": paths}
    url = f"{server.addresses[0].rest}/v1/{PLACE}/processors/ocr:process"
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        assert json.load(answer)["document"]["pages"] == [{"pageNumber": 1}]
    for wrong in (b"{", b"[]", b'{"nothing": 1}', b'{"rawDocument": {"content": "???"}}'):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(urllib.request.Request(url, wrong, headers))
        with refusal.value as error:
            assert json.load(error)["error"]["status"] == "INVALID_ARGUMENT"


def test_more_documents_than_there_is_room_for(server: DocumentAIServer) -> None:
    codes: list[int] = []

    def call() -> None:
        with client_over("rest", server.addresses[0]) as client:
            try:
                client.process_document(request=request_of(pages=29), retry=None)
            except Exception as error:
                codes.append(int(error.code))  # type: ignore[attr-defined]

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {429}
    assert len(codes) < 8


def test_keys(folder: Path) -> None:
    options = ServerOptions(
        readers=ReaderOptions(settings={}, readers=1, blank=True), keys={"tests": KEY}, grace_seconds=1.0
    )
    with DocumentAIServer(options) as running:
        address = running.addresses[0]
        name = f"{PLACE}/processors/ocr"
        for transport in ("grpc", "rest"):
            with client_over(transport, address) as client:

                def get(metadata: Any = (), client: Any = client) -> Any:
                    return client.get_processor(name=name, metadata=metadata)

                assert refused(lambda: get([("x-goog-api-key", "wrong")])).reason == "API_KEY_INVALID"
                if transport == "grpc":
                    # over REST the client would want new credentials after these
                    assert refused(get).code == 401
                    assert refused(lambda: get([("authorization", "Bearer wrong")])).code == 401
                assert get([("x-goog-api-key", KEY)]).type_ == "OCR_PROCESSOR"
                assert get([("authorization", f"Bearer {KEY}")]).type_ == "OCR_PROCESSOR"
    with pytest.raises(UsageError):
        DocumentAIServer(ServerOptions(readers=options.readers, keys={"short": "abc"}))
