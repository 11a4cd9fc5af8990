"""The reference page of the metrics; `write_reference.py` writes it with the others."""

from __future__ import annotations

from docfleet.telemetry.catalog import METRICS, PROCESS
from docfleet.telemetry.kinds import Metric, Told
from docfleet.telemetry.labels import LABELS, values_of

TOLD = {
    Told.EVERY: "",
    Told.LEADER: "Sums and gauges of the whole region: one series, whichever process leads. The sums never begin anew.",
    Told.DISPATCHER: "Of each dispatcher, whether it leads or stands by.",
    Told.API: "Of each API process.",
    Told.WORKER: "Of each worker of the pools `pdf` and `image`, its slots together, and of cloud workers.",
    Told.ENGINE: "And whatever other process calls a cloud engine.",
    Told.DOCUMENTAI: "Of each `docfleet documentai-server`.",
}


def page(note: str) -> str:
    lines = [
        note,
        "# Metrics\n",
        "What Prometheus reads at `/metrics` of every process ([Read metrics](../how-to/read-metrics.md)). What the",
        "leading dispatcher tells comes out of the ledger; everything else is of one process and begins anew with it.",
        "",
    ]
    for told, said in TOLD.items():
        lines += [f"## {str(told)[0].upper()}{str(told)[1:]}", "", *([said, ""] if said else [])]
        lines += ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        lines += [_row(one) for one in METRICS.values() if one.told is told]
        if told is Told.EVERY:
            lines += [f"| `{name}` | {kind} | | {text} |" for name, (kind, text) in PROCESS.items()]
        lines.append("")
    lines += [
        "## Labels",
        "",
        "Where values are listed there are no others but `other`: what is not known counts as that.",
        "",
    ]
    lines += ["| label | meaning | values |", "|---|---|---|"]
    lines += [f"| `{name}` | {_cell(one.meaning)} | {_values(name)} |" for name, one in LABELS.items()]
    lines += ["", "With `docfleet up` and `docfleet serve` there is the label `process` as well: its name.", ""]
    lines += ["## Buckets", "", "| metric | upper bounds |", "|---|---|"]
    for bounds, names in _buckets().items():
        shown = " ".join(f"{bound:g}" for bound in bounds)
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {shown} |")
    return "\n".join([*lines, ""])


def _row(one: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {labels} | {_cell(one.help)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _values(label: str) -> str:
    """Of a label whose values are known; those of single metrics by their names."""
    if label == "code":
        return "[outcomes and codes](outcome-codes.md), and codes of waits"
    if values := LABELS[label].values:
        return ", ".join(f"`{value}`" for value in values)
    own = {one.name: values_of(one, label) for one in METRICS.values() if label in one.labels}
    told = [f"{', '.join(f'`{value}`' for value in values)} (`{name}`)" for name, values in own.items() if values]
    return "; ".join(told) or "as configured"


def _buckets() -> dict[tuple[float, ...], list[str]]:
    found: dict[tuple[float, ...], list[str]] = {}
    for one in METRICS.values():
        if one.buckets:
            found.setdefault(one.buckets, []).append(one.name)
    return found
