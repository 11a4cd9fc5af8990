"""How long reports take: `python -m bench.reports` (`--documents`, `--on sqlite|postgres`).

A ledger with one batch of so many documents of three pages, spread over the last sixty days, its events counted by the
dispatcher's own code; then the reports on the last whole month, on that batch and on one document, each made as the
service makes it: gathered, and set by the press in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from sqlalchemy import text  # noqa: E402

from bench.__main__ import machine_facts  # noqa: E402
from bench.glass import fill, ledger_address, seconds_of  # noqa: E402
from bench.table import Row, as_markdown  # noqa: E402
from docfleet.domain.months import month_bounds, month_of  # noqa: E402
from docfleet.ledger import Ledger  # noqa: E402
from docfleet.ledger.access import Access  # noqa: E402
from docfleet.ledger.desk import Desk  # noqa: E402
from docfleet.ledger.tallies import Tallies  # noqa: E402
from docfleet.reports.office import Office  # noqa: E402
from docfleet.runtime import open_budgets  # noqa: E402
from docfleet.settings import Settings  # noqa: E402
from docfleet.store import FolderStore  # noqa: E402
from docfleet.store.encryption import MasterKey  # noqa: E402

TIMES = 3
MONTH_SECONDS = 5.0
_PAGES = (
    "INSERT INTO page (document_id, number, slice_id, outcome, engine, reason, detail, confidence, cost_usd, seconds) "
    "SELECT s.document_id, p.number, s.id, 'read', 'rapidocr', 'no_text_layer', '', 0.97, 0.0, 0.4 "
    "FROM slice s CROSS JOIN (SELECT 1 AS number UNION ALL SELECT 2 UNION ALL SELECT 3) p "
    "WHERE s.tenant_id = 'acme' AND s.state = 'done'"
)
_ENDS = (
    "INSERT INTO event (at, entity, document_id, slice_id, from_state, to_state, token, worker, cause, tenant_id, "
    "batch_id) SELECT s.finished_at, 'slice', s.document_id, s.id, 'running', s.state, 1, '', s.code, s.tenant_id, "
    "s.batch_id FROM slice s WHERE s.tenant_id = 'acme'"
)


def rows_of(on: str, documents: int) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="dfreports-", dir="/tmp"))
    folder.chmod(0o755)
    with ledger_address(on, folder) as address, Ledger.open(address) as ledger:
        access = Access(ledger)
        access.ensure_tenant("acme", "Acme")
        access.close()
        fill(ledger, documents)
        with ledger.unit_of_work() as session:
            session.execute(text(_PAGES))
            session.execute(text(_ENDS))
            session.execute(text("UPDATE tenant SET created_at = created_at - 6000000"))
        tallies = Tallies(ledger)
        for _ in range(2):
            while tallies.count_events():
                pass
        budgets = open_budgets(Settings(), ledger)
        while budgets.count_use():
            pass
        desk = Desk(ledger)
        office = Office(ledger, desk, budgets, FolderStore(folder / "store"), MasterKey.generate())
        return _measured(office, desk, on, documents)


def _measured(office: Office, desk: Desk, on: str, documents: int) -> list[Row]:
    month = month_of(month_bounds(month_of(time.time()))[0] - 1)
    [batch] = desk.batches("acme").items
    [document] = desk.documents("acme", limit=1).items
    many = f"{documents:,} documents"
    return [
        _row(f"{on}: the month {month}, of {many} in sixty days", lambda: office.month("acme", month), MONTH_SECONDS),
        _row(f"{on}: a batch of {many}", lambda: office.batch("acme", batch.id)),
        _row(f"{on}: a document", lambda: office.document("acme", document.id, with_content=True)),
    ]


def _row(what: str, make: Callable[[], bytes], most: float | None = None) -> Row:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = len(make())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    first, others = seconds_of(make, TIMES)
    said = f"{first:.1f} s, then {others:.1f} s; {size / 1000:,.0f} kB; this process grew by {grown:.1f} MiB"
    target = "-" if most is None else f"< {most:g} s"
    return Row(what, said, "", target, None if most is None else max(first, others) < most)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--on", choices=("sqlite", "postgres"), action="append")
    given = parser.parse_args()
    print(machine_facts())
    print(as_markdown([row for on in given.on or ("sqlite",) for row in rows_of(on, given.documents)]))


if __name__ == "__main__":
    main()
