"""What a submitter says about a document, from whichever place it was said: query, form or JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from docfleet.api.inputs import Labels, Moment, Passwords, Text, optional_seconds
from docfleet.api.parts import ApiOptions
from docfleet.api.problems import Refusal, said_of
from docfleet.api.storing import StoredSource
from docfleet.domain.access import Caller
from docfleet.domain.features import ALL_FEATURES, NO_FEATURE, Feature
from docfleet.domain.urgency import DEFAULT_URGENCY, POOL_OF_KIND, Urgency
from docfleet.errors import BadRequest
from docfleet.ledger.checks import MAX_NAME
from docfleet.ledger.service_values import ReadingOptions, Submission

Name = Annotated[Text, Field(max_length=MAX_NAME)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")]


class SubmissionFields(BaseModel):
    """Everything but the bytes; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field("", description="File name, for people. Default: that of the upload.")
    priority: Urgency | None = Field(None, description="Default: `normal`.")
    labels: Labels = Field({}, description="For filters. In a query or form `labels=k=v`, repeated, or a JSON object.")
    deadline: Moment | None = Field(None, description="RFC 3339. Comes first among documents of the same priority.")
    formats: tuple[Text, ...] = Field((), description="Result formats. Default: the service's.")
    languages: tuple[Language, ...] = Field((), description="BCP 47, where you know them.")
    mode: Literal["auto", "ocr", "text"] | None = Field(
        None, description="`auto` decides page by page; `ocr` reads all pixels; `text` takes text layers only."
    )
    engine: Annotated[Text, Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")] = Field(
        "", description="Engine that reads pixels. Default: the service's."
    )
    features: tuple[Text, ...] = Field(
        (),
        description=f"What to look for beside the text: {', '.join(ALL_FEATURES)}; `{NO_FEATURE}` for the text alone. "
        "What is not asked for is not in the results. Default: all.",
        examples=[["tables"]],
    )
    batch: Annotated[Text, Field(max_length=64)] = Field("", description="Id of an open batch it joins.")
    reuse: bool = Field(True, description="Take earlier results of the same bytes and options, where there are any.")
    password: Passwords = ()


class SourceFields(SubmissionFields):
    """A document that lies in an object store the service may read."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"source_url": "s3://inbox/2026/invoice-01.pdf", "priority": "high"}]},
    )

    source_url: Annotated[Text, Field(max_length=2000)]


_LISTS = {"formats", "languages", "features"}
_OF_TABLES = {"csv"}
"""Formats that hold nothing but tables."""
_SINGLE = set(SubmissionFields.model_fields) - _LISTS - {"labels", "password"}


def fields_of_pairs(pairs: Iterable[tuple[str, str]]) -> SubmissionFields:
    """From the pairs of a query or a form; lists may be repeated or divided by commas. Raises a BadRequest."""
    said: dict[str, Any] = {}
    for name, value in pairs:
        if name in ("labels", "label"):
            said.setdefault("labels", {}).update(_labels_of(value))
        elif name in _LISTS:
            said.setdefault(name, []).extend(part.strip() for part in value.split(",") if part.strip())
        elif name == "password":
            said.setdefault(name, []).append(value)
        elif name in said:
            raise BadRequest(f"The field {name} was given twice.")
        elif value or name not in _SINGLE:
            said[name] = value
    return checked(SubmissionFields, said)


def _labels_of(value: str) -> dict[str, str]:
    if value.lstrip().startswith("{"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRequest("The labels are no JSON object.") from error
        if not all(isinstance(text, str) for text in found.values()):
            raise BadRequest("The values of labels are strings.")
        return dict(found)
    name, divider, text = value.partition("=")
    if not divider:
        raise BadRequest("A label is written k=v.")
    return {name.strip(): text.strip()}


Fields = TypeVar("Fields", bound=SubmissionFields)


def checked(model: type[Fields], said: Any) -> Fields:
    """The fields, or a Refusal that lists what is wrong with them."""
    try:
        return model.model_validate(said)
    except ValidationError as error:
        wrong = [
            {"where": ".".join(str(part) for part in item["loc"])[:200] or "body", "message": said_of(item)}
            for item in error.errors(include_url=False, include_input=False)[:20]
        ]
        first = wrong[0]
        raise Refusal(BadRequest(f"{first['where']}: {first['message']}."), errors=wrong) from error


def reading_options(fields: SubmissionFields, options: ApiOptions) -> ReadingOptions:
    """What was said, completed from the service's defaults, in one spelling. Raises `BadRequest`."""
    wanted = {name.lower() for name in fields.formats}
    if unknown := sorted(wanted - set(options.formats)):
        raise BadRequest(f"There is no format {', '.join(unknown)[:100]}; choose from {', '.join(options.formats)}.")
    if fields.engine and options.engines and fields.engine not in options.engines:
        raise BadRequest(f"There is no engine {fields.engine}; choose from {', '.join(options.engines)}.")
    defaults = options.defaults
    features = _features(fields.features)
    if Feature.TABLES not in features:
        if _OF_TABLES & wanted:
            raise BadRequest(f"The format {', '.join(_OF_TABLES & wanted)} needs the feature {Feature.TABLES}.")
        defaults = replace(defaults, formats=tuple(name for name in defaults.formats if name not in _OF_TABLES))
    return ReadingOptions(
        formats=tuple(name for name in options.formats if name in wanted) if wanted else defaults.formats,
        languages=tuple(sorted({name.replace("_", "-") for name in fields.languages})) or defaults.languages,
        mode=fields.mode or defaults.mode,
        engine=fields.engine or defaults.engine,
        features=features,
    )


