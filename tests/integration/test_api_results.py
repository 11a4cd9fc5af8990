"""Results over a real socket: whole and in parts, with hostile names, and when the store fails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from serving import PDF, Served, serving, work_through

TEXT = "Grüße, 世界\n".encode() * 200_000
RESULTS = {
    "document.json": b'{"text": "hello"}',
    "document.txt": TEXT,
    "tables/table-1.csv": b"a,b\n",
    "tables/table-2.csv": b"c,d\n",
    "tables.zip": b"PK\x05\x06" + bytes(18),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("results")) as running:
        yield running


@pytest.fixture(scope="module")
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture(scope="module")
def url(served: Served, api: httpx.Client) -> str:
    shown = api.post("/v1/documents", content=PDF, params={"name": "größe.pdf"}).json()
    assert api.get(f"{shown['url']}/results").json()["code"] == "not_ready"
    assert api.get(f"{shown['url']}/results/json").status_code == 409
    work_through(served.parts, RESULTS)
    return str(shown["url"])


def test_whole(api: httpx.Client, url: str) -> None:
    answer = api.get(f"{url}/results/txt")
    assert answer.content == TEXT
    assert answer.headers["etag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(TEXT))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]


def test_listing_leads_to_each(api: httpx.Client, url: str) -> None:
    listed = api.get(f"{url}/results").json()["items"]
    assert {item["path"] for item in listed} == set(RESULTS)
    for item in listed:
        data = api.get(item["url"]).content
        assert data == RESULTS[item["path"]]
        assert hashlib.sha256(data).hexdigest() == item["sha256"]


def test_by_format(api: httpx.Client, url: str) -> None:
    assert api.get(f"{url}/results/csv").content == RESULTS["tables.zip"]
    assert api.get(f"{url}/results/md").json()["code"] == "format_not_made"
    for path in (
        "json/other.json",
        "json/../document.txt",
        "json/%2e%2e/source",
        "json//document.json",
        "txt/document.json",
    ):
        assert api.get(f"{url}/results/{path}").status_code == 404, path


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-99", 5, 99),
        ("bytes=1000000-", 1_000_000, len(TEXT) - 1),
        ("bytes=-7", len(TEXT) - 7, len(TEXT) - 1),
        (f"bytes={len(TEXT) - 1}-{len(TEXT) * 9}", len(TEXT) - 1, len(TEXT) - 1),
        (f"bytes=-{len(TEXT) * 2}", 0, len(TEXT) - 1),
    ],
)
def test_a_part(api: httpx.Client, url: str, asked: str, first: int, last: int) -> None:
    answer = api.get(f"{url}/results/txt", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == TEXT[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(TEXT)}"
    assert answer.headers["x-bytes-decrypted"] == str(last + 1)


@pytest.mark.parametrize("asked", ["bytes=5-4", "lines=1-2", "bytes=0-1,4-5", "bytes=-", "bytes=a-b", "bytes=0x1-2"])
def test_ranges_that_are_none_get_the_whole(api: httpx.Client, url: str, asked: str) -> None:
    answer = api.get(f"{url}/results/json", headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, RESULTS["document.json"])


@pytest.mark.parametrize("asked", ["bytes=17-", "bytes=-0", "bytes=999-1000"])
def test_parts_beyond_the_end(api: httpx.Client, url: str, asked: str) -> None:
    answer = api.get(f"{url}/results/json", headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */17"
    assert answer.headers["content-type"] == "application/problem+json"


def test_conditions(api: httpx.Client, url: str) -> None:
    tag = api.get(f"{url}/results/json").headers["etag"]
    for same in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = api.get(f"{url}/results/json", headers={"if-none-match": same})
        assert (answer.status_code, answer.content) == (304, b"")
    assert api.get(f"{url}/results/json", headers={"if-none-match": '"x"'}).status_code == 200
    part = {"range": "bytes=0-1"}
    assert api.get(f"{url}/results/json", headers={**part, "if-range": tag}).status_code == 206
    for other in ('"x"', f"W/{tag}", "Sat, 14 Mar 2026 09:26:53 GMT"):
        assert api.get(f"{url}/results/json", headers={**part, "if-range": other}).status_code == 200


def test_head_costs_nothing_and_says_the_same(api: httpx.Client, url: str) -> None:
    got, head = api.get(f"{url}/results/txt"), api.head(f"{url}/results/txt")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "content-disposition", "accept-ranges"):
        assert head.headers[name] == got.headers[name]
    assert api.head(url).headers["content-length"] == str(len(api.get(url).content))
    assert api.head(f"{url}/events").status_code == 200
    assert api.head("/v1/nothing").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        'a".pdf',
        "a\r\nSet-Cookie: x=y.pdf",
        "../../etc/passwd",
        "..",
        "/",
        "\u202egnp.exe.pdf",
        "a;b=c.pdf",
        "\ud7ff\U0001f600",
    ],
)
def test_hostile_names_never_reach_a_header_raw(served: Served, api: httpx.Client, name: str) -> None:
    shown = api.post("/v1/documents", content=PDF + name.encode(), params={"name": name}).json()
    assert shown["name"] == name
    work_through(served.parts, RESULTS)
    answer = api.get(f"{shown['url']}/results/json")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename")
    assert disposition.isascii()
    assert "/" not in disposition.partition("=")[2].replace("UTF-8''", "")


def test_altered_bytes_are_never_passed_off(served: Served, api: httpx.Client) -> None:
    shown = api.post("/v1/documents", content=PDF + b"altered").json()
    work_through(served.parts, {"document.json": b"x" * 5_000_000})
    store = served.parts.store
    view = served.parts.desk.document("acme", shown["id"])
    key = f"{view.result_key}/document.json"
    sealed = bytearray(store.get(key))
    sealed[-100] ^= 1
    store.put(key, bytes(sealed))
    with pytest.raises(httpx.RemoteProtocolError):
        api.get(f"{shown['url']}/results/json")
    store.put(key, bytes(len(sealed)))
    assert api.get(f"{shown['url']}/results/json").status_code == 503
    store.delete(key)
    assert api.get(f"{shown['url']}/results/json").status_code == 503
