"""PDFs whose pages are turned, cropped, scaled and of mixed sizes, with real text, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pikepdf

LINES = ("Overlay words must meet their ink", "7,419.30 EUR paid on time", "Corner of the visible page")


def write_pdf(path: Path, pages: list[dict[str, Any]], lines: tuple[str, ...] = LINES) -> Path:
    """One page for each: its dictionary's entries beside a media box; text stands within `at` (default 60, 120)."""
    with pikepdf.new() as pdf:
        font = pdf.make_indirect(
            pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        )
        for entries in pages:
            own = dict(entries)
            x, y = own.pop("at", (60, 120))
            box = own.pop("MediaBox", [0, 0, 420, 300])
            content = b"BT /F1 14 Tf %d %d Td 26 TL\n" % (x, y)
            for line in lines:
                escaped = line.encode("cp1252", "replace").replace(b"\\", b"\\\\")
                escaped = escaped.replace(b"(", b"\\(").replace(b")", b"\\)")
                content += b"(" + escaped + b") Tj T*\n"
            page = pdf.add_blank_page(page_size=(box[2] - box[0], box[3] - box[1]))
            page.obj.MediaBox = pikepdf.Array(box)
            page.obj.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            page.obj.Contents = pdf.make_stream(content + b"ET")
            for name, value in own.items():
                page.obj[f"/{name}"] = pikepdf.Array(value) if isinstance(value, list) else value
        pdf.save(path)
    return path


TURNED_AND_CUT: dict[str, dict[str, Any]] = {
    "plain": {},
    "rotate 90": {"Rotate": 90},
    "rotate 180": {"Rotate": 180},
    "rotate 270": {"Rotate": 270},
    "cropped": {"MediaBox": [0, 0, 600, 500], "CropBox": [40, 30, 420, 260], "at": (70, 150)},
    "cropped and turned": {"MediaBox": [0, 0, 600, 500], "CropBox": [40, 30, 420, 260], "at": (70, 150), "Rotate": 90},
    "origin elsewhere": {"MediaBox": [-100, -50, 320, 250], "at": (-40, 60)},
    "user unit": {"UserUnit": 2},
    "wide": {"MediaBox": [0, 0, 1000, 240]},
    "tall": {"MediaBox": [0, 0, 320, 900], "at": (30, 700)},
}
