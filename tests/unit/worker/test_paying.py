"""What a run on one machine may spend: its account, its limit, and what stands of a page that was read twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_double import answered, failed
from docfleet.domain.cascade import Escalation, EscalationPolicy, OnRefusal, Reason
from docfleet.domain.document import Page, Reading
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.domain.work import Step
from docfleet.engines.documentai.calls import Answer, Call, Failed, Postponed
from docfleet.errors import BudgetExhausted
from docfleet.ledger import Claim, Ledger
from docfleet.ledger.budgets import Budgets
from docfleet.pipeline.reading_again import weigh
from docfleet.pipeline.recognise import ReadPage, failed_page
from docfleet.worker.paying import Purse, RunMoney
from ledger_driver import BATCH, file_named
from new_ledger import new_ledger

OCR = "OCR_PROCESSOR"
BOOK = PriceBook({OCR: Rate.flat(1_500)})
THREE = Call(b"", "application/pdf", 3)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(new_ledger(tmp_path / "ledger.db")) as ledger:
        ledger.register(BATCH, [file_named("a.png")])
        yield ledger


@pytest.fixture
def budgets(ledger: Ledger) -> Budgets:
    return Budgets(ledger, BOOK)


@pytest.fixture
def claim(ledger: Ledger) -> Claim:
    [claim] = ledger.claim("worker", {Step.PLAN})
    return claim


class Service:
    """Answers what it is told to."""

    def __init__(self, says: Callable[[Call], Answer | Postponed | Failed]) -> None:
        self.call = says

    def close(self) -> None: ...


def good(call: Call) -> Answer:
    return answered(["a"] * call.pages, call.pages)


def purse_of(caller: Service, budgets: Budgets, claim: Claim) -> Purse:
    return Purse(caller, budgets, lambda: claim, frozenset())


def test_each_call_is_paid_for_and_its_pages_carry_their_price(budgets: Budgets, claim: Claim) -> None:
    run = RunMoney(budgets, None)
    purse = purse_of(Service(good), budgets, claim)
    for _ in range(2):
        outcome = purse.call(THREE)
        assert isinstance(outcome, Answer)
        assert outcome.page_usd == (0.0015,) * 3
    assert run.end() == 9_000


def test_what_costs_nothing_is_free_again_and_doubt_counts(budgets: Budgets, claim: Claim) -> None:
    run = RunMoney(budgets, 4_500)
    says = iter([failed("INVALID_ARGUMENT"), Postponed(5.0, "requests"), failed("DEADLINE_EXCEEDED", billed=True)])
    purse = purse_of(Service(lambda _: next(says)), budgets, claim)
    for expected in (0, 0, 4_500):
        purse.call(THREE)
        assert run.spent_micros == expected
    with pytest.raises(BudgetExhausted, match="0\\.0000 are left"):
        purse.call(THREE)


def test_a_run_may_spend_its_limit_whatever_earlier_runs_did(budgets: Budgets, claim: Claim) -> None:
    purse = purse_of(Service(good), budgets, claim)
    for _ in range(2):
        run = RunMoney(budgets, 5_000)
        purse.call(THREE)
        with pytest.raises(BudgetExhausted):
            purse.call(THREE)
        assert run.end() == 4_500
    RunMoney(budgets, None)
    purse.call(THREE)


def test_a_month_that_begins_under_way_gets_what_is_left(
    budgets: Budgets, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[str, int] = {"2026-11": 700}
    month = "2026-11"
    limits: list[tuple[str, int]] = []
    monkeypatch.setattr(budgets, "taken", lambda of=None: (of or month, taken.get(of or month, 0)))
    monkeypatch.setattr(budgets, "set_budget", lambda *given: limits.append((given[4] if given[4:] else "*", given[2])))
    run = RunMoney(budgets, 5_000)
    assert limits == [("*", 0), ("2026-11", 5_700)]
    taken["2026-11"] += 3_000
    month = "2026-12"
    run.keep()
    run.keep()
    assert limits[2:] == [("*", 0), ("2026-12", 2_000)]
    taken["2026-12"] = 2_000
    assert run.end() == 5_000


def test_a_worker_killed_in_a_call_has_spent_its_money(ledger: Ledger, budgets: Budgets, claim: Claim) -> None:
    def dies(call: Call) -> Answer:
        raise KeyboardInterrupt

    first = RunMoney(budgets, 5_000)
    with pytest.raises(KeyboardInterrupt):
        purse_of(Service(dies), budgets, claim).call(THREE)
    assert first.spent_micros == 4_500
    # and one that could not even say so
    purse = purse_of(Service(good), budgets, claim)
    second = RunMoney(budgets, 5_000)
    purse._calls = 1
    purse._last = (claim.slice_id, claim.token)
    purse._reserve(THREE)
    ledger.release_worker("worker", crashed=True)
    assert second.end() == 4_500


LOCAL = ReadPage("poor", Page(2), Reading(2, "rapidocr", "no_text", "As found.", 0.6, seconds=1.0))
CLOUD = ReadPage("good", Page(2), Reading(2, "documentai", "forced", "Asked.", 0.98, 0.0015, seconds=2.0))
WHY = Escalation(2, Reason.LOW_CONFIDENCE, "rapidocr was 0.60 sure of the page.", "rapidocr", 0.6)


def policy(on_refusal: OnRefusal) -> EscalationPolicy:
    return EscalationPolicy("documentai", 0.98, on_refusal)


def test_a_page_read_twice_tells_both_confidences_the_reason_and_the_price() -> None:
    page = weigh(LOCAL, CLOUD, WHY, policy(OnRefusal.LOCAL))
    assert (page.text, page.reading.engine, page.reading.reason) == ("good", "documentai", "low_confidence")
    assert "0.60" in page.reading.detail
    assert "0.98" in page.reading.detail
    assert (page.reading.cost_usd, page.reading.seconds) == (0.0015, 3.0)


@pytest.mark.parametrize(
    ("on_refusal", "code", "outcome"),
    [
        (OnRefusal.LOCAL, "engine_refused", "read"),
        (OnRefusal.LOCAL, "budget_exhausted", "read"),
        (OnRefusal.WAIT, "engine_refused", "read"),
        (OnRefusal.WAIT, "engine_busy", "engine_busy"),
        (OnRefusal.WAIT, "budget_exhausted", "budget_exhausted"),
        (OnRefusal.FAIL, "engine_refused", "engine_refused"),
    ],
)
def test_what_stands_when_the_cloud_engine_does_not_read_it(on_refusal: OnRefusal, code: str, outcome: str) -> None:
    page = weigh(LOCAL, failed_page(2, code, "It says no."), WHY, policy(on_refusal))
    assert page.reading.outcome == outcome
    assert "It says no." in page.reading.detail
    assert page.text == ("poor" if outcome == "read" else "")
    assert page.reading.cost_usd == 0
