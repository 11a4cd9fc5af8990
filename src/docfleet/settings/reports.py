"""Reports for management."""

from __future__ import annotations

from pydantic import Field

from docfleet.settings.section import Section


class ReportSettings(Section):
    """The monthly report: when it is made, and what the ledger cannot know."""

    schedule: str = Field(
        "off", pattern="^(off|monthly)$", description="`monthly`: the month before, once, for every tenant; or `off`."
    )
    hour: int = Field(6, ge=0, le=23, description="Not before this hour of the first day of the month.")
    timezone: str = Field(
        "UTC", description="Whose hour that is: `Europe/Berlin`. Months themselves are those of UTC, as money counts."
    )
    keep_months: int = Field(36, ge=1, le=1200, description="Kept reports on earlier months than these are deleted.")
    organisation: str = Field("", max_length=200, description="Name on the cover; empty: the tenant.")
    by_hand_usd_per_document: float = Field(
        0.5,
        ge=0,
        le=1e6,
        description="What a document costs that people work on; 0: not compared. The default is the reference case, "
        "10,000 documents a month for 5,000 USD. `money.by_hand_minutes_per_page` with `money.by_hand_usd_per_hour` "
        "comes before it.",
    )
    investment_usd: float = Field(
        0.0, ge=0, le=1e12, description="Spent once on the service, to be earned back; 0: not told."
    )
    node_slots: int = Field(4, ge=1, le=10_000, description="Worker slots of one node, one vCPU with 2 GiB each.")
    spare_share: float = Field(
        0.3, ge=0, lt=1, description="Share of the slots to be spare in the fullest hour that is forecast."
    )
    availability_objective: float = Field(
        0.999, gt=0, lt=1, description="Share of documents that do not fail through the service."
    )
    in_time_objective: float = Field(
        0.95, gt=0, lt=1, description="Share of documents that end within the target of their pool and priority."
    )
