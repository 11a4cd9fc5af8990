"""Batches as Google's clients ask for them, the toolbox on their results, and a server that is killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import documentai, storage
from google.cloud.documentai_toolbox import document as toolbox

from docfleet.documentai_server.app import Address, DocumentAIServer
from docfleet.documentai_server.options import Listener, ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.documentai_server.storage import StorageOptions
from documentai_clients import client_over, numbered_pdf, refused
from running import end, start

OCR = "projects/my-project/locations/us/processors/ocr"
BATCH = documentai.BatchProcessMetadata.State


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentAIServer]:
    folder = tmp_path_factory.mktemp("documentai-batches")
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=4),
        listeners=(Listener("plain"),),
        storage=StorageOptions(folder / "buckets"),
        data_folder=folder / "data",
        emulation_port=0,
        grace_seconds=1.0,
    )
    with DocumentAIServer(options) as running:
        yield running


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, server: DocumentAIServer) -> Iterator[Any]:
    with client_over(request.param, server.addresses[0]) as made:
        yield made


@pytest.fixture
def buckets(server: DocumentAIServer, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    """Google's own storage client, pointed at the server by the environment alone."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", str(server.addresses[0].rest))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    return storage.Client(project="my-project", credentials=AnonymousCredentials())


def request_for(*uris: str, output: str = "gs://results/out", **more: Any) -> documentai.BatchProcessRequest:
    documents = [{"gcs_uri": uri, "mime_type": "application/pdf"} for uri in uris]
    return documentai.BatchProcessRequest(
        name=OCR,
        input_documents={"gcs_documents": {"documents": documents}},
        document_output_config={"gcs_output_config": {"gcs_uri": output, **more}},
    )


def test_googles_client_submits_polls_and_the_toolbox_reads(
    client: Any, buckets: storage.Client, server: DocumentAIServer
) -> None:
    buckets.bucket("papers").blob("long.pdf").upload_from_string(numbered_pdf(7), content_type="application/pdf")
    buckets.bucket("papers").blob("short.pdf").upload_from_string(numbered_pdf(1), content_type="application/pdf")
    asked = request_for("gs://papers/long.pdf", "gs://papers/short.pdf", sharding_config={"pages_per_shard": 3})
    operation = client.batch_process_documents(request=asked)
    assert re.fullmatch(r"projects/\w+/locations/(\w+)/operations/\w+", operation.operation.name)
    operation.result(timeout=60)
    assert operation.metadata.state == BATCH.SUCCEEDED
    read = toolbox.Document.from_batch_process_metadata(metadata=operation.metadata)
    assert [len(one.shards) for one in read] == [3, 1]
    assert [page.page_number for page in read[0].pages] == [1, 2, 3, 4, 5, 6, 7]
    for number, page in enumerate(read[0].pages, 1):
        assert page.text.startswith(f"This is page number {number} of the document.")
        assert page.lines[0].text == f"This is page number {number} of the document.\n"
    merged = read[0].to_merged_documentai_document()
    assert merged.text == "".join(page.text for page in read[0].pages)
    where = operation.metadata.individual_process_statuses[0].output_gcs_destination
    bucket, _, prefix = where.removeprefix("gs://").partition("/")
    again = toolbox.Document.from_gcs(gcs_bucket_name=bucket, gcs_prefix=prefix + "/")
    assert again.text == read[0].text


def test_operations_over_both_transports(client: Any, buckets: storage.Client) -> None:
    buckets.bucket("papers").blob("short.pdf").upload_from_string(numbered_pdf(1))
    operation = client.batch_process_documents(request=request_for("gs://papers/short.pdf", "gs://papers/none.pdf"))
    operation.result(timeout=60)
    name = operation.operation.name
    assert client.get_operation({"name": name}).done
    listed = client.list_operations({"name": "projects/my-project/locations/us/operations"})
    assert name in [one.name for one in listed.operations]
    client.cancel_operation({"name": name})
    assert [one.status.code for one in operation.metadata.individual_process_statuses] == [0, 5]
    gone = name.rpartition("/")[0] + "/1"
    assert refused(lambda: client.get_operation({"name": gone})).code == 404


def test_an_operation_that_failed_raises_in_the_client(client: Any, buckets: storage.Client) -> None:
    buckets.bucket("papers").blob("bad.pdf").upload_from_string(b"nothing")
    operation = client.batch_process_documents(request=request_for("gs://papers/bad.pdf"))
    with pytest.raises(Exception, match="Failed to process all documents"):
        operation.result(timeout=60)


