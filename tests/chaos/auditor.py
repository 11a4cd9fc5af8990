"""The auditor: counts in the ledger, the store, the client's own log and the webhooks received, and believes nobody.

    python -m chaos.auditor --ledger URL --store URL --master-key KEY [--accepted FILE] [--received FILE]

Prints a table of violations and exits 1 when there is one. Invariants, as `docs/reliability.md` numbers them:

    I1 every 202 has exactly one document, and nobody else has one     I5 tokens grow; only the newest one ever wrote
    I2 what ended well has one complete result, written by its token   I6 each end is told once for each webhook
    I3 nothing is open once all is quiet                               I7 nothing due waits while slots idle
    I4 attempts are counted; the dead have a reason and deserve it     I8 tenants share as they should
    I9 every fault is recovered from in time (see `recovery`)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine, make_url, text

QUEUES_SETTLE_SECONDS = 30.0


class Violation(msgspec.Struct, frozen=True):
    invariant: str
    subject: str
    sentence: str


class Acceptance(msgspec.Struct, frozen=True):
    """A line of the client's log: one 202."""

    at: float
    key: str
    document_id: str
    sha256: str
    states: tuple[str, ...] = ()
    """How it may end; empty: any way."""
    codes: tuple[str, ...] = ()
    deleted: bool = False


class Reception(msgspec.Struct, frozen=True):
    """A line of the webhook receiver's log: one request."""

    at: float
    webhook_id: str
    event_type: str
    document_id: str
    state: str
    answered: int


