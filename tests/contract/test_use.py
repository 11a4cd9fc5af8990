"""What was used in a month: counted by hand, in steps as at once, at the prices of its time, shared out to the last
micro-dollar. On both databases."""

from __future__ import annotations

import random
import re
import threading
from typing import Any

import pytest
from desk_driver import read_through, submission, watching_statements
from sqlalchemy import inspect, text

from docfleet.domain.costing import CostTerms
from docfleet.domain.months import month_bounds
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.desk import Desk
from docfleet.ledger.money_values import Costs
from docfleet.ledger.spending import costs
from docfleet.ledger.use import LAG_SECONDS, Prices, add_up, count_window, use_of
from docfleet.ledger.use_values import TenantUse, Use

HOUR, DAY, GIB = 3600.0, 86_400.0, 1024**3
MARCH, APRIL = month_bounds("2026-03")
MAY = month_bounds("2026-04")[1]
BOOK = PriceBook(
    {"OCR": Rate.flat(1_500)},
    hosting_micros_per_hour=50_000,
    worker_micros_per_hour=36_000,
    pool_micros_per_hour={"cloud": 3_600},
    storage_micros_per_gib_month=23_000,
    base_micros_per_month=200_000_000,
)
PRICES = Prices(BOOK, CostTerms(stored_bytes_per_byte=2.0, hosted_versions=1, target_micros_per_document=80_000))


class Past:
    """A ledger whose rows are moved to where a test wants them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.desk = Desk(ledger)

    def run(self, statement: str, **given: Any) -> None:
        with self.ledger.unit_of_work() as session:
            session.execute(text(statement), given)

    def document(
        self, tenant: str, at: float, pages: int = 2, content: str = "", size: int = 7, stored: float = 60.0
    ) -> str:
        """Stored so many seconds before `at` and ended then, by one slot after 2 s for each page at 0.25 USD a page."""
        made = self.desk.submit(submission(content, tenant=tenant, size_bytes=size)).accepted
        if not made.duplicate_of:
            read_through(self.ledger, made.document_id, pages)
        self.run("UPDATE document SET finished_at = :at WHERE id = :id", at=at, id=made.document_id)
        if not made.duplicate_of:
            self.run("UPDATE content SET created_at = :at WHERE id = :id", at=at - stored, id=made.content_id)
        return made.document_id

    def worker(self, name: str, pool: str, slots: int, begin: float, seen: float, end: float | None = None) -> None:
        self.run(
            "INSERT INTO worker (name, host, pool, region, slots, version, mode, started_at, seen_at, ended_at, cause) "
            "VALUES (:name, 'h', :pool, '', :slots, '1', 'direct', :begin, :seen, :end, '')",
            name=name, pool=pool, slots=slots, begin=begin, seen=seen, end=end,
        )  # fmt: skip

    def count(self, until: float, prices: Prices = PRICES) -> int:
        """Counts all there is to count at that moment; how many steps it took."""
        steps = 0
        while True:
            with self.ledger.unit_of_work() as session:
                if not add_up(session, until, prices):
                    return steps
            steps += 1

    def use(self, month: str, now: float, prices: Prices = PRICES) -> Use:
        with self.ledger.reading() as session:
            return use_of(session, month, now, prices)

    def costs(self, tenant: str, month: str, now: float, prices: Prices = PRICES) -> Costs:
        with self.ledger.reading() as session:
            return costs(session, tenant, month, now, prices, {"documentai"}, "OCR")


@pytest.fixture
def past(ledger: Ledger) -> Past:
    """Tenants `acme` and `blue` are there since ten o'clock on the last day of March."""
    access = Access(ledger)
    for tenant in ("acme", "blue"):
        access.make_tenant(tenant, tenant)
    access.close()
    past = Past(ledger)
    past.run("UPDATE tenant SET created_at = :at", at=APRIL - 14 * HOUR)
    return past


