"""Reports of a service: over the API, the SDK and the command line, kept, scheduled, made once; hostile names."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2 as pdfium
import pytest
from sqlalchemy import text

from docfleet.api.app import make_app
from docfleet.client import Client
from docfleet.delivery.signing import new_secret, seal_secret
from docfleet.dispatch.chores import do_due
from docfleet.domain.access import SYSTEM_TENANT, Role
from docfleet.domain.months import month_bounds, month_of
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.errors import BadRequest, Forbidden, NotFound, ReportFailed, ServiceUnavailable
from docfleet.ledger import Ledger
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.report_values import ReportKind
from docfleet.ledger.reports import Reports
from docfleet.ledger.tallies import Tallies
from docfleet.reports.gathering import MonthSources, MonthTerms, month_facts
from docfleet.reports.month_facts import MonthFacts, PoolOutlook
from docfleet.reports.office import FOLDER, Office
from docfleet.reports.press import Press, PressLimits
from docfleet.runtime import Runtime
from docfleet.settings import ReportSettings, ServiceSettings, Settings
from docfleet.stack.reporting import report_chores
from docfleet.store import FolderStore
from docfleet.store.encryption import EncryptedStore, MasterKey
from serving import PDF, Served, listening, serving, work_through

BOOK = PriceBook({"OCR_PROCESSOR": Rate.flat(1_500)}, worker_micros_per_hour=50_000, base_micros_per_month=200_000_000)
FIELDS = json.dumps(
    {
        "text": "Total 12.50 due\n",
        "entities": [
            {
                "type": "total_amount", "mentionText": "12.50", "confidence": 0.93,
                "normalizedValue": {"text": "12.5 EUR"}, "pageAnchor": {"pageRefs": [{"page": "0"}]},
                "properties": [{"type": "currency", "mentionText": "EUR"}],
            }
        ],
        "pages": [
            {
                "pageNumber": 1,
                "formFields": [
                    {
                        "fieldName": {"textAnchor": {"textSegments": [{"endIndex": "5"}]}},
                        "fieldValue": {"textAnchor": {"textSegments": [{"startIndex": "6", "endIndex": "11"}]}},
                    }
                ],
            }
        ],
    }
).encode()  # fmt: skip
HOSTILE = (
    "#set page(fill: red) *b* $x$ `c` @r <l> // /* \\.pdf",
    "<script>alert(1)</script>.pdf",
    "\u202egnp.fdp שלום \U0001f600 \u0301\u0302",
    "W" * 499,
    "a\tb\nc\x1b[31m.pdf",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("reports")) as running:
        parts = running.parts
        budgets = Budgets(parts.ledger, BOOK)
        office = Office(parts.ledger, parts.desk, budgets, parts.store, parts.master_key)
        parts = replace(parts, budgets=budgets, office=office)
        app = make_app(parts)
        with listening(app) as url:
            yield Served(url, parts, app)


def client_of(served: Served, tenant: str = "acme", role: Role = Role.ADMIN) -> Client:
    return Client(served.url, served.key(tenant, role), retry_seconds=5)


def made_by(served: Served) -> Office:
    office = served.parts.office
    assert office is not None
    return office


def words(pdf: bytes) -> str:
    document = pdfium.PdfDocument(pdf)
    said = "\n".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    return " ".join(said.replace("\u200b", "").split())


def is_archive(pdf: bytes) -> bool:
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        told = opened.open_metadata()
        assert str(opened.Root.Lang) == "en"
        assert opened.Root.ViewerPreferences.DisplayDocTitle
        assert all(alternatives_of(opened.Root.StructTreeRoot)), "a drawing without words"
        return told.pdfa_status == "2A" and told["pdfuaid:part"] == "1" and bool(opened.Root.MarkInfo.Marked)


def alternatives_of(node: Any) -> list[str]:
    """What stands for each figure below a node of the structure."""
    if not isinstance(node, pikepdf.Dictionary):
        return []
    own = [str(node.get("/Alt", ""))] if node.get("/S") == "/Figure" else []
    below = node.get("/K", [])
    return own + [
        said for one in (below if isinstance(below, pikepdf.Array) else [below]) for said in alternatives_of(one)
    ]


def test_a_document_from_upload_to_report(served: Served) -> None:
    with client_of(served) as client:
        made = client.submit(PDF + b"one", name="invoice.pdf", labels={"customer": "4711"})
        assert "has not ended" in words(client.reports.document(made.id))
        work_through(served.parts, {"document.json": FIELDS}, pages=3)
        pdf = client.reports.document(made.id)
    assert is_archive(pdf)
    said = words(pdf)
    for expected in (
        "invoice.pdf", hashlib.sha256(PDF + b"one").hexdigest(), hashlib.sha256(FIELDS).hexdigest(), "customer=4711",
        "total_amount", "12.5 EUR", "total_amount/currency", "Total", "3 of 3", "queued → running", "90.0 %",
    ):  # fmt: skip
        assert expected in said, expected


def test_who_may_not_read_results_sees_no_fields(served: Served) -> None:
    with client_of(served) as client:
        made = client.submit(PDF + b"secret", name="secret.pdf")
        work_through(served.parts, {"document.json": FIELDS})
    with client_of(served, role=Role.AUDITOR) as auditor:
        said = words(auditor.reports.document(made.id))
    assert "total_amount" not in said
    assert "the key that asked may not read results" in said
    with client_of(served, "rival") as stranger, pytest.raises(NotFound):
        stranger.reports.document(made.id)


def test_a_batch_of_the_service(served: Served) -> None:
    with client_of(served) as client:
        with client.open_batch("March *invoices* #panic") as batch:
            for n, name in enumerate(HOSTILE):
                batch.submit(PDF + b"batch" + bytes([n]), name=name)
            batch.submit(PDF + b"batch" + bytes([0]), name="again.pdf")
        work_through(served.parts, pages=2)
        stays = client.open_batch("open")
        stays.submit(PDF + b"stays", name="waits.pdf")
        pdf, going_on = client.reports.batch(batch.id), client.reports.batch(stays.id)
        stays.cancel()
        given_up = client.reports.batch(stays.id)
    assert is_archive(pdf)
    said = words(pdf)
    for expected in (
        "March *invoices* #panic", "All 5 documents were read in full. One input repeated another", batch.id,
        "#set page(fill:", "Sealed",
    ):  # fmt: skip
        assert expected in said, expected
    assert "1 has not ended yet" in words(going_on)
    assert "1 was cancelled" in words(given_up)


def test_the_report_of_a_long_batch_names_what_it_leaves_out_and_stays_small(served: Served) -> None:
    ledger = served.parts.ledger
    with client_of(served) as client:
        batch = client.open_batch("long")
        first = batch.submit(PDF + b"long", name="first.pdf")
        work_through(served.parts)
    _copy_documents(ledger, first.id, 5_000)
    with client_of(served, role=Role.VIEWER) as client:
        tracemalloc.start()
        pdf = client.reports.batch(batch.id)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    said = words(pdf)
    assert "5,001" in said
    assert "First 200 of 5,001 documents" in said
    assert len(pdf) < 500_000
    assert peak < 20 * 1024 * 1024


def _copy_documents(ledger: Ledger, document_id: str, count: int) -> None:
    with ledger.unit_of_work() as session:
        names = [row.name for row in session.execute(text("PRAGMA table_info(document)"))]
        own = {"id": "printf('%032x', n)", "options_digest": "printf('%032x', n)", "name": "'copy ' || n"}
        chosen = ", ".join(own.get(name, f"d.{name}") for name in names)
        session.execute(
            text(
                "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :most) "
                f"INSERT INTO document ({', '.join(names)}) SELECT {chosen} FROM counted, document d WHERE d.id = :id"
            ),
            {"most": count, "id": document_id},
        )


def test_the_month_is_made_kept_listed_and_fetched(served: Served, tmp_path: Path) -> None:
    month = month_of(time.time())
    tallies = Tallies(served.parts.ledger)
    while tallies.count_events():
        pass
    tallies.count_events()
    with client_of(served, role=Role.OPERATOR) as client:
        fresh = client.reports.month(month, by_hand_usd_per_document=7.25, investment_usd=1000)
        kept = client.reports.make(month)
        again = client.reports.make(month, by_hand_usd_per_document=3.5)
        assert "$3.50 a document (given for this report)" in words(client.reports.fetch(kept.id))
        assert again.id == kept.id
        assert [one.id for one in client.reports.list()] == [kept.id]
        assert client.reports.get(kept.id) == again
        assert hashlib.sha256(client.reports.fetch(kept.id)).hexdigest() == again.sha256
        with pytest.raises(BadRequest, match="needs both"):
            client.reports.month(month, by_hand_minutes_per_page=2.0)
        with pytest.raises(BadRequest, match="has not begun"):
            client.reports.month("2099-01")
        with pytest.raises(BadRequest):
            client.reports.make("2026-13")
        with pytest.raises(NotFound):
            client.reports.get("0" * 32)
    assert is_archive(fresh)
    said = words(fresh)
    assert "$7.25 a document (given for this report)" in said
    assert "Under way: figures up to" in said
    assert (again.complete, again.state) == (False, "ready")
    keys = list(served.parts.store.list(FOLDER))
    assert len(keys) == 1
    # as it lies in the store nobody can read it
    assert b"%PDF" not in served.parts.store.get(keys[0])
    with client_of(served, role=Role.SUBMITTER) as client, pytest.raises(Forbidden):
        client.reports.month(month)
    with client_of(served, "rival") as stranger, pytest.raises(NotFound):
        stranger.reports.fetch(kept.id)
    _by_command(served, tmp_path, month, kept.id)


def _by_command(served: Served, folder: Path, month: str, report_id: str) -> None:
    (folder / "key").write_text(served.key(role=Role.AUDITOR))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["--to", served.url, "--key-file", "key"]
        command = [sys.executable, "-m", "docfleet", "report", *arguments, *where]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ})

    assert report_id in run("list").stdout
    fetched = run("fetch", month, "--out", "here/kept.pdf")
    assert fetched.returncode == 0, fetched.stderr
    assert (folder / "here" / "kept.pdf").read_bytes().startswith(b"%PDF-")
    wrong = run("month", "--month", "2099-01")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "has not begun" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_tenant_among_others_is_told_of_its_own_alone(served: Served) -> None:
    """Neither the fleet's forecast nor others' troubles; the operator's report adds everybody up."""
    parts = served.parts
    assert parts.budgets is not None
    for tenant in ("acme", "rival"):
        with client_of(served, tenant) as client:
            client.submit(PDF + tenant.encode(), name="one.pdf")
    work_through(parts)
    with parts.ledger.unit_of_work() as session:
        theirs = session.execute(text("SELECT id FROM document WHERE tenant_id = 'rival'")).scalars().first()
        dies = "INSERT INTO death (at, worker, slice_id, document_id, seconds, cause, innocent) VALUES "
        for number in range(9):
            given = {"at": time.time(), "worker": f"w{number}", "theirs": theirs}
            session.execute(text(dies + "(:at, :worker, 1, :theirs, 1.0, 'worker_died', :no)"), {**given, "no": False})
    tallies = Tallies(parts.ledger)
    for _ in range(2):
        while tallies.count_events():
            pass
    sources, month, asked = MonthSources(parts.ledger, tallies, parts.budgets), month_of(time.time()), list[str]()

    def outlook() -> tuple[PoolOutlook, ...]:
        asked.append("the fleet's")
        return (PoolOutlook("pdf", "document", missing="nothing yet"),)

    def told(tenant: str) -> MonthFacts:
        return month_facts(sources, tenant, month, MonthTerms(), outlook, time.time())

    own = told("acme")
    assert (own.of_fleet, own.outlook, asked, own.troubles.deaths) == (False, (), [], ())
    assert len(own.ahead) == 2
    assert sum(one.count for one in told("rival").troubles.deaths) == 9
    fleet = told(SYSTEM_TENANT)
    assert (fleet.of_fleet, len(fleet.outlook), sum(one.count for one in fleet.troubles.deaths)) == (True, 1, 9)
    both = (own, told("rival"))
    for count in ("accepted", "succeeded", "pages"):
        assert getattr(fleet.total, count) == sum(getattr(one.total, count) for one in both) > 0
    assert fleet.money.whole.documents == sum(one.money.whole.documents for one in both)
    # time goes on between the three looks
    assert fleet.money.whole.micros == pytest.approx(sum(one.money.whole.micros for one in both), rel=0.01, abs=2000)


