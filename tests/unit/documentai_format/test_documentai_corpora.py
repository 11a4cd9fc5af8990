"""Real responses of Document AI, published by Google, through everything the format does.

They may not be republished with the project, so a clone elsewhere has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from drawn_documents import narrowed
from google.cloud import documentai_v1
from google.protobuf import json_format

from docfleet.documentai_format import cut, from_json, from_proto, merge, packed, pages_from_proto, split, to_proto
from docfleet.documentai_format.anchoring import with_descendants
from docfleet.domain.document import Document
from docfleet.domain.entities import Entity
from docfleet.errors import PartsMismatch

CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "documentai"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora are not part of the project")

# settings of converters, an Azure form, and a Cloud Vision response
NOT_DOCUMENTS = ("converter-configs", "converters__", "-vision.json")
PACKABLE = (
    "form_with_tables",
    "0__toolbox_invoice_test-0",
    "document_ai_response",
    "large_document_test-0",
    "pretrained-form-parser",
    "hex_ids__patent",
    "math_output",
    "invoice_test-with-symbols",
    "large_document_test-1",
)

replace = msgspec.structs.replace


def paths() -> list[Path]:
    if not CORPUS.is_dir():
        return []
    return [p for p in sorted(CORPUS.glob("*.json")) if not any(mark in p.name for mark in NOT_DOCUMENTS)]


@cache
def raw(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_bytes())
    document: dict[str, Any] = data.get("document", data)
    return document


@cache
def message(path: Path) -> Any:
    return json_format.ParseDict(raw(path), documentai_v1.Document.pb()(), ignore_unknown_fields=True)


@cache
def document(path: Path) -> Document:
    return from_json(path.read_bytes(), lossless=False)


def varied() -> list[Path]:
    """Without the shards that look like the first."""
    return [path for path in paths() if not any(f"large_document_test-{n}" in path.name for n in range(1, 4))]


def named(part: str) -> Path:
    (found,) = (path for path in paths() if part in path.name)
    return found


def comparable(value: Any) -> Any:
    """Without what reading a protobuf drops."""
    for field, held in value.ListFields():
        empty = (field.json_name == "uri" and not held) or (field.json_name == "textAnchor" and not held.ByteSize())
        if empty or field.json_name in ("image", "revisions", "provenance"):
            value.ClearField(field.name)
        elif field.message_type is not None and field.message_type.full_name != "google.protobuf.Any":
            for one in held if field.is_repeated else [held]:
                comparable(one)
    return value


def test_there_are_as_many_as_there_were() -> None:
    assert len(paths()) == 27


@pytest.mark.parametrize("path", varied(), ids=lambda path: path.name[-50:])
def test_protobuf_reads_as_json_does(path: Path) -> None:
    found = from_proto(message(path))
    assert found == narrowed(document(path))
    assert pages_from_proto(message(path)) == list(split(found))


@pytest.mark.parametrize("path", varied(), ids=lambda path: path.name[-50:])
def test_written_as_it_was(path: Path) -> None:
    expected = type(message(path))()
    expected.CopyFrom(message(path))
    assert to_proto(from_proto(message(path))) == comparable(expected)


def without_source(one: Document) -> Document:
    pages = tuple(replace(page, number=number) for number, page in enumerate(one.pages, 1))
    return replace(one, uri="", mime_type="", shard_info=None, pages=pages)


def texts(one: Document) -> Iterator[tuple[str, str]]:
    """Every entity, property or not, by its type and the text it is anchored to."""
    for entity in with_descendants(one.entities):
        spans = entity.text_anchor.spans if entity.text_anchor is not None else ()
        yield entity.type, "".join(one.text[span.start : span.end] for span in spans)


def structure(entity: Entity) -> Entity:
    """Without ids, which may be numbered on."""
    return replace(entity, id="", properties=tuple(map(structure, entity.properties)))


@pytest.mark.filterwarnings("error")
def test_pack_and_unpack() -> None:
    sources = [without_source(narrowed(document(named(part)))) for part in PACKABLE]
    response = from_proto(to_proto(packed(sources)))
    found = cut(response, [len(one.pages) for one in sources])
    assert len(found) == len(sources)
    for one, source in zip(found, sources, strict=True):
        assert (one.text, one.pages, one.text_styles) == (source.text, source.pages, source.text_styles)
        assert list(texts(one)) == list(texts(source))
        assert [structure(entity) for entity in one.entities] == [structure(entity) for entity in source.entities]
    for place in (0, 1, 2, 3, 4, 5, 6, 7):  # numbered from 0, or by hand: the very same
        assert found[place] == sources[place]
    assert sum(len(list(texts(one))) for one in found) > 400


def test_every_page_alone() -> None:
    """A response of ten pages is ten of one page, each word where it was."""
    whole = document(named("large_document_test-0"))
    told: list[Any] = []
    pages = cut(whole, [1] * 10, told.append)
    assert {one.what.split()[0] for one in told} <= {"entity"}
    assert "".join(one.text for one in pages) == whole.text
    for one, page in zip(pages, whole.pages, strict=True):
        for name in ("tokens", "lines", "paragraphs", "blocks"):
            mine = [one.text_of(element.layout) for element in getattr(one.pages[0], name)]
            assert mine == [whole.text_of(element.layout) for element in getattr(page, name)]
    assert sorted({entity.mention_text for one in pages for entity in one.entities}) == sorted(
        {entity.mention_text for entity in whole.entities}
    )


def test_shards_of_a_book() -> None:
    shards = [document(path) for path in paths() if "unordered_shards" in path.name]
    merged = merge(shards)
    assert [page.number for page in merged.pages] == list(range(1, 51))
    assert merged.shard_info is None
    by_offset = sorted(shards, key=lambda one: one.shard_info.text_offset if one.shard_info else 0)
    assert merged.text == "".join(one.text for one in by_offset)
    for shard in by_offset:
        assert shard.shard_info is not None
        for page in shard.pages:
            assert page.layout is not None
            whole = merged.pages[page.number - 1].layout
            assert whole is not None
            assert merged.text_of(whole) == shard.text_of(page.layout)
            assert [span.start - shard.shard_info.text_offset for span in whole.spans] == [
                span.start for span in page.layout.spans
            ]


def test_a_shard_is_missing() -> None:
    with pytest.raises(PartsMismatch, match=r"\[0\]"):
        merge([document(path) for path in paths() if "missing_shard" in path.name])


def test_shards_with_entities() -> None:
    shards = [document(path) for path in paths() if "large_document_test-" in path.name]
    merged = merge(shards[::-1])
    assert len(merged.pages) == 48
    assert list(texts(merged)) == [one for shard in shards for one in texts(shard)]
    ids = [entity.id for entity in with_descendants(merged.entities)]
    assert len(set(ids)) == len(ids) == 740
    before = 0
    position = 0
    for shard in shards:
        for entity in shard.entities:
            moved = merged.entities[position]
            assert [ref.page - before for ref in moved.page_refs] == [ref.page for ref in entity.page_refs]
            position += 1
        before += len(shard.pages)
    again = cut(merged, [len(shard.pages) for shard in shards])
    for one, shard in zip(again, map(without_source, shards), strict=True):
        assert (one.text, one.pages) == (shard.text, shard.pages)
        assert [structure(entity) for entity in one.entities] == [structure(entity) for entity in shard.entities]
