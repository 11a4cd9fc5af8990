"""What waits, what arrived, how long it takes and what was decided: on both databases."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from contract.desk_driver import read_through, submission
from docfleet.domain.load import Caps
from docfleet.domain.scaling import ScalingPolicy
from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import Step
from docfleet.fleet.caps import NO_CAPS
from docfleet.fleet.deciding import Decider, Deciding, PoolPlan
from docfleet.fleet.forecast.base import Forecast, Trust
from docfleet.fleet.outlook import Forecasts, Kept
from docfleet.fleet.probe import PoolTimes
from docfleet.ledger import Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.fleet_history import FIVE_MINUTES, HOUR, MINUTE
from docfleet.ledger.service_values import WorkerFacts


@dataclass
class Place:
    ledger: Ledger
    desk: Desk
    book: FleetBook

    def accept(self, count: int = 1, **given: Any) -> list[str]:
        return [self.desk.accept(submission(**given)).document_id for _ in range(count)]

    def count_all(self) -> None:
        """As after two looks of the dispatcher."""
        self.book.count_events()
        while self.book.count_events():
            pass

    def announce(self, name: str, pool: str = "pdf", slots: int = 1) -> None:
        self.ledger.announce(WorkerFacts(name, "here", pool, "local", slots, "1"))


@pytest.fixture
def place(ledger: Ledger) -> Place:
    access = Access(ledger)
    for tenant in ("acme", "globex"):
        access.ensure_tenant(tenant, tenant)
    return Place(ledger, Desk(ledger), FleetBook(ledger, "local"))


def test_what_waits_is_added_up_by_pool_urgency_and_step(place: Place) -> None:
    place.accept(3)
    place.accept(2, urgency=Urgency.CRITICAL, tenant="globex")
    place.accept(1, pool="image")
    sums = {(one.pool, one.urgency, one.step): one for one in place.book.load().waiting}
    assert {key: one.documents for key, one in sums.items()} == {
        ("pdf", Urgency.NORMAL, Step.PLAN): 3,
        ("pdf", Urgency.CRITICAL, Step.PLAN): 2,
        ("image", Urgency.NORMAL, Step.PLAN): 1,
    }
    assert all(one.pages == 0 and one.hinted == 0 and 0 <= one.oldest_seconds < 60 for one in sums.values())


def test_pages_count_once_they_are_known_and_what_runs_waits_no_more(place: Place) -> None:
    place.accept(1, deadline_at=time.time() + 500)
    [claim] = place.ledger.claim("w/0-1", {Step.PLAN})
    slices = [NewSlice(Step.LOCAL, first, first + 9) for first in (1, 11, 21)]
    place.ledger.finish(claim, next_slices=slices, plan=Plan(30))
    place.ledger.claim("w/0-1", {Step.LOCAL})
    load = place.book.load()
    [waiting], [running] = load.waiting, load.running
    assert (waiting.slices, waiting.pages, waiting.documents) == (2, 20, 0), "its first slice runs"
    assert waiting.deadline_seconds == pytest.approx(500, abs=30)
    assert (running.slices, running.pages) == (1, 10)
    assert 0 <= running.elapsed_seconds < 30


def test_what_may_not_run_yet_does_not_count(place: Place) -> None:
    place.accept(3)
    [claim] = place.ledger.claim("w/0-1", {Step.PLAN})
    place.ledger.hand_back(claim, after_seconds=3600)
    [waiting] = place.book.load().waiting
    assert waiting.slices == 2


def test_work_of_a_region_counts_there_and_everywhere_while_nobody_sizes_it(place: Place) -> None:
    east, west = FleetBook(place.ledger, "east"), FleetBook(place.ledger, "west")
    place.accept(3)
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET region = 'east'"))
    west.count_events()
    assert [one.slices for one in west.load().waiting] == [3], "east has no dispatcher"
    east.count_events()
    assert [one.slices for one in east.load().waiting] == [3]
    assert west.load().waiting == ()
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE fleet_mark SET at = at - 61 WHERE region = 'east'"))
    assert [one.slices for one in west.load().waiting] == [3], "east is lost"


def test_history_counts_every_event_once(place: Place) -> None:
    ids = place.accept(4)
    place.accept(3, urgency=Urgency.BULK)
    place.count_all()
    for document_id in ids:
        read_through(place.ledger, document_id, pages=3)
    place.count_all()
    place.count_all()
    now = place.book.now()
    for resolution in (MINUTE, FIVE_MINUTES, HOUR):
        steps = place.book.history("pdf", resolution, now - 2 * HOUR, now + 1)
        assert sum(step.arrived for step in steps) == 7
        assert sum(step.done for step in steps) == 4, "plans that ended"
        assert sum(step.pages_done for step in steps) == 12
        assert all(step.bucket % resolution == 0 for step in steps)
    assert place.book.arrived(now - HOUR) == {("pdf", "normal"): 4, ("pdf", "bulk"): 3}


def test_a_second_round_is_no_arrival(place: Place) -> None:
    [document_id] = place.accept()
    read_through(place.ledger, document_id, pages=2, failed={2})
    place.desk.retry("acme", document_id)
    place.count_all()
    now = place.book.now()
    assert sum(step.arrived for step in place.book.history("pdf", HOUR, now - 2 * HOUR, now + 1)) == 1


def test_two_who_count_at_once_count_once(place: Place) -> None:
    place.accept(5)
    other = FleetBook(place.ledger, "local")
    for book in (place.book, other, place.book, other):
        book.count_events()
    assert sum(place.book.arrived(place.book.now() - HOUR).values()) == 5


def test_service_times_follow_what_was_done_lately(place: Place) -> None:
    for seconds in (1.0, 1.0, 9.0):
        place.accept()
        [claim] = place.ledger.claim("w/0-1", {Step.PLAN})
        with place.ledger.unit_of_work() as session:
            session.execute(
                text("UPDATE slice SET started_at = started_at - :s WHERE id = :id"),
                {"s": seconds, "id": claim.slice_id},
            )
        outcomes = [PageOutcome(page, engine="text", seconds=0.5) for page in (1, 2)]
        place.ledger.finish_in_one(claim, Plan(2), outcomes)
        place.count_all()
    times = {(one.step, one.engine): one for one in place.book.service_times()}
    plan = times["plan", ""]
    assert plan.amount == pytest.approx(3, rel=0.01)
    assert plan.mean_seconds == pytest.approx(11 / 3, rel=0.2)
    assert times["page", "text"].seconds_per_page == pytest.approx(0.5, rel=0.01)
    now = place.book.now()
    assert sum(step.seconds_done for step in place.book.history("pdf", HOUR, now - 2 * HOUR, now + 1)) > 10.9


def test_slices_that_share_a_call_share_its_time(place: Place) -> None:
    ids = place.accept(4)
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET step = 'cloud', pool = 'cloud', first_page = 1, last_page = 1"))
        session.execute(text("UPDATE document SET pages = 1, state = 'running'"))
    claims = place.ledger.claim("w/0-1", {Step.CLOUD}, limit=4)
    assert len(claims) == len(ids)
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET started_at = started_at - 8.0"))
        for claim in claims:
            session.execute(
                text(
                    "INSERT INTO reservation (slice_id, token, call, call_id, document_id, tenant_id, engine, "
                    "processor, month, pages, amount_micros, to_fold, state, made_at) VALUES (:slice, :token, 1, "
                    "'one', 'd', 'acme', 'documentai', 'OCR', '2026-11', 1, 0, :no, 'open', 0)"
                ),
                {"slice": claim.slice_id, "token": claim.token, "no": False},
            )
    for claim in claims:
        place.ledger.finish(claim, "r", [PageOutcome(1)])
    place.count_all()
    cloud = next(one for one in place.book.service_times() if one.step == "cloud")
    assert cloud.amount == pytest.approx(1.0, rel=0.01), "one call"
    assert cloud.mean_seconds == pytest.approx(8.0, rel=0.1)
    assert cloud.seconds_per_page == pytest.approx(2.0, rel=0.1)


def decider(place: Place, policy: ScalingPolicy = ScalingPolicy(max_workers=20), caps: Caps = NO_CAPS) -> Decider:  # noqa: B008
    def caps_of(pool: Pool, times: PoolTimes) -> Caps:
        return caps

    looks = itertools.count(0.0, 100.0)  # each forecast is read anew
    forecasts = Forecasts(place.book, 0.9, True, lambda: next(looks))
    plans = {Pool.PDF: PoolPlan(policy), Pool.IMAGE: PoolPlan(policy)}
    return Decider(Deciding(place.book, place.ledger.workers, plans, caps_of, forecasts))


def test_a_burst_is_answered_and_the_log_tells_why(place: Place) -> None:
    deciding = decider(place)
    deciding.look(0.0)
    calm = place.book.demand("pdf")
    assert calm is not None
    assert calm.workers == 1
    place.accept(400)
    deciding.look(100.0)
    busy = place.book.demand("pdf")
    assert busy is not None
    assert busy.workers > 4
    assert "400 documents waiting" in busy.reason
    assert busy.detail.load is not None
    assert busy.detail.load.waiting_documents == 400
    image = place.book.demand("image")
    assert image is not None
    assert image.workers == 1
    log = place.book.decisions("pdf")
    assert (log[0].before, log[0].workers) == (1, busy.workers)
    assert {need.rule for need in log[0].needs} >= {"target", "arrivals", "clock", "minimum"}
    assert place.book.decisions(limit=1) == [place.book.decisions()[0]]
    assert deciding.gauges['docfleet_fleet_workers_wanted{pool="pdf"}'] == busy.workers


def test_the_next_leader_goes_on_where_the_last_one_was(place: Place) -> None:
    place.accept(400)
    first = decider(place)
    first.look(0.0)
    first.look(100.0)
    before = place.book.demand("pdf")
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE slice SET state = 'cancelled'"))
    decider(place).look(0.0)
    after = place.book.demand("pdf")
    assert before is not None
    assert after is not None
    assert after.workers > 1, "it goes down step by step, whoever leads"
    assert after.detail.memory.asked


def test_an_unchanged_demand_is_renewed_but_not_logged(place: Place) -> None:
    deciding = decider(place)
    deciding.look(0.0)
    first = place.book.demand("pdf")
    time.sleep(0.05)
    deciding.look(60.0)
    again = place.book.demand("pdf")
    assert first is not None
    assert again is not None
    assert again.decided_at > first.decided_at
    assert again.changed_at == first.changed_at
    assert len(place.book.decisions("pdf")) == 1


def test_caps_hold(place: Place) -> None:
    place.accept(400)
    deciding = decider(place, caps=Caps(quota_slots=3.0, quota_reason="the engine takes no more"))
    deciding.look(0.0)
    deciding.look(100.0)
    held = place.book.demand("pdf")
    assert held is not None
    assert held.workers == 3
    assert "quota" in {limit.rule for limit in held.detail.limits}


def forecast(start: float, upper: float, trusted: bool) -> Kept:
    rows = ((upper / 4,) * 24, (upper / 2,) * 24, (upper,) * 24)
    return Kept(Forecast("made up", start, 3600.0, (0.05, 0.5, 0.95), rows, (), Trust(trusted, "so it is")))


def test_a_trusted_forecast_is_provided_for_and_another_is_not(place: Place) -> None:
    hour = place.book.now() // HOUR * HOUR
    place.book.keep_forecast("pdf", HOUR, msgspec.json.encode(forecast(hour, 36_000.0, False)).decode())
    deciding = decider(place)
    deciding.look(0.0)
    calm = place.book.demand("pdf")
    place.book.keep_forecast("pdf", HOUR, msgspec.json.encode(forecast(hour, 36_000.0, True)).decode())
    deciding.look(100.0)
    ready = place.book.demand("pdf")
    assert calm is not None
    assert ready is not None
    assert calm.workers == 1
    assert ready.workers > 1
    assert "forecast" in ready.reason
    assert "so it is" in ready.detail.outlook


def test_a_forecast_that_has_run_out_is_not_used(place: Place) -> None:
    long_ago = place.book.now() // HOUR * HOUR - 3 * 24 * HOUR
    place.book.keep_forecast("pdf", HOUR, msgspec.json.encode(forecast(long_ago, 36_000.0, True)).decode())
    deciding = decider(place)
    deciding.look(0.0)
    demand = place.book.demand("pdf")
    assert demand is not None
    assert demand.workers == 1
    assert "too old" in demand.detail.outlook


def test_what_is_old_is_forgotten(place: Place) -> None:
    place.accept(1)
    place.count_all()
    deciding = decider(place)
    deciding.look(0.0)
    with place.ledger.unit_of_work() as session:
        session.execute(text("UPDATE fleet_history SET bucket = bucket - 3 * 86400"))
        session.execute(text("UPDATE fleet_decision SET at = at - 100 * 86400"))
    place.book.forget_old()
    now = place.book.now()
    assert place.book.history("pdf", MINUTE, 0, now) == []
    assert len(place.book.history("pdf", HOUR, 0, now)) == 1
    assert place.book.decisions() == []
