"""The fleet on one machine, measured: `python -m bench.autoscale`. Real processes, a real Postgres, real Redis.

A burst of documents of one second each under `docfleet up --autoscale`: from one worker to the maximum and back. Then
the same with Redis under Sentinel, whose master is killed -9 in mid-burst. The engine waits a second for each page and
uses no core, as a cloud engine does: what is measured is the fleet, not the recogniser.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import engine_packages  # noqa: E402
from autoscale_driver import Burst, Story, run_burst, running_up  # noqa: E402
from bench.__main__ import machine_facts, placed  # noqa: E402
from bench.table import Row, as_markdown, as_text  # noqa: E402

BACK_SECONDS = 30.0


def measured(burst: Burst) -> Story:
    """One run in a folder of its own, with what happens on the standard error."""
    folder = Path(tempfile.mkdtemp(prefix="dfscale-", dir="/tmp"))
    try:
        plugins = folder / "plugins"
        engine_packages.install("docfleet_engine_chaos", folder / "build", plugins)
        with running_up(folder, plugins, burst) as up:
            return run_burst(up, burst, lambda line: print(line, file=sys.stderr, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows(story: Story, burst: Burst) -> list[Row]:
    """The figures of one run."""
    what = f"{burst.documents} documents of 1 s, up to {burst.max_workers} workers"
    if burst.sentinel:
        what += ", Redis' master killed -9 in mid-burst"
    unharmed = story.states == {"succeeded": burst.documents} and not any(story.faults.values())
    faults = ", ".join(f"{name} {count}" for name, count in story.faults.items())
    states = ", ".join(f"{count} {state}" for state, count in story.states.items())
    drained = f"{len(story.drain_codes)} drained, exit codes {', '.join(sorted(set(map(str, story.drain_codes))))}"
    made = [
        Row(
            what,
            f"1 → {story.peak} workers after {story.peak_after:.0f} s, all ended after {story.done_after:.0f} s, "
            f"1 worker again after {story.small_again_after:.0f} s",
            "",
            "to the maximum and back",
            story.peak == burst.max_workers,
        ),
        Row(f"{what}: what became of them", f"{states}; {faults}; {drained}", "", "all read once", unharmed),
    ]
    if story.killed_after is not None:
        is_back = max(story.longest_gap, story.hints_after_kill or BACK_SECONDS) < BACK_SECONDS
        made.append(
            Row(
                f"{what}: after the kill",
                f"promoted after {story.promoted_after_kill:.1f} s, hints flow after {story.hints_after_kill:.1f} s, "
                f"longest time without a finished document {story.longest_gap:.1f} s, old master follows: "
                f"{'yes' if story.old_master_follows else 'no'}",
                "",
                "back in < 30 s",
                is_back,
            )
        )
    return made


def decisions(story: Story) -> str:
    """The decision log of a run, as the ledger has it."""
    return "\n".join(f"{at:6.1f} s  {reason}" for at, _, _, reason in story.decisions)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.autoscale", description=__doc__)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--max-workers", type=int, default=8)
    parser.add_argument("--only", choices=("plain", "sentinel"), help="one of the two runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also put the Markdown into FILE")
    given = parser.parse_args(arguments)
    made: list[Row] = []
    logs: list[str] = []
    for sentinel in (False, True):
        if given.only in (None, "sentinel" if sentinel else "plain"):
            burst = Burst(given.documents, given.max_workers, sentinel, patience_seconds=1800.0)
            story = measured(burst)
            made += rows(story, burst)
            logs.append(decisions(story))
    print(as_text(made))
    print("\n\n".join(logs))
    if given.out:
        page = given.out.read_text(encoding="utf-8") if given.out.exists() else ""
        facts = "\n".join(f"- {name}: {fact}" for name, fact in machine_facts().items() if name != "corpora")
        told = "\n\n".join(f"```text\n{log}\n```" for log in logs)
        written = f"{facts}\n\n{as_markdown(made)}\n\nThe decision log, as the ledger has it:\n\n{told}\n"
        given.out.write_text(placed(page, written), encoding="utf-8")
    return 0 if all(row.holds is not False for row in made) else 1


if __name__ == "__main__":
    sys.exit(main())
