"""Labels of a document that is there: set, changed, taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.orm import Session

from docfleet.ledger.checks import checked_labels
from docfleet.ledger.controlling import standing
from docfleet.ledger.moves import lock_document
from docfleet.ledger.rows import DOCUMENT
from docfleet.ledger.service_rows import LabelRow

_LABEL = cast(Table, LabelRow.__table__)


def label(session: Session, tenant: str, document_id: str, changes: Mapping[str, str | None]) -> None:
    """Each label gets its value; None takes it away. Whatever the document's state. What is not named stays.

    Raises NotFound, Gone, and BadRequest for what is no label or more than a document may have.
    """
    standing(session, tenant, document_id)
    lock_document(session, document_id)
    standing(session, tenant, document_id)
    was_json = session.execute(select(DOCUMENT.c.labels_json).where(DOCUMENT.c.id == document_id)).scalar_one()
    was = msgspec.json.decode(was_json, type=dict[str, str])
    merged: dict[str, str | None] = {**was, **changes}
    now = checked_labels({name: value for name, value in merged.items() if value is not None})
    if now == was:
        return
    session.execute(
        update(DOCUMENT).where(DOCUMENT.c.id == document_id).values(labels_json=msgspec.json.encode(now).decode())
    )
    session.execute(delete(_LABEL).where(_LABEL.c.document_id == document_id))
    rows = [{"document_id": document_id, "name": k, "value": v, "tenant_id": tenant} for k, v in now.items()]
    if rows:
        session.execute(insert(_LABEL), rows)
