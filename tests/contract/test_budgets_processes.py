"""Money under real processes: many that pay at once, and ones that are killed between reserving and settling."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select, text

from docfleet.dispatch.accounts import keep_accounts
from docfleet.domain.budgeting import BudgetPolicy
from docfleet.domain.pricing import micros_of
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger import Claim, DocumentSummary, Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_rows import RESERVATION, SPEND
from ledger_driver import BATCH, audit, file_named, finish_pages, plan_document
from money_worker import BOOK, open_ledger

PROCESSES = 5
THREADS_EACH = 10
WORKER = str(Path(__file__).parent.parent / "money_worker.py")
SPENDERS = """
import sys, threading
sys.path[:0] = [sys.argv[1]]
from money_worker import BOOK, open_ledger, spend
from docfleet.ledger.budgets import Budgets
address, first, threads, turns = sys.argv[2], *map(int, sys.argv[3:6])
with open_ledger(address) as ledger:
    budgets, kept, failed = Budgets(ledger, BOOK), [], []
    def work(number):
        try:
            kept.append(spend(budgets, first + 1000 * number, turns))
        except BaseException as error:
            failed.append(error)
    all_ = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for one in all_:
        one.start()
    for one in all_:
        one.join()
    if failed:
        raise failed[0]
    print(sum(kept))
"""


@pytest.fixture
def place(address: str | Path) -> str:
    """Address of a ledger with the tenant acme."""
    with open_ledger(str(address)) as ledger:
        access = Access(ledger)
        access.make_tenant("acme", "Acme")
        access.close()
    return str(address)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fifty_who_pay_at_once_never_pass_the_limit(place: str) -> None:
    limit = 101 * 1_500 + 1_499
    with open_ledger(place) as ledger:
        budgets = Budgets(ledger, BOOK)
        budgets.set_budget("acme", "documentai", limit, BudgetPolicy.STOP)
        folder = Path(__file__).parent.parent
        running = [
            start("-c", SPENDERS, folder, place, 1_000_000 * number, THREADS_EACH, 4)
            for number in range(1, PROCESSES + 1)
        ]
        highest = 0
        while any(process.poll() is None for process in running):
            with ledger.reading() as session:
                row = session.execute(
                    select(SPEND).where(SPEND.c.tenant_id == "acme", SPEND.c.engine == "documentai", SPEND.c.pages > 0)
                ).first()
            if row is not None:
                highest = max(highest, row.reserved_micros + row.settled_micros)
            keep_accounts(ledger)
            time.sleep(0.02)
        told = [process.communicate() for process in running]
        assert [process.returncode for process in running] == [0] * PROCESSES, told
        keep_accounts(ledger)
        [spent] = budgets.month_spend("acme")
    kept = sum(int(out) for out, _ in told)
    assert highest <= limit
    assert (spent.settled_micros, spent.reserved_micros) == (kept, 0)
    assert limit - 3 * 1_500 < kept <= limit


def await_settled(budgets: Budgets, ledger: Ledger, micros: int) -> None:
    until = time.monotonic() + 20
    while True:
        ledger.expire_leases()
        budgets.repair_reservations(0)
        budgets.fold()
        [spent] = budgets.month_spend("acme")
        if (spent.settled_micros, spent.reserved_micros) == (micros, 0):
            return
        assert time.monotonic() < until, spent
        time.sleep(0.2)


@pytest.mark.parametrize("where", ["after_reserve", "in_call", "before_commit", "after_commit"])
def test_a_payer_killed_anywhere_is_accounted_for(place: str, where: str) -> None:
    """Two pages of 1500 micro-dollars. Who is killed before the commit has spent them on nothing, as far as anybody
    knows, and the slice is read again; who is killed after it has them in the document."""
    with open_ledger(place) as ledger:
        budgets = Budgets(ledger, BOOK)
        ledger.register(BATCH, [file_named("a.pdf")])
        plan_document(ledger, 2)
        payer = start(WORKER, place, "die", where)
        assert payer.stdout is not None
        assert payer.stdout.readline() == "there\n"
        with ledger.reading() as session:
            [held] = session.execute(select(RESERVATION)).all()
        assert held.state == ("settled" if where == "after_commit" else "open")
        payer.kill()
        payer.communicate()
        if where == "after_commit":
            assert budgets.repair_reservations(0) == 0
            assert lost_micros(budgets) == 0
        else:
            assert budgets.repair_reservations(0) == 0, "its lease has not run out yet"
        await_settled(budgets, ledger, 3_000)
        assert lost_micros(budgets) == (0 if where == "after_commit" else 3_000)
        if where != "after_commit":
            [claim] = claim_in_time(ledger)
            finish_pages(ledger, claim)
        [assemble] = ledger.claim("w", {Step.ASSEMBLE})
        assert ledger.finish_document(assemble, DocumentSummary("r")) is DocumentState.SUCCEEDED
        if where == "after_commit":
            with ledger.reading() as session:
                prices = session.execute(text("SELECT cost_usd FROM page")).scalars().all()
            assert sum(map(micros_of, prices)) == 3_000
        audit(ledger)


def lost_micros(budgets: Budgets) -> int:
    return sum(one.lost_micros for one in budgets.month_spend("acme"))


def claim_in_time(ledger: Ledger) -> list[Claim]:
    until = time.monotonic() + 10
    while not (claims := ledger.claim("w", {Step.LOCAL})):
        assert time.monotonic() < until
        time.sleep(0.1)
    return claims
