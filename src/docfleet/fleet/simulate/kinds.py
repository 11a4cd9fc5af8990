"""The policies that are compared, by name. Light: nothing of the simulator is loaded with it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    FIXED = "fixed"
    QUEUE = "queue"
    QUEUE_CLOCK = "queue-clock"
    REACTIVE = "reactive"
    PREDICTIVE = "predictive"
    ORACLE = "oracle"


ABOUT: Mapping[Kind, str] = {
    Kind.FIXED: "always as many: the fewest whose p95 wait meets the target, found knowing the demand",
    Kind.QUEUE: "so many documents for each worker, as KEDA and the Horizontal Pod Autoscaler do it",
    Kind.QUEUE_CLOCK: "the same, with floors by the clock",
    Kind.REACTIVE: "docfleet's policy without a forecast",
    Kind.PREDICTIVE: "docfleet's policy with its forecast",
    Kind.ORACLE: "knows all that will arrive, and has each worker ready when it is needed",
}
