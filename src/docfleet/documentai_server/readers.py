"""A pool of reader processes: so many documents are read at a time, so many wait, and whoever comes then is sent away.

A reader that dies or hangs costs the document it had, and a new one is started when it is needed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from docfleet.documentai_server import frames
from docfleet.documentai_server.jobs import Ask, Cancel, Read, ReadJob, Refused, Reply, encoder, reply_decoder
from docfleet.documentai_server.refusals import Code, ErrorInfo, Refusal, RetryInfo
from docfleet.telemetry import logger, shown_level

_log = logger("documentai_server")
_LOOK_SECONDS = 0.25
"""How often whoever waits looks whether the caller still does."""
_CANCEL_SECONDS = 20.0
"""A reader whose caller left has this long for the page it is at."""


class ReaderOptions(msgspec.Struct, frozen=True):
    settings: dict[str, Any]
    """Of docfleet, for the process that reads."""
    readers: int = 2
    """Documents read at a time."""
    waiting: int = 8
    """Documents that may wait for a reader."""
    seconds: float = 300.0
    """A document that takes longer is given up."""
    recycle_bytes: int = 1_600_000_000
    """A reader with more resident memory than this is replaced after its document."""
    blank: bool = False
    """Pages are counted and answered empty."""


def _always() -> bool:
    return True


class Readers:
    """Thread-safe. Close it to end the processes."""

    def __init__(self, options: ReaderOptions) -> None:
        self._options = options
        self._places = threading.Semaphore(options.readers + options.waiting)
        self._free = threading.Condition()
        self._idle: list[_ReaderProcess] = []
        self._busy = 0
        self._closed = False

    def start(self) -> None:
        """Starts every reader ahead of use, without waiting for them."""
        with self._free:
            while len(self._idle) + self._busy < self._options.readers:
                self._idle.append(_ReaderProcess(self._options))

    def read(self, job: ReadJob, deadline: float | None = None, is_active: Callable[[], bool] = _always) -> Read:
        """Reads one document. `deadline` by `time.monotonic`.

        Raises `Refusal`: what the document is, RESOURCE_EXHAUSTED when too many wait, DEADLINE_EXCEEDED, CANCELLED.
        """
        if not self._places.acquire(blocking=False):
            raise self._full()
        try:
            reader = self._take(deadline, is_active)
            kept = False
            try:
                limit = time.monotonic() + self._options.seconds
                reply = reader.ask(job, min(limit, deadline) if deadline is not None else limit, is_active)
                kept = not isinstance(reply, Read) or reply.resident_bytes < self._options.recycle_bytes
            finally:
                self._give_back(reader, kept and reader.is_alive)
        finally:
            self._places.release()
        if isinstance(reply, Refused):
            if reply.cause:
                _log.info("documentai_document_refused", cause=reply.cause, code=reply.code)
            raise reply.refusal()
        return reply

    def close(self) -> None:
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for reader in idle:
            reader.kill()

    def _full(self) -> Refusal:
        count = self._options.readers + self._options.waiting
        return Refusal(
            Code.RESOURCE_EXHAUSTED,
            f"{count} documents are being read or wait to be; try again later.",
            ErrorInfo("CONCURRENT_DOCUMENTS_EXCEEDED", {"limit": str(count)}, domain="docfleet"),
            RetryInfo(1.0),
        )

    def _take(self, deadline: float | None, is_active: Callable[[], bool]) -> _ReaderProcess:
        with self._free:
            while not self._closed:
                if self._idle or self._busy < self._options.readers:
                    self._busy += 1
                    while self._idle:
                        reader = self._idle.pop()
                        if reader.has_ended():
                            reader.kill()
                        else:
                            return reader
                    break
                _check_caller(deadline, is_active)
                self._free.wait(_LOOK_SECONDS)
            else:
                raise Refusal(Code.UNAVAILABLE, "The server is stopping.")
        try:
            return _ReaderProcess(self._options)
        except BaseException:
            self._give_back(None, False)
            raise

    def _give_back(self, reader: _ReaderProcess | None, kept: bool) -> None:
        with self._free:
            self._busy -= 1
            keep = kept and not self._closed
            if keep and reader is not None:
                self._idle.append(reader)
            self._free.notify()
        if not keep and reader is not None:
            reader.kill()


def _check_caller(deadline: float | None, is_active: Callable[[], bool]) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise Refusal(Code.DEADLINE_EXCEEDED, "The deadline expired before a reader was free.")
    if not is_active():
        raise Refusal(Code.CANCELLED, "The caller left.")


class _ReaderProcess:
    """One reader as the pool sees it; used by one thread at a time."""

    def __init__(self, options: ReaderOptions) -> None:
        from docfleet.documentai_server.reader_process import ReaderConfig

        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "docfleet.documentai_server.reader_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C is for the server, which ends its readers itself
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._sock = ours
        self.is_alive = True
        config = ReaderConfig(options.settings, options.blank, shown_level(), os.getpid())
        with contextlib.suppress(frames.Closed):  # a dead one is noticed when it is asked
            frames.send(ours, msgspec.msgpack.encode(config))

    def ask(self, job: ReadJob, deadline: float, is_active: Callable[[], bool]) -> Reply:
        """The answer. Raises `Refusal` when the reader dies, takes too long or the caller leaves."""
        try:
            frames.send(self._sock, encoder.encode(Ask(job)))
            while not frames.has_message(self._sock, _LOOK_SECONDS):
                if time.monotonic() >= deadline:
                    self._cancel()
                    raise Refusal(Code.DEADLINE_EXCEEDED, "Reading the document took too long.")
                if not is_active():
                    self._cancel()
                    raise Refusal(Code.CANCELLED, "The caller left.")
            return reply_decoder.decode(frames.receive(self._sock))
        except (frames.Closed, msgspec.DecodeError) as error:
            self.kill()
            _log.warning("documentai_reader_died", status=self._process.returncode)
            raise Refusal(Code.INTERNAL, "The process that read this document died.") from error

    def _cancel(self) -> None:
        """Tells the reader to stop after its page and takes what it says; one that does not answer is killed."""
        try:
            frames.send(self._sock, encoder.encode(Cancel()))
            if frames.has_message(self._sock, _CANCEL_SECONDS):
                frames.receive(self._sock)
                return
        except frames.Closed:
            pass
        self.kill()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        """Ends it and its sandbox, now."""
        self.is_alive = False
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._sock.close()
