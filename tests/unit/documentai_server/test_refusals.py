"""Refusals of Document AI's API are no codes of docfleet's own."""

from __future__ import annotations

from docfleet.documentai_server.refusals import FieldViolation, Refusal, invalid
from docfleet.errors import request_error_codes


def test_a_refusal_is_no_code_of_the_service() -> None:
    assert Refusal.code not in request_error_codes()
    assert request_error_codes()


def test_several_fields_are_told_in_one_detail() -> None:
    violation = FieldViolation("", "all of it", (("one", "is wrong"),))
    assert violation.to_json()["fieldViolations"] == [
        {"description": "all of it"},
        {"field": "one", "description": "is wrong"},
    ]
    assert invalid("one", "is wrong").to_status().details[0].type_url.endswith("google.rpc.BadRequest")
