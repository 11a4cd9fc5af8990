"""Postgres: a new document with all its rows in one statement, which is its own transaction.

One statement for each table costs six more round trips for every document, which is more than half of what accepting
it takes. The text is short on purpose: psycopg remembers how it translated a statement only up to 4,096 characters and
fifty parameters. SQLite has no statement that writes several tables, and needs none: it is asked in this process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from docfleet.domain.work import DOCUMENT_ENDS, STEP_PRIORITY, DocumentState, Step
from docfleet.ledger.dialect import TWINS_LOCK, twins_of
from docfleet.ledger.moves import SECONDS_PER_STEP, SERVICE_EPOCH

_NOW = "EXTRACT(EPOCH FROM clock_timestamp())::float8"
_MAY_BE_TAKEN = ", ".join(
    f"'{state}'" for state in DocumentState if state not in DOCUMENT_ENDS or state is DocumentState.SUCCEEDED
)
_EARLIER = f"""EXISTS (SELECT FROM document WHERE tenant_id = %(tenant_id)s AND sha256 = %(sha256)s
AND options_key = %(options_key)s AND content_id IS NOT NULL AND follows IS NULL AND deleted_at IS NULL
AND state IN ({_MAY_BE_TAKEN}))"""
# Two at once do not see each other: the one that comes second finds the lock taken, and takes the other way. Left is
# the moment between the second one's first look and its lock, when the first ends just then; see also `turns`.
_FREE = f"NOT {_EARLIER} AND pg_try_advisory_xact_lock({TWINS_LOCK}, hashtext(%(twins)s))"
_KEY = """INSERT INTO idempotency (tenant_id, key, request_digest, response_json, created_at)
SELECT %(tenant_id)s, %(key)s, %(request_digest)s, %(response_json)s, now FROM clock WHERE {free}
ON CONFLICT DO NOTHING RETURNING created_at now"""
_GIVEN = (
    "id", "batch_id", "sha256", "options_digest", "size_bytes", "media_type", "state", "tenant_id", "region",
    "content_id", "name", "labels_json", "options_json", "options_key", "urgency", "pool", "submitted_by",
    "sealed_passwords", "deadline_at", "trace",
)  # fmt: skip
_KIND = {
    "size_bytes": "bigint", "priority": "int", "deadline_at": "float8", "sealed_passwords": "bytea",
    "wrapped_key": "bytea",
}  # fmt: skip
"""Of parameters that are no text: all are named, since the database would guess differently from place to place."""
# what the document does not say is as `accepting` has it, and the slice as `moves.add_slices`; a test compares the rows
_LABELS = """, labelled AS (
INSERT INTO label (document_id, name, value, tenant_id)
SELECT %(id)s, key, value, %(tenant_id)s FROM go, json_each_text(%(labels_json)s::json)
)"""
_PRIORITY = f"floor(now - {SERVICE_EPOCH!r})::int + {STEP_PRIORITY[Step.PLAN] * SECONDS_PER_STEP}"


def _statement(is_keyed: bool, may_reuse: bool, is_labelled: bool) -> str:
    free = _FREE if may_reuse else "true"
    statement = f"""WITH clock AS MATERIALIZED (SELECT {_NOW} now
), go AS MATERIALIZED ({_KEY.format(free=free) if is_keyed else f"SELECT now FROM clock WHERE {free}"}
), stored AS (
INSERT INTO content (id, tenant_id, region, sha256, size_bytes, media_type, wrapped_key, refs, created_at)
SELECT %(content_id)s, %(tenant_id)s, %(region)s, %(sha256)s, %(size_bytes)s, %(media_type)s, %(wrapped_key)s, 1, now
FROM go
), made AS (
INSERT INTO document ({", ".join(_GIVEN)}, priority, round, plan_json, code, message, detail, result_key, pages_read,
pages_failed, engines_json, cost_usd, work_seconds, created_at)
SELECT {", ".join(f"%({name})s" for name in _GIVEN)}, %(priority)s, 1, '', '', '', '', '', 0,
0, '{{}}', 0, 0, now FROM go
){_LABELS if is_labelled else ""}, cut AS (
INSERT INTO slice (document_id, batch_id, round, step, state, first_page, last_page, priority, attempt, crash_count,
error_count, wait_count, loss_count, token, worker, available_at, isolated, payload_json, result_key, code, message,
detail, created_at, tenant_id, region, pool, urgency, deadline_at)
SELECT %(id)s, %(batch_id)s, 1, 'plan', 'queued', 0, 0, {_PRIORITY}, 0, 0, 0, 0, 0, 0, '', now, false, '', '', '', '',
'', now, %(tenant_id)s, %(region)s, %(pool)s, %(urgency)s, %(deadline_at)s FROM go RETURNING id
), told AS (
INSERT INTO event (at, entity, document_id, slice_id, from_state, to_state, token, worker, cause, tenant_id, batch_id)
SELECT now, entity, %(id)s, slice_id, '', to_state, 0, '', cause, %(tenant_id)s, %(batch_id)s
FROM go, (SELECT 'document' entity, NULL::bigint slice_id, %(state)s to_state, 'accepted' cause
UNION ALL SELECT 'slice', id, 'queued', 'round 1' FROM cut) news
)
SELECT now, pg_notify(%(channel)s, %(pool)s) FROM go"""
    return re.sub(r"%\((\w+)\)s(?!::)", lambda found: f"{found[0]}::{_KIND.get(found[1], 'text')}", statement)


_STATEMENTS = {
    (keyed, reuse, labelled): _statement(keyed, reuse, labelled)
    for keyed in (False, True)
    for reuse in (False, True)
    for labelled in (False, True)
}


def write_new_document(
    connection: Connection,
    content: Mapping[str, Any],
    document: Mapping[str, Any],
    channel: str,
    reuse: bool,
    claim: Mapping[str, str] | None,
) -> float | None:
    """The rows as `accepting` has them, and when they were made; whoever listens on the channel is told the pool.

    None, and nothing was written: there is an earlier document that may be taken (unless `reuse` is False), or the
    key of `claim` (key, request_digest, response_json) has been used.
    """
    given = {name: document[name] for name in (*_GIVEN, "priority")}
    given |= {"wrapped_key": content["wrapped_key"], "channel": channel} | dict(claim or {})
    if reuse:
        given["twins"] = twins_of(document["tenant_id"], document["sha256"], document["options_key"])
    statement = _STATEMENTS[claim is not None, reuse, document["labels_json"] != "{}"]
    written = connection.exec_driver_sql(statement, given).one_or_none()
    return None if written is None else float(written[0])
