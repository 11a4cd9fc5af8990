"""What a slice of the cloud step carries: which engine is to read its pages, and what is known of them already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from docfleet.domain.cascade import Escalation, OnRefusal
from docfleet.domain.work import Step, page_ranges
from docfleet.ledger import NewSlice

PAGES_PER_SLICE = 10
"""Small enough to fill up requests of fifteen and thirty pages, and few enough to be lost with one that fails."""


class CloudOrder(msgspec.Struct, frozen=True):
    """The payload of a CLOUD slice."""

    engine: str
    on_refusal: OnRefusal
    pages: tuple[Escalation, ...]
    languages: tuple[str, ...] = ()
    online: bool = False
    """Read by requests alone, not in a batch."""

    def of(self, page: int) -> Escalation | None:
        return next((one for one in self.pages if one.page == page), None)

    def is_standing(self, page: int) -> bool:
        """Whether the page was read locally, so that it has a result without the cloud."""
        found = self.of(page)
        return found is not None and found.local_confidence is not None and self.on_refusal is not OnRefusal.FAIL


_DECODER = msgspec.json.Decoder(CloudOrder)


def read_order(payload_json: str) -> CloudOrder:
    """Raises msgspec.DecodeError for what is none."""
    return _DECODER.decode(payload_json)


def cloud_slices(order: CloudOrder, pages: Sequence[int] = (), per_slice: int = PAGES_PER_SLICE) -> list[NewSlice]:
    """The pages of an order (or those given) as slices, each with what is known of its own pages."""
    escalations: Mapping[int, Escalation] = {one.page: one for one in order.pages}
    slices = []
    for first, last in page_ranges(sorted(pages or escalations)):
        for start in range(first, last + 1, per_slice):
            end = min(last, start + per_slice - 1)
            mine = tuple(escalations[page] for page in range(start, end + 1) if page in escalations)
            payload = msgspec.json.encode(msgspec.structs.replace(order, pages=mine)).decode()
            slices.append(NewSlice(Step.CLOUD, start, end, payload))
    return slices