def close_to(use: Use, other: Use) -> None:
    """The same but for the rounding of floats."""
    assert use.tenants.keys() == other.tenants.keys()
    for name, mine in use.tenants.items():
        theirs = other.tenants[name]
        for field in TenantUse.__struct_fields__:
            mine_told, told = getattr(mine, field), getattr(theirs, field)
            assert mine_told == (pytest.approx(told, rel=1e-6, abs=1e-4) if isinstance(told, float) else told), field
    for field in ("paid_micros", "hosting_micros", "base_micros"):
        assert getattr(use.fleet, field) == pytest.approx(getattr(other.fleet, field), rel=1e-9, abs=1e-4)
    assert use.fleet.paid_seconds == pytest.approx(other.fleet.paid_seconds)


def test_two_months_counted_by_hand(past: Past) -> None:
    begin = APRIL - 14 * HOUR
    past.worker("a", "pdf", 2, begin, APRIL + 9 * HOUR, APRIL + 10 * HOUR)
    past.worker("b", "cloud", 16, APRIL - HOUR, APRIL + HOUR)
    first = past.document("acme", APRIL - HOUR, pages=3, content="same", size=GIB, stored=HOUR)
    again = past.document("acme", APRIL, content="same")
    past.document("blue", APRIL + 5 * HOUR, pages=1)
    assert past.desk.document("acme", again).duplicate_of == first
    past.run(
        "UPDATE content SET purged_at = :at WHERE size_bytes = :size", at=APRIL + 22 * HOUR, size=GIB
    )  # with April's first 22 hours
    march, april = past.use("2026-03", MAY + DAY), past.use("2026-04", MAY + DAY)
    acme = march.tenants["acme"]
    assert (acme.documents, acme.pages, acme.engines, acme.work_seconds) == (1, 3, {"text": 3}, 6.0)
    assert acme.work_micros == pytest.approx(60)
    assert acme.byte_seconds == pytest.approx(2 * HOUR * GIB)
    assert acme.storage_micros == pytest.approx(2 * 23_000 * 2 / 744)
    assert march.fleet.paid_seconds == pytest.approx({"pdf": 28 * HOUR, "cloud": 16 * HOUR})
    assert march.fleet.paid_micros == pytest.approx(28 * 36_000 + 16 * 3_600)
    assert march.fleet.base_micros == pytest.approx(200_000_000 * 14 / 744)
    assert march.fleet.hosting_micros == pytest.approx(14 * 50_000)
    acme = april.tenants["acme"]
    assert (acme.documents, acme.pages, acme.work_seconds) == (1, 3, 0)
    assert (acme.duplicate_documents, acme.duplicate_pages, acme.duplicate_micros) == (1, 3, 750_000)
    assert acme.byte_seconds == pytest.approx(22 * HOUR * GIB)
    assert (april.tenants["blue"].documents, april.tenants["blue"].stored_bytes) == (1, 7)
    assert april.fleet.paid_seconds == pytest.approx({"pdf": 20 * HOUR, "cloud": 16 * HOUR})
    assert april.fleet.base_micros == pytest.approx(200_000_000)


def test_a_document_without_results_counts_and_costs_nothing_for_each(past: Past) -> None:
    made = past.desk.submit(submission(tenant="acme")).accepted
    past.desk.cancel("acme", made.document_id)
    past.run("UPDATE document SET finished_at = :at", at=APRIL + HOUR)
    past.run("UPDATE content SET created_at = :at", at=APRIL + HOUR)
    told = past.costs("acme", "2026-04", MAY)
    assert (told.whole.documents, told.whole.per_document_micros) == (0, None)
    assert told.whole.base_micros == 200_000_000


