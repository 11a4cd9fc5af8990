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
    """Watches files by what they are for; a file that was replaced is read anew.

    What cannot be used (torn, gone, or not of its key) is not what the process uses: it goes on with what it had, and
    so does what is told. `keys`: private keys, of those that have one.
    """

    def __init__(self, files: Mapping[str, Path | None], keys: Mapping[str, Path | None] | None = None) -> None:
        self._files = {purpose: path for purpose, path in files.items() if path is not None}
        self._keys = {purpose: path for purpose, path in (keys or {}).items() if path is not None}
        self._read: dict[str, tuple[tuple[int, ...], float | None]] = {}

    def __call__(self) -> Iterable[Measured]:
        for purpose, path in self._files.items():
            expiry = self._expiry(purpose, path)
            if expiry is not None:
                yield reading(CERTIFICATE_EXPIRY, expiry, purpose)

    def _expiry(self, purpose: str, path: Path) -> float | None:
        """None: there never was a certificate that can be used."""
        key = self._keys.get(purpose)
        before, known = self._read.get(purpose, ((), None))
        try:
            facts = [one.stat() for one in (path, key) if one is not None]
            seen = tuple(number for one in facts for number in (one.st_mtime_ns, one.st_ino))
            if seen != before:
                self._read[purpose] = (seen, _expiry_of(purpose, path, key, known))
        except OSError:
            return known
        return self._read[purpose][1]


def _expiry_of(purpose: str, path: Path, key: Path | None, known: float | None) -> float | None:
    """`known` where it cannot be used."""
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("ascii", "replace")
    try:
        expiry = first_expiry(text)
        if key is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key)
    except (ValueError, ssl.SSLError) as error:
        _log.warning("certificate_unreadable", purpose=purpose, error=error)
        return known
    return expiry
