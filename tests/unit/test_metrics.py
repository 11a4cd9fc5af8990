"""Counting, handing over, and showing what was counted."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from docfleet.domain.urgency import TARGET_SECONDS
from docfleet.errors import UsageError
from docfleet.settings import Settings
from docfleet.stack.metrics import Below, certificate_files, metrics_below, telling
from docfleet.telemetry import catalog, endpoint, metrics
from docfleet.telemetry.catalog import METRICS, STAGE_DURATION
from docfleet.telemetry.certificates import Certificates, first_expiry
from docfleet.telemetry.exposition import Snapshot, decode, encode, here, render
from docfleet.telemetry.kinds import Kind
from docfleet.telemetry.labels import LABELS, OTHER, values_of
from docfleet.telemetry.logs import Logger
from docfleet.telemetry.metrics import Book, Exemplar, Measured

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """A book of this test's own, as of a process that counts."""
    made = Book()
    monkeypatch.setattr(metrics, "BOOK", made)
    monkeypatch.setattr(metrics, "_enabled", True)
    monkeypatch.setattr(metrics, "_sources", [])
    return made


def value_of(told: list[Measured], metric: str, *labels: str) -> float:
    [found] = [one.value for one in told if one.metric == metric and one.labels == labels]
    return found


# --- the catalogue


def test_names_follow_the_conventions() -> None:
    for name, metric in METRICS.items():
        assert name.startswith("docfleet_")
        assert (metric.kind is Kind.COUNTER) == name.endswith("_total")
        assert not name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_ms"))
        assert metric.help.endswith(".")
        assert set(metric.labels) <= set(LABELS)
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_label_is_used() -> None:
    assert {label for metric in METRICS.values() for label in metric.labels} == set(LABELS)


def test_every_target_is_a_bound() -> None:
    assert set(TARGET_SECONDS.values()) <= set(catalog.DOCUMENT_DURATION.buckets)


def test_series_are_bounded() -> None:
    """But for what is configured, the number of series does not depend on what is read or asked for."""
    as_configured = {"region", "budget", "version", "route", "endpoint", "quota"}
    for metric in METRICS.values():
        for label in metric.labels:
            of_its_own = metric.name.startswith("docfleet_documentai_")
            assert values_of(metric, label) or label in as_configured or of_its_own, (metric.name, label)


# --- counting


def test_nothing_is_counted_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Book()
    monkeypatch.setattr(metrics, "BOOK", made)
    monkeypatch.setattr(metrics, "_enabled", False)
    metrics.count(catalog.SLICES, 1, "pdf", "plan", "done")
    metrics.observe(STAGE_DURATION, 0.1, "pdf", "read")
    metrics.add([Measured(catalog.SLICES.name, ("pdf", "plan", "done"), 1.0)])
    assert metrics.take() == []
    assert made.read() == []


def test_unknown_values_are_other(book: Book) -> None:
    metrics.count(catalog.PAGES_READ, 2, "eu", "pdf", "their_engine")
    metrics.count(catalog.PAGES_READ, 3, "eu", "pdf", "another_engine")
    assert value_of(book.read(), catalog.PAGES_READ.name, "eu", "pdf", OTHER) == 5
    assert len(book.read()) == 1


def test_labels_as_configured_are_bounded_too(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 10)
    for number in range(100):
        metrics.count(catalog.BUILD, 1, f"0.{number}", "api")
    told = book.read()
    assert len(told) == 11
    assert value_of(told, catalog.BUILD.name, OTHER, OTHER) == 90


def test_a_block_that_raised_is_not_timed(book: Book) -> None:
    with metrics.timing(STAGE_DURATION, "pdf", "plan"):
        pass
    with pytest.raises(KeyError), metrics.timing(STAGE_DURATION, "pdf", "read"):
        raise KeyError
    assert [one.labels for one in book.read()] == [("pdf", "plan")]