def _features(said: Iterable[str]) -> tuple[str, ...]:
    wanted = {name.lower() for name in said}
    if wanted == {NO_FEATURE}:
        return ()
    if unknown := sorted(wanted - set(ALL_FEATURES)):
        choice = f"choose from {', '.join(ALL_FEATURES)}, or {NO_FEATURE} alone"
        raise BadRequest(f"There is no feature {', '.join(unknown)[:100]}; {choice}.")
    return tuple(sorted(wanted)) or ALL_FEATURES


def submission_of(
    fields: SubmissionFields,
    reading: ReadingOptions,
    source: StoredSource,
    caller: Caller,
    file_name: str,
    idempotency_key: str,
    sealed_passwords: bytes | None = None,
) -> Submission:
    """All of it, as the desk takes it."""
    pool = POOL_OF_KIND[source.media.kind]
    name = fields.name or file_name[:MAX_NAME] or f"document{source.media.extension}"
    return Submission(
        tenant=caller.tenant,
        name=name,
        content_id=source.content_id,
        wrapped_key=source.wrapped_key,
        sha256=source.sha256,
        size_bytes=source.size_bytes,
        media_type=source.media.mime_type,
        pool=pool,
        urgency=fields.priority or DEFAULT_URGENCY[pool],
        options=reading,
        labels=fields.labels,
        deadline_at=optional_seconds(fields.deadline),
        batch_id=fields.batch or None,
        submitted_by=caller.key_id,
        reuse=fields.reuse,
        idempotency_key=idempotency_key,
        request_digest=digest_of(fields, reading, source.sha256, name, sealed_passwords) if idempotency_key else "",
        sealed_passwords=sealed_passwords,
    )


def digest_of(
    fields: SubmissionFields, reading: ReadingOptions, sha256: str, name: str, sealed_passwords: bytes | None = None
) -> str:
    """Digest of all that makes a request the same request.

    Of passwords only whether there are any: a digest that is kept would let whoever reads it try passwords.
    """
    said = [
        sha256, name, fields.priority, sorted(fields.labels.items()), optional_seconds(fields.deadline), reading.key,
        fields.batch, fields.reuse, sealed_passwords is not None,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