def read_lines(path: Path, kind: type[Any]) -> list[Any]:
    """JSON lines as values; a last line that a kill cut off is left out."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [msgspec.json.decode(line, type=kind) for line in lines[:-1] if line]


def open_ledger(url: str) -> Connection:
    address = make_url(url) if "://" in url else make_url(f"sqlite:///{url}")
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    return create_engine(address).connect()


_SERVICE = "document.content_id IS NOT NULL"
"""The documents of the service: `docfleet process` keeps its own rows without contents."""

_RULES: Sequence[tuple[str, str, str]] = (
    (
        "I2",
        "has succeeded, but not every page was read",
        "SELECT id FROM document WHERE state = 'succeeded' AND deleted_at IS NULL AND pages <> "
        "(SELECT count(*) FROM page WHERE page.document_id = document.id AND outcome = 'read')",
    ),
    (
        "I2",
        "is partial, but nothing is missing",
        "SELECT id FROM document WHERE state = 'partial' AND deleted_at IS NULL AND pages = (SELECT count(*) FROM page "
        "WHERE page.document_id = document.id AND outcome = 'read') AND NOT EXISTS (SELECT 1 FROM slice "
        "WHERE slice.document_id = document.id AND slice.state = 'dead')",
    ),
    (
        "I2",
        "ended with a result, but names none",
        "SELECT id FROM document WHERE state IN ('succeeded', 'partial') AND deleted_at IS NULL AND "
        "(result_key = '' OR results_json IN ('', '[]')) AND content_id IS NOT NULL",
    ),
    (
        "I2",
        "has a row for a page it does not have",
        "SELECT document_id FROM page JOIN document ON document.id = document_id "
        "WHERE number < 1 OR (document.pages IS NOT NULL AND number > document.pages)",
    ),
    (
        "I2",
        "slice was done other than once",
        "SELECT slice.id FROM slice LEFT JOIN event ON event.slice_id = slice.id AND event.to_state = 'done' "
        "GROUP BY slice.id, slice.state HAVING count(event.id) <> CASE WHEN slice.state = 'done' THEN 1 ELSE 0 END",
    ),
    (
        "I2",
        "ended more often than it was begun",
        "SELECT document_id FROM event JOIN document ON document.id = document_id WHERE entity = 'document' AND "
        "to_state IN ('succeeded', 'partial', 'failed', 'cancelled') GROUP BY document_id, document.round "
        "HAVING count(*) > document.round",
    ),
    (
        "I2",
        "has two assemblies of one round",
        "SELECT document_id FROM slice WHERE step = 'assemble' GROUP BY document_id, round HAVING count(*) > 1",
    ),
    (
        "I2",
        "stands otherwise than its last event says",
        "SELECT document.id FROM document JOIN event ON event.id = (SELECT max(id) FROM event AS e WHERE "
        "e.document_id = document.id AND e.entity = 'document') WHERE event.to_state <> document.state",
    ),
    (
        "I3",
        "is still open",
        "SELECT id FROM document WHERE state IN ('received', 'running', 'assembling')",
    ),
    ("I3", "slice is still open", "SELECT id FROM slice WHERE state IN ('queued', 'running')"),
    ("I3", "still follows another", "SELECT id FROM document WHERE follows IS NOT NULL"),
    ("I4", "slice is dead without a reason", "SELECT id FROM slice WHERE state = 'dead' AND code = ''"),
    ("I4", "has failed without a reason", "SELECT id FROM document WHERE state IN ('failed', 'partial') AND code = ''"),
    (
        "I4",
        "slice died before its third crash, its third error or a hopeless one",
        "SELECT id FROM slice WHERE state = 'dead' AND code = 'worker_died' AND crash_count < 3",
    ),
    (
        "I4",
        "slice has other attempts than its log tells",
        "SELECT slice.id FROM slice LEFT JOIN event ON event.slice_id = slice.id AND event.to_state = 'running' "
        "GROUP BY slice.id, slice.attempt HAVING count(event.id) <> slice.attempt",
    ),
    (
        "I5",
        "slice was written with an older token than the newest",
        "SELECT e.slice_id FROM event e JOIN event c ON c.slice_id = e.slice_id AND c.to_state = 'running' AND "
        "c.id < e.id AND c.token > e.token WHERE e.slice_id IS NOT NULL",
    ),
    (
        "I5",
        "slice was claimed twice with one token",
        "SELECT slice_id FROM event WHERE to_state = 'running' AND slice_id IS NOT NULL GROUP BY slice_id, token "
        "HAVING count(*) > 1",
    ),
    (
        "I5",
        "slice was ended by one who did not hold it",
        "SELECT d.slice_id FROM event d JOIN event c ON c.slice_id = d.slice_id AND c.token = d.token AND "
        "c.to_state = 'running' WHERE d.to_state = 'done' AND d.worker <> c.worker",
    ),
    (
        "I5",
        "slice ended with another token than it has",
        "SELECT slice.id FROM slice JOIN event ON event.slice_id = slice.id AND event.to_state = 'done' "
        "WHERE event.token <> slice.token",
    ),
    (
        "I2",
        "content is counted otherwise than it is used",
        "SELECT content.id FROM content LEFT JOIN document ON document.content_id = content.id AND "
        "document.deleted_at IS NULL WHERE content.erased_at IS NULL GROUP BY content.id, content.refs "
        "HAVING count(document.id) <> content.refs",
    ),
    (
        "I2",
        "points to a content that was erased",
        "SELECT document.id FROM document JOIN content ON content.id = document.content_id "
        "WHERE document.deleted_at IS NULL AND (content.erased_at IS NOT NULL OR content.wrapped_key IS NULL)",
    ),
)


def audit_ledger(connection: Connection) -> Iterator[Violation]:
    """What the ledger says of itself, rule by rule."""
    for invariant, sentence, query in _RULES:
        for row in connection.execute(text(f"{query} LIMIT 20" if "LIMIT" not in query else query)):
            yield Violation(invariant, str(row[0]), sentence)
    yield from _gaps(connection)
    yield from _result_tokens(connection)


def _gaps(connection: Connection) -> Iterator[Violation]:
    """Every event begins where the one before it ended."""
    last: dict[tuple[str, object], str] = {}
    query = text("SELECT entity, document_id, slice_id, from_state, to_state FROM event ORDER BY id")
    for row in connection.execute(query):
        entity = (row.entity, row.slice_id or row.document_id)
        if last.get(entity, "") != row.from_state:
            yield Violation(
                "I2", str(entity[1]), f"a gap in its log: {last.get(entity, '')!r}, then {row.from_state!r}"
            )
        last[entity] = row.to_state


def _result_tokens(connection: Connection) -> Iterator[Violation]:
    """`…/results/{slice}-{token}`: that slice is done, by that token."""
    done = {(row.id, row.token) for row in connection.execute(text("SELECT id, token FROM slice WHERE state = 'done'"))}
    query = text(f"SELECT id, result_key FROM document WHERE {_SERVICE} AND result_key <> '' AND deleted_at IS NULL")
    for row in connection.execute(query):
        slice_id, _, token = row.result_key.rstrip("/").rsplit("/", 1)[-1].partition("-")
        if not (slice_id.isdigit() and token.isdigit()) or (int(slice_id), int(token)) not in done:
            yield Violation("I2", row.id, f"its result {row.result_key} was written by nobody who ended well")


def audit_acceptances(connection: Connection, accepted: Iterable[Acceptance]) -> Iterator[Violation]:
    """I1 and I4: the client's own log of every 202 against the rows."""
    query = text(f"SELECT id, sha256, state, code, deleted_at FROM document WHERE {_SERVICE}")
    rows = {row.id: row for row in connection.execute(query)}
    answers: dict[str, str] = {}
    for line in accepted:
        if answers.setdefault(line.key, line.document_id) != line.document_id:
            yield Violation("I1", line.key, f"was answered with {answers[line.key]} and with {line.document_id}")
        row = rows.get(line.document_id)
        if row is None:
            yield Violation("I1", line.document_id, f"was accepted under {line.key} and is not there")
            continue
        if row.sha256 != line.sha256:
            yield Violation("I1", line.document_id, "has other bytes than were submitted")
        if line.states and row.state not in line.states:
            yield Violation(
                "I4", line.document_id, f"ended {row.state} {row.code}; expected {' or '.join(line.states)}"
            )
        elif line.codes and row.code not in line.codes:
            yield Violation("I4", line.document_id, f"ended with {row.code!r}; expected {' or '.join(line.codes)}")
    for document_id in sorted(rows.keys() - set(answers.values())):
        yield Violation("I1", document_id, "is there, but nobody was told of it")


