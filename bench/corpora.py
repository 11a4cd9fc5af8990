"""Where the benchmark's documents are: the shared corpora beside the project, and folders made from them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CORPORA = Path(os.environ.get("DOCFLEET_CORPORA", ROOT.parent / "shared" / "corpora"))
SAMPLES = ROOT / "samples"
WORK = ROOT / ".bench"
"""Everything the benchmark makes; may be removed at any time."""


def truth(folder: str) -> dict[str, Any]:
    """`truth.jsonl` of a corpus, by file name."""
    lines = (CORPORA / folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    return {record.get("file") or record["source_id"]: record for record in records}


def images(folder: str) -> list[Path]:
    kinds = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
    return sorted(path for path in (CORPORA / folder).iterdir() if path.suffix.lower() in kinds)


def digital_pdfs() -> list[Path]:
    """PDF files with sound text layers: contracts, EU tables, e-invoices."""
    return sorted(path for folder in ("contracts", "tables", "e_invoices") for path in (CORPORA / folder).glob("*.pdf"))
