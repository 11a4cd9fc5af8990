"""What a supervisor and its slot processes say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Any

import msgspec

from docfleet.telemetry.metrics import Measured
from docfleet.telemetry.traces import Span


class SlotConfig(msgspec.Struct, frozen=True):
    """The first line a slot gets. Secrets travel through the pipe only: no file, no argument, no environment."""

    name: str
    """The slot's name in the ledger."""
    settings: dict[str, Any]
    pools: list[str]
    """From which the slot claims when it is told to take what is next."""
    scratch: str
    """A folder of its own, for plain copies of documents; emptied by whoever outlives it."""
    reply_fd: int
    parent: int
    log_level: str = "warning"
    measure: bool = False
    """Whether it is to say with every end what it has measured."""


class Work(msgspec.Struct, frozen=True, tag="work"):
    """Claim this slice and work on it."""

    slice_id: int


class Next(msgspec.Struct, frozen=True, tag="next"):
    """Claim whatever is due and work on it (there is no broker)."""


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """The lease of this slice is lost: stop working on it."""

    slice_id: int


Order = Work | Next | Drop


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The slot has started."""


class Claimed(msgspec.Struct, frozen=True, tag="claimed"):
    """The slot holds a slice: renew its lease."""

    slice_id: int
    token: int
    pool: str = ""
    step: str = ""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The slot is done with its order and free."""

    outcome: str
    """"done", "failed", "handed_back", "fenced", "nothing" (there was nothing to claim), or "no_ledger"."""
    resident_bytes: int
    slices: int
    """Worked on since the slot started."""
    measured: list[Measured] = []
    """Since the last end. Slots come and go: whoever outlives them keeps count."""
    spans: tuple[Span, ...] = ()
    """What it has to tell of its order, for the supervisor to send."""


Reply = Ready | Claimed | Ended

encoder = msgspec.json.Encoder()
order_decoder = msgspec.json.Decoder(Order)
reply_decoder = msgspec.json.Decoder(Reply)


def line(message: Order | Reply | SlotConfig) -> bytes:
    return encoder.encode(message) + b"\n"