def test_counting_in_steps_changes_no_figure(past: Past) -> None:
    """Whatever was counted when: the sums are those of one look at all of it."""
    chance = random.Random(5)
    begin = APRIL - 14 * HOUR
    for n in range(12):
        at = chance.uniform(begin + HOUR, APRIL + 30 * HOUR)
        past.document(chance.choice(("acme", "blue")), at, chance.randint(1, 4), f"{n % 9}", chance.randint(1, GIB))
        if n % 4 == 0:
            past.run(
                "UPDATE content SET purged_at = :at WHERE created_at = (SELECT min(created_at) FROM content "
                "WHERE purged_at IS NULL)",
                at=at + HOUR,
            )
        seen = at + chance.uniform(0, 20) * HOUR
        past.worker(f"w{n}", chance.choice(("pdf", "image", "cloud")), n, at, seen, chance.choice((None, seen + 2)))
    now = APRIL + 40 * HOUR
    at_once = {month: past.use(month, now) for month in ("2026-03", "2026-04")}
    for step in sorted(chance.uniform(begin, now) for _ in range(5)):
        past.count(step)
        for month, whole in at_once.items():
            close_to(past.use(month, now), whole)
    assert past.count(now) > 0
    assert past.count(now) == 0, "nothing is counted twice"
    for month, whole in at_once.items():
        close_to(past.use(month, now), whole)
    assert past.use("2026-05", now) == Use()
    assert past.use("2026-02", now) == Use()


def test_the_last_minutes_are_left_alone(past: Past) -> None:
    past.count(APRIL + HOUR)
    past.document("acme", APRIL + HOUR - LAG_SECONDS + 1)
    assert past.use("2026-04", APRIL + 2 * HOUR).tenants["acme"].documents == 1
    past.count(APRIL + 2 * HOUR)
    assert past.use("2026-04", APRIL + 2 * HOUR).tenants["acme"].documents == 1


def test_a_price_changes_what_comes_after(past: Past) -> None:
    for n in range(4):
        past.document("acme", APRIL + n * HOUR + 1, pages=5)
    past.worker("w", "pdf", 1, APRIL, APRIL + 4 * HOUR)
    past.count(APRIL + 2 * HOUR + LAG_SECONDS)
    dear = Prices(PriceBook(worker_micros_per_hour=72_000, base_micros_per_month=720_000_000), CostTerms())
    told = past.use("2026-04", APRIL + 4 * HOUR, dear)
    assert told.fleet.paid_micros == pytest.approx(2 * 36_000 + 2 * 72_000)
    assert told.tenants["acme"].work_micros == pytest.approx(200 + 400)
    assert told.fleet.base_micros == pytest.approx((2 * 200_000_000 + 2 * 720_000_000) / 720)
    assert told.fleet.hosting_micros == pytest.approx(2 * 50_000)


