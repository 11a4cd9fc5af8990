"""What docfleet tells about itself: logs, metrics and traces.

Loggers are here because every part has one; metrics and traces are imported from their own modules by the few that
measure.
"""

from docfleet.telemetry.logs import LEVELS, Logger, configure_logs, logger, shown_level

__all__ = ["LEVELS", "Logger", "configure_logs", "logger", "shown_level"]