def test_threads_lose_nothing(book: Book) -> None:
    def work() -> None:
        for _ in range(2000):
            metrics.count(catalog.SLICES, 1, "pdf", "plan", "done")
            metrics.observe(STAGE_DURATION, 0.5, "pdf", "read")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = book.read()
    assert value_of(told, catalog.SLICES.name, "pdf", "plan", "done") == 8000
    assert value_of(told, STAGE_DURATION.name, "pdf", "read") == 4000


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(["plan", "read"]), st.floats(0, 500)), max_size=20), max_size=6),
)
def test_slots_that_come_and_go_lose_nothing(lives: list[list[tuple[str, float]]]) -> None:
    """What many short books hand over is what one long book would hold."""
    long, supervisor = Book(), Book()
    for life in lives:
        slot = Book()
        for stage, seconds in life:
            long.observe(STAGE_DURATION, seconds, ("pdf", stage))
            slot.observe(STAGE_DURATION, seconds, ("pdf", stage))
        handed = msgspec.json.decode(msgspec.json.encode(slot.take()), type=list[Measured])
        assert slot.take() == []
        supervisor.add(handed)
    kept = {one.labels: one for one in supervisor.read()}
    for one in long.read():
        assert kept[one.labels].counts == one.counts
        assert kept[one.labels].value == pytest.approx(one.value)


def test_what_a_slot_says_is_not_believed_blindly(book: Book) -> None:
    metrics.add(
        [
            Measured("docfleet_no_such_total", (), 1.0),
            Measured(catalog.SLICES.name, ("pdf",), 1.0),
            Measured(catalog.SLICES.name, ("pdf", "plan", "done"), -5.0),
            Measured(STAGE_DURATION.name, ("pdf", "read"), 1.0, {99: 1}),
            Measured(catalog.SLOTS.name, ("pdf", "free"), 7.0),
        ]
    )
    assert book.read() == []


def test_sources_are_asked_at_the_scrape_and_a_broken_one_costs_the_others_nothing(book: Book) -> None:
    def broken() -> list[Measured]:
        raise RuntimeError("a defect")

    def free(number: int) -> metrics.Source:
        return lambda: [metrics.reading(catalog.SLOTS, number, "pdf", "free")]

    for source in (broken, free(2), free(3)):
        metrics.watch(source)
    assert value_of(metrics.read(), catalog.SLOTS.name, "pdf", "free") == 5
    metrics.unwatch(broken)


def test_what_is_not_known_any_more_is_not_told(book: Book) -> None:
    metrics.gauge(catalog.POOL_STUCK, 1, "pdf")
    metrics.forget(catalog.POOL_STUCK)
    assert book.read() == []


# --- showing


def test_a_histogram_is_cumulative_and_has_its_exemplar(book: Book) -> None:
    for seconds in (0.0005, 0.001, 0.0011, 1000.0):
        metrics.observe(STAGE_DURATION, seconds, "pdf", "read", trace_id=TRACE if seconds == 0.001 else "")
    media_type, body = render(OPEN_METRICS, [here()])
    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    [family] = [one for one in read_open(body.decode()) if one.name == STAGE_DURATION.name]
    below = {sample.labels["le"]: sample for sample in family.samples if sample.name.endswith("_bucket")}
    assert (below["0.001"].value, below["0.002"].value, below["+Inf"].value) == (2, 3, 4)
    assert below["0.001"].exemplar.labels == {"trace_id": TRACE}
    assert below["0.001"].exemplar.value == 0.001
    assert below["0.002"].exemplar is None
    # the plain format has no exemplars, and no trace may stand in it
    assert TRACE not in render("", [here()])[1].decode()


