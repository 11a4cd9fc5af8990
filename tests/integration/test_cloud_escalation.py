"""The third step of the cascade in the service: what a local engine is unsure of is read again, or stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_cloud_worker import MICROS, cloud, image, spent
from worker_service import TENANT, WorkerService

from cloud_double import ScriptedCaller, failed
from docfleet.domain.budgeting import BudgetPolicy
from docfleet.domain.pricing import PriceBook, Rate
from docfleet.domain.work import DocumentState
from docfleet.engines.documentai.calls import Postponed
from docfleet.ledger.budgets import Budgets
from docfleet.ledger.service_values import ReadingOptions
from engine_packages import install

OPTIONS = ReadingOptions(("txt", "json"))


@pytest.fixture(scope="module")
def shout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine that reads the word SHOUT, and is half sure of it."""
    target = tmp_path_factory.mktemp("shout-site")
    install("docfleet_engine_shout", tmp_path_factory.mktemp("shout-build"), target)
    return target


@contextmanager
def service(folder: Path, path: Path, **cascade: Any) -> Iterator[WorkerService]:
    given = {"cloud_engine": "documentai", **cascade}
    made = WorkerService(folder, "", reading={"engine": "shout"}, cascade=given)
    try:
        made.worker(path=path)
        yield made
    finally:
        made.close()


def outcome(made: WorkerService, one: Any) -> dict[str, Any]:
    [page] = json.loads(made.result(one, "outcome.json"))["pages"]
    return dict(page)


def test_a_page_of_little_confidence_is_read_again(tmp_path: Path, shout: Path) -> None:
    with service(tmp_path, shout) as made, cloud(made, ScriptedCaller()) as worker:
        one = made.submit(image(230), options=OPTIONS)
        assert made.wait_end(one, 120).state is DocumentState.SUCCEEDED
        page = outcome(made, one)
        assert (page["engine"], page["reason"], page["cost_usd"]) == ("documentai", "low_confidence", MICROS / 1e6)
        assert "shout was 0.50 sure" in page["detail"]
        assert "documentai in eu was 0.97 sure" in page["detail"]
        assert made.result(one, "document.txt").decode().strip() == "230x200"
        assert spent(worker) == (MICROS, 0, 0)


def test_a_page_of_enough_confidence_stays(tmp_path: Path, shout: Path) -> None:
    caller = ScriptedCaller()
    with service(tmp_path, shout, escalate_below=0.4) as made, cloud(made, caller):
        one = made.submit(image(230), options=OPTIONS)
        assert made.wait_end(one, 120).engines == {"shout": 1}
    assert not caller.calls


@pytest.mark.parametrize(
    "why", ["away", *(pytest.param(why, marks=pytest.mark.slow) for why in ("refused", "degraded", "stopped"))]
)
def test_what_was_read_here_stands_when_the_cloud_does_not_read_it(tmp_path: Path, shout: Path, why: str) -> None:
    said = {"away": Postponed(0.2, "away"), "refused": failed("INVALID_ARGUMENT", "Unsupported input file format.")}
    caller = ScriptedCaller(lambda call, names: said.get(why))
    with service(tmp_path, shout) as made:
        policy = {"degraded": BudgetPolicy.DEGRADE, "stopped": BudgetPolicy.STOP}.get(why)
        if policy is not None:
            book = PriceBook({"OCR_PROCESSOR": Rate.flat(MICROS)})
            Budgets(made.runtime.ledger, book).set_budget(TENANT, "documentai", MICROS - 1, policy)
        with cloud(made, caller) as worker:
            one = made.submit(image(230), options=OPTIONS)
            assert made.wait_end(one, 120).state is DocumentState.SUCCEEDED
            page = outcome(made, one)
            assert (page["engine"], page["confidence"], page["cost_usd"]) == ("shout", 0.5, 0.0)
            assert page["detail"].startswith("The local result stands: ")
            assert b"SHOUT" in made.result(one, "document.txt")
            assert spent(worker) == (0, 0, 0)
    assert bool(caller.calls) == (policy is None)


def test_where_a_poor_reading_is_worth_nothing_the_page_fails(tmp_path: Path, shout: Path) -> None:
    caller = ScriptedCaller(lambda call, names: failed("INVALID_ARGUMENT", "Unsupported input file format."))
    with service(tmp_path, shout, on_refusal="fail") as made, cloud(made, caller):
        view = made.wait_end(made.submit(image(230), options=OPTIONS), 120)
    assert (view.state, view.code) == (DocumentState.FAILED, "engine_refused")
