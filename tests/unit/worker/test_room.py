"""A document that does not fit: it waits for room that other work holds, and for no other."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from docfleet.errors import NoScratchSpace, ScratchFull
from docfleet.ledger import Claim, Ledger
from docfleet.ledger.rows import EventRow, SliceRow
from docfleet.store import FolderStore
from docfleet.telemetry.traces import Collected
from docfleet.worker.messages import Next, SlotConfig
from docfleet.worker.room import SPARE_BYTES, Fit, Room, judge_room, room_at
from docfleet.worker.service_steps import ServicePlace
from docfleet.worker.slot import Orders, Slot
from docfleet.worker.sources import Sources
from new_ledger import new_ledger
from service_driver import submit

MB = 1024 * 1024
SIZES = st.integers(0, 1 << 40)


@given(SIZES, SIZES, SIZES)
def test_who_fits_goes_now_and_who_fits_without_the_others_later(needed: int, free: int, held: int) -> None:
    fit = judge_room(needed, Room(free, held))
    assert (fit is Fit.NOW) == (needed + SPARE_BYTES <= free)
    assert (fit is Fit.NEVER) == (needed + SPARE_BYTES > free + held)


def test_what_others_hold_is_measured_and_ones_own_is_not_counted(tmp_path: Path) -> None:
    mine, other = tmp_path / "docfleet-0" / "1-a" / "0-1", tmp_path / "docfleet-0" / "2-b" / "0-1"
    for folder, size in ((mine, 5 * MB), (other, 2 * MB)):
        folder.mkdir(parents=True)
        (folder / "source").write_bytes(b"x" * size)
    room = room_at(mine)
    assert 2 * MB <= room.held < 3 * MB
    assert room.free > 0


def fetch(tmp_path: Path, room: Room, size: int = 2 * MB) -> Path:
    store, data = FolderStore(tmp_path / "store"), b"x" * size
    store.put(f"contents/{'c' * 32}/source", data)
    sources = Sources(tmp_path / "scratch", lambda folder: room)
    return sources.fetch("c" * 32, store, hashlib.sha256(data).hexdigest(), size)


def test_it_waits_while_other_work_holds_the_room(tmp_path: Path) -> None:
    with pytest.raises(ScratchFull):
        fetch(tmp_path, Room(free=MB, held=SPARE_BYTES + MB))
    assert not (tmp_path / "scratch" / "source").exists(), "it was not even begun"
    assert fetch(tmp_path, Room(free=SPARE_BYTES + 2 * MB, held=0)).stat().st_size == 2 * MB


def test_what_can_never_fit_ends_with_advice(tmp_path: Path) -> None:
    with pytest.raises(NoScratchSpace, match="2,097,152 bytes") as raised:
        fetch(tmp_path, Room(free=MB, held=SPARE_BYTES))
    assert raised.value.code == "no_scratch_space"
    assert "TMPDIR" in raised.value.remedy


def test_small_documents_are_just_tried(tmp_path: Path) -> None:
    assert fetch(tmp_path, Room(free=0, held=0), size=1000).exists()


class Full:
    """A place without room."""

    def do(self, claim: Claim) -> None:
        raise ScratchFull()


def test_waiting_for_room_costs_no_attempt_and_says_why(tmp_path: Path) -> None:
    replies = os.open(tmp_path / "replies", os.O_CREAT | os.O_WRONLY, 0o600)
    with Ledger.open(new_ledger(tmp_path / "ledger.db")) as ledger:
        submit(ledger)
        config = SlotConfig("host-1-ab/0-1", {}, ["pdf"], str(tmp_path), replies, os.getpid())
        assert Slot(config, ledger, cast(ServicePlace, Full()), Orders(), Collected())._obey(Next()) == "handed_back"
        with ledger.reading() as session:
            row = session.execute(select(SliceRow)).scalar_one()
            cause = session.execute(select(EventRow.cause).order_by(EventRow.id.desc())).scalars().first()
    assert (row.wait_count, row.error_count, cause) == (1, 0, "scratch_full")
