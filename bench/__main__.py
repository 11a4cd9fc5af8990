"""All benchmarks in one run, one table at its end: `python -m bench` (or `make bench`)."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench import peers
from bench.corpora import CORPORA, ROOT, WORK
from bench.table import Row, as_markdown, as_text

PARTS = {
    "digital": "digital pages: text, layout and JSON against pypdfium2's characters with boxes",
    "tables": "tables of digital pages against the ICDAR 2013 truth",
    "ocr": "error and CPU of reading scans against Tesseract and RapidOCR as shipped",
    "fields": "fields of invoices, receipts and forms against their truth",
    "whole_job": "one folder, half of it scans, against ocrmypdf and kreuzberg",
    "throughput": "documents an hour on two cores",
    "long_document": "a thousand pages in one PDF: time and memory",
    "hostile": "a thousand malformed files: a named outcome for each",
}
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_PACKAGES = ("docfleet", "pypdfium2", "rapidocr", "onnxruntime", "openvino", "pikepdf")
_FEATURES = {
    "bf16": ("avx512_bf16", "amx_bf16"),
    "AMX": ("amx_tile",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AVX-512": ("avx512f",),
}

_EPILOG = """\
examples:
  python -m bench                              everything; an hour or two on two cores
  python -m bench --quick                      a fraction of each corpus: does it run, and roughly how fast
  python -m bench --only whole_job             one part
  python -m bench --out docs/benchmarks.md     also put machine and table there, as Markdown

parts, in the order they run:
{parts}

The documents are read from the corpora beside the project, or from the folder DOCFLEET_CORPORA names. Peers are set
up under .bench/peers on the first run. Figures go to .bench/results.json and .bench/results.md. A part that cannot
run says why and the others go on. Run it on a machine that does nothing else; the load at the start stands beside the
figures.

A file named with --out keeps its text: what stands between the lines
  {begin}
  {end}
is replaced; a file without them is written anew.

exit codes: 0 every target that was measured holds, 1 a target is missed or a part could not run, 2 wrong use
"""


@dataclass(frozen=True)
class Part:
    """What one part gave."""

    name: str
    seconds: float
    rows: list[Row]
    complete: bool
    """False: it could not run, or not to its end; its row says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _arguments(arguments)
    machine = machine_facts()
    for name, fact in machine.items():
        _tell(f"{name}: {fact}")
    parts: list[Part] = []
    for name in PARTS:
        if name in (chosen.only or PARTS):
            parts.append(measure(name, chosen.quick))
            # after each part: what an hour has measured is not lost to an interruption
            _write(machine | _versions(), parts, chosen.quick, chosen.out)
    made = [row for part in parts for row in part.rows]
    print(as_text(made))
    return 0 if all(part.complete for part in parts) and all(row.holds is not False for row in made) else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    width = max(map(len, PARTS))
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures docfleet against its targets and its peers and prints one table.",
        epilog=_EPILOG.format(
            parts="\n".join(f"  {name:{width}}  {what}" for name, what in PARTS.items()), begin=BEGIN, end=END
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a fraction of each corpus; figures are rough")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(PARTS), help="these parts only")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also put the Markdown into FILE")
    return parser.parse_args(arguments)


def measure(name: str, quick: bool) -> Part:
    """One part's rows; a part that cannot run answers with a row that says why."""
    _tell(f"{name}: {PARTS[name]} …")
    started = time.perf_counter()
    complete = True
    try:
        rows: list[Row] = importlib.import_module(f"bench.{name}").rows(quick)
    except Exception as error:
        # one broken part must not cost the figures of the others
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        complete = False
        rows = [Row(PARTS[name], f"not measured: {why}", "", "", None)]
    seconds = time.perf_counter() - started
    _tell(f"{name}: {seconds:.0f} s")
    return Part(name, seconds, rows, complete)


def machine_facts() -> dict[str, str]:
    """What the figures depend on: processor, cores, memory, instruction sets, load before the run."""
    flags = _processor("flags").split()
    has = [f"{name} {'yes' if set(wanted) & set(flags) else 'no'}" for name, wanted in _FEATURES.items()]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "instruction sets": ", ".join(has),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "commit": _commit(),
        "corpora": "present" if CORPORA.is_dir() else "absent",
    }


def _processor(key: str) -> str:
    """First value of a key of /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def _commit() -> str:
    """Short name of the commit, marked where tracked files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + (" and changes" if _git("status", "--porcelain", "--untracked-files=no", "src") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def _versions() -> dict[str, str]:
    """Asked for after the run, when the peers are set up."""
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    others = {**peers.installed(), **peers.program_versions()}
    return {"versions": ours, "peers": ", ".join(f"{name} {version}" for name, version in others.items())}


def _write(machine: dict[str, str], parts: Sequence[Part], quick: bool, out: Path | None) -> None:
    WORK.mkdir(exist_ok=True)
    results = {"quick": quick, "machine": machine, "parts": [asdict(part) for part in parts]}
    (WORK / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    table = as_markdown([row for part in parts for row in part.rows])
    facts = "\n".join(f"- {name}: {fact}" for name, fact in machine.items())
    rough = "Measured with `--quick`: a fraction of each corpus, rough figures.\n\n" if quick else ""
    text = f"{rough}{facts}\n\n{table}\n"
    (WORK / "results.md").write_text(text, encoding="utf-8")
    if out is not None:
        before = out.read_text(encoding="utf-8") if out.exists() else ""
        out.write_text(placed(before, text), encoding="utf-8")


def placed(page: str, figures: str) -> str:
    """`page` with `figures` between its two marks; `figures` alone when it has none."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n\n{figures}\n{end}{tail}" if end else figures


def _tell(line: str) -> None:
    """Progress goes to standard error, so that standard output is the table."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