def test_the_current_trace_is_taken_without_being_said(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_trace_source", metrics._untraced)
    metrics.trace_source(lambda: TRACE)
    metrics.observe(STAGE_DURATION, 0.1, "pdf", "read")
    [one] = book.read()
    assert [exemplar.trace_id for exemplar in one.exemplars.values()] == [TRACE]


@pytest.mark.parametrize("accept", ["", "text/plain;version=0.0.4", OPEN_METRICS])
def test_every_metric_can_be_shown_and_read_back(book: Book, accept: str) -> None:
    for metric in METRICS.values():
        labels = tuple((values_of(metric, label) or ('"odd\\\n{}',))[0] for label in metric.labels)
        if metric.kind is Kind.HISTOGRAM:
            metrics.observe(metric, 3.0, *labels, trace_id=TRACE)
        else:
            metrics.count(metric, 3.0, *labels)
    read = read_open if "openmetrics" in accept else read_text
    families = {family.samples[0].name: family for family in read(render(accept, [here()])[1].decode())}
    for metric in METRICS.values():
        family = families[f"{metric.name}_bucket" if metric.kind is Kind.HISTOGRAM else metric.name]
        assert (family.type, family.documentation) == (str(metric.kind), metric.help)
        assert all(set(sample.labels) - {"le"} == set(metric.labels) for sample in family.samples)


def test_processes_are_told_apart_but_not_for_what_is_of_the_fleet(book: Book) -> None:
    def told(value: float) -> list[Measured]:
        return [
            Measured(catalog.SLICES.name, ("pdf", "plan", "done"), value),
            Measured(catalog.ACCEPTED.name, ("eu", "pdf", "normal"), value),
        ]

    body = render("", [Snapshot(told(1), {}, "a"), Snapshot(told(2), {"process_open_fds": 9.0}, "b")])[1].decode()
    lines = [line for line in body.splitlines() if not line.startswith("#")]
    assert lines == [
        'docfleet_documents_accepted_total{pool="pdf",priority="normal",region="eu"} 1.0',
        'docfleet_slices_total{outcome="done",pool="pdf",process="a",step="plan"} 1.0',
        'docfleet_slices_total{outcome="done",pool="pdf",process="b",step="plan"} 2.0',
        'process_open_fds{process="b"} 9.0',
    ]


def test_a_snapshot_travels_whole(book: Book) -> None:
    metrics.observe(STAGE_DURATION, 0.1, "pdf", "read", trace_id=TRACE)
    told = here()
    assert decode(encode(told)) == told
    assert set(told.process) == set(catalog.PROCESS)
    assert isinstance(next(iter(told.measured[0].exemplars.values())), Exemplar)


# --- where it is read


def get(port: int, path: str = "/metrics", accept: str = "") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def port(book: Book) -> Iterator[int]:
    with endpoint.serving_http("127.0.0.1", 0, lambda accept: render(accept, [here()])) as at:
        yield at


def test_metrics_are_read_by_http(port: int, book: Book) -> None:
    metrics.count(catalog.HINTS, 3, "pdf")
    assert 'docfleet_dispatcher_hints_published_total{pool="pdf"} 3.0' in get(port)
    assert get(port, "/metrics?x=y", OPEN_METRICS).endswith("# EOF\n")
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(port, "/")
    assert refused.value.code == 404
    refused.value.close()


def test_a_port_that_is_taken_is_one_sentence(port: int) -> None:
    settings = Settings.model_validate({"telemetry": {"metrics_port": port}})
    said = rf"127.0.0.1:{port}.+DOCFLEET_TELEMETRY__METRICS_PORT"
    with pytest.raises(UsageError, match=said), telling(settings, "worker"):
        pytest.fail("it was served")


def test_those_who_hold_a_connection_open_keep_nobody_out(port: int) -> None:
    """Nor may they have as many threads as they like."""
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(endpoint.AT_A_TIME - 1)]
    more = []
    try:
        assert "process_open_fds" in get(port)
        more += [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        assert threading.active_count() <= before + endpoint.AT_A_TIME
    finally:
        for one in (*held, *more):
            one.close()


def test_processes_below_tell_by_sockets(book: Book, tmp_path: Path) -> None:
    settings = Settings.model_validate({"telemetry": {"metrics_port": 1}})
    with metrics_below(settings) as below:
        path = Path(below.environment("worker-1")["DOCFLEET_TELEMETRY__METRICS_SOCKET"])
        assert below.environment("worker-1")["DOCFLEET_TELEMETRY__METRICS_PORT"] == "0"
        assert path.parent.stat().st_mode & 0o077 == 0
        # what a process that was killed left behind
        path.touch()
        assert below.snapshots() == []
        metrics.count(catalog.HINTS, 3, "pdf")
        with endpoint.serving_socket(path, here):
            [told] = below.snapshots()
        assert told.name == "worker-1"
        assert value_of(told.measured, catalog.HINTS.name, "pdf") == 3
        assert below.snapshots() == []
    assert not path.parent.exists()


def test_whoever_tells_a_condition_is_understood(book: Book, tmp_path: Path) -> None:
    """A truth value in one gauge once made all of the dispatcher's metrics vanish from `docfleet up`."""
    metrics.gauge(catalog.POOL_STUCK, True, "pdf")
    metrics.watch(lambda: [metrics.reading(catalog.DIRECT_MODE, False)])
    with endpoint.serving_socket(tmp_path / "worker", here):
        told = endpoint.ask_socket(tmp_path / "worker", 5.0)
    assert told is not None
    assert value_of(told.measured, catalog.POOL_STUCK.name, "pdf") == 1.0
    assert value_of(told.measured, catalog.DIRECT_MODE.name) == 0.0


def test_who_cannot_be_understood_is_named(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, object]] = []
    monkeypatch.setattr(Logger, "_show", lambda self, level, event, fields: said.append((event, fields.get("name"))))

    def broken() -> Snapshot:
        raise ValueError("a defect")

    odd = Snapshot([Measured(catalog.HINTS.name, ("pdf",), "many")])  # type: ignore[arg-type]
    with metrics_below(Settings.model_validate({"telemetry": {"metrics_port": 1}})) as below:
        paths = {
            name: Path(below.environment(name)["DOCFLEET_TELEMETRY__METRICS_SOCKET"])
            for name in ("odd", "sick", "well")
        }
        with (
            endpoint.serving_socket(paths["odd"], lambda: odd),
            endpoint.serving_socket(paths["sick"], broken),
            endpoint.serving_socket(paths["well"], here),
        ):
            assert [snapshot.name for snapshot in below.snapshots()] == ["well"]
    assert sorted(said, key=str) == [("metrics_source_failed", "odd"), ("metrics_source_failed", None)]


