"""The month in numbers: sums that add up, objectives, comparisons, what is not known."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.domain.costing import WholeCost
from docfleet.domain.forecasting import Forecast
from docfleet.domain.months import month_bounds
from docfleet.domain.returns import break_even
from docfleet.domain.tallying import Sums
from docfleet.reports.incidents import DAY, HOUR, IncidentKind, incidents
from docfleet.reports.month_facts import (
    Assumptions,
    Deaths,
    Exhaustion,
    Gap,
    Money,
    MonthFacts,
    Objectives,
    PoolOutlook,
    Step,
    Troubles,
)
from docfleet.reports.month_figures import month_figures, verdict
from docfleet.reports.month_report import Figure, month_report
from docfleet.reports.own_outlook import seasonal, weeks_ahead

BEGIN, END = month_bounds("2026-10")
COUNTS = (
    "accepted", "succeeded", "partial", "failed", "broken", "cancelled", "duplicates", "pages", "pages_failed",
    "retries", "leases_lost", "dead_letters",
)  # fmt: skip


def added(parts: Sequence[Sums]) -> Sums:
    return Sums(**{name: sum(getattr(one, name) for one in parts) for name in (*COUNTS, "in_time", "late")})


def facts(hours: dict[int, Sums] | None = None, **more: object) -> MonthFacts:
    """A whole month; `hours`: number of the hour -> what happened in it."""
    told = hours or {}
    steps = tuple(Step(BEGIN + n * HOUR, told.get(n, Sums())) for n in range(round((END - BEGIN) / HOUR)))
    days = tuple(
        Step(BEGIN + n * DAY, added([one.sums for one in steps[24 * n : 24 * n + 24]])) for n in range(31)
    )  # fmt: skip
    values: dict[str, object] = {
        "tenant": "acme", "month": "2026-10", "made_at": END + 6 * HOUR, "begin": BEGIN, "end": END,
        "counted_since": BEGIN - 90 * DAY, "counted_until": END, "kept_since": BEGIN - 999 * DAY, "days": days,
        "hours": steps, "total": added([one.sums for one in steps]), "before": None, "before_is_whole": False,
        "troubles": Troubles(gaps_since=BEGIN, deaths_since=BEGIN),
    }  # fmt: skip
    return MonthFacts(**{**values, **more})  # type: ignore[arg-type]


def read(count: int, **more: int) -> Sums:
    return Sums(accepted=count, succeeded=count, in_time=count, pages=2 * count, **more)


def kinds(told: MonthFacts) -> list[IncidentKind]:
    return [one.kind for one in incidents(told)]


small = st.integers(0, 10**7)
sums = st.builds(Sums, **dict.fromkeys((*COUNTS, "in_time", "late"), small))
micros = st.integers(0, 10**14)
whole_costs = st.builds(
    WholeCost,
    documents=small,
    pages=small,
    **dict.fromkeys(
        ("engine_micros", "busy_micros", "idle_micros", "storage_micros", "hosting_micros", "base_micros"), micros
    ),
)
amounts = st.floats(0, 1e9) | st.just(0.0)
assumptions = st.builds(
    Assumptions,
    by_hand_usd_per_document=amounts,
    by_hand_minutes_per_page=amounts,
    by_hand_usd_per_hour=amounts,
    investment_usd=amounts,
    node_slots=st.integers(1, 1000),
    spare_share=st.floats(0, 0.99),
)
outlooks = st.builds(
    PoolOutlook,
    pool=st.sampled_from(["pdf", "image", "cloud"]),
    unit=st.sampled_from(["document", "page"]),
    expected=amounts,
    fullest=amounts,
    unit_seconds=st.none() | amounts,
    slots=st.none() | amounts,
    missing=st.sampled_from(["", "nothing is known"]),
)


@settings(max_examples=60, deadline=None)
@given(
    hours=st.dictionaries(st.integers(0, 743), sums, max_size=6),
    whole=whole_costs,
    terms=assumptions,
    goal=st.builds(
        Objectives, availability=st.floats(0.5, 0.99999), in_time=st.floats(0.5, 0.99999), usd_per_document=amounts
    ),
    outlook=st.lists(outlooks, max_size=3),
    before=st.none() | sums,
    passed=st.floats(0, 40 * DAY),
    counted_since=st.none() | st.floats(BEGIN - DAY, END + DAY),
)
def test_any_month_can_be_told(
    hours: dict[int, Sums],
    whole: WholeCost,
    terms: Assumptions,
    goal: Objectives,
    outlook: list[PoolOutlook],
    before: Sums | None,
    passed: float,
    counted_since: float | None,
) -> None:
    """No division by zero, no NaN, no infinity; days add up to the month; saved and spent to what it costs by hand."""
    told = facts(
        hours, money=Money(whole), assumptions=terms, objectives=goal, outlook=tuple(outlook), before=before,
        before_is_whole=True, made_at=BEGIN + passed, counted_since=counted_since,
    )  # fmt: skip
    report = month_report(told)
    assert sum(day.read for day in report.days) == told.total.succeeded + told.total.partial
    assert sum(day.broken for day in report.days) == told.total.broken
    economy = report.economy
    if economy.saved.value is not None:
        assert economy.saved.known + economy.whole == pytest.approx(economy.by_hand.known, rel=1e-6, abs=1e-6)
        assert (economy.saved.value < 0) == (economy.by_hand.known < economy.whole)
    figures = [getattr(economy, name) for name in economy.__struct_fields__]
    for figure in [*figures, report.service.availability, report.service.budget_left, report.service.in_time]:
        if isinstance(figure, Figure):
            assert (figure.value is None) == bool(figure.why)
            assert figure.value is None or math.isfinite(figure.value)
    text = msgspec.json.encode(month_figures(report)).decode()
    assert not re.search(r"\b(nan|inf)\b", text)


def test_availability_counts_only_what_the_service_broke() -> None:
    told = facts({0: read(990), 1: Sums(accepted=10, failed=9, broken=1, in_time=9, cancelled=50)})
    service = month_report(told).service
    assert service.availability.known == pytest.approx(0.999)
    assert service.budget_documents == pytest.approx(1.0)
    assert service.budget_left.known == pytest.approx(0.0, abs=1e-9)
    assert service.in_time.known == 1.0
    worse = month_report(facts({0: read(990), 1: Sums(accepted=10, broken=10)})).service
    assert worse.budget_left.known == pytest.approx(-9.0)


def test_the_reference_case() -> None:
    """10,000 documents a month, 5,000 USD by hand, against a fleet with 200 USD that stand."""
    told = facts(
        {0: read(10_000)},
        money=Money(
            WholeCost(10_000, 20_000, 30_000_000, 10_000_000, 0, 0, 0, 200_000_000), standing_month_micros=200_000_000
        ),
    )
    economy = month_report(told).economy
    assert economy.by_hand.known == 5000
    assert economy.whole == 240
    assert economy.per_document.known == pytest.approx(0.024)
    assert economy.saved.known == 4760
    assert economy.return_on_cost.known == pytest.approx(4760 / 240)
    # 200 / (0.50 - 0.004) = 403.2
    assert economy.break_even.known == 404
    assert economy.reference_cost.known == pytest.approx(240)
    assert economy.paid_back.why.startswith("no investment is told")
    shown = month_figures(month_report(told))
    assert "reference case" in shown.money_note
    assert shown.tone == "good"


def test_break_even_is_where_both_cost_the_same() -> None:
    whole = WholeCost(5_000, 5_000, 1_000_000_000, 0, 0, 0, 0, 300_000_000)
    money = Money(whole, standing_month_micros=300_000_000)
    told = facts({0: read(5_000)}, money=money, assumptions=Assumptions(by_hand_usd_per_document=0.25))
    economy = month_report(told).economy
    count = economy.break_even.known
    assert economy.standing_month.known + economy.marginal.known * count == pytest.approx(0.25 * count, abs=0.25)
    dear = month_report(facts({0: read(5_000)}, money=money, assumptions=Assumptions(0.1))).economy
    assert dear.break_even.why.startswith("a further document costs as much here as by hand")
    assert dear.saved.known < 0


def test_by_page_comes_before_by_document() -> None:
    terms = Assumptions(0.5, 3.0, 20.0)
    told = facts({0: read(10)}, money=Money(WholeCost(10, 40)), assumptions=terms)
    assert month_report(told).economy.by_hand.known == pytest.approx(40.0)


def test_nothing_told_of_work_by_hand_is_not_compared() -> None:
    told = facts({0: read(10)}, money=Money(WholeCost(10, 20, base_micros=9)), assumptions=Assumptions(0.0))
    report = month_report(told)
    assert report.economy.saved.value is None
    assert "by_hand_usd_per_document" in report.economy.saved.why
    assert "work by hand" not in verdict(report)


def test_a_month_under_way_is_marked_and_not_compared_with_a_whole_one() -> None:
    told = facts({0: read(100)}, made_at=BEGIN + 10 * DAY, before=read(300), before_is_whole=True)
    report = month_report(told)
    assert report.change_documents.value is None
    assert month_figures(report).status.startswith("Under way: figures up to 11 October")


def test_what_stands_is_the_accounts_own_figure_however_late_the_first_document_came() -> None:
    """Base costs run from the first tenant on: scaled up from the first document they would be told many times over."""
    money = Money(WholeCost(1000, 1000, base_micros=200_000_000), standing_month_micros=200_000_000)
    economy = month_report(facts({700: read(1000)}, counted_since=BEGIN + 20 * DAY, money=money)).economy
    assert economy.standing_month.known == 200
    assert economy.break_even.known == 400 == break_even(200.0, 0.0, 0.5)
    unknown = month_report(facts(money=Money(WholeCost()))).economy
    assert (unknown.standing_month.value, unknown.break_even.value) == (None, None)


def test_a_month_that_was_not_counted_says_so_and_shows_no_zero() -> None:
    told = msgspec.structs.replace(facts(counted_since=None, counted_until=BEGIN), days=(), hours=())
    shown = month_figures(month_report(told))
    assert shown.status == "Not counted"
    assert shown.volume == shown.service == ()
    assert shown.tiles[0].value == "–"
    assert any("No part of this month was counted" in note for note in shown.notes)


def test_a_month_counted_in_part() -> None:
    told = facts({700: read(10)}, counted_until=BEGIN + 11 * DAY)
    report = month_report(told)
    assert report.coverage == pytest.approx(11 / 31)
    shown = month_figures(report)
    assert shown.status == "Counted in part: 35.5 % of the month"
    assert "Counted up to 12 October 2026, 00:00 UTC" in shown.notes[0]
    assert shown.tone == "plain"


def test_the_first_month_of_a_service_is_known_as_a_whole() -> None:
    shown = month_figures(month_report(facts({700: read(10)}, counted_since=BEGIN + 20 * DAY)))
    assert (shown.status, shown.tone) == ("", "good")
    assert "The service began in this month: the first document came on 21 October 2026" in shown.notes[0]
    assert not [point for point in shown.points if "counted" in point.text and point.tone == "warn"]


def test_counting_that_is_some_seconds_behind_is_no_gap() -> None:
    told = facts({5: read(10)}, made_at=BEGIN + 10 * DAY, counted_until=BEGIN + 10 * DAY - 8)
    assert month_report(told).coverage == 1.0


def test_a_month_before_the_service_says_so() -> None:
    told = msgspec.structs.replace(facts(counted_since=END + DAY), days=(), hours=())
    report = month_report(told)
    shown = month_figures(report)
    assert verdict(report) == "The service had not begun in October 2026."
    assert shown.status == "Before the service began"
    assert shown.notes[0] == (
        "No part of this month was counted: the first document ever came on 2 November 2026, 00:00 UTC."
    )


def test_a_month_of_failures_claims_nothing() -> None:
    own = Sums(accepted=50, failed=50, in_time=50)
    told = facts({5: own, 6: Sums(accepted=5, broken=5)}, codes={"worker_died": 9, "password_required": 5})
    report = month_report(told)
    assert verdict(report).startswith("None of 55 documents could be read")
    [who] = [point.text for point in month_figures(report).points if "for whoever sends them" in point.text]
    assert "password required" in who
    assert "worker died" not in who
    assert [row[1] for row in month_figures(report).service[1].rows if row[0] == "Error budget left"] == [
        "none: 90.9 times as many failed as it allows"
    ]


def test_an_empty_month_cost_what_stands() -> None:
    report = month_report(facts(money=Money(WholeCost(base_micros=200_000_000))))
    assert verdict(report) == "No document ended in October 2026."
    assert report.economy.saved.known == -200
    assert report.economy.per_document.value is None


def test_growth_is_told_between_whole_months_only() -> None:
    before = Sums(accepted=80, pages=100)
    told = facts({0: read(100)}, before=before, before_is_whole=True)
    assert month_report(told).change_documents.known == pytest.approx(0.25)
    part = msgspec.structs.replace(told, before_is_whole=False)
    assert month_report(part).change_documents.value is None


# --- incidents


def test_a_quiet_month_has_no_incident() -> None:
    assert kinds(facts({n: read(50) for n in range(744)})) == []


def test_failures_that_the_error_budget_covers_are_no_incidents() -> None:
    one = Sums(accepted=10, succeeded=9, broken=1, in_time=9)
    many = {n: read(50) for n in range(744)}
    assert kinds(facts(many | {100: one, 300: one})) == []
    assert kinds(facts(many | {100: one, 101: one, 102: one})) == [IncidentKind.AVAILABILITY]
    assert kinds(facts({0: read(50), 100: one})) == [IncidentKind.AVAILABILITY], "the month missed its objective by it"


def test_bad_hours_close_together_are_one_incident() -> None:
    bad = Sums(accepted=100, succeeded=90, broken=10, in_time=90)
    found = incidents(facts({n: read(100) for n in range(744)} | {100: bad, 101: bad, 103: bad, 200: bad}))
    assert [(one.begin - BEGIN, one.end - BEGIN) for one in found] == [
        (100 * HOUR, 104 * HOUR), (200 * HOUR, 201 * HOUR),
    ]  # fmt: skip
    assert found[0].effect == "30 of 300 documents failed through the service"


def test_a_few_late_documents_are_no_incident_and_many_are() -> None:
    assert kinds(facts({5: Sums(accepted=4, succeeded=4, late=4)})) == []
    assert kinds(facts({5: Sums(succeeded=100)})) == [], "those that were tried again are judged by their first end"
    [late] = incidents(facts({5: Sums(accepted=100, succeeded=100, in_time=90, late=10)}))
    assert (late.kind, late.effect) == (IncidentKind.LATENCY, "90.0 % of 100 documents in time")


def test_dead_letters_gaps_storms_and_budgets() -> None:
    troubles = Troubles(
        gaps=(Gap("eu", BEGIN + HOUR, BEGIN + 3 * HOUR, 300),),
        deaths=(Deaths(BEGIN, 900, 6, 2), Deaths(BEGIN + 900, 900, 7, 3), Deaths(BEGIN + 9000, 900, 2, 1)),
        exhausted=(Exhaustion(BEGIN + DAY, "documentai", 50.0, "degrade"),),
        gaps_since=BEGIN, deaths_since=BEGIN,
    )  # fmt: skip
    found = incidents(facts({1: read(3), 2: read(4, dead_letters=9)}, troubles=troubles))
    assert [one.kind for one in found] == [
        IncidentKind.WORKER_DEATHS, IncidentKind.NOT_DISPATCHED, IncidentKind.DEAD_LETTERS, IncidentKind.BUDGET,
    ]  # fmt: skip
    storm, gap, _, budget = found
    assert (storm.seconds, storm.effect) == (1800, "13 attempts ended with the process, of 3 workers or more")
    assert gap.effect.startswith("up to 7 documents accepted in these hours waited")
    assert "$50.00" in budget.effect


def test_a_tenant_is_told_of_the_gaps_that_met_its_documents_alone() -> None:
    gaps = (Gap("eu", BEGIN + HOUR, BEGIN + 3 * HOUR, 300), Gap("us", BEGIN + DAY, BEGIN + DAY + HOUR, 300))
    told = facts({1: read(3)}, troubles=Troubles(gaps=gaps, gaps_since=BEGIN), of_fleet=False)
    assert [one.what for one in incidents(told)] == ["Nobody dispatched in the region eu"]
    assert len(incidents(msgspec.structs.replace(told, of_fleet=True))) == 2


def test_days_stand_in_for_forgotten_hours() -> None:
    bad = Sums(accepted=100, succeeded=50, broken=50, in_time=50)
    told = facts({30: bad})
    [found] = incidents(msgspec.structs.replace(told, hours=()))
    assert (found.begin, found.seconds) == (BEGIN + DAY, DAY)


def test_many_incidents_are_cut_with_a_note() -> None:
    bad = Sums(accepted=10, broken=10)
    shown = month_figures(month_report(facts(dict.fromkeys(range(0, 744, 6), bad))))
    assert len(shown.incidents.rows) == 25
    assert shown.incidents.note.startswith("The 25 heaviest of 124")


# --- capacity


def test_nodes_are_whole_and_of_what_is_forecast() -> None:
    pdf = PoolOutlook("pdf", "document", fullest=3600.0, unit_seconds=2.8, slots=8.0)
    cloud = PoolOutlook("cloud", "page", fullest=3600.0, unit_seconds=9.0, slots=16.0)
    none = PoolOutlook("image", "document", missing="there is no forecast yet")
    report = month_report(facts({0: read(1)}, outlook=(pdf, none, cloud)))
    first, _, last = report.needs
    # 2.8 slots are busy; with 30 % spare these are 4, and one node
    assert first.busy_slots.known == pytest.approx(2.8)
    assert (first.slots.known, report.nodes.known) == (4, 1)
    assert last.nodes.value is None
    unknown = month_report(facts(outlook=(msgspec.structs.replace(pdf, unit_seconds=None),)))
    assert "nobody knows how long a document takes" in unknown.nodes.why


def test_what_calls_will_have_cost_is_told_while_the_month_is_under_way() -> None:
    def told(ahead: Forecast | None) -> str:
        shown = month_figures(month_report(facts({0: read(1)}, money=Money(WholeCost(1, 1), ahead=ahead))))
        return dict(row[:2] for row in shown.economy[1].rows).get("Calls of engines at the end of the month", "")

    assert told(Forecast(1_000_000, 2_000_000, 3_000_000, 5)) == "$2.00, four times out of five $1.00 to $3.00"
    assert told(Forecast(1, 2, 3, 0)) == "not known before a full day has passed"
    assert told(None) == ""


def test_a_tenants_week_ahead_is_the_mean_of_its_own_weeks() -> None:
    assert seasonal([1.0] * 13) is None
    weeks = [*[0.0] * 7, *map(float, range(7)), *map(float, range(2, 9))]
    assert seasonal(weeks) == pytest.approx([2 / 3 + day * 2 / 3 for day in range(7)])
    now = END + 6 * HOUR
    days = [Step(END - n * DAY, Sums(accepted=10 + n % 7, pages=20)) for n in range(28, -1, -1)]
    documents, pages = weeks_ahead(days, BEGIN, now)
    assert (documents.expected, documents.came, documents.foretold, documents.weeks) == (91.0, 91, 91.0, 4)
    assert (documents.fullest, documents.fullest_at, documents.begin) == (16.0, END + DAY, END)
    assert pages.expected == 140
    [few, _] = weeks_ahead(days[-10:], BEGIN, now)
    assert few.missing == "it needs 14 full days of counts, and there are 9"


def test_a_tenant_among_others_is_told_nothing_of_the_fleet() -> None:
    ahead = weeks_ahead([Step(END - n * DAY, Sums(accepted=5)) for n in range(28, 0, -1)], BEGIN, END + 1)
    shown = month_figures(month_report(facts({0: read(1)}, of_fleet=False, ahead=ahead)))
    [table] = shown.capacity
    assert table.rows[0][:2] == ("Documents", "35")
    assert "shared with other tenants" in shown.capacity_notes[1]
    young = month_figures(month_report(facts({0: read(1)}, of_fleet=False, ahead=weeks_ahead([], None, END))))
    assert young.capacity == ()
    assert "cannot be known yet: it needs 14 full days" in young.capacity_notes[0]
