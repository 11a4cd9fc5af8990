"""Requests that carry pages of several documents: each has its share, and the request has links to all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cloud_documentai_server import CLOUD, cloud_worker, told
from test_traces import dispatching
from worker_service import WorkerService

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.domain.work import DocumentState
from documentai_clients import pdf_of
from trace_collector import attempts, check_chain, collecting, names


@pytest.mark.slow
def test_pages_of_several_documents_in_one_request(tmp_path: Path) -> None:
    options = ServerOptions(
        readers=ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=60), grace_seconds=1.0
    )
    with DocumentAIServer(options) as server, collecting() as collector:
        documentai = {
            "project": "tests", "endpoint": server.addresses[0].grpc, "insecure": True, "anonymous": True,
            "processors": [{"id": "ocr", "location": "eu"}],
        }  # fmt: skip
        made = WorkerService(
            tmp_path, "", documentai=documentai, telemetry={"otlp_endpoint": collector.url},
            cascade={"calls_in_flight": 1, "max_wait_ms": {"normal": 4000}},
        )  # fmt: skip
        try:
            made.worker()
            documents = [made.submit(pdf_of(*told(n)), options=CLOUD) for n in range(3)]
            with dispatching(made), cloud_worker(made):
                for one in documents:
                    assert made.wait_end(one, 90).state is DocumentState.SUCCEEDED
                traces = {
                    one.document_id: collector.wait(
                        one.document_id,
                        lambda found: {"document", "store results", "store pages"} <= set(names(found)),
                        40,
                    )
                    for one in documents
                }
        finally:
            made.close()
    shares = []
    for spans in traces.values():
        check_chain(spans)
        assert [step for step, _, outcome in attempts(spans) if outcome == "done"] == ["plan", "cloud", "assemble"]
        shares += [one for one in spans if one.name in ("engine request", "engine request share")]
        assert names(spans)["store pages"] == 1
    assert len(shares) == 3
    assert {one.service for one in shares} == {"docfleet-cloud-worker"}
    joint = [one for one in collector.spans if one.name == "engine request" and one.links]
    told_links = {link for one in joint for link in one.links}
    assert told_links == {(one.trace_id, one.span_id) for one in shares if one.name == "engine request share"}
    assert joint, "no request carried pages of several documents"
    assert all(one.attributes["docfleet.outcome"] == "ok" and not one.parent_id for one in joint)
    assert all(one.links for one in shares if one.name == "engine request share")
