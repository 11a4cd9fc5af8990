"""The console's figures on a full ledger: `python -m bench.glass` (`--documents`, `--on sqlite|postgres`, `--browser`).

A ledger of a million documents of sixty days, its events counted by the dispatcher's own code; then the answers that
the console's pages begin with, over HTTP, each asked ten times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import httpx  # noqa: E402
from sqlalchemy import text  # noqa: E402

from bench.__main__ import machine_facts  # noqa: E402
from bench.glass_browser import rows_in_browser  # noqa: E402
from bench.table import Row, as_markdown  # noqa: E402
from docfleet.api.app import make_app  # noqa: E402
from docfleet.console.app import mount_console  # noqa: E402
from docfleet.console.options import ConsoleOptions  # noqa: E402
from docfleet.domain.access import Role  # noqa: E402
from docfleet.ledger import Ledger  # noqa: E402
from docfleet.ledger.desk import Desk  # noqa: E402
from docfleet.ledger.tallies import Tallies  # noqa: E402
from docfleet.money import open_budgets  # noqa: E402
from docfleet.settings import Settings  # noqa: E402
from docfleet.stack.servers import start_postgres  # noqa: E402
from docfleet.store.keys import MasterKey  # noqa: E402
from serving import listening, serving  # noqa: E402

AT_ONCE = 100_000
DAYS = 60
TARGET_SECONDS = 1.0
_NUMBERS = "WITH RECURSIVE number(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM number WHERE n < {last}) "
_STATE = "CASE WHEN n % 500 = 0 THEN 'failed' WHEN n % 100 = 0 THEN 'partial' ELSE 'succeeded' END"
_BEGUN = f"(:now - {DAYS * 86400.0} + (n * {DAYS * 86400.0}) / :rows)"
_ENDED = f"{_BEGUN} + 0.2 + (n % 97) * 0.31"
_DOCUMENTS = (
    "INSERT INTO document (id, batch_id, sha256, options_digest, size_bytes, media_type, state, priority, round, "
    "pages, plan_json, code, message, detail, result_key, pages_read, pages_failed, engines_json, confidence, "
    "cost_usd, work_seconds, created_at, started_at, finished_at, tenant_id, content_id, options_key, name, "
    "pool, urgency) "
    "{numbers}SELECT {id}, :batch, {sha}, {id}, 80000, 'application/pdf', " + _STATE + ", 100, 1, 3, '', "
    "CASE WHEN n % 500 = 0 THEN 'worker_died' ELSE '' END, '', '', '', 3, 0, '{{\"rapidocr\": 3}}', 0.97, 0.0, 1.2, "
    f"{_BEGUN}, {_BEGUN} + 0.1, {_ENDED}, 'acme', {{id}}, {{id}}, 'invoice-' || n || '.pdf', "
    "CASE WHEN n % 3 = 0 THEN 'image' ELSE 'pdf' END, 'normal' FROM number"
)
_CONTENTS = (
    "INSERT INTO content (id, tenant_id, region, sha256, media_type, wrapped_key, refs, size_bytes, created_at) "
    f"{{numbers}}SELECT {{id}}, 'acme', 'local', {{sha}}, '', {{blob}}, 1, 80000, {_BEGUN} FROM number"
)
_SLICES = (
    "INSERT INTO slice (document_id, batch_id, round, step, first_page, last_page, state, priority, attempt, "
    "crash_count, error_count, wait_count, loss_count, token, worker, available_at, isolated, payload_json, "
    "result_key, code, message, detail, created_at, started_at, finished_at, tenant_id, pool) "
    "{numbers}SELECT {id}, :batch, 1, 'plan', 0, 0, CASE WHEN n % 500 = 0 THEN 'dead' ELSE 'done' END, 1, 1, 0, 0, 0, "
    "0, 1, '', 1, {false}, '', '', CASE WHEN n % 500 = 0 THEN 'worker_died' ELSE '' END, '', '', "
    f"{_BEGUN}, {_BEGUN}, {_ENDED}, 'acme', 'pdf' FROM number"
)
_EVENTS = tuple(
    "INSERT INTO event (at, entity, document_id, from_state, to_state, token, worker, cause, tenant_id, batch_id) "
    f"{{numbers}}SELECT {at}, 'document', {{id}}, {before}, {after}, 0, '', '', 'acme', :batch FROM number"
    for at, before, after in ((_BEGUN, "''", "'received'"), (_ENDED, "'received'", _STATE))
)


def fill(ledger: Ledger, rows: int) -> None:
    """Ended documents of the last sixty days, with their contents, slices and events."""
    is_sqlite = ledger._engine.dialect.name == "sqlite"
    said = {
        # as `new_id` makes them: by time
        "id": "printf('%012x7%019x', CAST(" + _BEGUN + " * 1000 AS INTEGER), n)"
        if is_sqlite
        else "lpad(to_hex(CAST(" + _BEGUN + " * 1000 AS bigint)), 12, '0') || '7' || lpad(to_hex(n), 19, '0')",
        "sha": "printf('%064x', n)" if is_sqlite else "lpad(to_hex(n), 64, '0')",
        "false": "0" if is_sqlite else "false",
        "blob": "x'00'" if is_sqlite else "'\\x00'::bytea",
    }
    batch = Desk(ledger).open_batch("acme", "archive").id
    given = {"batch": batch, "rows": float(rows), "now": time.time()}
    for first in range(1, rows + 1, AT_ONCE):
        numbers = _NUMBERS.format(first=first, last=min(rows, first + AT_ONCE - 1))
        with ledger.unit_of_work() as session:
            for statement in (_CONTENTS, _DOCUMENTS, _SLICES, *_EVENTS):
                written = text(statement.format(numbers=numbers, **said))
                wanted = set(written.compile().params)
                session.execute(written, {name: value for name, value in given.items() if name in wanted})
    with ledger.unit_of_work() as session:
        session.execute(text("ANALYZE"))


@contextmanager
def ledger_address(on: str, folder: Path) -> Iterator[Path | str]:
    if on == "sqlite":
        yield folder / "ledger.db"
        return
    with start_postgres(folder / "pg", durable=False) as server:
        yield server.url


def seconds_of(ask: Callable[[], Any], times: int = 10) -> tuple[float, float]:
    """(the first, the middle of the others): a console that was just opened has no warm answer."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        took.append(time.perf_counter() - begun)
    return took[0], statistics.median(took[1:])


