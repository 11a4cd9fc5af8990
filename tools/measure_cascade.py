"""What the cascade decides on, measured over folders of documents: how near to its thresholds real pages come.

    python tools/measure_cascade.py FOLDER... [--pages 3]

One line a folder: how many pages were read each way, and the extremes of the measured facts among pages whose text
layer was taken and among the others. Nothing is recognised, so it is quick. Figures of it stand in
docs/decisions/0003-cascade.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from docfleet.domain.cascade import Choice, Reason, choose
from docfleet.domain.media import Kind
from docfleet.domain.page_facts import PageFacts
from docfleet.errors import DocumentError
from docfleet.pipeline.identify import identify
from docfleet.sandbox import PageBundle, Sandbox

TAKEN = {Reason.SOUND_TEXT, Reason.SCANNED_REGIONS}
Measured = list[tuple[PageFacts, Choice]]


def measure(sandbox: Sandbox, folder: Path, pages: int) -> Measured:
    """Facts and choice of the first `pages` pages of each PDF in `folder`; what cannot be opened is left out."""
    found: Measured = []
    for path in sorted(folder.rglob("*")):
        try:
            if not path.is_file() or (media := identify(path)).kind is not Kind.PDF:
                continue
            opened = sandbox.open(path, media.mime_type)
        except DocumentError:
            continue
        for page in sandbox.pages(range(1, min(pages, opened.pages) + 1)):
            if isinstance(page, PageBundle):
                found.append((page.facts, choose(page.facts)))
    return found


def describe(name: str, measured: Measured) -> str:
    reasons = Counter(str(choice.reason) for _, choice in measured)
    lines = [f"{name}: {len(measured)} pages, " + ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())]
    for title, kept in (("taken", True), ("not taken", False)):
        facts = [f for f, choice in measured if f.characters and (choice.reason in TAKEN) is kept]
        if facts:
            lines.append(
                f"  layer {title}: {len(facts)} pages, plausibility {_range([f.plausibility for f in facts])}, "
                f"unmapped {_range([f.unmapped_ratio for f in facts])}, "
                f"ink outside text {_range([f.ink_outside_text for f in facts])}, "
                f"text in images {_range([f.text_in_images for f in facts])}"
            )
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    return f"{min(values):.2f}..{max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--pages", type=int, default=3, help="pages of each document")
    asked = parser.parse_args()
    with Sandbox() as sandbox:
        for folder in asked.folders:
            print(describe(folder.name, measure(sandbox, folder, asked.pages)), flush=True)


if __name__ == "__main__":
    main()
