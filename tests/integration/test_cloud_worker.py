"""The cloud step end to end: real ledger, store and sandbox, real workers around it, and an engine that is told what
to answer."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image
from worker_service import TENANT, WorkerService, wait_for

from cloud_double import Said, ScriptedCaller, failed
from docfleet.domain.budgeting import BudgetPolicy
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.domain.work import DocumentState, Step
from docfleet.engines.documentai.calls import Call, Postponed
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.escalating import Escalating
from docfleet.ledger.service_values import Accepted, ReadingOptions
from docfleet.worker.cloud.parts import CloudOptions, CloudParts
from docfleet.worker.cloud.service import CloudWorker

MICROS = 1500
BOOK = PriceBook({"OCR_PROCESSOR": Rate.flat(MICROS)})
CLOUD = ReadingOptions(("txt", "json"), engine="documentai")


class Cloud:
    """One cloud worker in threads of this process."""

    def __init__(
        self, service: WorkerService, caller: ScriptedCaller, residency: dict[str, Any], **changes: Any
    ) -> None:
        settings = service.settings
        documentai = DocumentAIOptions(project="p", residency=residency)
        options = CloudOptions.of(settings.cascade, documentai, documentai.facts())
        self.budgets = Budgets(service.runtime.ledger, BOOK)
        parts = CloudParts(
            replace(options, **changes), documentai, service.runtime.ledger, Escalating(service.runtime.ledger),
            self.budgets, service.runtime.store, service.runtime.master_key, caller,
        )  # fmt: skip
        self.worker = CloudWorker(settings, parts, "cloud-1")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.worker.run, args=(self.stop, []))

    def end(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


@contextmanager
def cloud(
    service: WorkerService, caller: ScriptedCaller, residency: dict[str, Any] | None = None, **changes: Any
) -> Iterator[Cloud]:
    made = Cloud(service, caller, residency or {}, **changes)
    made.thread.start()
    try:
        yield made
    finally:
        made.end()


def image(width: int, height: int = 200) -> bytes:
    """A page that only its size tells from others."""
    picture = Image.new("L", (width, height), 255)
    for x in range(20, 100):
        for y in range(20, 60):
            picture.putpixel((x, y), (x * y) % 200)
    file = io.BytesIO()
    picture.save(file, "PNG", dpi=(72, 72))
    return file.getvalue()


def scan(*widths: int) -> bytes:
    """A PDF of pages without a text layer."""
    pages = [Image.open(io.BytesIO(image(width))) for width in widths]
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=72)
    return file.getvalue()


def plan_all(service: WorkerService, count: int) -> None:
    """Waits until so many cloud slices are there."""

    def waiting() -> bool:
        with service.runtime.ledger.reading() as session:
            from sqlalchemy import text

            return session.execute(text("SELECT count(*) FROM slice WHERE step = 'cloud'")).scalar_one() >= count

    wait_for(waiting, 60)


def steps(service: WorkerService, accepted: Accepted) -> list[tuple[str, str]]:
    return [(row.step, row.state) for row in service.slices(accepted)]


def spent(made: Cloud) -> tuple[int, int, int]:
    """(settled, reserved, lost), in micro-dollars."""
    made.budgets.fold()
    sums = made.budgets.month_spend(TENANT)
    return (
        sum(one.settled_micros for one in sums),
        sum(one.reserved_micros for one in sums),
        sum(one.lost_micros for one in sums),
    )


def test_pages_of_many_documents_travel_together_and_come_back_to_their_own(service: WorkerService) -> None:
    service.worker(slots=2)
    accepted = {width: service.submit(image(width), f"{width}.png", options=CLOUD) for width in range(200, 208)}
    plan_all(service, len(accepted))
    caller = ScriptedCaller()
    with cloud(service, caller) as made:
        for width, one in accepted.items():
            view = service.wait_end(one)
            assert view.state is DocumentState.SUCCEEDED
            assert service.result(one, "document.txt").decode().strip() == f"{width}x200"
            assert view.engines == {"documentai": 1}
            assert view.cost_usd == pytest.approx(MICROS / 1e6)
            assert view.confidence == pytest.approx(0.97)
        assert spent(made) == (len(accepted) * MICROS, 0, 0)
    assert len(caller.calls) < len(accepted)
    assert sorted(name for _, names in caller.calls for name in names) == sorted(f"{w}x200" for w in accepted)


def test_pages_of_a_long_scan_are_read_in_order(service: WorkerService) -> None:
    service.worker(slots=2)
    widths = range(200, 223)
    one = service.submit(scan(*widths), "scan.pdf", options=CLOUD)
    with cloud(service, ScriptedCaller()):
        assert service.wait_end(one).state is DocumentState.SUCCEEDED
    text = service.result(one, "document.txt").decode().split()
    assert text == [f"{width}x200" for width in widths]


def test_a_guilty_document_fails_alone(service: WorkerService) -> None:
    service.worker(slots=2)
    accepted = {width: service.submit(image(width), f"{width}.png", options=CLOUD) for width in range(200, 207)}
    plan_all(service, len(accepted))

    def script(call: Call, names: list[str]) -> Said | None:
        return failed("INVALID_ARGUMENT", "Unsupported input file format.") if "203x200" in names else None

    caller = ScriptedCaller(script)
    with cloud(service, caller) as made:
        views = {width: service.wait_end(one) for width, one in accepted.items()}
        assert spent(made) == (6 * MICROS, 0, 0)
    assert {width for width, view in views.items() if view.state is not DocumentState.SUCCEEDED} == {203}
    assert (views[203].state, views[203].code) == (DocumentState.FAILED, "engine_refused")
    assert len(caller.calls) <= 8


def test_a_guilty_page_fails_alone(on_postgres: WorkerService) -> None:
    on_postgres.worker(slots=2)
    one = on_postgres.submit(scan(*range(200, 206)), "scan.pdf", options=CLOUD)

    def script(call: Call, names: list[str]) -> Said | None:
        return failed("INVALID_ARGUMENT", "Unsupported input file format.") if "204x200" in names else None

    with cloud(on_postgres, ScriptedCaller(script)):
        view = on_postgres.wait_end(one)
    assert (view.state, view.pages_read, view.pages_failed, view.code) == (
        DocumentState.PARTIAL,
        5,
        1,
        "engine_refused",
    )


@pytest.mark.slow
def test_want_of_quota_costs_nothing_and_nothing_is_lost(service: WorkerService) -> None:
    service.worker(slots=2)
    accepted = [service.submit(image(width), options=CLOUD) for width in range(200, 204)]
    answers = iter([0.3, 0.2, 5.0])

    def script(call: Call, names: list[str]) -> Said | None:
        seconds = next(answers, None)
        return None if seconds is None else Postponed(seconds, "requests")

    with cloud(service, ScriptedCaller(script), hand_back_seconds=1.0) as made:
        for one in accepted:
            assert service.wait_end(one, 60).state is DocumentState.SUCCEEDED
        assert spent(made) == (4 * MICROS, 0, 0)
    slices = [row for one in accepted for row in service.slices(one) if row.step == Step.CLOUD]
    assert {(row.error_count, row.crash_count) for row in slices} == {(0, 0)}
    assert any(row.wait_count for row in slices)


def test_an_outage_waits_when_nothing_was_read_here(on_postgres: WorkerService) -> None:
    on_postgres.worker(slots=1)
    one = on_postgres.submit(image(200), options=CLOUD)
    gone = threading.Event()
    gone.set()
    caller = ScriptedCaller(lambda call, names: Postponed(0.2, "away") if gone.is_set() else None)
    with cloud(on_postgres, caller):
        wait_for(lambda: len(caller.calls) > 3)
        gone.clear()
        assert on_postgres.wait_end(one).state is DocumentState.SUCCEEDED


def test_an_answer_that_fails_counts_and_the_third_is_the_last(on_postgres: WorkerService) -> None:
    on_postgres.worker(slots=1)
    one = on_postgres.submit(image(200), options=CLOUD)
    caller = ScriptedCaller(lambda call, names: failed("INTERNAL", billed=True))
    with cloud(on_postgres, caller) as made:
        view = on_postgres.wait_end(one, 60)
        assert spent(made) == (3 * MICROS, 0, 3 * MICROS)
    assert (view.state, view.code) == (DocumentState.FAILED, "engine_failed")
    assert len(caller.calls) == 3


def test_tenants_do_not_share_requests_and_residency_parts_them(on_postgres: WorkerService) -> None:
    service = on_postgres
    service.worker(slots=2)
    accepted = [service.submit(image(width), options=CLOUD) for width in range(200, 204)]
    plan_all(service, 4)
    caller = ScriptedCaller()
    with cloud(service, caller, residency={TENANT: ("eu",)}):
        for one in accepted:
            service.wait_end(one)
    assert {call.tenant for call, _ in caller.calls} == {TENANT}


def test_a_budget_that_is_used_up_ends_its_pages(on_postgres: WorkerService) -> None:
    service = on_postgres
    service.worker(slots=1)
    accepted = [service.submit(image(width), options=CLOUD) for width in range(200, 205)]
    plan_all(service, 5)
    with cloud(service, ScriptedCaller()) as made:
        made.budgets.set_budget(TENANT, "documentai", 2 * MICROS, BudgetPolicy.STOP)
    # set before it works
    with cloud(service, ScriptedCaller()) as made:
        views = [service.wait_end(one) for one in accepted]
        assert spent(made)[0] <= 5 * MICROS
    assert all(view.state in (DocumentState.SUCCEEDED, DocumentState.FAILED) for view in views)


def test_a_stop_hands_back_what_is_not_in_flight_and_ends_what_is(service: WorkerService) -> None:
    service.worker(slots=2)
    accepted = [service.submit(image(width), options=CLOUD) for width in range(200, 206)]
    plan_all(service, 6)
    slow = ScriptedCaller(seconds=2.0)
    with cloud(service, slow, calls_in_flight=1):
        wait_for(lambda: slow.under_way == 1)
    assert len(slow.calls) == 1
    with service.runtime.ledger.reading() as session:
        from sqlalchemy import text

        assert (
            session.execute(text("SELECT count(*) FROM slice WHERE state = 'running' AND step = 'cloud'")).scalar() == 0
        )
    with cloud(service, ScriptedCaller()):
        for one in accepted:
            assert service.wait_end(one).state is DocumentState.SUCCEEDED
