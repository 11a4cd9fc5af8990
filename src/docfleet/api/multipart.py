"""`multipart/form-data` read as it arrives: small fields are kept, the file's bytes are passed on at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from docfleet.errors import BadRequest

MAX_FIELDS = 64
MAX_FIELD_BYTES = 64 * 1024
MAX_PREAMBLE_BYTES = 64 * 1024


class Form:
    """Feeds a parser with chunks of the body and sorts what comes out."""

    def __init__(self, content_type: str) -> None:
        """Raises `BadRequest` for a content type without a usable boundary."""
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary", b"")
        if not boundary:
            raise BadRequest("The multipart body has no boundary in its Content-Type.")
        self.fields: list[tuple[str, str]] = []
        self.file_name: str | None = None
        """Of the one part that is a file, once its headers were read; "" when it has no name."""
        self._file_data: list[bytes] = []
        self._field: bytearray | None = None
        self._field_name = ""
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._ended = False
        self._first = b"--" + boundary
        self._before: bytes | None = b"\r\n"
        """What came before the first boundary, which begins a line; None once it was found."""
        callbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise BadRequest("The boundary of the multipart body is too long.") from error

    def feed(self, chunk: bytes) -> bytes:
        """Takes the next bytes of the body; returns the bytes of the file among them."""
        if self._before is not None:
            chunk = self._without_preamble(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadRequest("The multipart body is malformed.") from error
        data = b"".join(self._file_data)
        self._file_data.clear()
        return data

    def _without_preamble(self, chunk: bytes) -> bytes:
        """The chunk from the first boundary on; nothing while that has not come (RFC 2046: a preamble is ignored)."""
        assert self._before is not None
        seen = self._before + chunk
        at = seen.find(b"\r\n" + self._first)
        if at >= 0:
            self._before = None
            return seen[at + 2 :]
        if len(seen) > MAX_PREAMBLE_BYTES:
            raise BadRequest("The multipart body does not begin with its boundary.")
        self._before = seen
        return b""

    def finish(self) -> None:
        """Raises `BadRequest` when the body broke off or held no file."""
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise BadRequest("The multipart body is incomplete.") from error
        if not self._ended:
            raise BadRequest("The multipart body is incomplete.")
        if self.file_name is None:
            raise BadRequest('The form has no file: send the document as the part "file".')

    def _on_part_begin(self) -> None:
        self._field, self._disposition = None, b""
        if len(self.fields) >= MAX_FIELDS:
            raise BadRequest(f"The form has more than {MAX_FIELDS} fields.")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        kind, parameters = parse_options_header(self._disposition)
        name = parameters.get(b"name")
        if kind != b"form-data" or name is None:
            raise BadRequest("A part of the multipart body has no name.")
        if b"filename" not in parameters and name != b"file":
            self._field, self._field_name = bytearray(), _text(name, "the name of a field")
            return
        if self.file_name is not None:
            raise BadRequest("The form has more than one file: submit each document by itself.")
        self.file_name = _unescaped(_text(parameters.get(b"filename", b""), "the name of the file"))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file_data.append(data[start:end])
            return
        self._field += data[start:end]
        if len(self._field) > MAX_FIELD_BYTES:
            raise BadRequest(f"The field {self._field_name[:100]} is longer than {MAX_FIELD_BYTES:,} bytes.")

    def _on_part_end(self) -> None:
        if self._field is not None:
            self.fields.append((self._field_name, _text(bytes(self._field), f"the field {self._field_name[:100]}")))
            self._field = None

    def _on_end(self) -> None:
        self._ended = True


def _unescaped(name: str) -> str:
    """The three characters that browsers spell out in file names (HTML, multipart/form-data encoding)."""
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{what[0].upper()}{what[1:]} is not UTF-8.") from error


async def file_chunks(form: Form, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes of the form's file as they arrive; the fields are in `form` when it ends."""
    async for chunk in body:
        if data := form.feed(chunk):
            yield data
    form.finish()
