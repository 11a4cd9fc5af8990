"""Fields by rules: names and values on forms (`pairs.form_fields`), what an invoice says (`invoice.entities_of`)."""

from docfleet.engines.local.fields.invoice import Words, entities_of
from docfleet.engines.local.fields.pairs import form_fields, with_form_fields

__all__ = ["Words", "entities_of", "form_fields", "with_form_fields"]
