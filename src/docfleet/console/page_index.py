"""Where the pages of a long document.json begin, so that one of them can be read without the others.

`DocumentWriter` writes `{…,"pages":[{"pageNumber":1,…},{"pageNumber":2,…}],"text":"…"}` without white space. The bytes
`{"pageNumber":` stand nowhere but at the start of a page: within a string every quote is escaped. The text, which
the pages' anchors count in code points, is kept beside it four bytes a code point, so that a part of it is one seek.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import msgspec

from docfleet.console.problems import ApiProblem

_PAGES = b'"pages":['
_PAGE = b'{"pageNumber":'
_TEXT = b'],"text":"'
_NUMBER = re.compile(rb"[0-9]{1,9}")
_CODE_POINT = 4
_PIECE = 1 << 20


def not_paged() -> ApiProblem:
    return ApiProblem(
        501, "not_paged", "The JSON cannot be shown page by page",
        "The JSON of this document cannot be shown page by page: something else than docfleet wrote it.",
        "Download it instead.",
    )  # fmt: skip


class PageIndex(msgspec.Struct, frozen=True):
    """Where each page is, and how long the text."""

    ranges: dict[int, tuple[int, int]]
    """Number of the page -> its bytes: from, up to."""
    code_points: int
    """Of text."""


def write_index(json_file: Path, target: Path) -> PageIndex:
    """Reads `json_file` once; writes its index and text to `target`, whose first eight bytes are the index's length.

    Memory does not grow with the file, but for its text. Raises `ApiProblem`.
    """
    with json_file.open("rb") as file:
        if not json_file.stat().st_size:
            raise not_paged()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            ranges, text_at = _ranges(data)
            try:
                text = msgspec.json.decode(data[text_at - 1 : -1], type=str)
            except msgspec.MsgspecError as error:
                raise not_paged() from error
    index = PageIndex(ranges, len(text))
    head = msgspec.msgpack.encode(index)
    with target.open("wb") as out:
        out.write(len(head).to_bytes(8, "little"))
        out.write(head)
        for at in range(0, len(text), _PIECE):
            out.write(text[at : at + _PIECE].encode("utf-32-le", "surrogatepass"))
    return index


def _ranges(data: mmap.mmap) -> tuple[dict[int, tuple[int, int]], int]:
    """The pages, and where the string of the text begins, behind its quote."""
    at = data.find(_PAGES)
    if at < 0 or data[-1:] != b"}":
        raise not_paged()
    at += len(_PAGES)
    end = data.rfind(_TEXT)
    if end < at - 1:
        raise not_paged()
    starts: list[int] = []
    next_at = data.find(_PAGE, at, end)
    if next_at not in (at, -1) or (next_at < 0 and end != at):
        raise not_paged()
    while next_at >= 0:
        starts.append(next_at)
        next_at = data.find(_PAGE, next_at + 1, end)
    # a comma between two pages
    ranges = {}
    for start, after in zip(starts, [*starts[1:], end + 1][: len(starts)], strict=True):
        number = _NUMBER.match(data, start + len(_PAGE))
        if number is None:
            raise not_paged()
        ranges[int(number[0])] = (start, after - 1)
    return ranges, end + len(_TEXT)


class PagedJson:
    """A document.json with its index."""

    def __init__(self, json_file: Path, index_file: Path) -> None:
        self._json_file = json_file
        self._index_file = index_file
        with index_file.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.index = msgspec.msgpack.decode(file.read(length), type=PageIndex)
        self._text_at = 8 + length

    def page(self, number: int) -> bytes:
        """The JSON of page `number`. Raises KeyError for one that is not there: it was not read."""
        start, end = self.index.ranges[number]
        with self._json_file.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def text(self, start: int, end: int) -> str:
        """Code points `start` up to, not including, `end`."""
        start, end = max(0, start), min(end, self.index.code_points)
        if start >= end:
            return ""
        with self._index_file.open("rb") as file:
            file.seek(self._text_at + start * _CODE_POINT)
            return file.read((end - start) * _CODE_POINT).decode("utf-32-le", "surrogatepass")
