"""What an upload is, by its first bytes, before a row is made for it.

Signatures decide at once. What has none is shown to the learned detector, which lives in a child process: it comes
with an inference runtime that the API process is to be free of, and it looks at bytes of strangers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from docfleet.api.problems import Refusal
from docfleet.domain.media import HEAD_BYTES, MEDIA_TYPES, Kind, MediaType, recognise_signature
from docfleet.errors import DocumentError, Empty, UnsupportedType, document_error_codes
from docfleet.telemetry import logger

WINDOW = 65_536
"""How much of the start is looked at."""
BLANK = b"\x00 \t\r\n"
_ANSWER_SECONDS = 20.0
_log = logger("api")


_UNPACK = "Unpack it and submit each document by itself; put them into one batch to keep them together."


class Recogniser:
    """Threads may share it; the child is started when first needed and asked by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def recognise(self, head: bytes) -> MediaType:
        """The type of a file that begins with `head` (up to `WINDOW` bytes). Blocks.

        Raises `Empty` and `UnsupportedType` as `pipeline.identify` does, and refuses archives.
        """
        if not head:
            raise Empty()
        media = recognise_signature(head[:HEAD_BYTES])
        if media is None or media.kind is Kind.ARCHIVE:
            media = self._ask_child(head[:WINDOW])
        if media.kind is Kind.ARCHIVE:
            refused = UnsupportedType(f"This is a {media.label}; this API takes PDF files and images.")
            raise Refusal(refused, remedy=_UNPACK)
        return media

    def _ask_child(self, head: bytes) -> MediaType:
        with self._lock:
            try:
                answer = self._exchange(head)
            except (OSError, ValueError) as error:
                _log.warning("detector_failed", error=error)
                self._end_child()
                raise UnsupportedType("The file is of no type that docfleet knows.") from error
        if "code" in answer:
            cls: type[DocumentError] = document_error_codes().get(answer["code"], UnsupportedType)
            raise cls(answer["message"])
        return MEDIA_TYPES[answer["mime_type"]]

    def _exchange(self, head: bytes) -> dict[str, str]:
        child = self._child
        if child is None or child.poll() is not None:
            child = self._child = _start_child()
        assert child.stdin is not None
        assert child.stdout is not None
        watchdog = threading.Timer(_ANSWER_SECONDS, child.kill)
        watchdog.start()
        try:
            child.stdin.write(len(head).to_bytes(4, "big") + head)
            child.stdin.flush()
            line = child.stdout.readline()
        finally:
            watchdog.cancel()
        answer = json.loads(line)  # of a child that died, the line is empty: a ValueError
        if not isinstance(answer, dict):
            raise ValueError("the detector's answer is no object")
        return answer

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        child.wait()

    def close(self) -> None:
        with self._lock:
            self._end_child()


def _start_child() -> subprocess.Popen[bytes]:
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "docfleet.api.recognising"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet,
    )  # fmt: skip


def _serve_child() -> None:
    """The child: length and bytes in, one line of JSON out; ends with its parent, whose end closes the pipe."""
    from docfleet.pipeline.identify import identify

    take, give = sys.stdin.buffer, sys.stdout.buffer
    while len(size := take.read(4)) == 4:
        head = take.read(int.from_bytes(size, "big"))
        with tempfile.NamedTemporaryFile(prefix="docfleet-head-") as file:
            file.write(head)
            file.flush()
            try:
                answer = {"mime_type": identify(Path(file.name)).mime_type}
            except DocumentError as error:
                answer = {"code": error.code, "message": error.message}
        give.write(json.dumps(answer).encode() + b"\n")
        give.flush()


if __name__ == "__main__":
    _serve_child()
