"""The whole job against ocrmypdf (text and searchable PDF) and kreuzberg (text): one fixed folder, two cores.

    python -m bench.whole_job [--quick]     prints its rows, and the files on which docfleet reads worse than a peer

Everyone gets the same files, two processes or threads, English, and one small file beforehand, so that programs and
models come from the disk's cache. Error is counted on normalised text in reading order: edits over characters (CER) and
words (WER) of all scored files together, a file that fails counting as read empty; F1 of words, whatever their order,
is the mean over files. Receipts are compared without regard to case, since their truth is all capitals. The digital
pages are drawn with their characters in reading order, which a reader that follows the order of the file gets right for
nothing: the peers' advantage, not docfleet's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pypdfium2

from bench.corpora import ROOT, WORK
from bench.fixed_folder import Input, build
from bench.measure import Measured, run
from bench.peers import Peer, PeerMissing, ready
from bench.table import Row, as_text

sys.path.insert(0, str(ROOT / "tests"))
from scoring import (  # type: ignore[import-not-found, unused-ignore]
    character_error_rate,
    normalise,
    word_error_rate,
    word_match,
    words_of,
)

FOLDER = WORK / "whole-job"
WORKERS = 2
_SECONDS = 2 * 3600.0


@dataclass(frozen=True)
class Job:
    """What one program made of the folder."""

    name: str
    measured: Measured
    texts: Mapping[str, str]
    """By name of the input; "" where it failed."""
    failures: Mapping[str, str]
    pdfs: Mapping[str, Path]
    """Searchable PDFs; empty for programs that make none."""


@dataclass(frozen=True)
class Score:
    cer: float
    wer: float
    f1: float

    def __str__(self) -> str:
        return f"CER {self.cer:.4f}, WER {self.wer:.4f}, F1 {self.f1:.3f}"


class JobFailed(Exception):
    """A program ended without results; the message is the end of what it said."""


def score(inputs: Sequence[Input], texts: Mapping[str, str], kind: str = "") -> Score:
    """Error over all scored inputs of `kind`, or over all of them."""
    characters = words = 0
    wrong_characters = wrong_words = 0.0
    matches = []
    for item in inputs:
        if item.text is None or kind not in ("", item.kind):
            continue
        truth, read = item.text, texts.get(item.name, "")
        if item.any_case:
            truth, read = truth.casefold(), read.casefold()
        length, count = len(normalise(truth)), len(words_of(truth))
        characters, words = characters + length, words + count
        wrong_characters += character_error_rate(truth, read) * length
        wrong_words += word_error_rate(truth, read) * count
        matches.append(word_match(truth, read).f1)
    return Score(wrong_characters / characters, wrong_words / words, sum(matches) / len(matches))


def read_with_docfleet(inbox: Path, inputs: Sequence[Input], name: str = "docfleet") -> Job:
    """Text and searchable PDFs, and nothing else."""
    out = _fresh(FOLDER / f"{name}-results")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "docfleet",
        "process",
        *(inbox / item.name for item in inputs),
        "--out",
        out,
    ]
    measured = _run(
        name, [*command, "--workers", str(WORKERS), "--formats", "txt,pdf", "--no-report", "--quiet"], (0, 1)
    )
    texts, failures, pdfs = {}, {}, {}
    for row in json.loads((out / "index.json").read_text(encoding="utf-8")):
        item = Path(row["file"]).name
        if row["outcome"] != "succeeded":
            failures[item] = f"{row['outcome']}: {row['code']}"
        if row["folder"] and row["outcome"] != "failed":
            texts[item] = (out / row["folder"] / "document.txt").read_text(encoding="utf-8")
            pdfs[item] = out / row["folder"] / "searchable.pdf"
    return Job("docfleet", measured, texts, failures, pdfs)


def read_with_peer(
    peer: Peer,
    inbox: Path,
    inputs: Sequence[Input],
    *,
    name: str = "",
    output_type: str = "pdf",
    by_command: bool = False,
) -> Job:
    """One of the scripts `run_*.py`, in the peer's own environment, with a cache of its own that starts empty.

    `output_type` and `by_command` are for ocrmypdf. Raises JobFailed.
    """
    name = name or peer.name
    out = _fresh(FOLDER / f"{name}-results")
    jobs = FOLDER / f"{name}-jobs.json"
    files = [{"path": str(inbox / item.name), "dpi": item.dpi} for item in inputs]
    told = {"workers": WORKERS, "output_type": output_type, "by_command": by_command, "files": files}
    jobs.write_text(json.dumps(told), encoding="utf-8")
    cache = _fresh(FOLDER / f"{name}-cache")
    script = ROOT / "bench" / f"run_{peer.name}.py"
    measured = _run(
        name,
        [peer.python, script, jobs, out],
        (0,),
        {"XDG_CACHE_HOME": str(cache), "KREUZBERG_CACHE_DIR": str(cache), "PATH": _path_with(peer)},
    )
    answers = json.loads((out / "texts.json").read_text(encoding="utf-8"))
    return Job(
        f"{peer.name} {peer.version}",
        measured,
        {item: answer["text"] for item, answer in answers.items()},
        {item: answer["error"] for item, answer in answers.items() if answer["error"]},
        {item.name: path for item in inputs if (path := out / f"{item.name}.pdf").exists()},
    )


def _path_with(peer: Peer) -> str:
    return os.pathsep.join((str(peer.python.parent), os.environ.get("PATH", "")))


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _run(
    name: str, command: Sequence[str | Path], fine: Sequence[int], env: Mapping[str, str] | None = None
) -> Measured:
    with two_cores():
        measured = run(command, env, _SECONDS)
    if measured.exit_code not in fine:
        said = [line for line in measured.output.splitlines() if line.strip()]
        raise JobFailed(f"{name} ended with {measured.exit_code}: {said[-1][:200] if said else ''}")
    return measured


@contextmanager
def two_cores() -> Iterator[None]:
    """Children started inside share two cores, however many there are."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:WORKERS])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pdf_texts(job: Job) -> dict[str, str]:
    """The text that can be selected in the searchable PDFs."""
    return {name: _pdf_text(path) for name, path in job.pdfs.items()}


