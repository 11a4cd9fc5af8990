"""What a processor answers beside the text: form fields of a form, entities of an invoice or an expense."""

from __future__ import annotations

import msgspec

from docfleet.documentai_server.jobs import ReadJob
from docfleet.documentai_server.types import Work
from docfleet.domain.document import Document
from docfleet.engines.local.fields import Words, entities_of, with_form_fields

_FORMS = frozenset({Work.FORM, Work.INVOICE, Work.RECEIPT})
_KINDS: dict[Work, Words] = {Work.INVOICE: "invoice", Work.RECEIPT: "receipt"}


def with_fields(document: Document, job: ReadJob) -> Document:
    """`document` with what the rules find in it, where the processor is of a kind that has such, and the mask lets it
    through."""
    changes: dict[str, object] = {}
    if job.work in _FORMS and job.mask.has_in_page("form_fields"):
        changes["pages"] = tuple([with_form_fields(document.text, page) for page in document.pages])
    kind = _KINDS.get(job.work)
    if kind is not None and job.mask.has("entities"):
        changes["entities"] = entities_of(document, kind, job.first_entity)
    return msgspec.structs.replace(document, **changes) if changes else document
