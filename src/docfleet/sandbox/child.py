"""The sandbox child: one document open at a time, one request after another, until its parent goes away.

Started as ``python -m docfleet.sandbox.child <socket> <parent's pid>``; see `parent` for the other side.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, get_type_hints

import msgspec
import numpy as np

from docfleet.domain.media import MEDIA_TYPES, Kind
from docfleet.errors import Damaged, DocumentError, UnsupportedType
from docfleet.sandbox import confine, wire
from docfleet.sandbox.faults import fault_of
from docfleet.sandbox.types import Opened, SandboxLimits

JOBS = frozenset({
    "docfleet.sandbox.archive:unpack_archive",
    "docfleet.sandbox.page_pdf:join_pages",
    "docfleet.sandbox.page_pdf:write_pages",
    "docfleet.sandbox.searchable:write_searchable",
})  # fmt: skip
"""What `Sandbox.call` may run: a name from outside must never choose the code."""
TRIAL_JOBS = "docfleet.sandbox.trials:"
"""Jobs that misbehave on purpose; only with DOCFLEET_SANDBOX_TRIALS in the environment."""


class OpenDocument(Protocol):
    """What the child needs of a document: `pdf_reader.PdfReader` or `image_reader.ImageReader`."""

    opened: Opened

    def read(self, number: int) -> tuple[Any, dict[str, wire.AnyArray]]: ...

    def render(self, request: wire.RenderPage) -> tuple[Any, wire.ArraySpec, int]: ...

    def close(self) -> None: ...


class Child:
    """Answers requests with the document that is open."""

    def __init__(self, limits: SandboxLimits) -> None:
        self.limits = limits
        self.document: OpenDocument | None = None

    def answer(self, request: wire.Request) -> tuple[wire.Answer, int | None]:
        """The answer, and the descriptor of the memory file with its arrays. Raises what goes wrong."""
        match request:
            case wire.OpenDocument():
                confine.arm_cpu_limit(self.limits.open_seconds)
                return _plain_answer(self.open(request))
            case wire.ReadPage():
                confine.arm_cpu_limit(self.limits.page_seconds)
                body, arrays = self._document().read(request.number)
                specs, descriptor = wire.write_arrays(arrays)
                return _answer(body, specs), descriptor
            case wire.RenderPage():
                confine.arm_cpu_limit(self.limits.page_seconds)
                body, spec, descriptor = self._document().render(request)
                return _answer(body, (spec,)), descriptor
            case wire.RunJob():
                confine.arm_cpu_limit(request.seconds)
                return _plain_answer(run_job(request))
            case wire.Start():
                raise Damaged("The sandbox was started twice.")

    def open(self, request: wire.OpenDocument) -> Opened:
        if self.document is not None:
            self.document.close()
            self.document = None
        media = MEDIA_TYPES.get(request.mime_type)
        if media is None or media.kind is Kind.ARCHIVE:
            raise UnsupportedType()
        if media.kind is Kind.PDF:
            from docfleet.sandbox.pdf_reader import PdfReader

            self.document = PdfReader(request, self.limits)
        else:
            # Pillow takes a tenth of a second to load: PDF documents need not wait for it.
            from docfleet.sandbox.image_reader import ImageReader

            self.document = ImageReader(request, self.limits)
        return self.document.opened

    def _document(self) -> OpenDocument:
        if self.document is None:
            raise Damaged("No document is open.")
        return self.document


def _plain_answer(body: object) -> tuple[wire.Answer, None]:
    return _answer(body, ()), None


def _answer(body: object, specs: tuple[wire.ArraySpec, ...]) -> wire.Answer:
    return wire.Answer(msgspec.Raw(wire.encoder.encode(body)), specs, confine.resident_bytes())


def run_job(request: wire.RunJob) -> object:
    """Runs a job of the allow-list with its arguments converted to the types it declares."""
    allowed = request.name in JOBS or (request.name.startswith(TRIAL_JOBS) and "DOCFLEET_SANDBOX_TRIALS" in os.environ)
    if not allowed:
        raise UnsupportedType(f"The sandbox has no job {request.name!r}.")
    module, _, function = request.name.partition(":")
    job = getattr(importlib.import_module(module), function)
    hints = get_type_hints(job)
    plain: Mapping[str, Any] = msgspec.msgpack.decode(request.kwargs)
    arguments = {
        name: msgspec.convert(value, hints.get(name, Any), dec_hook=_decode_leaf) for name, value in plain.items()
    }
    return job(**arguments)


def _decode_leaf(kind: type, value: object) -> object:
    if kind is np.ndarray:
        return np.asarray(value)
    return kind(value)


def serve(sock: socket.socket) -> None:
    """Answers until the other side is gone."""
    frame, descriptor = wire.receive_frame(sock)
    if descriptor is not None:
        os.close(descriptor)
    start = wire.decode_request(frame)
    if not isinstance(start, wire.Start):
        raise wire.Garbled("not started")
    from docfleet.sandbox import pdf_reader, pdfium  # noqa: F401 - the common case, loaded before memory is counted

    pdfium.init_library()
    confine.confine(start.limits.memory_bytes)
    child = Child(start.limits)
    ready, _ = _plain_answer({"pid": os.getpid()})
    wire.send_frame(sock, wire.encoder.encode(ready))
    while True:
        frame, _surplus = wire.receive_frame(sock)
        _answer_one(sock, child, frame)


def _answer_one(sock: socket.socket, child: Child, frame: bytes) -> None:
    descriptor: int | None = None
    try:
        answer, descriptor = child.answer(wire.decode_request(frame))
        encoded = wire.encoder.encode(answer)
    except Exception as error:
        code, message = fault_of(error)
        if "DOCFLEET_SANDBOX_TRIALS" in os.environ and (error.__cause__ or not isinstance(error, DocumentError)):
            sys.excepthook(type(error), error, error.__traceback__)
        encoded = wire.encoder.encode(wire.Refusal(code, message, confine.resident_bytes()))
    try:
        wire.send_frame(sock, encoded, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def main() -> None:
    # whoever ends all processes at once (an init system, a machine that goes down) would make a page look like poison:
    # the parent ends this one, or dies and takes it along
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    confine.tie_to_parent(parent)
    with socket.socket(fileno=descriptor) as sock, suppress(wire.Closed, KeyboardInterrupt):
        serve(sock)


if __name__ == "__main__":
    main()
