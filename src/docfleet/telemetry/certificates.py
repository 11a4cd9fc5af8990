"""When the certificates in a file end. Read with the standard library alone: no part of docfleet needs another."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from docfleet.telemetry import logger
from docfleet.telemetry.catalog import CERTIFICATE_EXPIRY
from docfleet.telemetry.metrics import Measured, reading

_log = logger("metrics")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18
_MOST_BYTES = 1024 * 1024


def first_expiry(pem: str) -> float:
    """When the first of the certificates in a text ends; seconds since 1970. Raises ValueError when there is none.

    The form is that of RFC 5280, section 4.1: Certificate > TBSCertificate > Validity > notAfter.
    """
    found = [_not_after(ssl.PEM_cert_to_DER_cert(one)) for one in _PEM.findall(pem)]
    if not found:
        raise ValueError("no certificate in it")
    return min(found)


def _not_after(der: bytes) -> float:
    body, _ = _inside(der, _SEQUENCE)
    fields, _ = _inside(body, _SEQUENCE)
    if fields[:1] == bytes([_VERSION]):
        fields = _after(fields)
    for _ in ("serialNumber", "signature", "issuer"):
        fields = _after(fields)
    validity, _ = _inside(fields, _SEQUENCE)
    return _moment(_after(validity))


def _inside(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first element, and what comes after the element (DER: X.690, sections 8.1 and 10.1)."""
    if len(data) < 2 or (tag is not None and data[0] != tag):
        raise ValueError("no certificate")
    start, size = 2, data[1]
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:start])
    if start + size > len(data):
        raise ValueError("a certificate that was cut off")
    return data[start : start + size], data[start + size :]


def _after(data: bytes) -> bytes:
    return _inside(data)[1]


def _moment(data: bytes) -> float:
    tag, text = data[0], _inside(data)[0].decode("ascii")
    if tag == _UTC_TIME:
        # two digits of the year: from 50 on, of the last century
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    elif tag != _TIME:
        raise ValueError("no moment")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


class Certificates:
    """Watches files by what they are for; a file that was replaced is read anew."""

    def __init__(self, files: Mapping[str, Path | None]) -> None:
        self._files = {purpose: path for purpose, path in files.items() if path is not None}
        self._read: dict[str, tuple[tuple[int, int], float | None]] = {}

    def __call__(self) -> Iterable[Measured]:
        for purpose, path in self._files.items():
            expiry = self._expiry(purpose, path)
            if expiry is not None:
                yield reading(CERTIFICATE_EXPIRY, expiry, purpose)

    def _expiry(self, purpose: str, path: Path) -> float | None:
        """None: there is no certificate that can be read."""
        try:
            facts = path.stat()
            seen = (facts.st_mtime_ns, facts.st_ino)
            if purpose not in self._read or self._read[purpose][0] != seen:
                self._read[purpose] = (seen, _expiry_of(purpose, path))
            return self._read[purpose][1]
        except OSError:
            return None


def _expiry_of(purpose: str, path: Path) -> float | None:
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("ascii", "replace")
    try:
        return first_expiry(text)
    except ValueError as error:
        _log.warning("certificate_unreadable", purpose=purpose, error=error)
        return None
