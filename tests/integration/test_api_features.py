"""What is asked for in a submission beside formats, what is asked wrongly, and what must not act on everything."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from serving import PDF, Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api"), max_file_bytes=4_000_000) as running:
        yield running


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def submit(api: httpx.Client, text: str, **query: str) -> httpx.Response:
    return api.post("/v1/documents", content=PDF + text.encode(), params=query)


def test_features_are_told_back_and_count_for_what_is_the_same(api: httpx.Client) -> None:
    every = submit(api, "features").json()
    assert every["options"]["features"] == ["image_quality", "language_detection", "tables"]
    form = api.post("/v1/documents", files={"file": ("a.pdf", PDF + b"features")}, data={"features": "Tables"}).json()
    assert form["options"]["features"] == ["tables"]
    assert form["duplicate_of"] is None
    again = submit(api, "features", features="tables").json()
    assert again["duplicate_of"] == form["id"]
    assert submit(api, "features", features="none").json()["options"]["features"] == []


def test_features_there_are_not(api: httpx.Client) -> None:
    refused = submit(api, "features", features="tables,cells")
    assert refused.status_code == 400
    assert "cells; choose from image_quality, language_detection, tables, or none alone" in refused.json()["detail"]
    assert submit(api, "features", features="none,tables").status_code == 400


def test_a_format_of_tables_needs_them(api: httpx.Client) -> None:
    refused = submit(api, "features", features="image_quality", formats="csv")
    assert refused.status_code == 400
    assert "needs the feature tables" in refused.json()["detail"]
    assert submit(api, "features", features="tables", formats="csv").status_code == 202


@pytest.mark.parametrize("action", ["retry", "discard"])
@pytest.mark.parametrize("body", [{}, {"all": False}, {"all": True, "code": "worker_died"}])
def test_no_filter_is_not_every_dead_letter(api: httpx.Client, action: str, body: dict[str, object]) -> None:
    refused = api.post(f"/v1/dead-letters/{action}", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
    assert api.post(f"/v1/dead-letters/{action}", json={"all": True}).json() == {"count": 0}


def test_query_parameters_there_are_not(api: httpx.Client) -> None:
    refused = api.get("/v1/documents", params={"stat": "failed"})
    assert refused.status_code == 400
    assert "stat; there are batch, code, " in refused.json()["detail"]
    assert "takes none" in api.get("/v1/me", params={"x": "1"}).json()["detail"]
    assert api.get("/v1/documents", params={"state": "failed", "limit": "3"}).status_code == 200
    assert api.get("/healthz", params={"probe": "1"}).status_code == 200
    both = api.post("/v1/documents?priority=high", json={"source_url": "s3://inbox/a.pdf"})
    assert (both.status_code, both.json()["code"]) == (400, "bad_request")
