"""The heartbeat outlives whatever goes wrong in one beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from docfleet.ledger import Ledger
from docfleet.worker.beating import Heart
from docfleet.worker.slots import Slots
from new_ledger import new_ledger
from running import wait_for


class Shaky:
    """Slots that break at the first look and are fine afterwards."""

    def __init__(self) -> None:
        self.looks = 0

    def busy(self) -> list[Any]:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("something nobody thought of")
        return []


def test_a_defect_in_one_beat_does_not_end_the_heartbeat(tmp_path: Path) -> None:
    slots = Shaky()
    with Ledger.open(new_ledger(tmp_path / "ledger.db")) as ledger:
        heart = Heart(cast(Slots, slots), ledger, 0.05)
        heart.start()
        wait_for(lambda: slots.looks >= 3, 5)
        heart.stop()
