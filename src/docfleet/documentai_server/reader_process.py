"""A reader process: one document after another over a socket, until the server closes it or dies."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import Any

import msgspec

from docfleet.documentai_server import frames
from docfleet.documentai_server.jobs import Ask, Read, ReadJob, Refused, encoder, request_decoder
from docfleet.documentai_server.reading import Reader
from docfleet.documentai_server.refusals import Code, Refusal
from docfleet.errors import DocfleetError
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.telemetry import configure_logs, logger
from docfleet.telemetry.logs import guard_process

_log = logger("documentai_server")
_LOOK_SECONDS = 1.0


class ReaderConfig(msgspec.Struct, frozen=True):
    """The first message."""

    settings: dict[str, Any]
    blank: bool
    log_level: str
    parent: int


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    try:
        config = msgspec.msgpack.decode(frames.receive(sock), type=ReaderConfig)
    except frames.Closed:
        return
    configure_logs(config.log_level)
    guard_process()
    threading.Thread(target=_end_with, args=(config.parent,), daemon=True).start()
    with Runtime(Settings(**config.settings)) as runtime:
        _serve(sock, Reader(runtime, config.blank))


def _serve(sock: socket.socket, reader: Reader) -> None:
    def is_wanted() -> bool:
        # the only message there can be while a job is under way says that it is not
        return not frames.has_message(sock, 0)

    while True:
        try:
            request = request_decoder.decode(frames.receive(sock))
            if isinstance(request, Ask):
                frames.send(sock, encoder.encode(_answer(reader, request.job, is_wanted)))
        except frames.Closed:
            return


def _answer(reader: Reader, job: ReadJob, is_wanted: Any) -> Read | Refused:
    try:
        return msgspec.structs.replace(reader.read(job, is_wanted), resident_bytes=_resident_bytes())
    except Refusal as refusal:
        cause = refusal.__cause__
        return Refused.of(refusal, cause.code if isinstance(cause, DocfleetError) else "")
    except DocfleetError as error:
        return Refused(int(Code.INTERNAL), error.message, cause=error.code)
    except Exception as error:
        _log.exception("documentai_reader_failed")
        return Refused(int(Code.INTERNAL), "Internal error encountered.", cause=type(error).__name__)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


def _end_with(parent: int) -> None:
    """A closed socket ends an idle reader; this one ends a busy one when the server is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
