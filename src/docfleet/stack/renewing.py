"""A certificate that was renewed on disk is taken up by the server that runs."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from docfleet.telemetry import logger

LOOK_SECONDS = 60.0

_log = logger("api")


class RenewedCertificate:
    """Looks at two files now and then. A pair that does not fit together yet is left for the next look."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path, seconds: float = LOOK_SECONDS) -> None:
        self._context = context
        self._files = (certificate, key)
        self._seconds = seconds
        self._looked_at = time.monotonic()
        self._seen = self._times()

    def look(self) -> bool:
        """Whether a new one was taken up; does nothing within `seconds` of the last look."""
        now = time.monotonic()
        if now - self._looked_at < self._seconds:
            return False
        self._looked_at = now
        times = self._times()
        if times == self._seen:
            return False
        try:
            # tried apart: loading a broken pair would leave the context without any
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self._context.load_cert_chain(*self._files)
        except (ssl.SSLError, OSError) as error:
            _log.warning("certificate_not_renewed", error=error)
            return False
        self._seen = times
        _log.info("certificate_renewed", file=str(self._files[0]))
        return True

    def _times(self) -> tuple[int, ...]:
        try:
            return tuple(file.stat().st_mtime_ns for file in self._files)
        except OSError:
            return ()
