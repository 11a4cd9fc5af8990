"""One chaos run from an empty fleet to the auditor's verdict."""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

import engine_packages
from chaos.auditor import Violation, audit_everything, open_ledger
from chaos.corpus import Item, make_corpus
from chaos.fleet import FAKETIME, Fleet, run_fleet
from chaos.load import Load
from chaos.nemesis import LARGE, SMALL, Nemesis
from chaos.receiver import run_receiver
from chaos.recovery import LIMIT_SECONDS, Recovery, SliceChange, measure
from docfleet.client import Client
from docfleet.domain.access import Role
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access

EVERY_KIND = frozenset({*SMALL, *LARGE})
TENANT = "chaos"
SETTINGS = {
    "WORK__SLICE_SECONDS": "8",
    "FLEET__WORKER_MEMORY_BYTES": str(800 * 1024 * 1024),
    "FLEET__GRACE_SECONDS": "10",
    "READING__ENGINE": "chaos",
    # the API meets the full disk itself, instead of refusing before
    "API__MIN_FREE_BYTES": "0",
}


class Wish(msgspec.Struct, frozen=True):
    """What a run is to be."""

    documents: int = 5000
    poison: int = 20
    slow: float = 0.0
    """Share of the documents that take ten seconds."""
    seconds: float = 420.0
    """Of the storm; the documents come in evenly over it."""
    drain_seconds: float = 300.0
    seed: int = 1
    kinds: frozenset[str] = EVERY_KIND
    every_seconds: float = 2.0
    outage_seconds: float = 15.0
    """How long the database is away at its longest."""
    slots: int = 1
    fencing: bool = True
    repair: bool = True
    folder: Path | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What a run gave."""

    violations: list[Violation]
    recoveries: list[Recovery]
    figures: dict[str, str]

    @property
    def is_good(self) -> bool:
        return not self.violations


def run_trial(wish: Wish, tell: Callable[[str], None] = lambda line: None) -> Verdict:
    """Starts everything, lets the storm rage, waits until all is quiet, stops everything and counts."""
    with _folder(wish) as folder:
        plugins = folder / "plugins"
        plugins.mkdir()
        with tempfile.TemporaryDirectory() as build:
            engine_packages.install("docfleet_engine_chaos", Path(build), plugins)
        settings = {
            **SETTINGS,
            **({"WORK__SLICE_SECONDS": "40"} if wish.slow else {}),
            "FLEET__FENCING": str(wish.fencing).lower(),
            "FLEET__REPAIR": str(wish.repair).lower(),
        }
        with (
            run_receiver(folder / "received.jsonl", wish.seed) as hook,
            run_fleet(
                folder,
                slots=wish.slots,
                wrong_clock=FAKETIME.exists(),
                settings=settings,
                plugins=plugins,
                with_disk="store's disk full" in wish.kinds,
                with_cable="worker's cable pulled" in wish.kinds,
                tell=tell,
            ) as fleet,
        ):
            tell(f"fleet is up in {folder}")
            return _storm(wish, folder, fleet, hook, tell)


@contextmanager
def _folder(wish: Wish) -> Iterator[Path]:
    # Postgres runs as another user than root, who may not look into a folder of pytest's
    folder = wish.folder or Path(tempfile.mkdtemp(prefix="dfchaos-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if wish.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _storm(wish: Wish, folder: Path, fleet: Fleet, hook: str, tell: Callable[[str], None]) -> Verdict:
    with Ledger.open(fleet.postgres.url) as ledger:
        access = Access(ledger)
        access.ensure_tenant(TENANT, "Chaos")
        _, key = access.make_key(TENANT, "chaos", Role.ADMIN)
        access.close()
    Client(fleet.urls[0], key).webhooks.add(hook)
    load = Load(fleet.urls, key, folder / "accepted.jsonl", "chaos", wish.documents / wish.seconds)
    nemesis = Nemesis(fleet, wish.seed, wish.kinds, wish.every_seconds, wish.outage_seconds)
    begun = time.time()
    feeding = threading.Thread(
        target=_feed, args=(load, make_corpus(wish.seed, wish.documents, wish.poison, wish.slow))
    )
    load.start()
    feeding.start()
    nemesis.rage(wish.seconds)
    feeding.join()
    tell(f"{len(load.accepted)} documents accepted, {len(nemesis.faults)} faults")
    drained = _drain(fleet, wish.drain_seconds, tell)
    finished = time.time()
    nemesis.close()
    url, master_key = fleet.postgres.url, fleet.master_key
    violations = audit_everything(
        url, fleet.store_url, master_key, folder / "accepted.jsonl", folder / "received.jsonl"
    )
    with open_ledger(url) as connection:
        recoveries = measure(nemesis.faults, load.accept_times, *_events(connection))
        figures = _figures(connection, load, nemesis, finished - begun)
        connection.rollback()
    if not drained:
        violations.append(Violation("I3", "fleet", f"was not quiet {wish.drain_seconds:.0f} s after the storm"))
    violations += [
        Violation("I9", item.kind, f"took {item.longest:.1f} s to recover from")
        for item in recoveries
        if item.longest > LIMIT_SECONDS
    ]
    return Verdict(violations, recoveries, figures)


def _feed(load: Load, items: Iterable[Item]) -> None:
    load.feed(items)
    load.finish()


_OPEN = text(
    "SELECT (SELECT count(*) FROM document WHERE state IN ('received', 'running', 'assembling')), "
    "(SELECT count(*) FROM delivery WHERE state IN ('waiting', 'sending'))"
)


def _drain(fleet: Fleet, seconds: float, tell: Callable[[str], None]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with open_ledger(fleet.postgres.url) as connection:
            documents, deliveries = connection.execute(_OPEN).one()
            connection.rollback()
        if not documents and not deliveries:
            return True
        tell(f"still open: {documents} documents, {deliveries} messages")
        time.sleep(2.0)
    return False


def _events(connection: Connection) -> tuple[list[float], list[SliceChange]]:
    ends = connection.execute(
        text("SELECT at FROM event WHERE entity = 'document' AND to_state IN ('succeeded', 'partial', 'failed')")
    )
    changes = connection.execute(
        text("SELECT at, slice_id, to_state, token FROM event WHERE entity = 'slice' AND from_state <> ''")
    )
    return list(ends.scalars()), [SliceChange(*row) for row in changes]


def _figures(connection: Connection, load: Load, nemesis: Nemesis, seconds: float) -> dict[str, str]:
    def one(query: str) -> int:
        return int(connection.execute(text(query)).scalar_one())

    poison = sum(item.is_poison for item in load.accepted.values())
    states = connection.execute(text("SELECT state, count(*) FROM document GROUP BY state ORDER BY state"))
    codes = connection.execute(
        text("SELECT code, count(*) FROM slice WHERE state = 'dead' GROUP BY code ORDER BY code")
    )
    kinds = Counter(item.kind for item in load.accepted.values())
    said = sorted(load.seconds)
    return {
        "documents accepted": f"{len(load.accepted)} in {seconds:.0f} s ({_counted(kinds)})",
        "requests repeated by the client": str(load.repeats),
        "refused with a reason": str(len(load.refused)),
        "faults": f"{len(nemesis.faults)} ({nemesis.misses} more found nobody to hit)",
        "ended as": _counted(dict(states.tuples().all())),
        "poison accepted": str(poison),
        "dead letters": _counted(dict(codes.tuples().all())),
        "claims": str(one("SELECT count(*) FROM event WHERE to_state = 'running' AND entity = 'slice'")),
        "crashes counted": str(one("SELECT coalesce(sum(crash_count), 0) FROM slice")),
        "losses counted": str(one("SELECT coalesce(sum(loss_count), 0) FROM slice")),
        "slot deaths that were innocent": str(one("SELECT count(*) FROM death WHERE innocent")),
        "messages delivered": str(one("SELECT count(*) FROM delivery WHERE state = 'delivered'")),
        "submit, in the storm": f"p50 {1000 * statistics.median(said):.0f} ms, "
        f"p99 {1000 * said[math.ceil(len(said) * 0.99) - 1]:.0f} ms" if said else "",
    }  # fmt: skip


def _counted(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def as_table(verdict: Verdict) -> str:
    """Markdown: the figures, then one line for each kind of fault."""
    lines = ["| what | figure |", "|---|---|"]
    lines += [f"| {name} | {figure} |" for name, figure in verdict.figures.items()]
    lines += ["", "| fault | times | next accept, s | next completion, s | broken-off work runs again, s |"]
    lines += ["|---|---|---|---|---|"]
    for item in verdict.recoveries:
        seconds = [f"{each:.1f}" if each is not None else "–" for each in (item.accept, item.completion, item.again)]
        lines.append(f"| {item.kind} | {item.count} | {' | '.join(seconds)} |")
    return "\n".join(lines)
