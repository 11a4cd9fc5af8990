"""Traces: where they go, and how many of them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from pydantic import Field

from docfleet.errors import UsageError
from docfleet.settings.section import Section
from docfleet.telemetry.otlp_options import OtlpOptions


def _standard(*names: str) -> str:
    """The first of these variables of OpenTelemetry that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _endpoint() -> str:
    if _standard("OTEL_SDK_DISABLED").lower() == "true" or _standard("OTEL_TRACES_EXPORTER").lower() == "none":
        return ""
    if whole := _standard("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return whole
    return _standard("OTEL_EXPORTER_OTLP_ENDPOINT")


def _ca_file() -> Path | None:
    found = _standard("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    return Path(found) if found else None


def _ratio() -> float:
    try:
        return min(max(0.0, float(_standard("OTEL_TRACES_SAMPLER_ARG") or 1.0)), 1.0)
    except ValueError:
        return 1.0


class TraceSettings(Section):
    """Where traces go, and how many."""

    otlp_endpoint: str = Field(
        default_factory=_endpoint,
        description="Collector that takes traces by OTLP over HTTP (`http://jaeger:4318`); empty: "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`, and where that is not set either, none are told.",
    )
    trace_ratio: float = Field(
        default_factory=_ratio,
        ge=0,
        le=1,
        description="Share of the documents whose traces are told, chosen by the id of the trace; unset: "
        "`OTEL_TRACES_SAMPLER_ARG`, else all. A client's `traceparent` decides for its own documents.",
    )
    trace_failed: bool = Field(
        True,
        description="A document that failed, or was read in part, is told even if it was not chosen: its life in "
        "hindsight, and what its worker saw of the try that was the last.",
    )
    otlp_headers_file: Path | None = Field(
        None,
        description="File with headers for the collector, `name: value` a line; unset: `OTEL_EXPORTER_OTLP_HEADERS`.",
    )
    otlp_ca_file: Path | None = Field(
        default_factory=_ca_file,
        description="Certificates to trust for the collector (PEM); unset: `OTEL_EXPORTER_OTLP_CERTIFICATE`, else "
        "those of the system.",
    )

    def otlp_options(self) -> OtlpOptions:
        """Raises `UsageError` for a file of headers that cannot be read."""
        return OtlpOptions(
            self.otlp_endpoint.strip(), self.trace_ratio, self.trace_failed, self._headers(), self.otlp_ca_file
        )

    def _headers(self) -> dict[str, str]:
        if not self.otlp_endpoint:
            return {}
        if self.otlp_headers_file is None:
            told = _standard("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
            pairs = [pair.partition("=") for pair in told.split(",") if pair.strip()]
            return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
        try:
            lines = self.otlp_headers_file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The headers for traces in {self.otlp_headers_file} cannot be read.") from error
        pairs = [line.partition(":") for line in lines if line.strip() and not line.startswith("#")]
        if any(not divider or not name.strip() for name, divider, _ in pairs):
            raise UsageError(f"A line of {self.otlp_headers_file} is no header: write `name: value`.")
        return {name.strip().lower(): value.strip() for name, _, value in pairs}