def test_without_metrics_there_is_no_folder_and_no_port() -> None:
    with metrics_below(Settings()) as below:
        assert below.environment("api") == {"DOCFLEET_TELEMETRY__METRICS_PORT": "0"}
        assert below.snapshots() == []
    assert Below(None).snapshots() == []


# --- certificates


def test_the_first_of_the_certificates_to_end_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    late = authority.issue_cert("a.example", not_after=datetime.now(UTC) + timedelta(days=300))
    soon = authority.issue_cert("b.example", not_after=datetime.now(UTC) + timedelta(days=3))
    blobs = [one.cert_chain_pems[0].bytes() for one in (late, soon)]
    expected = [x509.load_pem_x509_certificate(blob).not_valid_after_utc.timestamp() for blob in blobs]
    assert [first_expiry(blob.decode()) for blob in blobs] == expected
    assert first_expiry(b"".join(blobs).decode()) == min(expected)
    # one that ends beyond 2049 is written in another form
    assert (
        first_expiry(authority.cert_pem.bytes().decode())
        == x509.load_pem_x509_certificate(authority.cert_pem.bytes()).not_valid_after_utc.timestamp()
    )
    file = tmp_path / "server.pem"
    file.write_bytes(blobs[0])
    watched = Certificates({"api": file, "broker": None, "client_ca": tmp_path / "none.pem"})
    assert [(one.labels, one.value) for one in watched()] == [(("api",), expected[0])]
    # renewed under the same name
    file.write_bytes(blobs[1])
    assert [one.value for one in watched()] == [expected[1]]
    # which nobody can use: the process goes on with what it has
    file.write_text("no certificate")
    assert [one.value for one in watched()] == [expected[1]]
    assert list(Certificates({"api": file})()) == []


def test_a_new_certificate_counts_when_its_key_is_there_too(tmp_path: Path) -> None:
    """Until then the old one is served, and ends when it ends."""
    authority = trustme.CA()
    moments = [datetime.now(UTC) + timedelta(days=days) for days in (3, 300)]
    old, new = (authority.issue_cert("a.example", not_after=moment) for moment in moments)
    file, key = tmp_path / "server.pem", tmp_path / "key.pem"
    file.write_bytes(old.cert_chain_pems[0].bytes())
    key.write_bytes(old.private_key_pem.bytes())
    watched = Certificates({"api": file}, {"api": key})
    [first] = [one.value for one in watched()]
    assert first == pytest.approx(moments[0].timestamp(), abs=2)
    file.write_bytes(new.cert_chain_pems[0].bytes())
    assert [one.value for one in watched()] == [first]
    key.write_bytes(new.private_key_pem.bytes())
    assert [one.value for one in watched()] == [pytest.approx(moments[1].timestamp(), abs=2)]
    file.unlink()
    assert [one.value for one in watched()] == [pytest.approx(moments[1].timestamp(), abs=2)]


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused(blob: bytes) -> None:
    import ssl

    with pytest.raises(ValueError):  # noqa: PT011 - whatever the bytes, this and nothing else
        first_expiry(ssl.DER_cert_to_PEM_cert(b"\x30" + blob))


def test_each_role_watches_its_own_certificates(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "api": {"tls_cert_file": "api.pem"},
            "service": {"broker_cert_file": "redis.pem"},
            "documentai_server": {"tls_cert_file": "server.pem", "client_ca_file": "ca.pem"},
        }
    )
    assert certificate_files(settings, "api")["api"] == Path("api.pem")
    assert "api" not in certificate_files(settings, "worker")
    assert certificate_files(settings, "worker")["broker"] == Path("redis.pem")
    assert certificate_files(settings, "documentai-server") == {
        "documentai_server": Path("server.pem"),
        "client_ca": Path("ca.pem"),
    }
