"""The service, measured: `python -m bench.service` (or `make bench-service`). Real Postgres, real Redis, one table.

One API, one dispatcher and one worker run as processes of their own; the client shares their cores.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from sqlalchemy import text  # noqa: E402

from bench.__main__ import machine_facts, placed  # noqa: E402
from bench.service_broker import bare_celery_rate  # noqa: E402
from bench.service_ledger import ledger_rows  # noqa: E402
from bench.table import Row, as_markdown, as_text  # noqa: E402
from chaos.auditor import open_ledger  # noqa: E402
from chaos.corpus import digital_pdf  # noqa: E402
from chaos.fleet import Fleet, run_fleet  # noqa: E402
from docfleet.client import Client  # noqa: E402
from docfleet.domain.access import Role  # noqa: E402
from docfleet.ledger import Ledger  # noqa: E402
from docfleet.ledger.access import Access  # noqa: E402

SAMPLES = ROOT / "samples"
SLOTS = {"null": 4, "rapidocr": 2}
"""Models fill a core each. Without one, a slot waits for the ledger and its sandbox half of the time."""
PARTS = ("throughput", "latency", "submit", "steady", "samples", "ledger", "memory")


class Scene:
    """A running fleet, a client of it, and counters for names that must be new."""

    def __init__(self, fleet: Fleet, client: Client) -> None:
        self.fleet, self.client = fleet, client
        self._number = 0

    def documents(self, count: int, pad: int = 0) -> list[bytes]:
        """One-page digital documents that nobody has seen before; `pad`: bytes behind each's end."""
        made = [digital_pdf(f"bench {time.time_ns()} {self._number + n}", 1) for n in range(count)]
        self._number += count
        return [data + b"%" + b"x" * pad if pad else data for data in made]

    def wait_until_drained(self) -> float:
        """The moment the last document ended."""
        while True:
            with open_ledger(self.fleet.postgres.url) as ledger:
                open_, last = ledger.execute(
                    text(
                        "SELECT count(*) FILTER (WHERE finished_at IS NULL), "
                        "max(finished_at) FROM document WHERE created_at > :since"
                    ),
                    {"since": 0.0},
                ).one()
            if not open_:
                return float(last)
            time.sleep(0.2)

    def cpu_seconds(self) -> dict[str, float]:
        """Used so far, by part."""
        used = {"client": time.process_time()}
        for name, part in self.fleet.parts.items():
            process = psutil.Process(part.pid)
            used[name.rstrip("12")] = _own_cpu(process)
            if name.startswith("worker"):
                slots = process.children(recursive=True)
                used["slots and sandboxes"] = sum(map(_own_cpu, slots))
        used["postgres"] = _tree_cpu(psutil.Process(self.fleet.postgres.pid))
        used["redis"] = _own_cpu(psutil.Process(self.fleet.redis.pid))
        return used


def _own_cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _tree_cpu(process: psutil.Process) -> float:
    """With its children, the ended ones too."""
    times = process.cpu_times()
    ended = float(times.children_user + times.children_system)
    return _own_cpu(process) + ended + sum(map(_own_cpu, process.children(recursive=True)))


@contextmanager
def scene(engine: str) -> Iterator[Scene]:
    folder = Path(tempfile.mkdtemp(prefix="dfbench-", dir="/tmp"))
    folder.chmod(0o755)
    settings = {"READING__ENGINE": engine}
    try:
        with run_fleet(folder, slots=SLOTS[engine], settings=settings, each=1) as fleet:
            with Ledger.open(fleet.postgres.url) as ledger:
                access = Access(ledger)
                access.ensure_tenant("bench", "Bench")
                _, key = access.make_key("bench", "bench", Role.ADMIN)
                access.close()
            made = Scene(fleet, Client(fleet.urls[0], key))
            # the first document starts what is built on first use
            made.client.submit(made.documents(1)[0], name="warm.pdf").wait(120)
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def throughput(made: Scene, count: int) -> list[Row]:
    """Documents a second from the first submission to the last end, and who used the CPU."""
    bare = f"bare Celery no-op tasks: {bare_celery_rate(made.fleet.redis.url):.0f}/s"
    return [*_throughput_of(made, count, ["json"], bare), *_throughput_of(made, count, None, bare)]


def _throughput_of(made: Scene, count: int, formats: list[str] | None, bare: str) -> list[Row]:
    """`formats` None: those the service writes when nobody asks for any."""
    documents = made.documents(count)
    before, begun = made.cpu_seconds(), time.time()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda data: made.client.submit(data, name="a.pdf", formats=formats), documents))
    rate = count / (made.wait_until_drained() - begun)
    after = made.cpu_seconds()
    spent = {name: 1000 * (after[name] - before.get(name, 0.0)) / count for name in after}
    total = sum(spent.values())
    listed = ", ".join(f"{name} {cost:.1f}" for name, cost in sorted(spent.items(), key=lambda item: -item[1]))
    asked = ", ".join(formats) if formats else "all default formats"
    what = f"documents/s through the service, null engine, {SLOTS['null']} slots, {asked} ({count:,} one-page PDFs)"
    return [
        Row(what, f"{rate:.0f}/s", bare, "≥ 60/s", rate >= 60),
        Row(f"CPU milliseconds per document by part, {asked}", f"{total:.1f}: {listed}", "", "stated", None),
    ]


def latency(made: Scene, count: int) -> list[Row]:
    """One document at a time on an idle service, from upload to its result in hand."""
    seconds = []
    for data in made.documents(count):
        begun = time.perf_counter()
        made.client.submit(data, name="a.pdf").wait(60).text()
        seconds.append(time.perf_counter() - begun)
        time.sleep(0.3)
    middle = statistics.median(seconds)
    return [
        Row(
            "one-page digital document, idle service, upload to result, p50",
            f"{middle:.2f} s (longest of {count}: {max(seconds):.2f} s)",
            "",
            "< 1 s",
            middle < 1.0,
        )
    ]


