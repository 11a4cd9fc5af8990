"""What a comparison looks like on a page: its figures, its curves, and what follows from them in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from docfleet.fleet.simulate.compare import Plan
from docfleet.fleet.simulate.demand import Demand
from docfleet.fleet.simulate.kinds import ABOUT, Kind
from docfleet.fleet.simulate.run import LATER_SECONDS, Outcome, Step
from docfleet.reports.figures import Tile
from docfleet.reports.fleet import Chart, Curve, FleetReport
from docfleet.reports.quantities import counted, duration, rate

HEAD = ("Policy", "Worker hours", "Cost", "Wait p50", "p95", "p99", "Late", "Lost", "Peak", "Changes")

APPROXIMATION = (
    "Documents were followed in lots of those that arrive within {tick:g} s, which slots work off like a liquid: "
    "waits below a few seconds are rounded down by it."
)
EXACT = "Every document was followed by itself."
WAITS = (
    f"Waits are those of documents whose target is below {duration(LATER_SECONDS)}; late are all after their target."
)


def cells(outcome: Outcome) -> tuple[str, ...]:
    """One policy's figures as text, as in `HEAD`."""
    return (
        outcome.policy,
        f"{outcome.worker_hours:,.1f}" if outcome.worker_hours < 1000 else f"{outcome.worker_hours:,.0f}",
        f"${outcome.cost_usd:,.2f}" if outcome.cost_usd < 1000 else f"${outcome.cost_usd:,.0f}",
        seconds(outcome.wait_p50),
        seconds(outcome.wait_p95),
        seconds(outcome.wait_p99),
        f"{outcome.missed:,.0f} ({100 * outcome.missed_share:.2f} %)",
        f"{outcome.lost:,.0f}",
        f"{outcome.peak_workers:,}",
        f"{outcome.changes:,}",
    )


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else duration(value)


def verdict(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """(a sentence on what the best of docfleet's policies does beside the others, its tone)"""
    by_name = {one.policy: one for one in outcomes}
    ours = by_name.get("predictive") or by_name.get("reactive")
    lost = sum(one.lost for one in outcomes)
    if lost:
        return f"{lost:,.0f} documents were lost: that must not be.", "bad"
    if ours is None:
        return "Nothing was lost.", "plain"
    said = f"{ours.policy.capitalize()}: p95 wait {seconds(ours.wait_p95)}, {100 * ours.missed_share:.2f} % late"
    other = by_name.get("queue")
    if other is not None and other.worker_hours > 0:
        change = ours.worker_hours / other.worker_hours - 1
        said += f"; {abs(change) * 100:.0f} % {'fewer' if change <= 0 else 'more'} worker hours than by queue length"
        said += f" (p95 {seconds(other.wait_p95)}, {100 * other.missed_share:.2f} % late)"
    return f"{said}.", "good" if ours.missed_share <= 0.01 else "warn"


def picture(
    outcomes: Sequence[Outcome], demand: Demand, plan: Plan, title: str, version: str, exact: bool
) -> FleetReport:
    """The page of a comparison."""
    said, tone = verdict(outcomes)
    target = min(target for _, _, target in plan.world.work.classes)
    start, end = (datetime.fromtimestamp(at, UTC) for at in (demand.start, demand.start + demand.seconds))
    kinds = {outcome.policy: Kind(outcome.policy) for outcome in outcomes}
    first = outcomes[0]
    tick = plan.tick_seconds
    return FleetReport(
        title=title,
        period=f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {counted(first.documents, 'document')}",
        verdict=said,
        tone=tone,
        version=version,
        made=end,
        seconds=demand.seconds,
        tiles=(
            Tile(f"{first.documents:,}", "Documents", f"{rate(demand.documents / demand.seconds * 3600)} an hour"),
            Tile(f"{first.work_hours:,.0f} h", "Work", f"{plan.world.work.mean_seconds:g} s a document"),
            Tile(duration(plan.world.start_seconds), "Start of a worker", "with a new node"),
            Tile(f"{sum(one.lost for one in outcomes):,.0f}", "Documents lost", "by all policies", "good"),
        ),
        head=HEAD,
        rows=tuple(cells(outcome) for outcome in outcomes),
        charts=_charts(outcomes, kinds, target),
        notes=(
            (EXACT if exact else APPROXIMATION.format(tick=tick)),
            WAITS,
            *(f"{one}: {ABOUT[one]}." for one in kinds.values()),
        ),
    )


def _charts(outcomes: Sequence[Outcome], kinds: dict[str, Kind], target: float) -> tuple[Chart, ...]:
    def curves(value: Callable[[Step], float], stepped: bool = False) -> tuple[Curve, ...]:
        return tuple(
            Curve(str(kinds[one.policy]), one.policy, tuple(value(step) for step in one.steps), stepped)
            for one in outcomes
        )

    demand = Curve("demand", "demand", tuple(step.arriving for step in outcomes[0].steps))
    peaks = "; ".join(f"{one.policy} up to {one.peak_workers:,}" for one in outcomes)
    waits = "; ".join(f"{one.policy} p95 {seconds(one.wait_p95)}" for one in outcomes)
    return (
        Chart("Demand", "slots it keeps busy", "Demand over time", (demand,)),
        Chart("Workers", "asked for", f"Workers over time: {peaks}", curves(lambda step: float(step.workers), True)),
        Chart(
            "The oldest that waits",
            "seconds",
            f"Age of the oldest waiting document over time: {waits}",
            curves(lambda step: step.oldest),
            mark=target,
            mark_name="target",
        ),
    )
