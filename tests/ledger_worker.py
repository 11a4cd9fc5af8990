"""A worker process for the ledger's tests: claims, writes to the store, finishes, until it is killed.

    python ledger_worker.py LEDGER STORE NAME [die_before_finish]

Prints a line for each finish that was refused, so that the test can see zombies at work.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from docfleet.domain.retry import RetryPolicy
from docfleet.domain.work import Step
from docfleet.errors import Fenced
from docfleet.ledger import Claim, Ledger, NewSlice, Plan
from docfleet.store import FolderStore, Store
from ledger_driver import read

LEASE_SECONDS = 1.5
POLICY = RetryPolicy(max_crashes=10_000, isolate_at_crashes=10_000, isolate_at_losses=10_000)
"""A nemesis that kills at random must not turn its victims into dead letters here."""
PAGES = 24
PER_SLICE = 4


def open_ledger(address: str) -> Ledger:
    return Ledger.open(address, lease_seconds=LEASE_SECONDS, policy=POLICY, busy_seconds=60)


def content_of(claim: Claim) -> bytes:
    return f"{claim.document.id} {claim.slice_id} {claim.first_page} {claim.last_page} {claim.token}".encode()


def do(ledger: Ledger, store: Store, claim: Claim, die_before_finish: bool) -> None:
    if claim.step is Step.PLAN:
        slices = [NewSlice(Step.LOCAL, first, first + PER_SLICE - 1) for first in range(1, PAGES + 1, PER_SLICE)]
        ledger.finish(claim, plan=Plan(PAGES), next_slices=slices)
        return
    key = f"{claim.result_prefix}/pages"
    store.put(key, content_of(claim))
    if die_before_finish:
        os._exit(9)
    time.sleep(0.01)
    if claim.step is Step.ASSEMBLE:
        ledger.finish_document(claim)
    else:
        ledger.finish(claim, key, read(claim.first_page, claim.last_page))


def main() -> None:
    address, folder, name, *options = sys.argv[1:]
    ledger, store = open_ledger(address), FolderStore(Path(folder))
    held: list[Claim] = []

    def beat() -> None:
        while True:
            time.sleep(LEASE_SECONDS / 5)
            ledger.beat(name, list(held))

    threading.Thread(target=beat, daemon=True).start()
    print("ready", flush=True)
    while True:
        claims = ledger.claim(name)
        if not claims:
            time.sleep(0.05)
            continue
        held[:] = claims
        try:
            do(ledger, store, claims[0], "die_before_finish" in options and claims[0].step is Step.LOCAL)
        except Fenced:
            print("fenced", flush=True)
        held.clear()


if __name__ == "__main__":
    main()
