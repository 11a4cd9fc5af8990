"""`docfleet serve` with Document AI set up: one command, and what asks for the cloud engine is read by it."""

from __future__ import annotations

import json
from pathlib import Path

from test_serve import connect, running

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from documentai_clients import pdf_of


def test_what_asks_for_the_cloud_engine_is_read_by_it(tmp_path: Path) -> None:
    reader = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=8)
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(pdf_of("read in the cloud", "and so is this"))
    with DocumentAIServer(ServerOptions(readers=reader, grace_seconds=1.0)) as server:
        env = {
            "DOCFLEET_DOCUMENTAI__PROJECT": "tests",
            "DOCFLEET_DOCUMENTAI__PROCESSORS": json.dumps([{"id": "ocr", "location": "eu"}]),
            "DOCFLEET_DOCUMENTAI__ENDPOINT": str(server.addresses[0].grpc),
            "DOCFLEET_DOCUMENTAI__INSECURE": "true",
            "DOCFLEET_DOCUMENTAI__ANONYMOUS": "true",
            "DOCFLEET_DOCUMENTAI__RESIDENCY": json.dumps({"default": ["eu"]}),
        }
        arguments = ("serve", "--port", 0, "--data", tmp_path / "data", "--slots", 1)
        with running(*arguments, folder=tmp_path, **env) as (_, said):
            client = connect(said["url"], said["api_key"])
            document = client.submit(scan, engine="documentai", mode="ocr").wait(90)
            assert document.state == "succeeded"
            assert document.result("txt").decode().split() == "read in the cloud and so is this".split()