def audit_deliveries(connection: Connection, received: Iterable[Reception] | None) -> Iterator[Violation]:
    """I6: one message for each end and webhook; each was received, and no message tells of two things."""
    ends = connection.execute(
        text(
            "SELECT webhook.id AS webhook, document.id AS document, count(delivery.id) AS told FROM webhook "
            f"JOIN document ON document.tenant_id = webhook.tenant_id AND {_SERVICE} "
            "AND document.state IN ('succeeded', 'partial', 'failed', 'cancelled') "
            "AND document.finished_at > webhook.created_at LEFT JOIN delivery ON delivery.webhook_id = webhook.id "
            "AND delivery.document_id = document.id WHERE webhook.disabled_at IS NULL AND document.round = 1 "
            "AND webhook.event_types_json = '[]' GROUP BY webhook.id, document.id HAVING count(delivery.id) <> 1"
        )
    )
    for row in ends:
        yield Violation("I6", row.document, f"its end made {row.told} messages for webhook {row.webhook}")
    open_ = connection.execute(text("SELECT id, state FROM delivery WHERE state <> 'delivered'"))
    for row in open_:
        yield Violation("I6", row.id, f"this message is still {row.state}")
    if received is None:
        return
    effects: dict[str, tuple[str, str, str]] = {}
    answered: set[str] = set()
    for line in received:
        effect = (line.event_type, line.document_id, line.state)
        if effects.setdefault(line.webhook_id, effect) != effect:
            yield Violation("I6", line.webhook_id, f"told {effects[line.webhook_id]} and later {effect}")
        if line.answered < 300:
            answered.add(line.webhook_id)
    sent = {row.id for row in connection.execute(text("SELECT id FROM delivery WHERE state = 'delivered'"))}
    for id_ in sorted(sent - answered):
        yield Violation("I6", id_, "counts as delivered, but the receiver never took it")
    for id_ in sorted(set(effects) - {row.id for row in connection.execute(text("SELECT id FROM delivery"))}):
        yield Violation("I6", id_, "was received, but nobody had it to send")


def audit_everything(
    ledger: str, store: str = "", master_key: str = "", accepted: Path | None = None, received: Path | None = None
) -> list[Violation]:
    """All that can be checked with what is given, once the service is quiet."""
    from chaos.audit_store import audit_store

    with open_ledger(ledger) as connection:
        found = list(audit_ledger(connection))
        if accepted is not None:
            found += audit_acceptances(connection, read_lines(accepted, Acceptance))
        found += audit_deliveries(connection, None if received is None else read_lines(received, Reception))
        if store:
            found += audit_store(connection, store, master_key)
        connection.rollback()
    return found


def as_table(violations: Sequence[Violation]) -> str:
    if not violations:
        return "no violation"
    lines = [f"{item.invariant:4} {item.subject:40} {item.sentence}" for item in violations[:60]]
    return "\n".join([*lines, f"{len(violations)} violations"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", required=True, help="URL of the ledger, or path of an SQLite file")
    parser.add_argument("--store", default="", help="URL or folder of the store")
    parser.add_argument("--master-key", default="", help="base64, as the service has it")
    parser.add_argument("--accepted", type=Path, help="the client's log of every 202, JSON lines")
    parser.add_argument("--received", type=Path, help="the webhook receiver's log, JSON lines")
    parser.add_argument("--json", action="store_true", help="violations as JSON")
    given = parser.parse_args()
    found = audit_everything(given.ledger, given.store, given.master_key, given.accepted, given.received)
    print(json.dumps([msgspec.to_builtins(item) for item in found]) if given.json else as_table(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
