"""Budgets hold: reservations, what becomes of them, the month's border, warnings told once. On both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from docfleet.domain.budgeting import ALL, BudgetPolicy, Refused
from docfleet.domain.months import month_bounds
from docfleet.domain.pricing import PriceBook, Rate, Tier, Unit, micros_of, usd_of
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import BadRequest, Fenced, NotFound, UsageError
from docfleet.ledger import Claim, Ledger, NewBatch, PageOutcome, Plan, ending, reserving, settling
from docfleet.ledger.access import Access
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.money_rows import RESERVATION, SPEND
from docfleet.ledger.money_values import Ask, Reservation
from docfleet.ledger.service_rows import DELIVERY
from docfleet.ledger.webhooks import Webhooks
from ledger_driver import BATCH, audit, file_named, plan_document
from new_ledger import new_ledger

ENGINE, OCR = "documentai", "OCR_PROCESSOR"
BOOK = PriceBook(
    {
        OCR: Rate.flat(1_500),
        "TIERED": Rate((Tier(0, 1_500), Tier(10, 600))),
        "INVOICE_PROCESSOR": Rate.flat(100_000, Unit.BLOCK),
    }
)
MONTH = "2026-11"


@pytest.fixture
def budgets(ledger: Ledger) -> Iterator[Budgets]:
    access = Access(ledger)
    for tenant in ("acme", "blue"):
        access.make_tenant(tenant, tenant)
    yield Budgets(ledger, BOOK)
    access.close()


def ask(slice_id: int = 1, token: int = 1, pages: int = 10, **more: object) -> Ask:
    return msgspec.structs.replace(Ask(slice_id, token, "acme", ENGINE, OCR, pages), **more)


def reserved(answer: Reservation | Refused) -> Reservation:
    assert isinstance(answer, Reservation), answer
    return answer


def refused(answer: Reservation | Refused) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


def standing(budgets: Budgets, tenant: str = "acme", month: str | None = None) -> tuple[int, int]:
    """(settled, reserved) micro-dollars of the tenant."""
    spent = budgets.month_spend(tenant, month)
    return sum(one.settled_micros for one in spent), sum(one.reserved_micros for one in spent)


def check_sums(ledger: Ledger) -> None:
    """The sums are those of the reservations, in every scope."""
    with ledger.reading() as session:
        assert not session.execute(select(RESERVATION.c.id).where(RESERVATION.c.to_fold)).all()
        reservations = session.execute(select(RESERVATION)).all()
        rows = session.execute(select(SPEND)).all()
    for row in rows:
        mine = [
            one
            for one in reservations
            if one.month == row.month
            and row.tenant_id in (ALL, one.tenant_id)
            and row.engine in (ALL, one.engine)
            and row.processor in (ALL, one.processor)
        ]
        assert row.settled_micros == sum(one.settled_micros for one in mine if one.state != "open")
        assert row.reserved_micros == sum(one.amount_micros for one in mine if one.state == "open")
        assert row.pages == sum(one.pages for one in mine if one.state != "released")


# --- one call after the other


def test_a_reservation_is_settled_at_what_its_pages_cost(ledger: Ledger, budgets: Budgets) -> None:
    held = reserved(*budgets.reserve([ask(pages=3)]))
    assert held.page_micros == (1_500, 1_500, 1_500)
    assert standing(budgets) == (0, 4_500)
    assert budgets.settle(held.id, 3_000)
    assert standing(budgets) == (3_000, 0), "at once, also before it is added up"
    assert budgets.fold() == 1
    assert standing(budgets) == (3_000, 0)
    assert not budgets.settle(held.id, 4_500), "once is enough"
    assert budgets.release([held.id]) == 0
    assert standing(budgets) == (3_000, 0)
    check_sums(ledger)


def test_a_failure_that_is_not_billed_gives_the_money_back(ledger: Ledger, budgets: Budgets) -> None:
    budgets.set_budget("acme", ENGINE, 15_000, BudgetPolicy.STOP)
    held = reserved(*budgets.reserve([ask()]))
    refused(*budgets.reserve([ask(2)]))
    assert budgets.release([held.id]) == 1
    again = reserved(*budgets.reserve([ask(2)]))
    assert again.amount_micros == 15_000, "at once: whoever has no room adds up first"
    budgets.fold()
    assert standing(budgets) == (0, 15_000)
    check_sums(ledger)


def test_an_unknown_outcome_counts_as_spent_until_better_is_known(ledger: Ledger, budgets: Budgets) -> None:
    held = [reserved(answer) for answer in budgets.reserve([ask(number) for number in (1, 2, 3)])]
    assert budgets.write_off([one.id for one in held]) == 3
    budgets.fold()
    assert standing(budgets) == (45_000, 0)
    [spent] = budgets.month_spend("acme")
    assert spent.lost_micros == 45_000
    budgets.settle(held[0].id, 1_500)
    budgets.release([held[1].id])
    assert standing(budgets) == (16_500, 0)
    budgets.fold()
    assert standing(budgets) == (16_500, 0)
    check_sums(ledger)


@pytest.mark.parametrize(
    ("micros", "expected"),
    [
        (15_000, ["settled", "released", "released"]),
        (30_000, ["settled", "settled", "released"]),
        (50_000, ["settled", "settled", "settled"]),
        (0, ["settled", "released", "released"]),
    ],
)
def test_a_hedge_is_paid_from_its_own_reservation(
    ledger: Ledger, budgets: Budgets, micros: int, expected: list[str]
) -> None:
    ids = [reserved(answer).id for answer in budgets.reserve([ask(call=number) for number in (1, 2, 3)])]
    for _ in range(2):
        with ledger.unit_of_work() as session:
            settling.settle_together(session, ids, micros)
    with ledger.reading() as session:
        assert session.execute(select(RESERVATION.c.state).order_by(RESERVATION.c.id)).scalars().all() == expected
    budgets.fold()
    assert standing(budgets) == (micros, 0)
    check_sums(ledger)


def test_the_same_claim_asks_once(ledger: Ledger, budgets: Budgets) -> None:
    [first, twin] = map(reserved, budgets.reserve([ask(), ask()]))
    [again] = map(reserved, budgets.reserve([ask()]))
    assert first == twin == again
    assert standing(budgets) == (0, 15_000)
    other = reserved(*budgets.reserve([ask(call=2)]))
    assert other.id != first.id
    assert standing(budgets) == (0, 30_000)


def test_a_pack_is_one_request(budgets: Budgets) -> None:
    asks = [ask(number, pages=1, call_id="pack", tenant="acme" if number % 2 else "blue") for number in range(1, 7)]
    asks += [ask(9)]
    for answer in budgets.reserve(asks):
        budgets.settle(reserved(answer).id, answer.amount_micros)
    [acme], [blue] = budgets.month_spend("acme"), budgets.month_spend("blue")
    assert (acme.requests, acme.slices, acme.pages) == (2, 4, 13)
    assert (blue.requests, blue.slices, blue.pages) == (1, 3, 3)
    assert budgets.costs("acme").requests_saved == 2


def test_tiers_count_the_pages_of_all_tenants(budgets: Budgets) -> None:
    first = reserved(*budgets.reserve([ask(pages=8, processor="TIERED")]))
    assert first.amount_micros == 8 * 1_500
    second = reserved(*budgets.reserve([ask(2, pages=4, processor="TIERED", tenant="blue")]))
    assert second.page_micros == (1_500, 1_500, 600, 600)
    budgets.release([first.id])
    budgets.fold()
    third = reserved(*budgets.reserve([ask(3, pages=7, processor="TIERED")]))
    assert third.page_micros == (1_500,) * 6 + (600,)


def test_a_processor_without_a_price_is_not_paid(budgets: Budgets) -> None:
    with pytest.raises(UsageError):
        budgets.reserve([ask(), ask(2, processor="UNHEARD_OF")])
    assert standing(budgets) == (0, 0)


# --- policies and scopes


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (BudgetPolicy.STOP, "budget_exhausted"),
        (BudgetPolicy.DEGRADE, "budget_degraded"),
        (BudgetPolicy.QUEUE, "budget_approval"),
    ],
)
def test_a_full_budget_says_what_is_to_be_done(budgets: Budgets, policy: BudgetPolicy, code: str) -> None:
    budgets.set_budget("acme", ENGINE, 16_000, policy)
    answers = budgets.reserve([ask(1, pages=10), ask(2, pages=1), ask(3, tenant="blue")])
    reserved(answers[0])
    told = refused(answers[1])
    assert (told.policy, told.code, told.error.code) == (policy, code, code)
    assert (told.limit_micros, told.taken_micros, told.amount_micros) == (16_000, 15_000, 1_500)
    reserved(answers[2])
    budgets.set_budget("acme", ENGINE, 16_500, policy)
    reserved(*budgets.reserve([ask(2, pages=1)]))
    assert standing(budgets) == (0, 16_500), "to the last micro-dollar"


@pytest.mark.parametrize(("tenant", "engine"), [("acme", ALL), (ALL, ENGINE), (ALL, ALL), ("acme", ENGINE)])
def test_every_scope_is_kept(ledger: Ledger, budgets: Budgets, tenant: str, engine: str) -> None:
    reserved(*budgets.reserve([ask(1, pages=10)]))
    budgets.set_budget(tenant, engine, 30_000, BudgetPolicy.STOP)
    reserved(*budgets.reserve([ask(2, pages=10)]))
    told = refused(*budgets.reserve([ask(3, pages=1)]))
    assert (told.scope.tenant, told.scope.engine) == (tenant, engine)
    other_engine = budgets.reserve([ask(4, pages=1, engine="other")])
    assert isinstance(other_engine[0], Refused) == (engine == ALL)
    budgets.remove_budget(tenant, engine)
    reserved(*budgets.reserve([ask(3, pages=1)]))
    check_sums(ledger)


def test_what_one_month_may_cost_counts_before_what_all_may(budgets: Budgets) -> None:
    month = budgets.costs("acme").month
    budgets.set_budget("acme", ENGINE, 0, BudgetPolicy.QUEUE)
    refused(*budgets.reserve([ask()]))
    budgets.set_budget("acme", ENGINE, 15_000, BudgetPolicy.STOP, month=month)
    reserved(*budgets.reserve([ask()]))
    assert refused(*budgets.reserve([ask(2)])).policy is BudgetPolicy.STOP
    budgets.remove_budget("acme", ENGINE, month)
    assert refused(*budgets.reserve([ask(2)])).policy is BudgetPolicy.QUEUE


def test_nonsense_is_refused(budgets: Budgets) -> None:
    for wrong in ({"limit_micros": -1}, {"engine": "no engine"}, {"month": "November"}, {"warn_percent": 0}):
        with pytest.raises(BadRequest):
            budgets.set_budget(
                **{"tenant": "acme", "engine": ENGINE, "limit_micros": 1, "policy": BudgetPolicy.STOP, **wrong}  # type: ignore[arg-type]
            )
    with pytest.raises(NotFound):
        budgets.set_budget("nobody", ENGINE, 1, BudgetPolicy.STOP)
    with pytest.raises(NotFound):
        budgets.remove_budget("acme", ENGINE)
    with pytest.raises(BadRequest):
        budgets.costs("acme", "November")


# --- the month's border


def test_each_month_has_its_own_money(ledger: Ledger, budgets: Budgets) -> None:
    """One call is made at the last moment of a month and answered in the next."""
    budgets.set_budget("acme", ENGINE, 15_000, BudgetPolicy.STOP)
    border = month_bounds(MONTH)[1]
    with ledger.unit_of_work() as session:
        old = reserved(*reserving.reserve(session, [ask(1)], BOOK, border - 0.001))
    with ledger.unit_of_work() as session:
        refused(*reserving.reserve(session, [ask(2)], BOOK, border - 0.001))
        new = reserved(*reserving.reserve(session, [ask(2)], BOOK, border))
    assert (old.month, new.month) == ("2026-11", "2026-12")
    with ledger.unit_of_work() as session:
        refused(*reserving.reserve(session, [ask(3)], BOOK, border + 1))
        settling.settle(session, old.id, 15_000)
        refused(*reserving.reserve(session, [ask(3)], BOOK, border + 1))
    budgets.fold()
    assert standing(budgets, month="2026-11") == (15_000, 0)
    assert standing(budgets, month="2026-12") == (0, 15_000)
    check_sums(ledger)


def test_a_month_that_is_repeated_stays_the_month_it_was(ledger: Ledger, budgets: Budgets) -> None:
    """The answer to a reservation is lost at midnight; the second try must not pay twice."""
    border = month_bounds(MONTH)[1]
    with ledger.unit_of_work() as session:
        old = reserved(*reserving.reserve(session, [ask()], BOOK, border - 0.001))
    with ledger.unit_of_work() as session:
        assert reserved(*reserving.reserve(session, [ask()], BOOK, border + 0.001)) == old
    assert standing(budgets, month="2026-12") == (0, 0)


# --- warnings


def notices(ledger: Ledger) -> list[tuple[str, str, dict[str, object]]]:
    with ledger.reading() as session:
        rows = session.execute(select(DELIVERY).order_by(DELIVERY.c.id)).all()
    return [(row.tenant_id, row.event_type, msgspec.json.decode(row.payload_json)["budget"]) for row in rows]


def test_warnings_are_told_once(ledger: Ledger, budgets: Budgets) -> None:
    Webhooks(ledger).add("acme", "https://example.org/hook", b"sealed")
    Webhooks(ledger).add("blue", "https://example.org/blue", b"sealed")
    budgets.set_budget("acme", ENGINE, 100_000, BudgetPolicy.STOP)
    reserved(*budgets.reserve([ask(1, pages=53)]))
    assert notices(ledger) == []
    for number in range(2, 13):
        reserved(*budgets.reserve([ask(number, pages=1)]))
    for number in range(20, 25):
        refused(*budgets.reserve([ask(number, pages=10)]))
    told = notices(ledger)
    assert [(tenant, kind) for tenant, kind, _ in told] == [("acme", "budget.warning"), ("acme", "budget.exhausted")]
    assert told[0][2]["taken_usd"] == 0.081
    [view] = budgets.budgets("acme")
    assert view.warned_at is not None
    assert view.exhausted_at is not None
    budgets.set_budget("acme", ENGINE, 200_000, BudgetPolicy.STOP)
    [view] = budgets.budgets("acme")
    assert (view.warned_at, view.exhausted_at) == (None, None)
    reserved(*budgets.reserve([ask(30, pages=60)]))
    assert [kind for _, kind, _ in notices(ledger)][2:] == ["budget.warning"]


# --- with the work it pays for


def cloud_claim(ledger: Ledger, pages: int = 4) -> Claim:
    ledger.register(BATCH, [file_named(f"a{pages}.pdf")])
    plan_document(ledger, pages)
    [claim] = ledger.claim("w1", {Step.LOCAL})
    return claim


def paid(reservation: Reservation) -> list[PageOutcome]:
    return [
        PageOutcome(number, engine=ENGINE, confidence=1.0, cost_usd=usd_of(micros))
        for number, micros in enumerate(reservation.page_micros, 1)
    ]


def test_pages_and_money_are_committed_together(ledger: Ledger, budgets: Budgets) -> None:
    claim = cloud_claim(ledger, 7)
    [held] = map(reserved, budgets.reserve([ask(claim.slice_id, claim.token, 7, processor="INVOICE_PROCESSOR")]))
    assert held.page_micros == (14_286,) * 5 + (14_285,) * 2
    outcomes = paid(held)
    with ledger.unit_of_work() as session:
        ending.finish(session, claim, "k", outcomes, [], None)
        settling.settle(session, held.id, sum(micros_of(one.cost_usd) for one in outcomes))
    [assemble] = ledger.claim("w1", {Step.ASSEMBLE})
    assert ledger.finish_document(assemble) is DocumentState.SUCCEEDED
    with ledger.reading() as session:
        pages = session.execute(text("SELECT cost_usd FROM page")).scalars().all()
        document = session.execute(text("SELECT cost_usd FROM document")).scalar_one()
    assert sum(map(micros_of, pages)) == micros_of(document) == standing(budgets)[0] == 100_000
    assert budgets.repair_reservations(0) == 0
    audit(ledger)


def test_a_fenced_finish_settles_nothing_but_the_money_counts(ledger: Ledger, budgets: Budgets) -> None:
    claim = cloud_claim(ledger)
    [held] = map(reserved, budgets.reserve([ask(claim.slice_id, claim.token, 4)]))
    ledger.hand_back(claim)
    [taken] = ledger.claim("w2", {Step.LOCAL})

    def finish_and_settle() -> None:
        with ledger.unit_of_work() as session:
            settling.settle(session, held.id, 6_000)
            ending.finish(session, claim, "k", paid(held), [], None)

    with pytest.raises(Fenced):
        finish_and_settle()
    assert standing(budgets) == (0, 6_000)
    assert budgets.repair_reservations(60) == 0, "its holder may still say what became of it"
    assert budgets.repair_reservations(0) == 1
    assert standing(budgets) == (6_000, 0)
    [again] = map(reserved, budgets.reserve([ask(taken.slice_id, taken.token, 4)]))
    assert again.id != held.id
    assert budgets.repair_reservations(0) == 0, "its claim is held"


# --- many at once


def test_threads_never_pass_a_limit_by_a_micro_dollar(ledger: Ledger, budgets: Budgets) -> None:
    limit = 97 * 1_500 + 1_499
    budgets.set_budget("acme", ENGINE, limit, BudgetPolicy.STOP)
    kept: list[int] = []
    errors: list[BaseException] = []

    def work(me: int) -> None:
        try:
            for turn in range(8):
                [answer] = budgets.reserve([ask(me * 100 + turn, pages=1 + (me + turn) % 3)])
                if isinstance(answer, Refused):
                    continue
                if turn % 4 == 3:
                    budgets.release([answer.id])
                elif turn % 4 == 2:
                    budgets.write_off([answer.id])
                    kept.append(answer.amount_micros)
                else:
                    budgets.settle(answer.id, answer.amount_micros)
                    kept.append(answer.amount_micros)
                if turn % 3 == 0:
                    budgets.fold()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    while budgets.fold():
        pass
    settled, open_ = standing(budgets)
    assert (settled, open_) == (sum(kept), 0)
    assert limit - 3 * 1_500 < settled <= limit
    check_sums(ledger)


class _Model:
    """What the ledger should say after each move."""

    def __init__(self) -> None:
        self.states: dict[int, tuple[str, int]] = {}

    def taken(self) -> int:
        return sum(amount for state, amount in self.states.values() if state != "released")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["reserve", "settle", "release", "write_off", "fold"]), st.integers(0, 30)),
        max_size=40,
    )
)
def test_any_order_of_moves_keeps_the_sums(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, int]]
) -> None:
    limit = 60_000
    with Ledger.open(new_ledger(Path(tmp_path_factory.mktemp("moves")) / "ledger.db")) as ledger:
        with ledger.unit_of_work() as session:
            session.execute(
                text("INSERT INTO tenant (id, name, region, settings_json, created_at) VALUES ('acme','','','{}',0)")
            )
        budgets = Budgets(ledger, BOOK)
        budgets.set_budget("acme", ENGINE, limit, BudgetPolicy.STOP)
        model = _Model()
        ids: list[int] = []
        for turn, (move, number) in enumerate(moves):
            if move == "reserve":
                [answer] = budgets.reserve([ask(turn + 1, pages=number + 1)])
                fits = model.taken() + 1_500 * (number + 1) <= limit
                assert isinstance(answer, Reservation) == fits
                if isinstance(answer, Reservation):
                    model.states[answer.id] = ("open", answer.amount_micros)
                    ids.append(answer.id)
            elif move == "fold":
                budgets.fold()
            elif ids:
                _close(budgets, model, move, ids[number % len(ids)], number)
        while budgets.fold():
            pass
        check_sums(ledger)
        closed = sum(amount for state, amount in model.states.values() if state in ("settled", "lost"))
        assert standing(budgets)[0] == closed


def _close(budgets: Budgets, model: _Model, move: str, id_: int, number: int) -> None:
    state, amount = model.states[id_]
    if move == "settle" and budgets.settle(id_, amount - min(amount, number)):
        assert state in ("open", "lost")
        model.states[id_] = ("settled", amount - min(amount, number))
    elif move == "release" and budgets.release([id_]):
        assert state in ("open", "lost")
        model.states[id_] = ("released", 0)
    elif move == "write_off" and budgets.write_off([id_]):
        assert state == "open"
        model.states[id_] = ("lost", amount)


def test_what_the_cascade_saved_is_told_at_the_tier_that_all_tenants_reached_together(ledger: Ledger) -> None:
    budgets = Budgets(ledger, BOOK, cloud_processor="TIERED")
    reserved(*budgets.reserve([ask(pages=10, tenant="other", processor="TIERED")]))
    ledger.register(NewBatch("read here"), [file_named("a.pdf")])
    [plan] = ledger.claim("worker", {Step.PLAN})
    ledger.finish_in_one(plan, Plan(3), [PageOutcome(page, engine="text") for page in (1, 2, 3)])
    tenant = plan.document.tenant
    assert budgets.costs(tenant).cascade_micros == 3 * 600