def rows_of(on: str, documents: int, *, in_browser: bool) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="dfglass-", dir="/tmp"))
    folder.chmod(0o755)
    with ledger_address(on, folder) as address, serving(folder, ledger_address=address) as served:
        ledger = served.parts.ledger
        fill(ledger, documents)
        begun = time.perf_counter()
        tallies = Tallies(ledger)
        for _ in range(2):
            while tallies.count_events():
                pass
        counted = time.perf_counter() - begun
        budgets = open_budgets(Settings(), ledger)
        while budgets.count_use():
            pass
        app = make_app(replace(served.parts, budgets=budgets))
        mount_console(app, ConsoleOptions(sealing=MasterKey.generate()))
        with listening(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            key = served.key("acme", Role.OPERATOR)
            client.headers["authorization"] = f"Bearer {key}"
            found = [
                Row(f"{on}: counting the events of {documents:,} documents", f"{counted:.0f} s", "", "stated", None),
                *(_answer(client, on, path) for path in _paths(client)),
                _looked_for(client, on, documents),
            ]
            if in_browser:
                middle = time.strftime("%Y-%m-%d", time.gmtime(time.time() - DAYS / 2 * 86400))
                found += rows_in_browser(on, url, key, f"invoice-{documents // 2}", middle, TARGET_SECONDS)
            return found


def _looked_for(client: httpx.Client, on: str, documents: int) -> Row:
    """A name that nothing has, page after page to the end."""
    begun, pages, cursor = time.perf_counter(), 0, ""
    while pages == 0 or cursor:
        asked = {"name": "in no name", **({"cursor": cursor} if cursor else {})}
        cursor, pages = client.get("/v1/documents", params=asked).raise_for_status().json()["next_cursor"], pages + 1
    took = time.perf_counter() - begun
    return Row(f"{on}: a name that none of {documents:,} has", f"{took:.1f} s in {pages} pages", "", "stated", None)


def _paths(client: httpx.Client) -> list[str]:
    """What the pages ask for first; of the listing also a page from its middle."""
    cursor: str | None = None
    month_ago = time.time() - 30 * 86400
    for _ in range(50):
        asked = {"limit": 1000, **({"cursor": cursor} if cursor else {})}
        cursor = client.get("/v1/documents", params=asked).json()["next_cursor"] or cursor
    return [
        "/v1/overview",
        "/v1/statistics?step=day",
        "/v1/documents?limit=100",
        f"/v1/documents?limit=100&cursor={cursor}",
        "/v1/documents?limit=100&state=failed",
        "/v1/documents?limit=100&name=invoice-9",
        "/v1/documents?limit=100&name=in%20no%20name",
        "/v1/documents?limit=100&order=oldest",
        "/v1/documents?limit=100&priority=critical",
        f"/v1/documents?limit=100&created_before={time.strftime('%Y-%m-%dT00:00:00Z', time.gmtime(month_ago))}",
        "/v1/documents?limit=100&label=customer%3D4711",
        "/v1/dead-letters/groups",
        "/v1/costs",
    ]


def _answer(client: httpx.Client, on: str, path: str) -> Row:
    def ask() -> None:
        client.get(path).raise_for_status()

    first, others = seconds_of(ask)
    shown = path.partition("&cursor")[0] + (" (from the middle)" if "cursor=" in path else "")
    worst = max(first, others)
    return Row(
        f"{on}: {shown}", f"{first * 1000:.0f} ms, then {others * 1000:.0f} ms", "", "< 1 s", worst < TARGET_SECONDS
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--on", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--browser", action="store_true", help="the pages in Chromium as well")
    given = parser.parse_args()
    print(machine_facts())
    print(
        as_markdown(
            [
                row
                for on in given.on or ("sqlite", "postgres")
                for row in rows_of(on, given.documents, in_browser=given.browser)
            ]
        )
    )


if __name__ == "__main__":
    main()