def _pdf_text(path: Path) -> str:
    document = pypdfium2.PdfDocument(path)
    try:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)
    finally:
        document.close()


def rows(quick: bool) -> list[Row]:
    """Time, error and memory beside each peer; a peer that cannot run gets a row that says why."""
    inbox = FOLDER / "inbox"
    inputs = build(inbox, quick)
    small = [item for item in inputs if item.name.startswith("letter")][:1]
    read_with_docfleet(inbox, small, "docfleet-warm")
    ours = read_with_docfleet(inbox, inputs)
    pages = sum(item.pages for item in inputs)
    scans = sum(item.pages for item in inputs if item.kind == "scan")
    what = f"whole job ({len(inputs)} files, {pages} pages, {scans} of them scans, {WORKERS} cores)"
    made, jobs = [], [ours]
    for name, compare in (("ocrmypdf", _beside_ocrmypdf), ("kreuzberg", _beside_kreuzberg)):
        try:
            peer = ready(name)
            read_with_peer(peer, inbox, small, name=f"{name}-warm")
            theirs = read_with_peer(peer, inbox, inputs)
        except (PeerMissing, JobFailed) as error:
            made.append(Row(f"{what} against {name}", _spent(ours), f"not measured: {error}", "", None))
            continue
        jobs.append(theirs)
        made += compare(what, inputs, ours, theirs)
        if name == "ocrmypdf" and not quick:
            made += _other_ways(peer, inbox, inputs)
    _write_details(inputs, jobs)
    return made


def _spent(job: Job) -> str:
    measured = job.measured
    spent = f"{measured.wall_seconds:.1f} s; CPU {measured.cpu_seconds:.1f} s; {measured.peak_bytes / 2**20:.0f} MiB"
    return f"{spent}; {len(job.failures)} failed" if job.failures else spent


