"""What telemetry costs: `python -m bench.telemetry_overhead` runs the service in pairs, with all of it and with none.

Each run is a `docfleet up` of its own with the `null` engine: Postgres, Redis, API, dispatcher, workers, and documents
submitted over HTTP. "On" is metrics, read every few seconds, and traces of a tenth of the documents (the share that the
compose file sets; `--on DOCFLEET_TELEMETRY__TRACE_RATIO=1` for all) to a collector that takes them and does nothing;
"off" has neither. Which goes first alternates, so that a machine that slows down or warms up harms both alike.
Told are the ratios of each pair, their median, and its bootstrap interval (percentiles of the medians of 10,000
resamples; B. Efron, R. Tibshirani, An Introduction to the Bootstrap, ch. 13).

The processor time a document costs is told beside the throughput: it depends less on what else the machine does.
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
BOTH = {"DOCFLEET_API__REQUESTS_PER_MINUTE": "10000000"}
"""What would hold back the one as the other."""
SCRAPE_SECONDS = 5.0
SUBMITTERS = 4
RESAMPLES = 10_000
LIMIT = 0.95


class Run(NamedTuple):
    documents_per_second: float
    cpu_seconds_per_document: float
    spans_bytes: int
    scrapes: int


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


@contextlib.contextmanager
def service(environment: Mapping[str, str], slots: int, log: Path) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    """A `docfleet up`; what it said once it answered."""
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
        yield psutil.Process(process.pid), json.loads(line)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def cpu_seconds(root: psutil.Process) -> float:
    """Of a process and all below it, those that have ended included where they were waited for."""
    total = 0.0
    for one in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@contextlib.contextmanager
def scraping(is_on: bool) -> Iterator[list[int]]:
    """Reads the metrics as Prometheus would; a list with the size of each answer."""
    stop, sizes = threading.Event(), list[int]()

    def read() -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{METRICS_PORT}/metrics",
            headers={"accept": "application/openmetrics-text; version=1.0.0"},
        )
        while not stop.wait(SCRAPE_SECONDS):
            with urllib.request.urlopen(request, timeout=30) as answer:
                sizes.append(len(answer.read()))

    thread = threading.Thread(target=read, daemon=True)
    if is_on:
        thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        if is_on:
            thread.join(60)


def measure(environment: Mapping[str, str], documents: int, slots: int, folder: Path) -> Run:
    """One service from its start to its end. A few documents go ahead, so that everything is loaded."""
    is_on = environment.get("DOCFLEET_TELEMETRY__METRICS_PORT", "0") != "0"
    collector = Collector()
    try:
        with (
            service(environment, slots, folder / "up.log") as (root, said),
            Client(said["url"], said["api_key"]) as client,
        ):
            _read(client, max(20, documents // 20))
            with scraping(is_on) as scrapes:
                cpu, started = cpu_seconds(root), time.monotonic()
                _read(client, documents)
                seconds = time.monotonic() - started
                cpu = cpu_seconds(root) - cpu
            return Run(documents / seconds, cpu / documents, collector.taken, len(scrapes))
    finally:
        collector.close()


def _read(client: Client, count: int) -> None:
    """Submits documents that nobody has seen before and waits for the last of them."""

    def submit(number: int) -> Any:
        data = digital_pdf(f"telemetry {time.time_ns()} {number}", 1)
        return client.submit(data, name=f"{number}.pdf", priority="normal")

    with ThreadPoolExecutor(SUBMITTERS) as submitting:
        documents = list(submitting.map(submit, range(count)))
    for document in documents:
        if document.wait(600).state != "succeeded":
            raise SystemExit("a document was not read: this measures nothing")


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
    on, off = BOTH | ON | dict(arguments.on), BOTH | OFF | dict(arguments.off)
    rates, costs = list[float](), list[float]()
    for key, value in machine_facts().items():
        print(f"{key:18} {value}", flush=True)
    print(f"\n{'pair':>4} {'first':>5} {'off/s':>8} {'on/s':>8} {'ratio':>7} {'off ms':>7} {'on ms':>7} {'ratio':>7}")
    with tempfile.TemporaryDirectory(prefix="docfleet-telemetry-") as folder:
        for pair in range(arguments.pairs):
            order = ("off", "on") if pair % 2 == 0 else ("on", "off")
            runs = {
                arm: measure(on if arm == "on" else off, arguments.documents, arguments.slots, Path(folder))
                for arm in order
            }
            without, with_ = runs["off"], runs["on"]
            if not arguments.on and not (with_.spans_bytes and with_.scrapes):
                print("nothing was told: is telemetry installed, and are the runs long enough to be scraped?")
                return 2
            rates.append(with_.documents_per_second / without.documents_per_second)
            costs.append(with_.cpu_seconds_per_document / without.cpu_seconds_per_document)
            print(
                f"{pair + 1:>4} {order[0]:>5} {without.documents_per_second:8.2f} {with_.documents_per_second:8.2f} "
                f"{rates[-1]:7.4f} {1000 * without.cpu_seconds_per_document:7.2f} "
                f"{1000 * with_.cpu_seconds_per_document:7.2f} {costs[-1]:7.4f}",
                flush=True,
            )
    rate, cost = interval_of(rates), interval_of(costs)
    print(f"\nthroughput, on / off: {rate}")
    print(f"processor time a document, on / off: {cost}")
    print(f"throughput with telemetry is {'at least' if rate.median >= LIMIT else 'BELOW'} {LIMIT:.0%} of that without")
    return 0 if rate.median >= LIMIT else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What telemetry costs, in pairs of runs with it and without.")
    parser.add_argument("--pairs", type=int, default=10, help="Pairs of runs.")
    parser.add_argument("--documents", type=int, default=1000, help="Documents of one run.")
    parser.add_argument("--slots", type=int, default=4, help="Slots of each worker.")
    for arm in ("on", "off"):
        parser.add_argument(
            f"--{arm}", action="append", default=[], type=_pair, metavar="NAME=VALUE",
            help=f'A variable of the runs "{arm}", beside or in place of the usual ones.',
        )  # fmt: skip
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str]:
    name, divider, value = text.partition("=")
    if not divider:
        raise argparse.ArgumentTypeError("say NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
