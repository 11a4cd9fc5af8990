"""docfleet's side of the cloud bench: a fleet of its own (API, dispatcher, workers, servers) against the emulator."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from bench.cloud_emulator import LOCATIONS, PROJECT, Done, Emulator, Paper, Supply, Tally  # noqa: E402
from chaos.auditor import open_ledger  # noqa: E402
from chaos.fleet import Fleet, run_fleet  # noqa: E402
from docfleet.client import Client  # noqa: E402
from docfleet.domain.access import Role  # noqa: E402
from docfleet.errors import DocfleetError  # noqa: E402
from docfleet.ledger import Ledger  # noqa: E402
from docfleet.ledger.access import Access  # noqa: E402

REQUESTS_PER_MINUTE = 12
PLENTY = 1_000_000
WAITING = 400
"""Documents that are submitted and have not ended: there is always enough, and never more than a minute's work."""
SUBMITTERS = 4


def run(served: Emulator, supply: Supply, slots: int, seconds: float, begin: Callable[[], None]) -> Tally:
    """`slots`: requests under way at a time. A supply of one-page documents is sent page by page, as the others do."""
    alone = supply.most_pages == 1
    folder = Path(tempfile.mkdtemp(prefix="dfcloud-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with run_fleet(folder, slots=2, settings=_settings(served, slots, alone), each=1) as fleet:
            clients = _tenants(fleet)
            fleet.add("workercloud", ["worker", "--pool", "cloud"])
            _warm(clients, fleet)
            begin()
            return _measure(fleet, clients, supply, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(served: Emulator, slots: int, alone: bool) -> dict[str, str]:
    processors = [{"id": "ocr", "location": location} for location in LOCATIONS]
    overrides: dict[str, Any] = {
        "quotas": {
            "online_requests_per_minute": {
                "us": REQUESTS_PER_MINUTE,
                "eu": REQUESTS_PER_MINUTE,
                "*": REQUESTS_PER_MINUTE,
            }
        }
    }
    if alone:
        overrides = {
            "quotas": {"online_requests_per_minute": {"us": PLENTY, "eu": PLENTY, "*": PLENTY}},
            "processors": {"OCR_PROCESSOR": {"online_pages": 1, "imageless_pages": 1}},
        }
    return {
        "READING__ENGINE": "documentai",
        "READING__MODE": "ocr",
        "CASCADE__CALLS_IN_FLIGHT": str(slots),
        "CASCADE__SHARE_REQUESTS_BETWEEN_TENANTS": "true",
        "DOCUMENTAI__PROJECT": PROJECT,
        "DOCUMENTAI__PROCESSORS": json.dumps(processors),
        "DOCUMENTAI__RESIDENCY": json.dumps({_confined(location): [location] for location in LOCATIONS}),
        "DOCUMENTAI__ENDPOINT": served.grpc,
        "DOCUMENTAI__INSECURE": "true",
        "DOCUMENTAI__ANONYMOUS": "true",
        "DOCUMENTAI__OVERRIDES": json.dumps(overrides),
    }


def _confined(location: str) -> str:
    return f"only-{location}"


def _tenants(fleet: Fleet) -> dict[tuple[str, ...], Client]:
    """One for each place that a document may be confined to, and one whose documents may go anywhere."""
    clients = {}
    with Ledger.open(fleet.postgres.url) as ledger:
        access = Access(ledger)
        for places in [LOCATIONS, *((location,) for location in LOCATIONS)]:
            tenant = _confined(places[0]) if len(places) == 1 else "anywhere"
            access.ensure_tenant(tenant, tenant)
            _, key = access.make_key(tenant, "bench", Role.SUBMITTER)
            clients[places] = Client(fleet.urls[0], key)
        access.close()
    return clients


def _warm(clients: dict[tuple[str, ...], Client], fleet: Fleet) -> None:
    """The first document starts what is built on first use; its request is one that the quota has again at once."""
    paper = Supply(most_pages=1).next()
    client = clients[LOCATIONS]
    document = client.submit(paper.content, name="warm.pdf", reuse=False).wait(120)
    if document.facts.state != "succeeded":
        raise SystemExit(f"the first document {document.facts.state}: see {fleet.folder}")


def _measure(fleet: Fleet, clients: dict[tuple[str, ...], Client], supply: Supply, seconds: float) -> Tally:
    tally = Tally()
    until = time.monotonic() + seconds
    papers: dict[str, Paper] = {}
    room = threading.Semaphore(WAITING)

    def submit() -> None:
        while time.monotonic() < until:
            if not room.acquire(timeout=1.0):
                continue
            paper = supply.next()
            try:
                document = clients[paper.locations].submit(paper.content, name=f"{paper.id}.pdf", reuse=False)
            except DocfleetError as error:
                room.release()
                tally.lose(paper, error)
            else:
                papers[document.id] = paper

    threads = [threading.Thread(target=submit, daemon=True) for _ in range(SUBMITTERS)]
    for thread in threads:
        thread.start()
    with open_ledger(fleet.postgres.url) as ledger:
        for rows in _ends(ledger, until):
            for row in rows:
                room.release()
                _note(tally, papers, row)
    for thread in threads:
        thread.join()
    return tally


_NEWLY_ENDED = text(
    "SELECT document.id, document.state, document.code, document.finished_at, min(page.detail) AS detail, "
    "min(page.engine) AS engine, extract(epoch FROM clock_timestamp()) AS now FROM document "
    "LEFT JOIN page ON page.document_id = document.id "
    "WHERE document.finished_at > :since AND document.name <> 'warm.pdf' GROUP BY document.id"
)


def _ends(ledger: Connection, until: float) -> Iterator[list[Any]]:
    """Documents that have ended since the last look, until the time is over."""
    known: set[str] = set()
    since = 0.0
    while time.monotonic() < until:
        time.sleep(0.25)
        with ledger.begin():
            found = ledger.execute(_NEWLY_ENDED, {"since": since - 10.0}).all()
        rows = [row for row in found if row.id not in known]
        known |= {row.id for row in rows}
        since = max([since, *(row.finished_at for row in rows)])
        yield rows


def _note(tally: Tally, papers: dict[str, Paper], row: Any) -> None:
    while row.id not in papers:
        time.sleep(0.01)  # its submission is answered at this moment
    paper = papers[row.id]
    place = re.search(r"documentai in (\S+) was", row.detail or "")
    if row.state != "succeeded" or row.engine != "documentai" or place is None:
        tally.lose(paper, RuntimeError(f"{row.state} {row.code} {row.engine}: {row.detail}"))
        return
    at = time.monotonic() - (float(row.now) - row.finished_at)
    tally.done.append(Done(paper, place[1], at))
