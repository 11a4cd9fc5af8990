"""What docfleet tells about itself, and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from docfleet.settings.traces import TraceSettings


class TelemetrySettings(TraceSettings):
    """Metrics and traces. Everything is off until it is given somewhere to go."""

    metrics_host: str = Field(
        "127.0.0.1", description="Address of the port for metrics; whoever reaches it may read them, without a key."
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port at which Prometheus reads `/metrics`, by plain HTTP; 0: none. In containers: 9464.",
    )
    metrics_socket: Path | None = Field(
        None,
        description="Unix socket in place of a port; `docfleet up` and `docfleet serve` read their processes by it.",
    )
    count_requests: bool = Field(
        True, description="The API counts its requests, for its `/metrics` that asks for a key, without a port too."
    )
