"""What happened, and how things stand, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from docfleet.domain.access import Role
from docfleet.domain.load import ClassLoad, PoolLoad
from docfleet.domain.scaling import Decision, Need, ScalingMemory
from docfleet.domain.urgency import Urgency
from docfleet.ledger.fleet_book import FleetBook
from docfleet.ledger.tallies import Tallies
from serving import PDF, Served, serving, work_through


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("statistics")) as running:
        for tenant in ("globex", "system"):
            running.parts.access.ensure_tenant(tenant, tenant)
        for tenant, count in (("acme", 3), ("globex", 2)):
            with running.client(running.key(tenant)) as client:
                for number in range(count):
                    content = PDF + b"%%%d %s" % (number, tenant.encode())
                    assert client.post("/v1/documents", content=content).status_code == 202
        work_through(running.parts, {"json": b"{}"})
        tallies = Tallies(running.parts.ledger)
        while tallies.count_events():
            pass
        yield running


def test_a_tenant_sees_its_own_figures_and_the_system_all(served: Served) -> None:
    with served.client(served.key("acme", Role.VIEWER)) as client:
        told = client.get("/v1/statistics").json()
        assert (told["tenant"], told["step_seconds"], told["total"]["accepted"]) == ("acme", 3600, 3)
        assert told["total"]["succeeded"] == 3
        assert sum(step["accepted"] for step in told["steps"]) == 3
        assert len(told["steps"]) == 25
        assert told["pools"][0]["pool"] == "pdf"
        for whose in ("*", "globex", "system"):
            assert client.get("/v1/statistics", params={"tenant": whose}).status_code == 403
            assert client.get("/v1/overview", params={"tenant": whose}).status_code == 403
    with served.client(served.key("system", Role.ADMIN)) as client:
        assert client.get("/v1/statistics", params={"tenant": "*"}).json()["total"]["accepted"] == 5
        assert client.get("/v1/statistics", params={"tenant": "globex"}).json()["total"]["accepted"] == 2
    with served.client(served.key("system", Role.VIEWER)) as client:
        assert client.get("/v1/statistics", params={"tenant": "*"}).status_code == 403


def test_spans_that_make_no_sense_are_refused(served: Served) -> None:
    now = datetime.now(UTC)
    with served.client(served.key("acme")) as client:
        for params, said in (
            ({"since": now.isoformat(), "until": (now - timedelta(days=1)).isoformat()}, "before it begins"),
            ({"since": (now - timedelta(days=9)).isoformat(), "step": "five_minutes"}, "more than"),
            ({"since": "2026-01-01T00:00:00"}, "offset"),
        ):
            answer = client.get("/v1/statistics", params=params)
            assert answer.status_code == 400, params
            assert said in answer.json()["detail"]
        future = client.get("/v1/statistics", params={"until": (now + timedelta(hours=30)).isoformat()}).json()
        assert len(future["steps"]) <= 1, "none of the future"


def test_the_overview_says_what_a_role_may_know(served: Served) -> None:
    with served.client(served.key("acme", Role.VIEWER)) as client:
        told = client.get("/v1/overview").json()
        assert told["last_hour"]["succeeded"] == 3
        assert len(told["last_day"]) == 24
        assert told["today"]["accepted"] == 3
        for hidden in ("waiting", "workers", "spend", "dead_letters"):
            assert told[hidden] is None, hidden
        assert told["attention"] == []
    with served.client(served.key("acme", Role.OPERATOR)) as client:
        told = client.get("/v1/overview").json()
        assert told["dead_letters"] == {"open": 0}
        assert told["spend"]["today_usd"] == 0
        assert [one["code"] for one in told["attention"]] == ["dispatcher_away"], "nobody has ever decided"


def test_the_overview_shows_queues_workers_and_what_is_wrong_with_them(served: Served) -> None:
    load = PoolLoad(
        "pdf", time.time(), (ClassLoad(Urgency.NORMAL, 60.0, waiting_documents=7, oldest_seconds=500.0),), workers=0
    )
    why = (Need("target", 3, "7 wait"),)
    decision = Decision("pdf", time.time(), 3, 0, "0 → 3 pdf workers: 7 documents waiting", why, (), ScalingMemory())
    FleetBook(served.parts.ledger, "local").decide(decision, load, "")
    with served.client(served.key("acme", Role.OPERATOR)) as client:
        told = client.get("/v1/overview").json()
        [pool] = told["workers"]
        assert (pool["pool"], pool["wanted"], pool["alive"]) == ("pdf", 3, 0)
        [waiting] = told["waiting"]
        assert (waiting["priority"], waiting["documents"], waiting["oldest_seconds"]) == ("normal", 7, 500.0)
        [notice] = told["attention"]
        assert (notice["code"], notice["severity"], notice["page"]) == ("no_workers", "critical", "fleet")