# --- the schedule


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A service of two tenants that were there two months ago, and a webhook of one of them."""
    settings = Settings(
        service=ServiceSettings(data_folder=tmp_path), reports=ReportSettings(schedule="monthly", hour=0)
    )
    with Runtime(settings) as made:
        for tenant in ("acme", "rival", "newcomer", "gone"):
            made.access.ensure_tenant(tenant, tenant)
        _, sealed = seal_secret_of(made.master_key)
        made.webhooks.add("acme", "https://example.com/hook", sealed, ["report.ready"])
        with made.ledger.unit_of_work() as session:
            old = "UPDATE tenant SET created_at = created_at - 5400000 WHERE id <> 'newcomer'"
            session.execute(text(old))
            session.execute(text("UPDATE tenant SET disabled_at = 1 WHERE id = 'gone'"))
        yield made


class Blank(Press):
    """For those who look at what becomes of a report."""

    def typeset(self, *arguments: Any) -> bytes:
        return b"%PDF-1.7 " + secrets.token_bytes(100)


def office_of(runtime: Runtime, press: Press | None = None) -> Office:
    parts = (runtime.ledger, runtime.desk, runtime.budgets, runtime.store, runtime.master_key)
    return Office(*parts, press=press or Blank())


def seal_secret_of(master_key: MasterKey) -> tuple[str, bytes]:
    secret = new_secret()
    return secret, seal_secret(master_key, secret)


def do_all(runtime: Runtime) -> None:
    do_due(report_chores(runtime), time.monotonic)


def last_month() -> str:
    return month_of(month_bounds(month_of(time.time()))[0] - 1)


def messages(runtime: Runtime) -> list[dict[str, Any]]:
    with runtime.ledger.reading() as session:
        rows = session.execute(text("SELECT payload_json FROM delivery WHERE event_type = 'report.ready'")).all()
    return [json.loads(row.payload_json) for row in rows]


def test_the_schedule_makes_each_report_once_and_tells_of_it(runtime: Runtime) -> None:
    do_all(runtime)
    do_all(runtime)
    reports = Reports(runtime.ledger)
    [own] = reports.listing("acme").items
    assert (own.period, own.complete, own.made_by, own.failures) == (last_month(), True, "", 0)
    assert len(reports.listing("rival").items) == 1
    assert reports.listing("newcomer").items == reports.listing("gone").items == ()
    [told] = messages(runtime)
    assert told["report"]["id"] == own.id
    assert told["report"]["sha256"] == own.sha256
    assert len(list(runtime.store.list(FOLDER))) == 2


def test_two_leaders_make_one(runtime: Runtime) -> None:
    """Both look before either has made one: the row decides, and the loser's bytes go."""
    office = office_of(runtime)
    barrier = threading.Barrier(2)
    ids: list[str] = []

    class Together(Blank):
        def typeset(self, *arguments: Any) -> bytes:
            pdf = super().typeset(*arguments)
            barrier.wait(30)
            return pdf

    def lead() -> None:
        ids.append(replace(office, press=Together()).make_month("acme", last_month(), replace=False).id)

    threads = [threading.Thread(target=lead) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(ids)) == 1
    assert len(ids) == 2
    assert len(messages(runtime)) == 1
    assert len(list(runtime.store.list(FOLDER))) == 1


