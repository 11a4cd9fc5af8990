"""Reports of a service, built from a runtime: by request, and by the schedule of the dispatcher that leads."""

from __future__ import annotations

import time

from docfleet.dispatch.chores import Chore
from docfleet.domain.business_hours import zone
from docfleet.domain.months import month_of
from docfleet.domain.report_schedule import due_month, months_before
from docfleet.fleet.capacity import pool_outlooks
from docfleet.reports.gathering import MonthTerms
from docfleet.reports.month_facts import Assumptions, Objectives
from docfleet.reports.office import Office
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.stack.brain import pools_of

SCHEDULE_SECONDS = 15.0
SWEEP_SECONDS = 6 * 3600.0
FORGET_SECONDS = 3600.0


def month_terms(settings: Settings) -> MonthTerms:
    """What monthly reports are seen against, as it is set."""
    told, money = settings.reports, settings.money
    return MonthTerms(
        Objectives(told.availability_objective, told.in_time_objective, money.target_usd_per_document),
        Assumptions(
            by_hand_usd_per_document=told.by_hand_usd_per_document,
            by_hand_minutes_per_page=money.by_hand_minutes_per_page,
            by_hand_usd_per_hour=money.by_hand_usd_per_hour,
            investment_usd=told.investment_usd,
            node_slots=told.node_slots,
            spare_share=told.spare_share,
        ),
        told.organisation,
    )


def report_office(runtime: Runtime) -> Office:
    """Opens ledger and store."""
    pools = pools_of(runtime.settings)
    return Office(
        ledger=runtime.ledger,
        desk=runtime.desk,
        budgets=runtime.budgets,
        store=runtime.store,
        master_key=runtime.master_key,
        terms=month_terms(runtime.settings),
        outlook=lambda: pool_outlooks(runtime.fleet_book, pools),
    )


def report_chores(runtime: Runtime) -> list[Chore]:
    """What the leading dispatcher does about reports. Raises `UsageError` for an unknown time zone."""
    told = runtime.settings.reports
    office = report_office(runtime)
    zone(told.timezone)

    def make() -> None:
        month = due_month(office.reports.now(), told.hour, told.timezone)
        if month is not None:
            office.make_due(month)

    def forget() -> int:
        return office.forget_before(months_before(month_of(office.reports.now()), told.keep_months))

    def sweep() -> int:
        return office.sweep(time.time() - runtime.settings.fleet.orphan_hours * 3600)

    chores = [Chore("reports_forget", FORGET_SECONDS, forget), Chore("reports_sweep", SWEEP_SECONDS, sweep)]
    if told.schedule == "monthly":
        chores.append(Chore("reports", SCHEDULE_SECONDS, make))
    return chores
