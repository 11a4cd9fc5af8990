"""Where spans go, as a value: read by the settings, which must not load what sends them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class OtlpOptions(msgspec.Struct, frozen=True):
    """Where spans go. Without an endpoint nothing is told, and nothing of OpenTelemetry is loaded."""

    endpoint: str = ""
    """`http://collector:4318`, or with the whole path of the traces."""
    ratio: float = 1.0
    tell_failed: bool = True
    headers: Mapping[str, str] = {}
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        base = self.endpoint.rstrip("/")
        return base if base.endswith("/v1/traces") else f"{base}/v1/traces"
