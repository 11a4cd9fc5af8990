"""Room for plain copies of documents: what does not fit now may fit when other work is done, or never."""

from __future__ import annotations

import errno
import os
import shutil
from enum import StrEnum
from pathlib import Path

import msgspec

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the system's errors for a full disk, or a full share of it."""
SPARE_BYTES = 16 * 1024 * 1024
"""Besides the document itself: for its results, and for whoever else writes there."""
PATIENCE_SECONDS = 900.0
"""How long a slice waits for room that other work holds."""


class Room(msgspec.Struct, frozen=True):
    """Bytes, on the file system of a worker's scratch folder."""

    free: int
    held: int
    """By other slots and workers: free again when they are done."""


class Fit(StrEnum):
    NOW = "now"
    LATER = "later"
    NEVER = "never"


def judge_room(needed: int, room: Room) -> Fit:
    """Whether a document of so many bytes can be copied here. Pure."""
    wanted = needed + SPARE_BYTES
    if wanted <= room.free:
        return Fit.NOW
    return Fit.LATER if wanted <= room.free + room.held else Fit.NEVER


def room_at(folder: Path) -> Room:
    """As it is now; `folder` is a slot's own, two levels below the one that all workers of this machine share."""
    free = shutil.disk_usage(folder).free
    return Room(free, max(0, _bytes_below(folder.parent.parent) - _bytes_below(folder)))


def _bytes_below(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                # what the file occupies: it may be sparse, or written at this moment
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return total