def _beside_ocrmypdf(what: str, inputs: Sequence[Input], ours: Job, theirs: Job) -> list[Row]:
    faster = ours.measured.wall_seconds < theirs.measured.wall_seconds
    selectable, others = (score(inputs, pdf_texts(job)).f1 for job in (ours, theirs))
    return [
        Row(f"{what}: text and searchable PDF", _spent(ours), f"{theirs.name}: {_spent(theirs)}", "faster", faster),
        *_errors(inputs, ours, theirs),
        Row(
            "whole job, words selectable in the searchable PDFs",
            f"F1 {selectable:.3f}",
            f"{theirs.name}: F1 {others:.3f}",
            "",
            None,
        ),
    ]


def _beside_kreuzberg(what: str, inputs: Sequence[Input], ours: Job, theirs: Job) -> list[Row]:
    ratio = ours.measured.wall_seconds / theirs.measured.wall_seconds
    return [
        Row(
            f"{what}: text (docfleet: and searchable PDF)",
            f"{_spent(ours)} ({ratio:.2f} of the peer's time)",
            f"{theirs.name}: {_spent(theirs)}",
            "stated",
            None,
        ),
        *_errors(inputs, ours, theirs),
    ]


def _errors(inputs: Sequence[Input], ours: Job, theirs: Job) -> list[Row]:
    made = []
    for kind in ("", "scan", "digital"):
        mine, other = score(inputs, ours.texts, kind), score(inputs, theirs.texts, kind)
        lower = mine.cer < other.cer and mine.wer < other.wer
        pages = {"": "all pages", "scan": "scans", "digital": "digital pages"}[kind]
        target = "lower CER and WER" if not kind else ""
        made.append(
            Row(f"whole job, error on {pages}", str(mine), f"{theirs.name}: {other}", target, None if kind else lower)
        )
    return made


def _other_ways(peer: Peer, inbox: Path, inputs: Sequence[Input]) -> list[Row]:
    """What ocrmypdf takes when it is run otherwise than in its fastest way; stated."""
    made = []
    for what, name, options in (
        ("ocrmypdf from its command line, two at a time", "ocrmypdf-command", {"by_command": True}),
        ("ocrmypdf making PDF/A where it can, its default", "ocrmypdf-pdfa", {"output_type": "auto"}),
    ):
        try:
            spent = _spent(read_with_peer(peer, inbox, inputs, name=name, **options))
        except JobFailed as error:
            spent = f"not measured: {error}"
        made.append(Row(f"whole job, {what}", "", f"{peer.name} {peer.version}: {spent}", "stated", None))
    return made


def _write_details(inputs: Sequence[Input], jobs: Sequence[Job]) -> None:
    """`details.json`: the error of each file for each program."""
    files = [
        {
            "file": item.name,
            "kind": item.kind,
            "pages": item.pages,
            **{job.name.split()[0]: asdict(score([item], job.texts)) for job in jobs},
        }
        for item in inputs
        if item.text is not None
    ]
    programs = [
        {
            "name": job.name,
            "wall_seconds": job.measured.wall_seconds,
            "cpu_seconds": job.measured.cpu_seconds,
            "peak_bytes": job.measured.peak_bytes,
            "failures": dict(job.failures),
        }
        for job in jobs
    ]
    details = {"programs": programs, "files": files}
    (FOLDER / "details.json").write_text(json.dumps(details, indent=1), encoding="utf-8")


def worse_files() -> list[str]:
    """A line for each file of the last run on which a peer's character error is lower than docfleet's, worst first."""
    files = json.loads((FOLDER / "details.json").read_text(encoding="utf-8"))["files"]
    found = []
    for file in files:
        peers = {name: file[name]["cer"] for name in ("ocrmypdf", "kreuzberg") if name in file}
        mine = file["docfleet"]["cer"]
        if peers and min(peers.values()) < mine:
            beside = ", ".join(f"{name} {cer:.4f}" for name, cer in peers.items())
            found.append((mine - min(peers.values()), f"{file['file']:40} CER docfleet {mine:.4f}, {beside}"))
    return [line for _, line in sorted(found, reverse=True)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.whole_job", description="The whole job against its peers.")
    parser.add_argument("--quick", action="store_true", help="a fifth of the folder")
    print(as_text(rows(parser.parse_args().quick)))
    print("\nFiles that a peer reads with a lower character error:")
    print("\n".join(worse_files()) or "none")


if __name__ == "__main__":
    main()