def test_one_that_fails_is_told_and_tried_again(runtime: Runtime) -> None:
    office = office_of(runtime, Press(PressLimits(seconds=0.01)))
    assert office.make_due(last_month()) == 0
    reports = Reports(runtime.ledger)
    [failed] = reports.listing("acme").items
    assert (failed.made_at, failed.failures, failed.code) == (None, 1, "report_failed")
    assert "within 0.01 s" in failed.message
    assert failed.next_try_at is not None
    with pytest.raises(NotFound):
        reports.stored("acme", failed.id)
    # not at once again
    assert reports.due(ReportKind.MONTH, last_month(), month_bounds(last_month())[1]) == []
    with runtime.ledger.unit_of_work() as session:
        session.execute(text("UPDATE report SET next_try_at = next_try_at - 61"))
    do_all(runtime)
    [made] = reports.listing("acme").items
    assert (made.id, made.failures, made.message) == (failed.id, 0, "")
    assert made.made_at is not None


def test_old_reports_go_with_their_bytes_and_lost_bytes_too(runtime: Runtime) -> None:
    office = office_of(runtime)
    for month in ("2026-01", "2026-02", "2026-03"):
        office.make_month("acme", month)
    runtime.store.put(f"{FOLDER}/{'f' * 32}/report.pdf", b"nobody knows me")
    assert office.sweep(time.time() - 3600) == 0
    assert office.sweep(time.time() + 3600) == 1
    assert office.forget_before("2026-03") == 2
    assert [one.period for one in office.reports.listing("acme").items] == ["2026-03"]
    assert len(list(runtime.store.list(FOLDER))) == 1
    # a ledger that knows none of them is another one
    with runtime.ledger.unit_of_work() as session:
        session.execute(text("DELETE FROM report"))
    assert office.sweep(time.time() + 3600) == 0
    assert len(list(runtime.store.list(FOLDER))) == 1


