"""The API against its own description: nothing sent to it brings an answer that the OpenAPI does not tell of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from docfleet.api.described import operations
from serving import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("conformance"), poll_seconds=0.01, max_file_bytes=1_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def key(served: Served) -> str:
    return served.key()


_LIMITS = settings(
    max_examples=8, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def _checks_of(path: str) -> list[Any]:
    # 503 while no dispatcher decides, as here
    return _CHECKS[1:] if path == "/v1/fleet/demand/{pool}" else _CHECKS


def test_answers_are_those_described(served: Served, key: str) -> None:
    """Every operation, with bodies and parameters that fit its description."""
    described = schemathesis.openapi.from_url(f"{served.url}/openapi.json").exclude(path_regex="/events$")
    walked = 0
    for found in described.get_all_operations():
        operation = found.ok()

        @_LIMITS
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            if case.query and "wait" in case.query:
                case.query["wait"] = 0
            response = case.call(headers={"Authorization": f"Bearer {key}"})
            case.validate_response(response, checks=_checks_of(case.path))

        check()
        walked += 1
    assert walked > 35


def test_every_operation_is_described(served: Served) -> None:
    described = httpx.get(f"{served.url}/openapi.json").json()
    assert described["openapi"].startswith("3.")
    for path, method, operation in operations(described):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert "422" not in operation["responses"] or "application/problem+json" in str(operation["responses"]["422"])
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{where} does not say what {parameter['name']} is"
        good = [status for status in operation["responses"] if status.startswith("2")]
        assert good, where
        for status in good:
            for kind, content in operation["responses"][status].get("content", {}).items():
                if kind == "application/json":
                    name = content["schema"]["$ref"].rpartition("/")[2]
                    model = described["components"]["schemas"][name]
                    assert model.get("examples"), f"{where} has no example"
        if path.startswith("/v1"):
            assert "401" in operation["responses"], where


def test_the_page_to_read_needs_nothing_from_elsewhere(served: Served) -> None:
    answer = httpx.get(f"{served.url}/docs")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("https://example.com", "").replace("http-equiv", "").split("<h2>")[0]
    described = httpx.get(f"{served.url}/openapi.json").json()
    for path, _, _ in operations(described):
        assert path in answer.text
