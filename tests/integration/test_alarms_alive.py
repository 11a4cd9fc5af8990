"""Real faults under real Prometheus and Alertmanager: each alarm is seen to come, and to go when the fault is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme
from monitored_service import Monitored, accepted
from webhook_receivers import Receiver, receiver
from worker_service import page_image

from docfleet.documentai_server.app import DocumentAIServer
from docfleet.documentai_server.options import ServerOptions
from docfleet.documentai_server.readers import ReaderOptions
from docfleet.store.encryption import MasterKey
from documentai_clients import pdf_of
from ledger_driver import PostgresServer

pytestmark = pytest.mark.slow
OUTAGE = 'latencies = [{fixed_seconds = 0.2}]\noutages = [{location = "us", kind = "unavailable"}]\n'
WELL = "latencies = [{fixed_seconds = 0.2}]\n"
PER_MINUTE = 12.0
USD_PER_PAGE = 0.0015
CLOUD = {"engine": "documentai", "priority": "critical"}
"""Pages that do not wait for others to travel with."""
OTHER_REGION = {"DOCFLEET_SERVICE__REGION": "there"}


class Broken(Monitored):
    """With a cloud engine in two locations that is told what to do, a console with a certificate, another region over
    the same database."""

    def __init__(self, folder: Path, engines: Path, pages: Receiver, cloud: DocumentAIServer, ledger: str) -> None:
        self._cloud, self.cloud_address = cloud, str(cloud.addresses[0].grpc)
        limits = {"*": PER_MINUTE, "eu": PER_MINUTE, "us": PER_MINUTE}
        overrides = {"quotas": {"online_requests_per_minute": limits}, "prices": {"ocr": {"free_pages": 0}}}
        super().__init__(
            folder, engines, pages, ("worker-cloud", "console", "dispatcher-2"),
            DOCFLEET_SERVICE__LEDGER_URL=ledger,
            DOCFLEET_SERVICE__MASTER_KEY=MasterKey.generate().to_base64(),
            DOCFLEET_SERVICE__STORE_URL=f"file://{folder / 'store'}",
            DOCFLEET_CASCADE__CLOUD_ENGINE="documentai",
            DOCFLEET_DOCUMENTAI__PROJECT="tests",
            DOCFLEET_DOCUMENTAI__PROCESSORS=json.dumps([{"id": "ocr", "location": place} for place in ("eu", "us")]),
            DOCFLEET_DOCUMENTAI__ENDPOINT=self.cloud_address,
            DOCFLEET_DOCUMENTAI__INSECURE="true",
            DOCFLEET_DOCUMENTAI__ANONYMOUS="true",
            DOCFLEET_DOCUMENTAI__OVERRIDES=json.dumps(overrides),
            DOCFLEET_FLEET__STUCK_SECONDS="10",
        )  # fmt: skip
        self.certificate, self.key_file = folder / "console.pem", folder / "console-key.pem"
        self._sent = 0

    def start_more(self) -> None:
        self.renew(days=2)
        api = f"http://127.0.0.1:{self.ports['http']}"
        self.start(
            "console", "console", "--api", api, "--port", "0",
            "--tls-cert", str(self.certificate), "--tls-key", str(self.key_file),
        )  # fmt: skip
        self.start("worker-cloud", "worker", "--pool", "cloud")
        self.start("dispatcher-2", "dispatcher", **OTHER_REGION)

    def renew(self, days: int) -> None:
        """The certificate and its key, as whatever renews certificates does."""
        made = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=days))
        fresh = self.folder / "fresh.pem"
        for blob, path in ((made.private_key_pem, self.key_file), (made.cert_chain_pems[0], self.certificate)):
            fresh.write_bytes(blob.bytes())
            fresh.replace(path)

    def worker_began(self) -> float | None:
        return self.value('process_start_time_seconds{job="docfleet-worker"}')

    def cloud_is(self, plan: str) -> None:
        answer = httpx.put(
            f"{self._cloud.emulation_address}/emulation", content=plan, headers={"content-type": "application/toml"}
        )
        assert answer.status_code == 200, answer.text

    def to_the_cloud(self, count: int) -> None:
        for _ in range(count):
            self._sent += 1
            self.submit(pdf_of(f"page {self._sent}"), f"{self._sent}.pdf", **CLOUD)


@contextmanager
def cloud_engine() -> Iterator[DocumentAIServer]:
    reader = ReaderOptions(settings={"reading": {"engine": "null"}}, readers=1, waiting=60)
    with DocumentAIServer(ServerOptions(readers=reader, emulation_port=0, grace_seconds=1.0)) as server:
        yield server


@pytest.fixture(scope="module")
def broken(engines: Path, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    with receiver(accepted) as pages, cloud_engine() as cloud:
        ledger = postgres.url(postgres.new_database())
        made = Broken(tmp_path_factory.mktemp("broken"), engines, pages, cloud, ledger)
        try:
            made.docfleet("ledger", "migrate")
            made.start_more()
            made.start_all()
            # which takes two minutes to be noticed: others happen meanwhile
            made.wait_for(lambda: made.value('docfleet_region_seen_timestamp_seconds{region="there"}'), 180)
            made.kill("dispatcher-2")
            yield made
        finally:
            made.close()


def test_a_certificate_that_ends_in_two_days_wakes_somebody_until_it_is_renewed(broken: Broken) -> None:
    broken.wait_for(lambda: broken.paged("DocfleetCertificateEnds"), 120)
    broken.renew(days=90)
    broken.wait_for(lambda: broken.is_over("DocfleetCertificateEnds"), 60)


def test_an_endpoint_that_is_gone_and_a_quota_that_is_used_up_are_told(broken: Broken) -> None:
    broken.cloud_is(OUTAGE)
    away = {"endpoint": "us@" + broken.cloud_address}

    def fed(alarm: str, **labels: str) -> bool:
        """As long as pages come, which a breaker that nobody tries does not know."""
        broken.to_the_cloud(2)
        return broken.firing(alarm, **labels)

    broken.wait_for(lambda: fed("DocfleetBreakerOpen", **away), 180)
    broken.wait_for(lambda: fed("DocfleetQuotaExhausted"), 240)
    assert not broken.firing("DocfleetQuotaExhausted", **away)
    broken.cloud_is(WELL)
    broken.wait_for(lambda: not broken.firing("DocfleetBreakerOpen"), 180)
    broken.wait_for(lambda: not broken.firing("DocfleetQuotaExhausted"), 240)
    # a provider's trouble wakes nobody: there is nothing to do about it
    assert broken.paged("DocfleetQueueStuck") == []
    assert broken.query('docfleet_documents_ended_total{outcome="broken"} > 0') == []


def test_a_budget_is_told_when_it_is_near_and_wakes_somebody_when_it_has_no_room(broken: Broken) -> None:
    where = ("--tenant", "all", "--engine", "documentai", "--policy", "degrade")
    broken.docfleet("budgets", "set", "1000", *where)
    broken.wait_for(lambda: broken.value("docfleet_budget_limit_usd") == 1000.0, 60)
    spent = broken.value("docfleet_budget_spent_usd")
    assert spent
    # two pages and a half: it is never spent to the last cent
    broken.docfleet("budgets", "set", f"{spent + 2.5 * USD_PER_PAGE:.6f}", *where)
    broken.wait_for(lambda: broken.firing("DocfleetBudgetNear"), 90)
    assert broken.paged("DocfleetBudgetSpent") == []
    broken.to_the_cloud(20)
    broken.wait_for(lambda: broken.paged("DocfleetBudgetSpent"), 120)
    assert broken.value("docfleet_budget_spent_usd / docfleet_budget_limit_usd < 1")
    broken.docfleet("budgets", "set", "1000", *where)
    broken.wait_for(lambda: broken.is_over("DocfleetBudgetSpent"), 90)


def test_documents_that_wait_and_no_worker_wake_somebody(broken: Broken) -> None:
    broken.kill("worker")
    for number in range(4):
        broken.submit(page_image(300, 500 + number), f"waits-{number}.png")
    broken.wait_for(lambda: broken.paged("DocfleetNoWorkers"), 180)
    broken.wait_for(lambda: broken.firing("DocfleetQueueStuck"), 60)
    broken.start("worker", "worker", "--pool", "all", "--slots", "2")
    broken.wait_for(lambda: broken.is_over("DocfleetNoWorkers") and broken.is_over("DocfleetQueueStuck"), 120)


def test_a_worker_that_dies_again_and_again_is_told(broken: Broken) -> None:
    for _ in range(3):
        before = broken.worker_began()
        broken.kill("worker")
        broken.start("worker", "worker", "--pool", "all", "--slots", "2")
        broken.wait_for(lambda before=before: broken.worker_began() not in (None, before), 60)
    broken.wait_for(lambda: broken.firing("DocfleetWorkersCrash", what="process"), 30)
    broken.wait_for(lambda: not broken.firing("DocfleetWorkersCrash", what="process"), 240)


def test_a_region_whose_dispatchers_are_gone_wakes_somebody_once(broken: Broken) -> None:
    broken.wait_for(lambda: broken.firing("DocfleetRegionSilent", region="there"), 180)
    assert broken.firing("DocfleetNoLeader", region="there")
    assert not broken.firing("DocfleetNoLeader", region="here")
    assert len(broken.paged("DocfleetNoLeader")) == 1
    assert broken.paged("DocfleetRegionSilent") == []
    broken.start("dispatcher-2", "dispatcher", **OTHER_REGION)
    broken.wait_for(lambda: broken.is_over("DocfleetNoLeader"), 120)
    broken.wait_for(lambda: not broken.firing("DocfleetRegionSilent"), 60)


def test_a_database_that_is_away_wakes_somebody_once(broken: Broken, postgres: PostgresServer) -> None:
    postgres.server.stop()
    broken.wait_for(lambda: broken.paged("DocfleetLedgerDown"), 120)
    postgres.server.start()
    broken.wait_for(lambda: broken.is_over("DocfleetLedgerDown"), 120)
