"""What docfleet tells about itself, and where."""

from __future__ import annotations

from docfleet.settings.traces import TraceSettings


class TelemetrySettings(TraceSettings):
    """What docfleet tells about itself. Everything is off until it is given somewhere to go."""
