"""Draws the sample documents and their truth: ``python tools/draw_samples.py``.

Everything is set from the sources beside this script with the typesetter's own fonts and fixed dates and seeds, so that
drawing again gives the same files. Only the locked PDF has a random key; it is written anew when its content changed.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import pikepdf
from samples.documents import PASSWORD, SAMPLES, Sample

ROOT = Path(__file__).resolve().parent.parent


def unlocked(data: bytes) -> bytes:
    """A PDF without its encryption, in a form that depends on the content alone."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(data), password=PASSWORD) as pdf:
        pdf.save(out, static_id=True)
    return out.getvalue()


def is_drawn(path: Path, sample: Sample) -> bool:
    """Whether `path` holds the sample's content already."""
    if not path.exists():
        return False
    data = path.read_bytes()
    if data == sample.data or "needs_password" not in sample.extra:
        return data == sample.data
    try:
        return unlocked(data) == unlocked(sample.data)
    except pikepdf.PdfError:
        return False


def write(sample: Sample, out: Path, truth: Path) -> None:
    if not is_drawn(out / sample.name, sample):
        (out / sample.name).write_bytes(sample.data)
    lines = json.dumps(sample.truth(), ensure_ascii=False, separators=(",", ":"))
    (truth / f"{sample.name}.json").write_text(lines + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw the sample documents and their truth.")
    parser.add_argument("--out", type=Path, default=ROOT / "samples", help="folder of the documents")
    parser.add_argument("--truth", type=Path, default=ROOT / "tests" / "samples_truth", help="folder of the truth")
    parser.add_argument("names", nargs="*", default=list(SAMPLES), help="only these files (default: all)")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(SAMPLES):
        parser.error(f"no such sample: {', '.join(sorted(unknown))}")
    for folder in (chosen.out, chosen.truth):
        folder.mkdir(parents=True, exist_ok=True)
    for name in chosen.names:
        sample = SAMPLES[name]()
        write(sample, chosen.out, chosen.truth)
        print(f"{sample.name:28} {len(sample.data):9,} bytes  {len(sample.pages)} pages")
    (chosen.truth / "passwords.txt").write_text(f"not-this-one\n{PASSWORD}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
