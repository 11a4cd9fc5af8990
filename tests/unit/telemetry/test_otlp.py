"""Sending spans: nobody waits for it, nothing grows, and what is lost is counted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from docfleet.errors import UsageError
from docfleet.settings import read_settings
from docfleet.telemetry import otlp
from docfleet.telemetry.otlp import Exporter, exporting, resource_of
from docfleet.telemetry.otlp_options import OtlpOptions
from docfleet.telemetry.spans import ATTEMPT, DOCUMENT
from docfleet.telemetry.traces import Link, Span, SpanEvent, is_on, tell
from trace_collector import collecting


def some(number: int = 1) -> Span:
    return Span(DOCUMENT, "a" * 32, f"{number:016x}", "", 1000.5, 1001.25, {"docfleet.document": str(number)})


def test_a_span_arrives_as_it_is() -> None:
    whole = Span(
        ATTEMPT, "a" * 32, "b" * 16, "c" * 16, 1_700_000_000.000123, 1_700_000_001.5,
        {"docfleet.attempt": 2, "docfleet.cause": "x", "docfleet.seconds": 0.5, "docfleet.hedge": True},
        (SpanEvent("page", 1_700_000_000.25, {"docfleet.page": 1}),), (Link("d" * 32, "e" * 16),), "worker_died",
    )  # fmt: skip
    with collecting() as collector, exporting(OtlpOptions(collector.url, headers={"x-tenant": "hush"}), "worker", "eu"):
        assert is_on()
        tell(whole)
    assert not is_on()
    [seen] = collector.spans
    assert seen.service == "docfleet-worker"
    assert seen.kind == 5
    assert (seen.trace_id, seen.span_id, seen.parent_id) == ("a" * 32, "b" * 16, "c" * 16)
    assert (seen.start, seen.end) == (pytest.approx(1_700_000_000.000123, abs=1e-6), 1_700_000_001.5)
    assert seen.attributes == whole.attributes
    assert seen.events == (("page", {"docfleet.page": 1}),)
    assert seen.links == (("d" * 32, "e" * 16),)
    assert seen.error == "worker_died"
    assert collector.headers[0]["x-tenant"] == "hush"
    assert collector.headers[0]["content-encoding"] == "gzip"


def test_many_go_in_few_requests() -> None:
    with collecting() as collector:
        exporter = Exporter(OtlpOptions(collector.url), resource_of("api", ""))
        for number in range(3000):
            exporter.take(some(number + 1))
        exporter.close(5.0)
    assert len(collector.spans) == 3000
    assert collector.requests <= 8
    assert (exporter.sent, exporter.dropped) == (3000, 0)


def test_nobody_waits_for_a_collector_that_is_away_and_nothing_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "MOST_WAITING", 700)
    exporter = Exporter(OtlpOptions("http://127.0.0.1:9"), resource_of("api", ""))
    started = time.monotonic()
    for number in range(2000):
        exporter.take(some(number + 1))
    assert time.monotonic() - started < 1.0
    assert exporter.dropped == 1300
    started = time.monotonic()
    exporter.close(1.0)
    assert time.monotonic() - started < 2.0
    assert exporter.sent == 0


def test_what_a_collector_refuses_is_counted_and_not_sent_again() -> None:
    with collecting() as collector:
        collector.rejects = 2
        exporter = Exporter(OtlpOptions(collector.url), resource_of("api", ""))
        for number in range(5):
            exporter.take(some(number + 1))
        exporter.close(5.0)
        assert (exporter.sent, exporter.dropped) == (3, 2)
        collector.answer = 400
        exporter = Exporter(OtlpOptions(collector.url), resource_of("api", ""))
        exporter.take(some())
        exporter.close(5.0)
    assert (exporter.sent, exporter.dropped) == (0, 1)
    assert collector.requests == 2


def test_without_an_endpoint_nothing_is_loaded() -> None:
    with exporting(OtlpOptions(), "api"):
        assert not is_on()


def test_the_variables_of_opentelemetry_are_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20hush, x-scope=a")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    options = read_settings().telemetry.otlp_options()
    assert options.url == "http://collector:4318/v1/traces"
    assert options.headers == {"authorization": "Basic hush", "x-scope": "a"}
    assert options.ratio == 0.25
    file = tmp_path / "headers"
    file.write_text("# for the collector\nX-Scope: b\n")
    own = {"otlp_endpoint": "https://own/v1/traces", "otlp_headers_file": file, "trace_ratio": 0.5}
    options = read_settings(telemetry=own).telemetry.otlp_options()
    assert (options.url, options.headers, options.ratio) == ("https://own/v1/traces", {"x-scope": "b"}, 0.5)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not read_settings().telemetry.otlp_options().endpoint
    file.write_text("no header")
    with pytest.raises(UsageError, match="is no header"):
        read_settings(telemetry=own).telemetry.otlp_options()


def test_no_process_loads_what_sends_traces_unless_they_are_wanted() -> None:
    parts = (
        "docfleet.cli.main, docfleet.worker.service, docfleet.worker.slot, docfleet.stack.web, docfleet.dispatch.run"
    )
    script = f"import {parts}, sys; print([name for name in sys.modules if name.startswith('opentelemetry.proto')])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1", None)
    with pytest.raises(UsageError, match=r"docfleet\[telemetry\]"), exporting(OtlpOptions("http://x:4318"), "api"):
        pass
