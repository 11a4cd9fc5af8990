"""The long proof (`make chaos`): the simulator over many seeds, then real processes under a nemesis, then the auditor.

Prints one table and exits 1 when a single document was lost, stuck or done twice. Everything runs on this machine, in a
folder under /tmp; nothing else is touched.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from bench.__main__ import machine_facts, placed  # noqa: E402

from chaos.auditor import as_table as violations_as_table  # noqa: E402
from chaos.model_ledger import ModelLedger  # noqa: E402
from chaos.simulation import Faults, World  # noqa: E402
from chaos.trial import EVERY_KIND, Verdict, Wish, as_table, run_trial  # noqa: E402

MOST_UNLUCKY = 5000
SEEDS_A_TASK = 500


def main() -> int:
    given = _arguments()
    # so that the fleet is taken down in order
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lines = [f"- {name}: {fact}" for name, fact in machine_facts().items() if name != "corpora"]
    wrong: list[str] = []
    if given.simulate:
        begun = time.monotonic()
        found, kills, refused, unlucky = simulate(given.simulate, given.jobs)
        seconds = time.monotonic() - begun
        lines.append(
            f"- simulator: {given.simulate} seeds in {seconds:.0f} s, {kills} processes killed, {refused} stale writes "
            f"refused, {len(found)} seeds with a violation; in {unlucky} an innocent document was given up "
            "because nothing but it was ever hit (decision 11)"
        )
        wrong += found
        if unlucky > max(1, given.simulate // MOST_UNLUCKY):
            wrong.append(f"{unlucky} innocents given up, more than one in {MOST_UNLUCKY} seeds")
        _tell(lines[-1])
    if given.documents:
        verdict = run_trial(_wish(given), _tell)
        lines += ["", as_table(verdict)]
        print(as_table(verdict))
        print(violations_as_table(verdict.violations))
        lines += ["", _said(verdict)]
        judged = [item for item in verdict.violations if item.invariant != "I9" or not given.any_time]
        wrong += [f"{item.invariant} {item.subject}: {item.sentence}" for item in judged]
    if given.out:
        page = given.out.read_text(encoding="utf-8") if given.out.exists() else ""
        given.out.write_text(placed(page, "\n".join(lines) + "\n"), encoding="utf-8")
    for sentence in wrong[:20]:
        print(sentence)
    print("nothing lost, nothing stuck, nothing twice" if not wrong else f"{len(wrong)} violations")
    return 1 if wrong else 0


def _said(verdict: Verdict) -> str:
    if verdict.is_good:
        return "The auditor found no violation of I1–I9."
    return f"The auditor found violations:\n\n```text\n{violations_as_table(verdict.violations)}\n```"


def simulate(seeds: int, jobs: int) -> tuple[list[str], int, int, int]:
    """(violations with their seeds, kills, refused writes, unlucky innocents) over seeds 0, 1, 2 …"""
    found: list[str] = []
    kills = refused = unlucky = 0
    with ProcessPoolExecutor(jobs) as pool:
        for wrong, killed, fenced, lost in pool.map(_simulate_some, range(0, seeds, SEEDS_A_TASK)):
            found += wrong
            kills += killed
            refused += fenced
            unlucky += lost
    return found, kills, refused, unlucky


def _simulate_some(first: int) -> tuple[list[str], int, int, int]:
    found: list[str] = []
    kills = refused = unlucky = 0
    for seed in range(first, first + SEEDS_A_TASK):
        world = World(ModelLedger(), seed, Faults(two_leaders=seed % 4 == 0)).run()
        found += [f"seed {seed}: {sentence}" for sentence in world.violations]
        kills += world.kills
        refused += world.refused
        unlucky += len(world.checker.unlucky)
    return found, kills, refused, unlucky


def _wish(given: argparse.Namespace) -> Wish:
    hours = given.soak
    seconds = hours * 3600 if hours else given.seconds
    documents = max(1, int(given.documents * seconds / given.seconds))
    kinds = frozenset(given.faults) if given.faults is not None else EVERY_KIND
    return Wish(
        documents=documents,
        poison=max(1, documents * 20 // 5000) if given.poison is None else given.poison,
        slow=given.slow,
        seconds=seconds,
        seed=given.seed,
        kinds=kinds,
        slots=given.slots,
        fencing=not given.without_fencing,
        repair=not given.without_repair,
        folder=given.folder,
        every_seconds=given.every,
        outage_seconds=given.outage,
        drain_seconds=given.drain,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tools/chaos.py", description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="documents to submit; 0: the simulator only")
    parser.add_argument("--poison", type=int, help="how many of them are poison (default: 20 of 5,000)")
    parser.add_argument("--slow", type=float, default=0.0, help="share of documents that take ten seconds (default 0)")
    parser.add_argument("--seconds", type=float, default=420, help="length of the storm (default 420)")
    parser.add_argument(
        "--soak", type=float, default=0, metavar="HOURS", help="a storm of hours, documents in proportion"
    )
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()) % 100_000)
    parser.add_argument("--slots", type=int, default=1, help="slots of each of the two workers")
    parser.add_argument("--faults", nargs="*", choices=sorted(EVERY_KIND), help="these kinds only")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two faults (default 2)")
    parser.add_argument("--outage", type=float, default=15.0, help="seconds the database is away once (default 15)")
    parser.add_argument("--drain", type=float, default=300.0, help="seconds until all must have ended after the storm")
    parser.add_argument("--any-time", action="store_true", help="recovery times are told but not judged (busy machine)")
    parser.add_argument("--simulate", type=int, default=100_000, metavar="SEEDS", help="seeds of the simulator")
    parser.add_argument("--jobs", type=int, default=2, help="processes of the simulator")
    parser.add_argument("--folder", type=Path, help="keep everything here, logs included")
    parser.add_argument("--without-fencing", action="store_true", help="must end red: proves that the auditor looks")
    parser.add_argument("--without-repair", action="store_true", help="must end red: proves that the auditor looks")
    parser.add_argument("--out", type=Path, metavar="FILE", help="put the figures between the marks of this page")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
