"""Real Document AI responses: JSON in equals JSON out, and our model really holds what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docfleet.documentai_format import DROPPED, from_json, join, split, to_json
from docfleet.domain.anchors import Unread
from docfleet.errors import FormatError

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "documentai"

NO_DOCUMENTS = ("converter-configs", "converters__", "-vision")
"""Settings and other services' answers that lie among the responses."""

responses = sorted(p for p in CORPUS.glob("*.json") if not any(part in p.name for part in NO_DOCUMENTS))
others = sorted(p for p in CORPUS.glob("*.json") if p not in responses)

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the shared corpora are not on this machine")


def document_in(path: Path) -> dict[str, Any]:
    raw = json.loads(path.read_bytes())
    return without_dropped(raw.get("document", raw))


def without_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_dropped(item) for key, item in value.items() if key not in DROPPED}
    return [without_dropped(item) for item in value] if isinstance(value, list) else value


def test_there_are_responses() -> None:
    assert len(responses) >= 20


@pytest.mark.parametrize("path", responses, ids=lambda path: path.stem)
def test_json_in_equals_json_out(path: Path) -> None:
    assert json.loads(to_json(from_json(path.read_bytes()))) == document_in(path)


@pytest.mark.parametrize("path", responses, ids=lambda path: path.stem)
def test_the_model_holds_everything_but_spelling(path: Path) -> None:
    """What is kept beside the model must be defaults written out and enums as numbers, nothing that says something."""
    document = from_json(path.read_bytes())
    for note in document.unread:
        assert spells_the_same(note), note
    # a default in Google's own spelling is a rare thing; only the Python client's way of writing has many
    assert len(document.unread) < 70 or any(isinstance(note.value, int) for note in document.unread)


def spells_the_same(note: Unread) -> bool:
    if not note.present:
        return False
    number = note.value if isinstance(note.value, int) else None
    enum = note.path[-1] in ("orientation", "layoutType", "type") and number is not None and number > 0
    return enum or note.value in ("", "0", 0, False, [], {})


@pytest.mark.parametrize("path", responses, ids=lambda path: path.stem)
def test_an_enum_kept_as_number_was_read_as_its_name(path: Path) -> None:
    document = from_json(path.read_bytes())
    numbers = [n for n in document.unread if n.path[-1] == "orientation" and isinstance(n.value, int) and n.value > 0]
    assert all(note.instead == f"PAGE_{['', 'UP', 'RIGHT', 'DOWN', 'LEFT'][int(str(note.value))]}" for note in numbers)


@pytest.mark.parametrize("path", responses, ids=lambda path: path.stem)
def test_pages_can_be_taken_apart_and_joined(path: Path) -> None:
    document = from_json(path.read_bytes())
    if not document.text or not any(page.tokens for page in document.pages):
        return  # classifiers, splitters and layout parsers answer without text
    joined = join(split(document))
    for before, after in zip(document.pages, joined.pages, strict=True):
        words = [document.text_of(token.layout) for token in before.tokens]
        assert words == [joined.text_of(token.layout) for token in after.tokens]


@pytest.mark.parametrize("path", others, ids=lambda path: path.stem)
def test_what_is_no_document_is_refused_or_kept_whole(path: Path) -> None:
    try:
        document = from_json(path.read_bytes())
    except FormatError:
        return
    assert json.loads(to_json(document)) == document_in(path)