def submit(made: Scene, seconds: float) -> list[Row]:
    """How long a submission of 100 kB takes at 25 a second while the workers read what comes in."""
    documents = made.documents(int(25 * seconds), pad=100_000)
    begun = time.perf_counter()

    def one(number: int) -> float:
        time.sleep(max(0.0, begun + number / 25 - time.perf_counter()))
        sent = time.perf_counter()
        made.client.submit(documents[number], name="a.pdf")
        return time.perf_counter() - sent

    with ThreadPoolExecutor(8) as pool:
        taken = sorted(pool.map(one, range(len(documents))))
    made.wait_until_drained()
    middle, high = 1000 * statistics.median(taken), 1000 * taken[int(len(taken) * 0.99)]
    what = "submit of 100 kB at 25/s, workers running, p50 / p99"
    return [Row(what, f"{middle:.0f} / {high:.0f} ms", "", "< 20 / 200 ms", middle < 20 and high < 200)]


def memory(made: Scene, count: int) -> list[Row]:
    """Memory of the long-lived processes over many documents."""

    def resident() -> dict[str, float]:
        parts = made.fleet.parts.items()
        return {name: psutil.Process(part.pid).memory_full_info().uss / 2**20 for name, part in parts}

    def send(number: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda data: made.client.submit(data, name="a.pdf"), made.documents(number)))
        made.wait_until_drained()

    send(max(200, count // 10))
    before = resident()
    send(count)
    after = resident()
    growth = {name: after[name] / before[name] - 1 for name in before}
    listed = ", ".join(f"{n.rstrip('12')} {before[n]:.0f} -> {after[n]:.0f} MiB ({growth[n]:+.0%})" for n in before)
    return [Row(f"memory after {count:,} documents", listed, "", "± 10 %", all(g < 0.1 for g in growth.values()))]


def _sample_files() -> list[Path]:
    return sorted(path for path in SAMPLES.iterdir() if path.suffix.lower() in (".pdf", ".png", ".jpg", ".tif"))


def steady(made: Scene, minutes: float) -> list[Row]:
    """A thousand mixed documents an hour: the samples in turn, evenly, for a window of so many minutes."""
    files, seconds, every = _sample_files(), minutes * 60, 3.6
    begun, sent = time.monotonic(), []
    while time.monotonic() < begun + seconds:
        sent.append(made.client.submit(files[len(sent) % len(files)], reuse=False))
        time.sleep(max(0.0, begun + len(sent) * every - time.monotonic()))
    made.wait_until_drained()
    with open_ledger(made.fleet.postgres.url) as ledger:
        query = text("SELECT avg(finished_at - created_at), max(finished_at - created_at) FROM document")
        mean, longest = ledger.execute(query).one()
    what = f"mean time per document at a steady 1,000 mixed documents/h (window of {minutes:.0f} min, {len(sent)})"
    return [Row(what, f"{mean:.1f} s (longest {longest:.1f} s)", "", "< 60 s", mean < 60)]


def samples(made: Scene) -> list[Row]:
    """The sample documents over the service against `docfleet process` on the same cores."""
    files = _sample_files()
    begun = time.time()
    for path in files:
        made.client.submit(path, reuse=False)
    service = made.wait_until_drained() - begun
    with tempfile.TemporaryDirectory() as out:
        inbox = Path(out) / "inbox"
        inbox.mkdir()
        for path in files:
            shutil.copy(path, inbox)
        started = time.perf_counter()
        command = [sys.executable, "-m", "docfleet", "process", str(inbox), "--out", f"{out}/results", "--workers", "2"]
        subprocess.run(command, capture_output=True, check=False, cwd=out)
        alone = time.perf_counter() - started
    what = f"the {len(files)} sample documents over the service"
    return [
        Row(
            what, f"{service:.1f} s", f"docfleet process: {alone:.1f} s", "≤ 15 % slower", service <= 1.15 * alone
        )
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    scale = 0.1 if given.quick else 1.0
    rows: list[Row] = []
    with_null: list[tuple[str, Callable[[Scene], list[Row]]]] = [
        ("throughput", lambda made: throughput(made, int(2000 * scale))),
        ("latency", lambda made: latency(made, int(30 * max(scale, 0.4)))),
        ("submit", lambda made: submit(made, 40 * max(scale, 0.3))),
        ("memory", lambda made: memory(made, int(10_000 * scale))),
    ]
    with_models: list[tuple[str, Callable[[Scene], list[Row]]]] = [
        ("samples", lambda made: samples(made)),
        ("steady", lambda made: steady(made, 5 * max(scale, 0.3))),
    ]
    for engine, parts in (("null", with_null), ("rapidocr", with_models)):
        if chosen := [(name, part) for name, part in parts if name in given.only]:
            with scene(engine) as made:
                for name, part in chosen:
                    print(f"{name} …", file=sys.stderr, flush=True)
                    rows += part(made)
    if "ledger" in given.only:
        rows += ledger_rows(int(1_000_000 * scale))
    print(as_text(rows))
    if given.out:
        page = given.out.read_text(encoding="utf-8") if given.out.exists() else ""
        facts = "\n".join(f"- {name}: {fact}" for name, fact in machine_facts().items() if name != "corpora")
        given.out.write_text(placed(page, f"{facts}\n\n{as_markdown(rows)}\n"), encoding="utf-8")
    return 0 if all(row.holds is not False for row in rows) else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything; figures are rough")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also put the Markdown into FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
