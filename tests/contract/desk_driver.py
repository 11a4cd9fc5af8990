"""What the tests of the service's ledger share: both databases, tenants, and submissions."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from msgspec.structs import replace

from docfleet.domain.urgency import Urgency
from docfleet.ledger.service_values import ReadingOptions, Submission

_PLAIN = Submission(
    tenant="acme",
    name="letter.pdf",
    content_id="",
    wrapped_key=b"wrapped",
    sha256="",
    size_bytes=7,
    media_type="application/pdf",
    pool="pdf",
    urgency=Urgency.NORMAL,
    options=ReadingOptions(formats=("json",)),
    submitted_by="0123456789abcdef",
)


def submission(text: str = "", **given: Any) -> Submission:
    """Of a file with this text (or one of its own), as if just uploaded."""
    digest = hashlib.sha256((text or secrets.token_hex(8)).encode()).hexdigest()
    fresh = replace(_PLAIN, content_id=secrets.token_hex(16), sha256=digest, wrapped_key=secrets.token_bytes(16))
    return replace(fresh, **given)
