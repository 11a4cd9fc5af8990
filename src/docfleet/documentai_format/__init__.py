"""Our `Document` to and from Document AI v1's JSON. Pure: no I/O but the file a `DocumentWriter` is handed."""

from docfleet.documentai_format.mapping import DROPPED
from docfleet.documentai_format.paging import join, shift, split
from docfleet.documentai_format.reading import from_json
from docfleet.documentai_format.stream import DocumentWriter
from docfleet.documentai_format.writing import page_json, to_json

__all__ = ["DROPPED", "DocumentWriter", "from_json", "join", "page_json", "shift", "split", "to_json"]
