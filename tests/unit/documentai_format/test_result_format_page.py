"""docs/reference/result-format.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from docfleet.documentai_format import DROPPED
from docfleet.documentai_format.mapping import Field, Shape, fields_of, structs

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "result-format.md").read_text(encoding="utf-8")
HOW_TO_MEND = "the field tables of docs/reference/result-format.md differ from documentai_format.mapping"


def row(field: Field) -> tuple[str, str, str]:
    shape = {
        Shape.OBJECT: field.of.__name__,
        Shape.ROW: "{cells: TableCell}",
        Shape.ENUM: f"{field.of.__name__} name",
    }.get(field.shape, field.shape.value)
    return ".".join(field.path), ("list of " if field.repeated else "") + shape, field.attribute


def test_dropped_keys() -> None:
    listed = PAGE.partition("<!-- dropped -->")[2].partition("<!-- /dropped -->")[0]
    assert set(re.findall(r"^- `(\w+)`$", listed, re.MULTILINE)) == DROPPED
    assert {"image", "revisions", "provenance"} >= DROPPED


def test_field_tables() -> None:
    documented = {
        heading: re.findall(r"^\| `([\w.]+)` \| (.+?) \| `(\w+)` \|$", body, re.MULTILINE)
        for heading, body in re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    }
    written = {owner.__name__: [row(field) for field in fields_of(owner)] for owner in structs()}
    assert documented == written, HOW_TO_MEND