def test_one_batch_too_many_is_a_quota(client: Any, buckets: storage.Client, server: DocumentAIServer) -> None:
    buckets.bucket("papers").blob("short.pdf").upload_from_string(numbered_pdf(1))
    url = f"{server.emulation_address}/emulation"
    httpx.put(url, json={"concurrent_batches": 0}).raise_for_status()
    try:
        no = refused(lambda: client.batch_process_documents(request=request_for("gs://papers/short.pdf"), retry=None))
    finally:
        httpx.put(url, json={}).raise_for_status()
    assert (no.code, no.reason) == (429, "RATE_LIMIT_EXCEEDED")


def test_the_storage_client_lists_pages_reads_ranges_and_deletes(buckets: storage.Client) -> None:
    bucket = buckets.bucket("shelf")
    names = ["a/one.txt", "a/two ü#.txt", "b/three.txt", "top.txt"]
    for name in names:
        bucket.blob(name).upload_from_string(f"content of {name}")
    assert [one.name for one in buckets.list_blobs("shelf", page_size=3)] == names
    assert [one.name for one in buckets.list_blobs("shelf", prefix="a/t")] == ["a/two ü#.txt"]
    level = buckets.list_blobs("shelf", delimiter="/")
    assert [one.name for one in level] == ["top.txt"]
    assert level.prefixes == {"a/", "b/"}
    assert bucket.blob("a/two ü#.txt").download_as_bytes() == "content of a/two ü#.txt".encode()
    assert bucket.blob("top.txt").download_as_bytes(start=3, end=6) == b"tent"
    assert buckets.get_bucket("shelf").name == "shelf"
    assert not bucket.blob("nothing").exists()
    bucket.blob("top.txt").delete()
    assert not bucket.blob("top.txt").exists()
    large = os.urandom(3 * 256 * 1024 + 17)
    bucket.blob("large", chunk_size=256 * 1024).upload_from_string(large)
    assert bucket.blob("large").download_as_bytes() == large
    for bad in ("../out", "a//b", "a/./b"):
        with pytest.raises(Exception, match="400"):
            bucket.blob(bad).upload_from_string("x")


# --- killed in the middle


class Command:
    """The real command with its state in a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = start(
            *("documentai-server", "--grpc-port", 0, "--rest-port", 0, "--engine", "null", "--readers", 1),
            *("--data", folder / "data", "--storage", folder / "buckets"),
        )
        found: dict[str, str] = {}
        assert self.process.stdout is not None
        while len(found) < 2:
            line = self.process.stdout.readline().decode()
            assert line, "the server did not start"
            if told := re.match(r"docfleet Document AI (gRPC|REST) on (\S+)", line):
                found[told[1]] = told[2]
        self.address = Address("", found["gRPC"], found["REST"])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end(process)
        process.communicate()


@pytest.mark.slow
def test_a_batch_outlives_a_server_that_is_killed(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    count = 12
    papers = tmp_path / "buckets" / "papers"
    papers.mkdir(parents=True)
    for n in range(count):
        (papers / f"{n:02}.pdf").write_bytes(numbered_pdf(6))
    asked = request_for(*(f"gs://papers/{n:02}.pdf" for n in range(count)), sharding_config={"pages_per_shard": 2})
    server = Command(tmp_path)
    started.append(server.process)
    with client_over("grpc", server.address) as client:
        name = client.batch_process_documents(request=asked).operation.name
    results = tmp_path / "buckets" / "results"
    for progress in (2, 7):
        wait_until(lambda wanted=progress: len(list(results.rglob("*-2.json"))) >= wanted)  # type: ignore[misc]
        server.kill()
        assert len(list(results.rglob("*-2.json"))) < count
        server = Command(tmp_path)
        started.append(server.process)
    with client_over("rest", server.address) as client:
        wait_until(lambda: client.get_operation({"name": name}).done)
        metadata = documentai.BatchProcessMetadata.deserialize(client.get_operation({"name": name}).metadata.value)
    assert metadata.state == BATCH.SUCCEEDED
    assert [one.status.code for one in metadata.individual_process_statuses] == [0] * count
    files = sorted(str(path.relative_to(results)) for path in results.rglob("*") if path.is_file())
    id = name.rpartition("/")[2]
    assert files == sorted(f"out/{id}/{n}/{n:02}-{shard}.json" for n in range(count) for shard in range(3))
    for path in results.rglob("*.json"):
        assert len(json.loads(path.read_bytes())["pages"]) == 2


def wait_until(true: Any, seconds: float = 90.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
