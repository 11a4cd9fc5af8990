"""The description of the API: OpenAPI in JSON, and the same to read in a browser, without anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from docfleet import __version__
from docfleet.api.problems import title_of
from docfleet.api.resource import NEED
from docfleet.api.schemas import Problem
from docfleet.errors import DocfleetError, LedgerUnavailable, document_error_codes, request_error_codes

_TITLE = "docfleet"
_ABOUT = """Documents in, trusted results out.

Send your key with every request: `Authorization: Bearer df_…`. A key belongs to one tenant and sees nothing of
another: what is not yours is not found (404). What is refused is told as a problem (RFC 9457) with a stable `code`
and a `remedy`; on 429 and 503 wait as long as `Retry-After` says. Times are RFC 3339 in UTC, money US dollars."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=_TITLE, version=__version__, description=_ABOUT, routes=app.routes)
        _put_problems_right(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _put_problems_right(schema: dict[str, Any]) -> None:
    """FastAPI describes its own form of a validation error; here it is a problem with the status 400."""
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "df_…"}}
    schema["security"] = [{"key": []}]
    for _, _, operation in operations(schema):
        invalid = operation["responses"].get("422", {})
        if "HTTPValidationError" in json.dumps(invalid):
            del operation["responses"]["422"]


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of each."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}h3{font:600 1rem ui-monospace,monospace;margin:1.6rem 0 .2rem}
h3 b{display:inline-block;min-width:4.5rem;color:#0a5}table{border-collapse:collapse;width:100%}th{text-align:left}
td{vertical-align:top;padding:.15rem .6rem .15rem 0;border-top:1px solid #eee}code,pre{font-size:.9em}
pre{background:#f6f6f6;padding:.6rem;overflow:auto}summary{cursor:pointer;color:#555}.need{color:#777}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#242424}td{border-color:#333}}"""


def codes_page() -> str:
    """What the `type` of a problem leads to: each code of a refusal, what it means and what to do, as HTML."""
    known = {error.code: error for error in (DocfleetError, LedgerUnavailable)}
    known |= {**request_error_codes(), **document_error_codes()}
    rows = "".join(
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code><td>{error.status}<td>{escape(title_of(error))}.'
        f"<td>{_inline(error.remedy)}"
        for code, error in sorted(known.items())
    )
    head = "<tr><th>code<th>status<th>what happened<th>what to do"
    return f"{_head('codes')}<h1>Codes</h1><table>{head}{rows}</table></html>"


def _head(title: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_TITLE} {title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    )


def page(schema: dict[str, Any]) -> str:
    """The whole description as one page of HTML."""
    by_tag: dict[str, list[str]] = {}
    for path, method, operation in operations(schema):
        by_tag.setdefault(operation["tags"][0], []).append(_section(path, method, operation, schema))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(sections)}" for tag, sections in by_tag.items())
    about = "".join(f"<p>{_inline(part)}</p>" for part in schema["info"]["description"].split("\n\n"))
    return (
        f"{_head('API')}<h1>{_TITLE} API <small>{escape(schema['info']['version'])}</small></h1>{about}"
        f'<p><a href="openapi.json">openapi.json</a></p>{body}</html>'
    )


def _section(path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    text = _inline(operation.get("description", "")).replace("\n\n", "</p><p>")
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code><td>{escape(one['in'])}<td>{_inline(one.get('description', ''))}"
        for one in operation.get("parameters", [])
    )
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code><td>{escape(answer.get('description', ''))}"
        for status, answer in sorted(operation["responses"].items())
    )
    return (
        f'<h3 id="{escape(operation["operationId"])}"><b>{method.upper()}</b>{escape(path)}</h3>'
        f"<p><strong>{escape(operation['summary'])}.</strong> "
        f'<span class="need">{escape(operation.get(NEED, ""))}</span></p><p>{text}</p>'
        f"{f'<table>{rows}</table>' if rows else ''}{_examples(operation, schema)}"
        f"<details><summary>Answers</summary><table>{answers}</table></details>"
    )


def _examples(operation: dict[str, Any], schema: dict[str, Any]) -> str:
    shown = []
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if (found := _example(sent, schema)) is not None:
        shown.append(("Body", found))
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            answered = answer.get("content", {}).get("application/json", {}).get("schema")
            if (found := _example(answered, schema)) is not None:
                shown.append((f"Answer {status}", found))
    return "".join(
        f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>"
        for name, value in shown
        for text in [json.dumps(value, indent=2, ensure_ascii=False)]
    )


def _example(found: dict[str, Any] | None, schema: dict[str, Any]) -> Any:
    if not found:
        return None
    for option in [found, *found.get("anyOf", [])]:
        if "$ref" in option:
            option = cast(dict[str, Any], schema["components"]["schemas"].get(option["$ref"].rpartition("/")[2], {}))
        if option.get("examples"):
            return option["examples"][0]
    return None


def _inline(text: str) -> str:
    """Text with `code` in it, as HTML."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
