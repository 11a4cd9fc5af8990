"""The pure parts of the API: ranges, limits, admission, forms, sources, fields, frames."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.api.admission import Admission, Breaker, Load, admit
from docfleet.api.documents import labels_of
from docfleet.api.events import frame, prefers_json
from docfleet.api.fields import digest_of, fields_of_pairs, reading_options
from docfleet.api.limits import UNTOLD_SECONDS, Bucket, LocalLimits, Share, take_token
from docfleet.api.multipart import Form
from docfleet.api.parts import ApiOptions
from docfleet.api.problems import Refusal, presentable, problem_of
from docfleet.api.ranges import Part, choose_part, content_disposition, names_tag
from docfleet.api.sources import Place, find_place
from docfleet.errors import (
    BadRequest,
    DocfleetError,
    LedgerUnavailable,
    SourceNotAllowed,
    StoreError,
    document_error_codes,
    request_error_codes,
)


@given(st.integers(0, 1000), st.integers(0, 1200), st.integers(0, 1200))
def test_a_range_is_a_part_of_the_whole(size: int, first: int, last: int) -> None:
    data = bytes(index % 251 for index in range(size))
    part = choose_part(f"bytes={first}-{last}", size)
    if last < first:
        assert part == Part(0, size, True)
    elif first >= size:
        assert part is None
    else:
        assert part is not None
        assert data[part.start : part.end] == data[first : last + 1]


@given(st.text())
def test_any_range_header_is_taken(header: str) -> None:
    part = choose_part(header, 100)
    assert part is None or 0 <= part.start <= part.end <= 100


@given(st.text())
def test_any_file_name_is_harmless_in_a_header(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') in (0, 2)


def test_entity_tags() -> None:
    assert names_tag('"a", "b"', "b", weakly=False)
    assert names_tag('W/"a"', "a", weakly=True)
    assert not names_tag('W/"a"', "a", weakly=False)
    assert not names_tag("a", "a", weakly=True)
    assert names_tag("*", "a", weakly=False)


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 600))
def test_never_more_requests_than_a_bucket_and_what_grew_back(gaps: list[float], per_minute: int) -> None:
    bucket: Bucket | None = None
    now, allowed = 100.0, 0
    for gap in gaps:
        now += gap
        taken = take_token(bucket, now, per_minute)
        bucket = taken.bucket
        allowed += taken.wait_seconds == 0
        if taken.wait_seconds:
            assert take_token(bucket, now + taken.wait_seconds + 1e-6, per_minute).wait_seconds == 0
    assert allowed <= per_minute + (now - 100.0) * per_minute / 60 + 1


async def _take(limits: LocalLimits, key: str, times: int) -> list[float]:
    return [await limits.take(key) for _ in range(times)]


def test_each_key_has_its_own_limit() -> None:
    import asyncio

    limits = LocalLimits(3, clock=lambda: 5.0)
    assert [wait > 0 for wait in asyncio.run(_take(limits, "a", 4))] == [False, False, False, True]
    assert asyncio.run(_take(limits, "b", 1)) == [0.0]


def test_a_share_ends_by_number_and_by_time() -> None:
    share = Share()
    assert not share.let_through(10.0)
    share.free, share.asked_at = 2, 10.0
    assert [share.let_through(10.0) for _ in range(3)] == [True, True, False]
    assert share.take_untold(10.1) == 2
    assert not share.let_through(10.1)
    share.free, share.asked_at = 2, 20.0
    assert share.let_through(20.0)
    assert not share.let_through(20.0 + 2 * UNTOLD_SECONDS)
    # of a minute that is over nothing is to be told
    assert share.take_untold(90.0) == 0


def test_what_is_known_decides_without_asking() -> None:
    counts: dict[str | None, int | None] = {None: 5, "a": None}
    now, asked = [0.0], []
    options = ApiOptions(max_waiting_documents=10, max_tenant_waiting_documents=5, min_free_bytes=100)

    def count(tenant: str | None) -> int:
        asked.append(tenant)
        return counts[tenant] or 0

    admission = Admission(options, count, lambda: 100, lambda: now[0], counts.get)
    assert not admission.check_known("a")
    admission.check("a")
    assert asked == [None, "a"]
    assert not admission.check_known("a")
    counts["a"] = 4
    assert admission.check_known("a")
    counts["a"] = 5
    with pytest.raises(Refusal):
        admission.check_known("a")
    counts["a"] = 4
    now[0] = 2.0
    assert not admission.check_known("a"), "the disk has to be looked at again"
    assert asked == [None, "a"]


def test_what_cannot_be_kept_is_not_admitted() -> None:
    options = ApiOptions(max_waiting_documents=10, max_tenant_waiting_documents=5, min_free_bytes=100)
    assert admit(Load(9, 4, 100), options).admitted
    assert admit(Load(9, 4, None), options).admitted
    for load in (Load(10, 4, 100), Load(9, 5, 100), Load(9, 4, 99)):
        verdict = admit(load, options)
        assert not verdict.admitted
        assert verdict.reason
        assert verdict.retry_seconds >= 1


def test_one_tenant_does_not_hold_all_places() -> None:
    admission = Admission(ApiOptions(max_concurrent_uploads=4), lambda tenant: 0, lambda: None)
    with admission.uploading("a"), admission.uploading("a"), admission.uploading("a"):
        with pytest.raises(Refusal), admission.uploading("a"):
            pass
        with admission.uploading("b"), pytest.raises(Refusal), admission.uploading("c"):
            pass
        with admission.uploading("b"):
            pass
    with admission.uploading("a"):
        pass


def test_a_dead_store_is_not_asked_again_and_again() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(3):
        breaker.check()
        breaker.failed(StoreError())
    with pytest.raises(Refusal):
        breaker.check()
    now[0] = 6.0
    breaker.check()
    breaker.worked()
    breaker.failed(StoreError())
    breaker.check()


def _form(parts: list[tuple[str, str, bytes]]) -> bytes:
    body = b""
    for name, extra, data in parts:
        body += f'--XX\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + data + b"\r\n"
    return body + b"--XX--\r\n"


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_a_form_is_the_same_however_it_arrives(data: bytes, sizes: list[int]) -> None:
    if b"\r\n--XX" in data:
        return
    body = _form([("priority", "", b"high"), ("file", '; filename="a.pdf"', data), ("labels", "", b"k=v")])
    form = Form("multipart/form-data; boundary=XX")
    found, at = b"", 0
    while at < len(body):
        size = sizes[at % len(sizes)]
        found += form.feed(body[at : at + size])
        at += size
    form.finish()
    assert found == data
    assert form.fields == [("priority", "high"), ("labels", "k=v")]
    assert form.file_name == "a.pdf"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"rubbish", _form([]), _form([("priority", "", b"high")]), _form([("file", "", b"x")])[:-8],
        _form([("file", '; filename="a"', b"x"), ("more", '; filename="b"', b"y")]),
        _form([("big", "", bytes(70_000)), ("file", "", b"x")]), _form([("f", "", b"\xff"), ("file", "", b"x")]),
        _form([(f"f{n}", "", b"") for n in range(70)]), b"--XX\r\nX: y\r\n\r\n\r\n--XX--\r\n",
        b"--XX\r\n" + b"A: " + bytes(100_000),
    ],
)  # fmt: skip
def test_forms_that_are_none(body: bytes) -> None:
    form = Form("multipart/form-data; boundary=XX")

    def take() -> None:
        form.feed(body)
        form.finish()

    with pytest.raises(BadRequest):
        take()


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize("preamble", [b"", b"\r\n", b"This is MIME.\r\n", b"not --XX\r\n--X\r\n"])
def test_what_stands_around_a_form_is_passed_over(preamble: bytes, size: int) -> None:
    body = preamble + _form([("file", '; filename="a.pdf"', b"%PDF-")]) + b"An epilogue\r\n--XX"
    form = Form("multipart/form-data; boundary=XX")
    assert b"".join(form.feed(body[at : at + size]) for at in range(0, len(body), size)) == b"%PDF-"
    form.finish()


def test_a_preamble_has_an_end() -> None:
    form = Form("multipart/form-data; boundary=XX")
    with pytest.raises(BadRequest, match="does not begin with its boundary"):
        form.feed(b"x" * 70_000)


@pytest.mark.parametrize(
    "header", ["multipart/form-data", "multipart/form-data; boundary=", "x; boundary=" + "a" * 999]
)
def test_boundaries_that_are_none(header: str) -> None:
    with pytest.raises(BadRequest):
        Form(header)


def test_sources_are_only_those_allowed() -> None:
    allowed = ("s3://in/scans", "gs://other/", "file:///srv/in")
    assert find_place("s3://in/scans/a/b.pdf", allowed) == Place("s3://in/scans", "a/b.pdf")
    assert find_place("gs://other/x.pdf", allowed) == Place("gs://other", "x.pdf")
    for url in (
        "s3://in/scans", "s3://in/scansion/a.pdf", "s3://in/a.pdf", "s3://IN/scans/a.pdf", "http://169.254.169.254/x",
        "file:///etc/passwd", "s3://in@evil/scans/a.pdf", "s3://in/scans/a.pdf?x=1", "/srv/in/a", "", "s3://",
        "memory://a", "gs://otherwise/x.pdf",
    ):  # fmt: skip
        with pytest.raises(SourceNotAllowed):
            find_place(url, allowed)
    for url in (
        "s3://in/scans/../secret",
        "s3://in/scans/%2e%2e/secret",
        "file:///srv/in/../../etc/passwd",
        "gs://other//",
    ):
        with pytest.raises(BadRequest):
            find_place(url, allowed)
    with pytest.raises(SourceNotAllowed):
        find_place("s3://in/scans/a.pdf", ())


def test_options_have_one_spelling() -> None:
    options = ApiOptions()
    one = reading_options(fields_of_pairs([("formats", "md,json"), ("languages", "de, en")]), options)
    two = reading_options(fields_of_pairs([("formats", "JSON"), ("formats", "md"), ("languages", "en,de")]), options)
    assert one == two
    assert reading_options(fields_of_pairs([]), options) == options.defaults


@pytest.mark.parametrize(
    "change",
    [("name", "b"), ("priority", "bulk"), ("labels", "k=w"), ("deadline", "2026-03-14T09:26:53Z"), ("reuse", "false"),
     ("batch", "b1"), ("mode", "ocr")],
)  # fmt: skip
def test_another_request_has_another_digest(change: tuple[str, str]) -> None:
    def digest(pairs: list[tuple[str, str]]) -> str:
        fields = fields_of_pairs(pairs)
        return digest_of(fields, reading_options(fields, ApiOptions()), "00", fields.name)

    assert digest([]) == digest([])
    assert digest([change]) != digest([])


@given(st.lists(st.tuples(st.sampled_from(["name", "labels", "formats", "deadline", "reuse", "x"]), st.text())))
def test_any_fields_are_taken_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        reading_options(fields_of_pairs(pairs), ApiOptions())
    except (Refusal, BadRequest):
        return


def test_labels_to_filter_by() -> None:
    assert labels_of(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    with pytest.raises(BadRequest):
        labels_of(["=b"])


@given(st.dictionaries(st.text(max_size=5), st.text()))
def test_nothing_in_an_event_begins_another_line(data: dict[str, Any]) -> None:
    sent = frame("document.succeeded", data, "1-2").decode()
    assert sent.startswith("id: 1-2\nevent: document.succeeded\ndata: {")
    assert sent.removesuffix("\n\n").count("\n") == 2


def test_who_gets_json() -> None:
    assert prefers_json("application/json")
    assert not prefers_json("text/event-stream")
    assert not prefers_json("text/event-stream, application/json;q=0.5")
    assert not prefers_json("*/*")


def test_every_error_is_a_problem() -> None:
    for code, error in {**request_error_codes(), **document_error_codes()}.items():
        problem = problem_of(error())
        assert problem["code"] == code
        assert problem["type"] == f"/docs/reference/outcome-codes#{code}"
        assert 400 <= problem["status"] < 600
        assert problem["title"]


def test_addresses_of_the_parts_are_not_told() -> None:
    for error in (LedgerUnavailable("host=10.0.0.1 password=x"), StoreError("/srv/secret cannot be written")):
        shown: DocfleetError = presentable(error)
        assert "10.0" not in shown.message
        assert "secret" not in shown.message
        assert shown.status == 503


def test_the_api_carries_no_engine() -> None:
    """Checked in a process of its own: what the API imports, and nothing else, is loaded there."""
    forbidden = "pypdfium2 cv2 openvino onnxruntime rapidocr pikepdf magika numpy PIL celery".split()
    code = f"import sys, docfleet.api.app; print([m for m in {forbidden} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
