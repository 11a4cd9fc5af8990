"""Which attempts at a content's slices left something that is still needed.

Every attempt writes under prefixes of its own, so what killed and fenced attempts wrote lies beside what counts.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, literal_column, select
from sqlalchemy.orm import Session

from docfleet.domain.work import DocumentState, SliceState
from docfleet.ledger.rows import DOCUMENT, SLICE

_OF_CONTENTS = DOCUMENT.c.content_id.in_(bindparam("content_ids", expanding=True))
_RESULTS = select(DOCUMENT.c.result_key).where(_OF_CONTENTS, DOCUMENT.c.result_key != "").distinct()
# what was read of a document that succeeded is in its results, and it is never read again
_READ = (
    select(SLICE.c.result_key)
    .join(DOCUMENT, DOCUMENT.c.id == SLICE.c.document_id)
    .where(_OF_CONTENTS, DOCUMENT.c.state != DocumentState.SUCCEEDED, SLICE.c.result_key != "")
)
_UNDER_WAY = (
    select(DOCUMENT.c.content_id, SLICE.c.id, SLICE.c.token)
    .join(SLICE, DOCUMENT.c.id == SLICE.c.document_id)
    .where(_OF_CONTENTS, SLICE.c.state == literal_column(f"'{SliceState.RUNNING}'"))
)


def kept_prefixes(session: Session, content_ids: Collection[str]) -> set[str]:
    """The prefixes in the store, of attempts at these contents, that a row points to or may still come to point to.

    Everything else that attempts left there, nobody will ever ask for.
    """
    if not content_ids:
        return set()
    given = {"content_ids": sorted(content_ids)}
    kept = set(session.execute(_RESULTS, given).scalars())
    kept |= {key.rpartition("/")[0] for key in session.execute(_READ, given).scalars()}
    for content_id, slice_id, token in session.execute(_UNDER_WAY, given):
        kept.add(f"contents/{content_id}/slices/{slice_id}/{token}")
        kept.add(f"contents/{content_id}/results/{slice_id}-{token}")
    return kept
