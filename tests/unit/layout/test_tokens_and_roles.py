"""Tokens, breaks, paragraphs, lists, headings, captions, directions."""

from __future__ import annotations

import pytest
from tests.unit.layout.setting import check_partitions, page_of, paragraph_texts, set_column, set_line

from docfleet.domain.document import Break, Orientation, Role
from docfleet.domain.geometry import Frame
from docfleet.domain.words import Word, WordPage
from docfleet.engines.local.layout import lay_out, merge
from docfleet.engines.local.layout.tokens import split_word


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("plain", ("plain",)),
        ("fee:", ("fee", ":")),
        ("(a)", ("(", "a", ")")),
        ("$1,200.50", ("$", "1,200.50")),
        ("01/01/1970", ("01/01/1970",)),
        ("user@example.com,", ("user@example.com", ",")),
        ("......", ("......",)),
        ("-5%", ("-5", "%")),
        ("don't", ("don't",)),
        ("exam-", ("exam-",)),
        ("\u00abfin\u00bb", ("\u00ab", "fin", "\u00bb")),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", ("\u0928\u092e\u0938\u094d\u0924\u0947",)),
    ],
)
def test_punctuation_at_the_edges_stands_alone(word: str, tokens: tuple[str, ...]) -> None:
    assert split_word(word) == tokens


def test_tokens_carry_breaks_and_share_out_the_word_box() -> None:
    words = [*set_line("Total: 12", 50, 100), Word("far", (300, 100, 315, 112), size=10.0)]
    text, page = lay_out(page_of(words), 1)
    check_partitions(text, page)
    assert [text[t.layout.spans[0].start : t.layout.spans[0].end] for t in page.tokens][:3] == ["Total", ": ", "12 "]
    assert [t.break_after for t in page.tokens][:2] == [Break.NONE, Break.SPACE]
    total, colon = (t.layout.box.rect for t in page.tokens[:2] if t.layout.box)
    assert total[2] == pytest.approx(colon[0])
    assert colon[2] * 595 == pytest.approx(80)


def test_a_hyphen_at_the_end_of_a_line_is_marked_only_where_the_word_goes_on() -> None:
    words = (
        set_line("this is an exam-", 50, 100) + set_line("ple of a well-", 50, 112.5) + set_line("Known thing", 50, 125)
    )
    text, page = lay_out(page_of(words), 1)
    hyphens = [
        text[t.layout.spans[0].start : t.layout.spans[0].end] for t in page.tokens if t.break_after is Break.HYPHEN
    ]
    assert hyphens == ["exam-\n"]


def test_paragraphs_part_at_indents_and_spacing() -> None:
    words = set_column("a", 50, 80, 300, 4)
    words += set_line("Indented begins a new paragraph here", 70, 130) + set_column("b", 50, 142.5, 300, 3)
    words += set_column("c", 50, 200, 300, 3)
    text, page = lay_out(page_of(words), 2)
    assert [t.split(" ")[0] for t in paragraph_texts(text, page)] == ["a0", "Indented", "c0"]


def test_lists_know_their_depth() -> None:
    words = set_line("\u2022 first thing", 60, 100) + set_line("\u2022 deeper thing", 80, 114)
    words += set_line("\u2022 second thing", 60, 128) + set_line("1. numbered thing", 60, 160)
    _, page = lay_out(page_of(words), 2)
    assert [(p.role, p.level) for p in page.paragraphs] == [
        (Role.LIST_ITEM, 0), (Role.LIST_ITEM, 1), (Role.LIST_ITEM, 0), (Role.LIST_ITEM, 0),
    ]  # fmt: skip


def test_headings_by_size_and_weight() -> None:
    words = set_line("A great title", 50, 40, 24) + set_column("a", 50, 100, 400, 6)
    words += set_line("A middling heading", 50, 200, 14) + set_column("b", 50, 230, 400, 6)
    words += set_line("A bold heading", 50, 330, 10, bold=True) + set_column("c", 50, 350, 400, 6)
    text, page = lay_out(page_of(words), 1)
    found = [(p.role, p.level) for p in page.paragraphs]
    assert found == [
        (Role.TITLE, 1),
        (Role.BODY, 0),
        (Role.HEADING, 2),
        (Role.BODY, 0),
        (Role.HEADING, 4),
        (Role.BODY, 0),
    ]
    assert text.startswith("A great title\n")


def test_a_caption_is_named() -> None:
    words = set_column("a", 50, 100, 400, 6) + set_line("Figure 3: The harvest of the year", 120, 400, 9)
    _, page = lay_out(page_of(words), 2)
    assert page.paragraphs[-1].role is Role.CAPTION


def test_turned_words_are_blocks_of_their_own_and_say_so() -> None:
    words = set_column("a", 50, 100, 400, 6)
    words += [
        Word("up", (20, 380, 32, 400), angle=270, size=10.0),
        Word("wards", (20, 350, 32, 375), angle=270, size=10.0),
    ]
    text, page = lay_out(page_of(words), 2)
    check_partitions(text, page)
    assert text.endswith("up wards\n")
    assert page.blocks[-1].layout.orientation is Orientation.LEFT
    corner = page.tokens[-2].layout.box.corners[0]  # type: ignore[union-attr]
    assert (corner[0] * 595, corner[1] * 842) == pytest.approx((20, 400))


def test_boxes_follow_the_frame_of_a_turned_page() -> None:
    frame = Frame.turned(842, 595, 90)
    page = WordPage(842, 595, frame, [Word("word", (50, 100, 70, 112), size=10.0)], orientation=90)
    _, laid = lay_out(page, 1)
    box = laid.tokens[0].layout.box
    assert box is not None
    x, y = frame.point(50, 100)
    assert box.corners[0] == pytest.approx((x / 842, y / 595))
    assert laid.tokens[0].layout.orientation is Orientation.RIGHT


def test_languages_of_the_page_and_its_paragraphs() -> None:
    english = "the parties agree that this agreement shall be governed by the laws of the state".split()
    german = "die Parteien vereinbaren dass dieser Vertrag nach dem Recht des Landes ausgelegt wird".split()
    words = set_line(" ".join(english), 50, 100) + set_line(" ".join(german), 50, 160)
    _, page = lay_out(page_of(words), 1)
    assert {lang.code for lang in page.languages} == {"en", "de"}
    assert [p.languages[0].code for p in page.paragraphs] == ["en", "de"]


def test_merge_adds_scanned_words_inside_regions_and_none_twice() -> None:
    digital = page_of(set_line("Digital text", 50, 100))
    scan = page_of(set_line("Digital text", 50.5, 100.3, ocr=True) + set_line("Stamped today", 300, 400, ocr=True)
                   + set_line("outside", 300, 700, ocr=True))  # fmt: skip
    merged = merge(digital, scan, [(0, 0, 595, 500)])
    assert [w.text for w in merged.words] == ["Digital", "text", "Stamped", "today"]