def test_tenants_share_to_the_last_micro_dollar(past: Past) -> None:
    for n in range(7):
        past.document("acme" if n % 3 else "blue", APRIL + n * HOUR + 1, pages=1 + n % 2, size=GIB // 7)
    past.worker("w", "pdf", 3, APRIL, APRIL + 8 * HOUR)
    past.count(APRIL + 5 * HOUR)
    now = APRIL + 8 * HOUR
    shares = [past.costs(tenant, "2026-04", now).whole for tenant in ("acme", "blue")]
    fleet = past.use("2026-04", now).amounts.rounded(0, 0)
    assert sum(one.micros for one in shares) == fleet.micros
    acme, blue = shares
    assert (acme.documents, acme.pages, blue.documents, blue.pages) == (4, 6, 3, 4)
    assert acme.busy_micros / blue.busy_micros == pytest.approx(6 / 4, rel=0.02)
    assert acme.idle_micros / blue.idle_micros == pytest.approx(6 / 4, rel=1e-4)
    assert acme.base_micros / blue.base_micros == pytest.approx(10 / 7, rel=1e-6)
    assert acme.busy_micros + acme.idle_micros + blue.busy_micros + blue.idle_micros == 24 * 36_000
    told = past.costs("acme", "2026-04", now)
    assert told.all_cloud is not None
    assert told.all_cloud.reference_micros == 6 * 1_500
    assert told.all_cloud.micros == 9_000 - told.whole.micros
    assert told.by_hand is None
    typed = Prices(BOOK, CostTerms(by_hand_minutes_per_page=3, by_hand_micros_per_hour=20_000_000))
    by_hand = past.costs("acme", "2026-04", now, typed).by_hand
    assert by_hand is not None
    assert by_hand.reference_micros == 6 * 1_000_000
    stranger = past.costs("nobody", "2026-04", now).whole
    assert stranger.micros == 0


def test_idle_workers_are_paid_by_those_who_are_there(past: Past) -> None:
    made = past.desk.submit(submission(tenant="acme")).accepted
    past.desk.cancel("acme", made.document_id)
    past.run("UPDATE document SET finished_at = :at", at=APRIL + HOUR)
    past.worker("w", "pdf", 1, APRIL, APRIL + 4 * HOUR)
    whole = past.costs("acme", "2026-04", APRIL + 4 * HOUR).whole
    assert (whole.busy_micros, whole.idle_micros) == (0, 4 * 36_000)


def test_two_who_count_at_once_count_once(past: Past) -> None:
    for n in range(6):
        past.document("acme", APRIL + n * HOUR + 1)
    now = APRIL + 6 * HOUR
    whole = past.use("2026-04", now)
    budgets = Budgets(past.ledger, BOOK, terms=PRICES.terms)
    failures: list[BaseException] = []

    def count() -> None:
        try:
            while budgets._write(lambda session: add_up(session, now, PRICES)):
                pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    close_to(past.use("2026-04", now), whole)
    with past.ledger.reading() as session:
        counted = session.execute(text("SELECT max(counted_to) FROM fleet_use")).scalar_one()
    assert counted == pytest.approx(now - LAG_SECONDS)


_CROWD = (
    "INSERT INTO {table} ({names}) WITH RECURSIVE number(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20000) SELECT {columns} FROM {table}, number"
)


def _multiply(past: Past, table: str, moved: str) -> None:
    """Makes 20,000 rows of the one there is, with other ids, at other times."""
    with past.ledger.unit_of_work() as session:
        names = [column["name"] for column in inspect(session.connection()).get_columns(table)]
    other = {name: f"{name} || n" for name in ("id", "options_digest")}
    other |= {"content_id": "content_id || n", moved: f"{moved} + 60.0 * n", "folder_key": "NULL"}
    columns = ", ".join(other.get(name, name) for name in names)
    past.run(_CROWD.format(table=table, names=", ".join(names), columns=columns))


def test_a_step_reads_by_index_however_many_rows_there_are(past: Past) -> None:
    past.document("acme", APRIL + 1)
    _multiply(past, "document", "finished_at")
    _multiply(past, "content", "created_at")
    past.run("UPDATE content SET purged_at = created_at + 3600 WHERE id LIKE '%0'")
    past.run("ANALYZE")
    with watching_statements(past.ledger) as sent, past.ledger.reading() as session:
        use = count_window(session, APRIL, APRIL + 600, {}, PRICES)
    assert use.tenants["acme"].documents == 10
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    plans = []
    with past.ledger.reading() as session:
        for statement, parameters in list(sent):
            if statement.startswith("SELECT"):
                rows = session.connection().exec_driver_sql(explain + statement, parameters)
                plans.append("\n".join(row[3] if is_sqlite else row[0] for row in rows))
    whole = re.compile(r"SCAN (document|content)|Seq Scan on (document|content)")
    assert not [plan for plan in plans if whole.search(plan)]
    used = "\n".join(plans)
    for index in ("ix_document_finished_at", "ix_content_created_at", "ix_content_purged_at"):
        assert index in used


def test_an_empty_ledger_has_nothing_to_count(ledger: Ledger) -> None:
    past = Past(ledger)
    past.run("DELETE FROM tenant")
    assert past.count(MAY) == 0
    assert past.use("2026-04", MAY) == Use()
