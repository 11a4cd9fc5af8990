"""A PDF written front to back: objects go to disk as they come, only their offsets stay in memory."""

from __future__ import annotations

from typing import IO

_HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


class PdfFile:
    """Writes a PDF with a classic cross-reference table. Same calls, same bytes: no dates, no random identifiers."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offsets: dict[int, int] = {}
        self._next = 1
        self._position = 0
        self._write(_HEADER)

    def reserve(self, count: int = 1) -> int:
        """Numbers for objects to be added later; the first of `count` in a row."""
        first = self._next
        self._next += count
        return first

    def add(self, dictionary: bytes, stream: bytes | None = None, number: int | None = None) -> int:
        """Writes an object and returns its number. `dictionary` has no /Length; it is added to a stream's."""
        number = self.reserve() if number is None else number
        self._offsets[number] = self._position
        if stream is None:
            self._write(b"%d 0 obj\n%s\nendobj\n" % (number, dictionary))
            return number
        head = dictionary.rstrip()
        head = head[:-2].rstrip() + b" /Length %d >>" % len(stream)
        self._write(b"%d 0 obj\n%s\nstream\n" % (number, head))
        self._write(stream)
        self._write(b"\nendstream\nendobj\n")
        return number

    def finish(self, root: int) -> None:
        """Writes the cross-reference table; a reserved number without an object becomes a free entry."""
        start = self._position
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % self._next)
        for number in range(1, self._next):
            offset = self._offsets.get(number)
            self._write(b"0000000000 65535 f \n" if offset is None else b"%010d 00000 n \n" % offset)
        self._write(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (self._next, root, start))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._position += len(data)
