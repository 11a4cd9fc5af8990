"""What telemetry costs: `python -m bench.telemetry_overhead` loads a service with all of it and one with none in turns.

Both are a `docfleet up` of their own with the `null` engine: Postgres, Redis, API, dispatcher, workers, and documents
submitted over HTTP. They run side by side for as long as the measurement takes, and only one has work at a time, in
short bursts: without, with, with, without, and so on, so that a machine that slows down, warms up or has other things
to do harms both alike. "On" is metrics, read every few seconds (three times as often as the Prometheus of
`deploy/monitoring` reads them), and traces of a tenth of the documents (the share that the compose file sets; `--on
DOCFLEET_TELEMETRY__TRACE_RATIO=1` for all) to a collector that takes them and does nothing; "off" has neither.

Told are the ratios of each pair of bursts, their median, and its bootstrap interval (percentiles of the medians of
10,000 resamples; B. Efron, R. Tibshirani, An Introduction to the Bootstrap, ch. 13): of the throughput, and of the
processor time a document costs, which depends less on what else the machine does. The latter is that of the whole
service, from the first document of a burst until traces of the last have been told; in the end, by kind of process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from bench.__main__ import machine_facts  # noqa: E402
from chaos.corpus import digital_pdf  # noqa: E402
from docfleet.client import Client  # noqa: E402

METRICS_PORT, COLLECTOR_PORT = 19464, 14318
ON = {
    "DOCFLEET_TELEMETRY__METRICS_PORT": str(METRICS_PORT),
    "DOCFLEET_TELEMETRY__COUNT_REQUESTS": "true",
    "DOCFLEET_TELEMETRY__OTLP_ENDPOINT": f"http://127.0.0.1:{COLLECTOR_PORT}",
    "DOCFLEET_TELEMETRY__TRACE_RATIO": "0.1",
}
OFF = {
    "DOCFLEET_TELEMETRY__METRICS_PORT": "0",
    "DOCFLEET_TELEMETRY__COUNT_REQUESTS": "false",
    "DOCFLEET_TELEMETRY__OTLP_ENDPOINT": "",
}
BOTH = {"DOCFLEET_API__REQUESTS_PER_MINUTE": "10000000", "DOCFLEET_SCALING__FORECAST": "false"}
"""What would hold back the one as the other, or work of its own now in the one and now in the other."""
FIRST_SCRAPE_SECONDS, SCRAPE_SECONDS = 1.0, 5.0
SETTLE_SECONDS = 3.0
"""After a burst, for what is told in hindsight; its processor time counts."""
SUBMITTERS = 4
RESAMPLES = 10_000
LIMIT = 0.95
_ROLES = ("docfleet.worker.slot", "docfleet.sandbox", "dispatcher", "api", "worker")
_SERVERS = ("postgres", "redis", "valkey")


class Burst(NamedTuple):
    documents_per_second: float
    cpu_ms: Mapping[str, float]
    """Kind of process -> processor time a document, in milliseconds."""
    scrapes: int

    @property
    def whole_cpu_ms(self) -> float:
        return sum(self.cpu_ms.values())


class Collector:
    """Takes what is sent and forgets it; how many bytes there were shows that something was sent."""

    def __init__(self) -> None:
        self.taken = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("content-length", "0"))
                collector.taken += len(self.rfile.read(size))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *given: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", COLLECTOR_PORT), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Service:
    """One of the two; `burst` gives it work."""

    def __init__(self, process: psutil.Process, client: Client, is_scraped: bool) -> None:
        self._process = process
        self._client = client
        self._is_scraped = is_scraped

    def burst(self, documents: int) -> Burst:
        """Documents that nobody has seen before, from the first byte to the last answer."""
        made = [digital_pdf(f"telemetry {time.time_ns()} {number}", 1) for number in range(documents)]
        before = cpu_seconds(self._process)
        with _scraping(self._is_scraped) as scrapes:
            started = time.monotonic()
            self._read(made)
            seconds = time.monotonic() - started
            time.sleep(SETTLE_SECONDS)
        after = cpu_seconds(self._process)
        spent = {kind: 1000 * (after[kind] - before.get(kind, 0.0)) / documents for kind in after}
        return Burst(documents / seconds, spent, len(scrapes))

    def _read(self, made: Sequence[bytes]) -> None:
        def submit(numbered: tuple[int, bytes]) -> Any:
            number, data = numbered
            return self._client.submit(data, name=f"{number}.pdf", priority="normal")

        with ThreadPoolExecutor(SUBMITTERS) as submitting:
            documents = list(submitting.map(submit, enumerate(made)))
        for document in documents:
            if document.wait(600).state != "succeeded":
                raise SystemExit("a document was not read: this measures nothing")


@contextlib.contextmanager
def service(environment: Mapping[str, str], slots: int, log: Path) -> Iterator[Service]:
    """A `docfleet up` that answers."""
    arguments = ["up", "--json", "--port", "0", "--engine", "null", "--slots", str(slots)]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "docfleet", *arguments],
            stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the service did not start:\n{log.read_text(errors='replace')}")
        said = json.loads(line)
        is_scraped = environment.get("DOCFLEET_TELEMETRY__METRICS_PORT", "0") != "0"
        with Client(said["url"], said["api_key"]) as client:
            yield Service(psutil.Process(process.pid), client, is_scraped)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def cpu_seconds(root: psutil.Process) -> dict[str, float]:
    """Of a process and all below it, by kind of process, those that have ended included where they were waited for."""
    spent = dict[str, float]()
    for one in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times, kind = one.cpu_times(), "up" if one == root else _kind(one)
            total = times.user + times.system + times.children_user + times.children_system
            spent[kind] = spent.get(kind, 0.0) + total
    return spent


def _kind(process: psutil.Process) -> str:
    name, words = process.name(), process.cmdline()
    for server in _SERVERS:
        if server in name:
            return server
    for role in _ROLES:
        if any(word == role or word.startswith(f"{role}.") for word in words):
            return role.removeprefix("docfleet.")
    return "other"


@contextlib.contextmanager
def _scraping(is_wanted: bool) -> Iterator[list[int]]:
    """Reads the metrics as Prometheus would; a list with the size of each answer."""
    stop, sizes = threading.Event(), list[int]()

    def read() -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{METRICS_PORT}/metrics",
            headers={"accept": "application/openmetrics-text; version=1.0.0"},
        )
        pause = FIRST_SCRAPE_SECONDS
        while not stop.wait(pause):
            with urllib.request.urlopen(request, timeout=30) as answer:
                sizes.append(len(answer.read()))
            pause = SCRAPE_SECONDS

    thread = threading.Thread(target=read, daemon=True)
    if is_wanted:
        thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        if is_wanted:
            thread.join(60)


class Interval(NamedTuple):
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.4f} (95 %: {self.low:.4f} to {self.high:.4f})"


def interval_of(ratios: Sequence[float], seed: int = 1) -> Interval:
    """Median and its bootstrap interval. Pure."""
    drawn = random.Random(seed)
    medians = sorted(statistics.median(drawn.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return Interval(statistics.median(ratios), medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1])


def main() -> int:
    arguments = _arguments()
    # so that whoever ends this ends both services too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    on, off = BOTH | ON | dict(arguments.on), BOTH | OFF | dict(arguments.off)
    for key, value in machine_facts().items():
        print(f"{key:18} {value}", flush=True)
    with tempfile.TemporaryDirectory(prefix="docfleet-telemetry-") as folder, contextlib.ExitStack() as opened:
        collector = Collector()
        opened.callback(collector.close)
        services = {
            arm: opened.enter_context(service(environment, arguments.slots, Path(folder) / f"{arm}.log"))
            for arm, environment in (("off", off), ("on", on))
        }
        for one in services.values():
            # everything is loaded, all slots have worked
            one.burst(max(100, arguments.documents))
        pairs = _measure(services, arguments.pairs, arguments.documents)
    if not arguments.on and not (collector.taken and all(pair["on"].scrapes for pair in pairs)):
        print("nothing was told: is telemetry installed, and are the bursts long enough to be scraped?")
        return 2
    return _conclude(pairs)


def _measure(services: Mapping[str, Service], pairs: int, documents: int) -> list[dict[str, Burst]]:
    print(f"\n{'pair':>4} {'first':>5} {'off/s':>8} {'on/s':>8} {'ratio':>7} {'off ms':>7} {'on ms':>7} {'ratio':>7}")
    told: list[dict[str, Burst]] = []
    for pair in range(pairs):
        order = ("off", "on") if pair % 2 == 0 else ("on", "off")
        bursts = {arm: services[arm].burst(documents) for arm in order}
        told.append(bursts)
        without, with_ = bursts["off"], bursts["on"]
        print(
            f"{pair + 1:>4} {order[0]:>5} {without.documents_per_second:8.2f} {with_.documents_per_second:8.2f} "
            f"{_rate(bursts):7.4f} {without.whole_cpu_ms:7.2f} {with_.whole_cpu_ms:7.2f} {_cost(bursts):7.4f}",
            flush=True,
        )
    return told


def _rate(pair: Mapping[str, Burst]) -> float:
    return pair["on"].documents_per_second / pair["off"].documents_per_second


def _cost(pair: Mapping[str, Burst]) -> float:
    return pair["on"].whole_cpu_ms / pair["off"].whole_cpu_ms


def _conclude(pairs: Sequence[Mapping[str, Burst]]) -> int:
    print(f"\n{'processor time, ms a document':32} {'off':>8} {'on':>8} {'more':>8}")
    kinds = sorted({kind for pair in pairs for burst in pair.values() for kind in burst.cpu_ms})
    for kind in kinds:
        off, on = (statistics.median(pair[arm].cpu_ms.get(kind, 0.0) for pair in pairs) for arm in ("off", "on"))
        print(f"{kind:32} {off:8.3f} {on:8.3f} {on - off:+8.3f}")
    rate, cost = interval_of([_rate(pair) for pair in pairs]), interval_of([_cost(pair) for pair in pairs])
    print(f"\nthroughput, on / off: {rate}")
    print(f"processor time a document, on / off: {cost}")
    print(f"throughput with telemetry is {'at least' if rate.median >= LIMIT else 'BELOW'} {LIMIT:.0%} of that without")
    return 0 if rate.median >= LIMIT else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What telemetry costs, in pairs of bursts with it and without.")
    parser.add_argument("--pairs", type=int, default=20, help="Pairs of bursts.")
    parser.add_argument("--documents", type=int, default=300, help="Documents of one burst.")
    parser.add_argument("--slots", type=int, default=4, help="Slots of each worker.")
    for arm in ("on", "off"):
        parser.add_argument(
            f"--{arm}", action="append", default=[], type=_pair, metavar="NAME=VALUE",
            help=f'A variable of the service "{arm}", beside or in place of the usual ones.',
        )  # fmt: skip
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str]:
    name, divider, value = text.partition("=")
    if not divider:
        raise argparse.ArgumentTypeError("say NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
