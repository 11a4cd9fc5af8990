"""What may be chosen where a document is submitted, searched or read again: value -> how it is shown."""

from __future__ import annotations

from docfleet.domain.labels import MAX_LABEL_NAME, MAX_LABEL_VALUE, MAX_LABELS
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState

PRIORITIES = {urgency.value: urgency.value for urgency in Urgency}
ORDERS = {"": "newest first", "oldest": "oldest first"}
STATES = {state.value: state.value for state in DocumentState}
FORMATS = {
    "json": "JSON (Document AI)",
    "md": "Markdown",
    "txt": "plain text",
    "pdf": "searchable PDF",
    "csv": "tables as CSV",
    "hocr": "hOCR",
}
MODES = {"auto": "page by page, what fits", "ocr": "read the pixels", "text": "take the text layer"}


def parsed_labels(text: str) -> tuple[dict[str, str], str]:
    """Labels from "k=v, k=v", and a sentence about what is none of them.

    >>> parsed_labels("customer=4711, month = May")
    ({'customer': '4711', 'month': 'May'}, '')
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, divider, value = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not divider or not name:
            return found, "A label is written k=v; several are divided by commas."
        if len(name) > MAX_LABEL_NAME or len(value) > MAX_LABEL_VALUE:
            return found, f"A label's name has at most {MAX_LABEL_NAME} characters, its value {MAX_LABEL_VALUE}."
        found[name] = value
    if len(found) > MAX_LABELS:
        return found, f"A document has at most {MAX_LABELS} labels."
    return found, ""
