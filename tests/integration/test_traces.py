"""One trace for each document, told by real processes to a real collector, without a gap whatever happens."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worker_service import WorkerService, page_image, wait_for

from docfleet.dispatch.run import run_dispatcher
from docfleet.domain.work import DocumentState
from docfleet.ledger.service_values import ReadingOptions
from docfleet.stack.housekeeping import dispatch_parts
from docfleet.stack.servers import RedisServer, start_redis
from docfleet.telemetry.otlp import exporting
from docfleet.telemetry.traces import trace_of
from ledger_driver import PostgresServer
from trace_collector import Collector, Seen, attempts, check_chain, collecting, names

SLOW = 415
"""Width of a page of which the engine `poison` needs height / 100 seconds."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with start_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@contextmanager
def dispatching(made: WorkerService) -> Iterator[None]:
    """The dispatcher of this service, as a thread of this process."""
    telemetry = made.settings.telemetry
    parts = dispatch_parts(made.runtime, lambda: None, lambda gauges: None)
    stop = threading.Event()
    with exporting(telemetry.otlp_options(), "dispatcher"):
        thread = threading.Thread(target=run_dispatcher, args=(parts, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            parts.waking.close()
            thread.join()


@contextmanager
def serving(folder: Path, collector: Collector, ledger: str = "", broker: str = "", **sections: Any) -> Iterator[Any]:
    telemetry = {"otlp_endpoint": collector.url, **sections.pop("telemetry", {})}
    made = WorkerService(folder, ledger, broker, telemetry=telemetry, **sections)
    try:
        with dispatching(made):
            yield made
    finally:
        made.close()


def is_over(spans: list[Seen]) -> bool:
    return {"document", "store results"} <= set(names(spans))


# of a service on SQLite tests/acceptance/test_traces_and_logs.py says the same
@pytest.mark.parametrize("where", [pytest.param("sqlite", marks=pytest.mark.slow), "redis and postgres"])
def test_a_document_has_one_trace_without_a_gap(
    where: str, tmp_path: Path, collector: Collector, request: pytest.FixtureRequest
) -> None:
    ledger = broker = ""
    if where != "sqlite":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        ledger, broker = postgres.url(postgres.new_ledger()), request.getfixturevalue("redis").url
    with serving(tmp_path, collector, ledger, broker) as made:
        made.worker()
        one, other = made.submit(page_image(201)), made.submit(page_image(202))
        for document in (one, other):
            made.wait_end(document, 60)
            spans = collector.wait(document.document_id, is_over)
            check_chain(spans)
            assert attempts(spans) == [("plan", 1, "done")]
            assert names(spans) == {
                "document": 1, "queue": 1, "attempt": 1, "fetch": 1, "open": 1, "read": 1, "write results": 1,
                "store results": 1,
            }  # fmt: skip
            assert {one.service for one in spans} == {"docfleet-dispatcher", "docfleet-worker"}
            [read] = [one for one in spans if one.name == "read"]
            assert [(name, at["docfleet.page"]) for name, at in read.events] == [("page", 1)]
    assert len({spans.trace_id for spans in collector.spans}) == 2


def test_a_killed_worker_leaves_no_gap(tmp_path: Path, collector: Collector, engines: Path) -> None:
    """The attempt that died is told all the same, beside the one that came after it."""
    with serving(tmp_path, collector) as made:
        supervisor = made.worker(path=engines)
        document = made.submit(page_image(SLOW, 200), options=_options("poison"))
        wait_for(lambda: any(row.state == "running" for row in made.slices(document)), 60)
        time.sleep(0.3)
        [slot] = supervisor.slots()
        os.kill(slot, signal.SIGKILL)
        made.wait_end(document, 90)
        spans = collector.wait(document.document_id, is_over)
        check_chain(spans)
        told = [one for one in spans if one.name == "attempt"]
        assert [(one.attributes["docfleet.attempt"], one.attributes["docfleet.outcome"]) for one in told][:2] == [
            (1, "worker_died"), (2, "done"),
        ]  # fmt: skip
        assert told[0].error == "worker_died"
        assert names(spans)["queue"] == len(told)


@pytest.mark.slow
def test_a_whole_worker_that_vanishes_leaves_no_gap(tmp_path: Path, collector: Collector, engines: Path) -> None:
    """Supervisor and slots at once: nobody is left to tell but the ledger."""
    with serving(tmp_path, collector) as made:
        supervisor = made.worker(path=engines)
        document = made.submit(page_image(SLOW, 210), options=_options("poison"))
        wait_for(lambda: any(row.state == "running" for row in made.slices(document)), 60)
        slots = supervisor.slots()
        supervisor.process.kill()
        for slot in slots:
            os.kill(slot, signal.SIGKILL)
        made.worker(path=engines)
        made.wait_end(document, 90)
        spans = collector.wait(document.document_id, is_over)
        check_chain(spans)
        outcomes = [outcome for _, _, outcome in attempts(spans)]
        assert outcomes[0] in ("worker_died", "worker_lost")
        assert outcomes[-1] == "done"


def test_attempts_that_fail_are_siblings_with_their_cause(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, collector, telemetry={"trace_ratio": 0.0}) as made:
        made.worker()
        well = made.submit(page_image(204))
        document = made.submit(page_image(205), options=_options("nowhere"))
        assert made.wait_end(document, 90).state is DocumentState.FAILED
        # not chosen, and told because it failed; of the try that was the last, what the worker saw, too
        spans = collector.wait(document.document_id, lambda found: {"document", "read"} <= names(found).keys())
        check_chain(spans)
        assert names(spans).keys() == {"document", "queue", "attempt", "fetch", "open", "read"}
        [last] = [one for one in spans if one.attributes.get("docfleet.outcome") == "dead"]
        assert {one.parent_id for one in spans if one.name in ("fetch", "open", "read")} == {last.span_id}
        assert made.wait_end(well, 60).state is DocumentState.SUCCEEDED
        assert not [one for one in collector.spans if one.trace_id == trace_of(well.document_id).trace_id]
        outcomes = [outcome for _, _, outcome in attempts(spans)]
        assert (outcomes[0], outcomes[-1]) == ("error", "dead")
        assert {one.error for one in spans if one.attributes.get("docfleet.outcome") == "error"} == {
            "engine_unavailable"
        }
        [whole] = [one for one in spans if one.name == "document"]
        assert whole.error
        assert whole.attributes["error.type"] == whole.error
        made.runtime.desk.retry("acme", document.document_id)
        made.wait_end(document, 90)
        spans = collector.wait(document.document_id, lambda found: "tried again" in names(found))
        check_chain(spans)
        rounds = {one.span_id: one.attributes["docfleet.round"] for one in spans if one.name != "queue"
                  and "docfleet.round" in one.attributes}  # fmt: skip
        assert sorted(rounds.values()) == [1, 2]
        assert {one.parent_id for one in spans if one.name == "attempt"} == set(rounds)


@pytest.mark.slow
def test_a_share_of_the_documents_is_told(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path, collector, telemetry={"trace_ratio": 0.5}) as made:
        made.worker(slots=2)
        documents = [made.submit(page_image(210 + n)) for n in range(6)]
        for document in documents:
            made.wait_end(document, 60)
        chosen = {one.document_id for one in documents if trace_of(one.document_id, "", 0.5).is_sampled}
        for one in chosen:
            check_chain(collector.wait(one, is_over))
        assert {span.document for span in collector.spans if span.document} == chosen


@pytest.mark.slow
def test_work_goes_on_while_the_collector_is_away(tmp_path: Path, collector: Collector) -> None:
    collector.answer = 503
    with serving(tmp_path, collector) as made:
        made.worker()
        document = made.submit(page_image(230))
        assert made.wait_end(document, 60).state is DocumentState.SUCCEEDED
        wait_for(lambda: collector.requests > 1)
        assert not collector.spans
        collector.answer = 200
        check_chain(collector.wait(document.document_id, is_over, 40))


def _options(engine: str) -> ReadingOptions:
    return ReadingOptions(("txt",), mode="ocr", engine=engine)
