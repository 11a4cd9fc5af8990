"""What every documented refusal means, over gRPC, over REST and through the client library."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.rpc import error_details_pb2

from docfleet.engines.documentai.calls import Call, Failed, Postponed
from docfleet.engines.documentai.failures import FailureKind, failure_of_http
from docfleet.engines.documentai.raised import failure_of
from docfleet.errors import EngineBusy, EngineFailed, EngineRefused, EngineUnavailable
from documentai_double import Refusal, caller_for, options_for, pages_document, running

Kind = FailureKind
_PREFIX = "type.googleapis.com/google.rpc."


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": f"{_PREFIX}ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}


RETRY = {"@type": f"{_PREFIX}RetryInfo", "retryDelay": "3.500s"}
QUOTA = {"@type": f"{_PREFIX}QuotaFailure", "violations": [{"subject": "project:1", "description": "…"}]}
SIZE = {
    "@type": f"{_PREFIX}BadRequest",
    "fieldViolations": [
        {"field": "raw_document.content", "description": "Document size (50000000) exceeds the limit: 41943040."}
    ],
}
FIELD = {"@type": f"{_PREFIX}BadRequest", "fieldViolations": [{"field": "field_mask", "description": "…"}]}
EXCEEDED = "Quota exceeded for quota metric 'Number of online process document requests' and limit '… per minute'"

# (status, HTTP code, message, details) -> (kind, code)
TABLE: list[tuple[str, int, str, list[dict[str, Any]], Kind, str]] = [
    ("RESOURCE_EXHAUSTED", 429, EXCEEDED, [info("RATE_LIMIT_EXCEEDED", quota_limit="x")], Kind.THROTTLED, "throttled"),
    ("RESOURCE_EXHAUSTED", 429, EXCEEDED, [info("RATE_LIMIT_EXCEEDED"), RETRY], Kind.THROTTLED, "throttled"),
    ("RESOURCE_EXHAUSTED", 429, EXCEEDED, [QUOTA], Kind.THROTTLED, "throttled"),
    ("RESOURCE_EXHAUSTED", 429, EXCEEDED, [], Kind.THROTTLED, "throttled"),
    (
        "RESOURCE_EXHAUSTED",
        429,
        "Received message larger than max (5000014 vs. 4194304)",
        [],
        Kind.SETUP,
        "message_too_large",
    ),
    (
        "INVALID_ARGUMENT",
        400,
        "Document pages exceed the limit: 30 got 316",
        [info("PAGE_LIMIT_EXCEEDED", page_limit="30", pages="316")],
        Kind.REQUEST,
        "page_limit",
    ),
    (
        "INVALID_ARGUMENT",
        400,
        "Document pages in non-imageless mode exceed the limit: 15 got 30. Try using imageless mode…",
        [info("PAGE_LIMIT_EXCEEDED", page_limit="30", pages="30")],
        Kind.REQUEST,
        "page_limit",
    ),
    ("INVALID_ARGUMENT", 400, "At most 15 pages in one call please.", [], Kind.REQUEST, "page_limit"),
    ("INVALID_ARGUMENT", 400, "Request contains an invalid argument.", [SIZE], Kind.REQUEST, "too_large"),
    ("INVALID_ARGUMENT", 400, "Request contains an invalid argument.", [FIELD], Kind.REQUEST, "bad_field"),
    ("INVALID_ARGUMENT", 400, "Request contains an invalid argument.", [], Kind.DOCUMENT, "invalid_argument"),
    ("INVALID_ARGUMENT", 400, "Unsupported input file format.", [], Kind.DOCUMENT, "unsupported_format"),
    ("INVALID_ARGUMENT", 400, "A sentence nobody knows.", [], Kind.DOCUMENT, "invalid_argument"),
    ("INVALID_ARGUMENT", 400, "API key not valid.", [info("API_KEY_INVALID")], Kind.SETUP, "unauthenticated"),
    ("UNAUTHENTICATED", 401, "…", [info("ACCESS_TOKEN_EXPIRED")], Kind.SETUP, "unauthenticated"),
    ("PERMISSION_DENIED", 403, "…", [info("IAM_PERMISSION_DENIED")], Kind.SETUP, "permission_denied"),
    (
        "PERMISSION_DENIED",
        403,
        "Permission 'documentai.processors.processOnline' denied on resource '…' (or it may not exist).",
        [],
        Kind.SETUP,
        "permission_denied",
    ),
    ("PERMISSION_DENIED", 403, "…", [info("SERVICE_DISABLED")], Kind.SETUP, "service_disabled"),
    ("NOT_FOUND", 404, "…", [], Kind.SETUP, "not_found"),
    ("FAILED_PRECONDITION", 400, "The processor is disabled.", [], Kind.SETUP, "processor_disabled"),
    ("UNIMPLEMENTED", 501, "", [], Kind.SETUP, "unimplemented"),
    ("UNAVAILABLE", 503, "The service is currently unavailable.", [], Kind.AWAY, "unavailable"),
    ("UNAVAILABLE", 503, "…", [RETRY], Kind.AWAY, "unavailable"),
    ("DEADLINE_EXCEEDED", 504, "", [], Kind.AWAY, "timed_out"),
    ("ABORTED", 409, "", [], Kind.AWAY, "aborted"),
    ("INTERNAL", 500, "Internal error encountered.", [], Kind.BROKEN, "internal"),
    ("UNKNOWN", 500, "", [], Kind.BROKEN, "unknown"),
    ("DATA_LOSS", 500, "", [], Kind.BROKEN, "data_loss"),
    ("OUT_OF_RANGE", 400, "", [], Kind.REQUEST, "out_of_range"),
]
IDS = [f"{row[0]}-{row[5]}-{n}" for n, row in enumerate(TABLE)]


def proto(detail: dict[str, Any]) -> Any:
    kind = detail["@type"].rpartition(".")[2]
    if kind == "ErrorInfo":
        return error_details_pb2.ErrorInfo(
            reason=detail["reason"], domain=detail["domain"], metadata=detail["metadata"]
        )
    if kind == "RetryInfo":
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromJsonString(detail["retryDelay"])
        return retry
    if kind == "BadRequest":
        request = error_details_pb2.BadRequest()
        for one in detail["fieldViolations"]:
            request.field_violations.add(field=one["field"], description=one["description"])
        return request
    return error_details_pb2.QuotaFailure()


def response(code: int, status: str, message: str, details: list[dict[str, Any]]) -> requests.Response:
    answer = requests.Response()
    answer.status_code = code
    body = {"error": {"code": code, "status": status, "message": message, "details": details}}
    answer._content = json.dumps(body).encode()
    answer.headers["Content-Type"] = "application/json"
    answer.request = requests.Request("POST", "https://eu-documentai.googleapis.com/v1/x").prepare()
    return answer


@pytest.mark.parametrize(("status", "code", "message", "details", "kind", "ours"), TABLE, ids=IDS)
def test_what_each_refusal_means_over_rest(
    status: str, code: int, message: str, details: list[dict[str, Any]], kind: Kind, ours: str
) -> None:
    # what the library raises over REST: for 400, 429 and 504 the parent classes, which have no gRPC status
    failure = failure_of(api.from_http_response(response(code, status, message, details)))
    assert failure is not None
    assert (failure.kind, failure.code, failure.status) == (kind, ours, status)
    assert failure.may_be_billed is False
    assert failure.retry_after == (3.5 if RETRY in details else None)
    bare = failure_of_http(code, {"error": {"status": status, "message": message, "details": details}})
    assert (bare.kind, bare.code) == (kind, ours)


def test_the_whole_table_over_grpc() -> None:
    current: list[Any] = []

    def answer(_request: Any, _metadata: dict[str, str]) -> Any:
        status, _code, message, details, _kind, _ours = current[0]
        raise Refusal(grpc.StatusCode[status], message, *[proto(one) for one in details])

    with running(answer) as double:
        for row in TABLE:
            current[:] = [row]
            caller = caller_for(options_for(double.address))
            outcome = caller.call(Call(b"%PDF", "application/pdf", 1))
            caller.close()
            failure = outcome.attempts[0].failure
            assert failure is not None
            assert (failure.kind, failure.code, failure.status) == (row[4], row[5], row[0]), row
            assert failure.retry_after == (3.5 if RETRY in row[3] else None)
            assert isinstance(outcome, Postponed if row[4] is Kind.THROTTLED else Failed)
            # it came with a status of its own: the service has refused, and refusals cost nothing
            assert failure.may_be_billed is False, row


def test_metadata_and_violations_are_kept() -> None:
    failure = failure_of_http(400, {"error": {"status": "INVALID_ARGUMENT", "details": TABLE[5][3]}})
    assert failure.metadata == {"page_limit": "30", "pages": "316"}
    assert failure_of_http(400, {"error": {"details": [SIZE]}}).violations[0][0] == "raw_document.content"


@pytest.mark.parametrize("body", [None, [], "no", {"error": "x"}, {"error": {"details": "x", "status": 7}}, {"a": 1}])
@pytest.mark.parametrize(("code", "kind"), [(429, Kind.THROTTLED), (502, Kind.AWAY), (599, Kind.BROKEN)])
def test_a_body_that_is_no_envelope(body: object, code: int, kind: Kind) -> None:
    failure = failure_of_http(code, body, {"retry-after": "7"})
    assert (failure.kind, failure.retry_after) == (kind, 7.0)
    assert failure_of_http(code, body, {"retry-after": "Wed, 21 Oct"}).retry_after is None


def test_details_nobody_knows_are_passed_over() -> None:
    odd = [{"@type": "type.googleapis.com/google.rpc.Help"}, 7, {"@type": 3}, {"@type": f"{_PREFIX}BadRequest"}]
    assert failure_of_http(503, {"error": {"status": "UNAVAILABLE", "details": odd}}).kind is Kind.AWAY


def test_what_the_libraries_raise_besides() -> None:
    cases: list[tuple[BaseException, Kind, bool]] = [
        (api.RetryError("…", cause=api.ServiceUnavailable("…")), Kind.AWAY, False),
        (api.RetryError("…", cause=None), Kind.AWAY, True),
        (api.ResourceExhausted("…"), Kind.THROTTLED, False),
        (auth.DefaultCredentialsError("none"), Kind.SETUP, False),
        (auth.RefreshError("revoked"), Kind.SETUP, False),
        (auth.TransportError("no metadata server"), Kind.AWAY, False),
        (requests.exceptions.ConnectTimeout("…"), Kind.AWAY, False),
        (requests.exceptions.ReadTimeout("…"), Kind.AWAY, True),
        (requests.exceptions.ConnectionError("…"), Kind.AWAY, True),
    ]
    for error, kind, billed in cases:
        failure = failure_of(error)
        assert failure is not None, error
        if not isinstance(error, api.RetryError):
            assert failure.may_be_billed is billed, error
        assert failure.kind is kind, error
    assert failure_of(ValueError("a defect")) is None


def test_failures_as_errors_of_our_own() -> None:
    expected = {
        Kind.THROTTLED: EngineBusy,
        Kind.AWAY: EngineBusy,
        Kind.BROKEN: EngineFailed,
        Kind.REQUEST: EngineRefused,
        Kind.DOCUMENT: EngineRefused,
        Kind.SETUP: EngineUnavailable,
    }
    for status, code, message, details, kind, _ in TABLE:
        failure = failure_of_http(code, {"error": {"status": status, "message": message, "details": details}})
        error = failure.error()
        assert type(error) is expected[kind]
        assert failure.endpoint_is_well == (kind not in (Kind.AWAY, Kind.BROKEN))


def test_every_message_size_is_taken() -> None:
    text = "word " * 400_000
    with running(lambda _request, _metadata: pages_document([text])) as double:
        caller = caller_for(options_for(double.address))
        outcome = caller.call(Call(b"x" * 9_000_000, "application/pdf", 1))
        caller.close()
    assert not isinstance(outcome, Failed | Postponed)
    assert len(outcome.document.text) >= len(text)