def test_pages_of_the_listing(runtime: Runtime) -> None:
    office = office_of(runtime)
    for month in ("2026-02", "2025-12", "2026-01"):
        office.make_month("acme", month)
    first = office.reports.listing("acme", limit=2)
    rest = office.reports.listing("acme", first.next_cursor, 2)
    assert [one.period for one in (*first.items, *rest.items)] == ["2026-02", "2026-01", "2025-12"]
    assert rest.next_cursor is None
    with pytest.raises(BadRequest):
        office.reports.listing("acme", "nonsense")


def test_a_new_master_key_takes_over_the_keys_of_reports(runtime: Runtime) -> None:
    from docfleet.delivery.renewing import renewed
    from docfleet.ledger.sealed import SealedKind, count_old, renew_old

    office = office_of(runtime)
    made = office.make_month("acme", "2026-01")
    both = runtime.master_key.rotated()
    assert count_old(runtime.ledger, both.mark)[SealedKind.REPORT_KEYS] == 1
    for _ in renew_old(runtime.ledger, both.mark, lambda value: renewed(both, value)):
        pass
    alone = replace(office, master_key=both.without_earlier())
    _, chunks = alone.read("acme", made.id)
    assert b"".join(chunks).startswith(b"%PDF-")


# --- the press


def test_the_press_has_few_places_and_says_so(served: Served) -> None:
    press = Press(PressLimits(at_once=1, wait_seconds=0.05))
    office = replace(made_by(served), press=press)
    refused: list[str] = []

    def ask() -> None:
        try:
            office.month("acme", "2026-01")
        except ServiceUnavailable as error:
            refused.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert refused == ["Other reports are being made; ask again in a moment."] * 2


