"""How documents are read, wherever that is done."""

from __future__ import annotations

from pydantic import Field

from docfleet.settings.section import MEBIBYTE, Names, Section


class LimitSettings(Section):
    """What one document may cost. Each refusal has a code of its own."""

    max_file_bytes: int = Field(1024 * MEBIBYTE, gt=0, description="Largest file that is read (`too_many_bytes`).")
    max_pages: int = Field(10_000, gt=0, description="Most pages of one document (`too_many_pages`).")
    max_page_pixels: int = Field(
        100_000_000, gt=0, description="Most pixels of one page, as stored or as rendered (`page_too_large`)."
    )
    page_seconds: float = Field(
        30.0, gt=0, description="Wall-clock and CPU seconds of parsing or rendering one page (`timed_out`)."
    )
    open_seconds: float = Field(
        60.0, gt=0, description="Wall-clock and CPU seconds of opening and repairing one document (`timed_out`)."
    )
    sandbox_memory_bytes: int = Field(
        1536 * MEBIBYTE, ge=128 * MEBIBYTE, description="Memory of the process that parses (`out_of_memory`)."
    )
    sandbox_recycle_requests: int = Field(2_000, gt=0, description="A fresh parser process after this many requests.")
    sandbox_recycle_bytes: int = Field(
        700 * MEBIBYTE, gt=0, description="A fresh parser process once its resident memory passes this."
    )
    archive_max_members: int = Field(10_000, gt=0, description="Most files in one archive (`archive_unsafe`).")
    archive_max_bytes: int = Field(
        2048 * MEBIBYTE, gt=0, description="Most bytes one archive may unpack to (`archive_unsafe`)."
    )
    archive_max_ratio: float = Field(
        300.0, gt=1, description="Largest unpacked-to-packed ratio of one archive member (`archive_unsafe`)."
    )
    archive_max_depth: int = Field(
        3, ge=1, description="How deep archives may nest; 1: no archives in archives (`archive_unsafe`)."
    )


class ReadingSettings(Section):
    """How pages are read."""

    engine: str = Field("rapidocr", description="Engine that reads pixels; `docfleet engines` lists what is installed.")
    languages: Names = Field((), description="Languages to expect, BCP 47 (`en,de`); empty: find out.")
    mode: str = Field(
        "auto",
        pattern="^(auto|ocr|text)$",
        description="`auto` decides page by page; `ocr` reads all pixels; `text` takes text layers only.",
    )
    render_dpi: int = Field(200, ge=72, le=600, description="Resolution at which PDF pages are rendered for OCR.")
    slice_pages: int = Field(8, ge=1, le=500, description="Pages of one slice: the unit of work and of retry.")


class WorkSettings(Section):
    """How work is shared out."""

    workers: int = Field(0, ge=0, description="Worker processes; 0: one for each CPU core this process may use.")
    lease_seconds: float = Field(15.0, gt=0, description="A worker that is silent for this long loses its slice.")
    heartbeat_seconds: float = Field(3.0, gt=0, description="How often a worker renews its lease.")
    slice_seconds: float = Field(
        900.0,
        gt=0,
        description="Wall-clock seconds one slice may take before its worker is replaced (in the end: `worker_died`).",
    )


class OutputSettings(Section):
    """What is written."""

    formats: Names = Field(
        ("json", "md", "txt", "pdf", "csv"), description="Result formats: json, md, txt, pdf, csv, hocr."
    )
    report: bool = Field(True, description="Write `report.pdf` for the batch.")
