"""Our `Document` to and from Document AI v1's JSON and protobuf, cut apart and put together.

Pure: no I/O but the file a `DocumentWriter` is handed; nothing of Google's is imported before the first `to_proto`.
"""

from docfleet.documentai_format.cutting import Straddle, StraddleWarning, cut
from docfleet.documentai_format.google import Version, as_google
from docfleet.documentai_format.mapping import DROPPED
from docfleet.documentai_format.merging import merge, packed
from docfleet.documentai_format.paging import join, shift, split
from docfleet.documentai_format.proto_reading import from_proto, pages_from_proto
from docfleet.documentai_format.proto_writing import to_proto
from docfleet.documentai_format.reading import from_json
from docfleet.documentai_format.stream import DocumentWriter
from docfleet.documentai_format.writing import page_json, to_json

__all__ = [
    "DROPPED",
    "DocumentWriter",
    "Straddle",
    "StraddleWarning",
    "Version",
    "as_google",
    "cut",
    "from_json",
    "from_proto",
    "join",
    "merge",
    "packed",
    "page_json",
    "pages_from_proto",
    "shift",
    "split",
    "to_json",
    "to_proto",
]