def test_a_typesetter_without_memory_costs_its_report_only(served: Served) -> None:
    office = replace(made_by(served), press=Press(PressLimits(memory_bytes=1 << 20)))
    with pytest.raises(ReportFailed):
        office.month("acme", "2026-01")


def test_the_same_report_in_its_own_process_and_in_this_one(served: Served) -> None:
    from docfleet.reports.typesetting import typeset

    class Here(Press):
        def typeset(self, *arguments: Any) -> bytes:
            return typeset(*arguments)

    office = made_by(served)
    with served.parts.ledger.reading() as session:
        document = session.execute(text("SELECT id FROM document WHERE tenant_id = 'acme' LIMIT 1")).scalar_one()
    here = replace(office, press=Here()).document("acme", document, with_content=True)
    there = office.document("acme", document, with_content=True)
    # but for the second it was made in
    assert abs(len(here) - len(there)) < 2000
    assert is_archive(there)


def test_an_encrypted_report_opens_under_its_own_key_only(runtime: Runtime) -> None:
    office = office_of(runtime)
    office.make_month("acme", "2026-01")
    [key] = runtime.store.list(FOLDER)
    _, other = runtime.master_key.new_data_key()
    with pytest.raises(Exception, match="cannot be decrypted"):
        EncryptedStore(FolderStore(runtime.settings.service.data_folder / "store"), other).get(key)
