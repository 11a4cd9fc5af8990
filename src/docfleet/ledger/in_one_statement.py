"""Postgres: a short document's end, in one statement after the document's lock.

Ten statements of their own cost twice the time the document's pages take to read. The text is short on purpose:
psycopg remembers how it translated a statement only up to 4,096 characters. SQLite has no statement that writes several
tables, and needs none: it is asked in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from docfleet.domain.work import DocumentState
from docfleet.errors import LedgerError
from docfleet.ledger.recording import LockedDocument
from docfleet.ledger.straight import Straight
from docfleet.ledger.values import Claim, PageOutcome, Plan

_NOW = "EXTRACT(EPOCH FROM clock_timestamp())::double precision"
_LIKE_THE_PLAN = (
    "document_id, batch_id, round, priority, worker, available_at, created_at, started_at, tenant_id, region, pool, "
    "urgency, deadline_at"
)
_EVENT = (
    "INSERT INTO event (at, entity, document_id, slice_id, from_state, to_state, token, worker, cause, tenant_id, "
    "batch_id)"
)
_GIVEN = (
    "state", "pages", "plan_json", "media_type", "code", "message", "detail", "result_key", "results_json",
    "pages_read", "pages_failed", "engines_json", "confidence", "cost_usd", "work_seconds",
)  # fmt: skip
_PAGE = {
    "number": "integer", "outcome": "text", "engine": "text", "reason": "text", "detail": "text",
    "confidence": "float8", "quality": "float8", "cost_usd": "float8", "seconds": "float8",
}  # fmt: skip
_TOLD = ("slice_id", "outcome", "engine", "reason", "detail", "confidence", "quality")
_UNNESTED = ", ".join(f"CAST(:p_{name} AS {kind}[])" for name, kind in _PAGE.items())
_FOLLOWED = "EXISTS (SELECT 1 FROM document f WHERE f.follows = :document_id)"
_TO_BE_TOLD = "EXISTS (SELECT 1 FROM webhook w WHERE w.tenant_id = batch.tenant_id AND w.disabled_at IS NULL)"
# a row that somebody holds is left to the longer way, which waits for it and looks again
_HELD = f"""held AS (
SELECT document.id AS held_id FROM document JOIN batch ON batch.id = document.batch_id
WHERE document.id = :document_id AND document.state = :was AND batch.implicit AND NOT {_FOLLOWED} AND NOT {_TO_BE_TOLD}
FOR NO KEY UPDATE OF document SKIP LOCKED
), """


def _ending(held: str, source: str, answer: str) -> Straight:
    """`held`: a first part that finds the document and locks it, in `source`; empty when it is locked already."""
    # the rules of a page that has an outcome already are those of `documents.write_pages`; a test compares the rows
    return Straight(
        text(
            f"""WITH {held}done AS (
UPDATE slice SET state = 'done', lease_until = NULL, finished_at = {_NOW}, result_key = ''{source}
WHERE id = :slice_id AND state = 'running' AND token = :held AND worker = :holder
RETURNING id, token, {_LIKE_THE_PLAN}
), owner AS (
INSERT INTO slice ({_LIKE_THE_PLAN}, attempt, crash_count, error_count, wait_count, loss_count, payload_json, code,
message, detail, step, state, first_page, last_page, token, isolated, result_key, finished_at)
SELECT {_LIKE_THE_PLAN}, 0, 0, 0, 0, 0, '', '', '', '', 'local', 'done', 1, :pages, 0, false, :pages_key, {_NOW}
FROM done RETURNING id
), paged AS (
INSERT INTO page (document_id, slice_id, {", ".join(_PAGE)})
SELECT :document_id, owner.id, told.* FROM owner, unnest({_UNNESTED}) told
ON CONFLICT (document_id, number) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in _TOLD)},
cost_usd = page.cost_usd + excluded.cost_usd, seconds = page.seconds + excluded.seconds
WHERE page.outcome <> 'read' OR excluded.outcome = 'read'
), ended AS (
UPDATE document SET {", ".join(f"{n} = :{n}" for n in _GIVEN)}, sealed_passwords = NULL,
started_at = done.started_at, finished_at = {_NOW}
FROM done WHERE document.id = :document_id AND document.state = :was RETURNING document.id
), told AS (
{_EVENT}
SELECT {_NOW}, 'slice', document_id, id, 'running', 'done', token, worker, '', tenant_id, batch_id FROM done
UNION ALL
SELECT {_NOW}, 'slice', document_id, owner.id, '', 'done', 0, worker, 'in one with the plan', tenant_id, batch_id
FROM done, owner
UNION ALL
SELECT {_NOW}, 'document', document_id, NULL, :was, :state, 0, '', :cause, tenant_id, batch_id FROM done, ended)
{answer}"""
        )
    )


_END = _ending(
    "",
    "",
    f"""SELECT ended.id, NOT batch.implicit OR {_FOLLOWED} OR {_TO_BE_TOLD} AS concerns_others
FROM done JOIN batch ON batch.id = done.batch_id LEFT JOIN ended ON true""",
)
_END_BY_ITSELF = _ending(_HELD, " FROM held", "SELECT done.id FROM done, ended")


class NotHeld(Exception):
    """The claim is not (or no longer) running under its token: nothing was changed."""


class Ending(msgspec.Struct, frozen=True):
    """All that is written when a plan slice ends together with its document."""

    claim: Claim
    plan: Plan
    outcomes: Sequence[PageOutcome]
    pages_key: str
    """Key of the result with the pages read."""
    state: DocumentState
    cause: str
    columns: Mapping[str, Any]
    """Of the document (see `documents.closing`)."""

    def parameters(self, was: DocumentState) -> dict[str, Any]:
        told = {"number": "page"}
        pages = {f"p_{name}": [getattr(page, told.get(name, name)) for page in self.outcomes] for name in _PAGE}
        given = {name: self.columns[name] for name in _GIVEN if name != "state"}
        return {
            **given, **pages, "state": self.state.value, "was": was.value, "cause": self.cause,
            "document_id": self.claim.document.id, "slice_id": self.claim.slice_id, "held": self.claim.token,
            "holder": self.claim.worker, "pages": self.plan.pages, "pages_key": self.pages_key,
        }  # fmt: skip


def end_by_itself(connection: Connection, ending: Ending) -> bool:
    """As `end_in_one_statement` with the lock in it; False, and nothing changed, when its end may concern others."""
    return bool(_END_BY_ITSELF.rows_on(connection, ending.parameters(DocumentState.RECEIVED)))


def end_in_one_statement(session: Session, document: LockedDocument, ending: Ending) -> bool:
    """The locked document and its plan slice end, with rows of its pages and all events.

    True when its end concerns others (followers, webhooks, a batch): then `after_end` has to follow.
    Raises NotHeld, and LedgerError when the document is no longer in its state.
    """
    rows = _END.rows(session, ending.parameters(document.state))
    if not rows:
        raise NotHeld
    if rows[0].id is None:
        raise LedgerError(f"document {document.id} is no longer {document.state}")
    return bool(rows[0].concerns_others)
