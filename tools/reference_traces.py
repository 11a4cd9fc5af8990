"""The reference pages of spans and log events; `write_reference.py` writes them with the others."""

from __future__ import annotations

from docfleet.telemetry.events import EVENTS as LOGGED
from docfleet.telemetry.events import FIELDS
from docfleet.telemetry.spans import ATTRIBUTES, EVENTS, SPANS


def spans(note: str) -> str:
    lines = [
        note,
        "# Spans\n",
        "What a trace of docfleet is made of ([Traces](../explanation/tracing.md)). An `error.type`, and the status",
        "*error*, are on what failed; both hold a code or the name of a class, never words.",
        "",
    ]
    for one in SPANS:
        lines += [f"## {one.name}", "", one.help, "", f"Told by the {one.told_by}. Kind: {one.kind}."]
        lines.append(f"Below: {one.parent}." if one.parent else "Below: nothing, or the client's span.")
        if one.attributes:
            lines += ["", "Attributes:", ""]
            lines += [f"- `{name}`" for name in one.attributes]
        lines.append("")
    lines += ["## Events of spans", "", "| event | of | meaning | attributes |", "|---|---|---|---|"]
    for name, (span, said, attributes) in EVENTS.items():
        lines.append(f"| `{name}` | {span} | {said} | {' '.join(f'`{one}`' for one in attributes)} |")
    lines += ["", "## Attributes", "", "| attribute | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {said} |" for name, said in ATTRIBUTES.items()]
    lines += ["", "Of every process, as attributes of its resource: service.name (docfleet-api, docfleet-dispatcher,"]
    lines += ["docfleet-worker, docfleet-cloud-worker, docfleet-serve), service.namespace, service.version and"]
    lines += ["service.instance.id."]
    return "\n".join(lines) + "\n"


def log_events(note: str) -> str:
    lines = [
        note,
        "# Log events\n",
        "Everything docfleet logs, one JSON object a line on standard error. Every event has `event`, `level`, `part`",
        "(the part of docfleet that tells it) and `timestamp`, and fields of the second table. There are no others.",
        "`--log-level` (`DOCFLEET_LOG`) says which are shown.",
        "",
        "| event | meaning |",
        "|---|---|",
        *(f"| `{name}` | {said} |" for name, said in LOGGED.items()),
        "",
        "## Fields",
        "",
        "| field | meaning |",
        "|---|---|",
        *(f"| `{name}` | {said} |" for name, said in FIELDS.items()),
    ]
    return "\n".join(lines) + "\n"
