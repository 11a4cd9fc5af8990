"""Digital pages drawn for the whole job: articles in two columns, invoices, letters, reports, with their text.

The text comes from the generator here, not from any PDF reader, so that no reader is judged by its own reading. Every
sentence, name and amount follows from a seed; only fonts inside the typesetter are used and the time is fixed, so that
every machine draws the same files.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import typst

_TIME = datetime(2026, 1, 5, tzinfo=UTC)

_SOURCE = """
#let data = json(bytes(sys.inputs.data))
#set text(size: 10pt, hyphenate: false, font: data.font)
#set par(justify: data.justify, spacing: 0.9em)
#let rows(head, body, columns) = table(columns: columns, stroke: 0.4pt,
  ..head.map(cell => [*#cell*]), ..body.flatten())

#let article() = {
  set page(width: 595pt, height: 842pt, margin: 52pt, columns: 2)
  place(top + center, scope: "parent", float: true, clearance: 18pt)[
    #text(size: 17pt, weight: "bold", data.title) \\ #v(2pt) #text(size: 9pt, data.byline)]
  for section in data.sections {
    heading(level: 2, section.heading)
    for paragraph in section.paragraphs { par(paragraph) }
  }
}

#let invoice() = {
  set page(width: 595pt, height: 842pt, margin: 56pt)
  for line in data.sender { align(right, line) }
  v(14pt)
  for line in data.recipient { par(line) }
  v(14pt)
  text(size: 18pt, weight: "bold", data.title)
  for line in data.facts { par(line) }
  v(8pt)
  rows(data.head, data.items, (auto, 1fr, auto, auto, auto))
  for line in data.totals { align(right, line) }
  v(14pt)
  for line in data.terms { par(line) }
}

#let letter() = {
  set page(width: 595pt, height: 842pt, margin: 70pt, footer: align(center, text(size: 8pt, data.footer)))
  for line in data.sender { align(right, line) }
  v(20pt)
  for line in data.recipient { par(line) }
  v(12pt)
  par(data.date)
  par(strong(data.subject))
  for paragraph in data.paragraphs { par(paragraph) }
  v(20pt)
  for line in data.closing { par(line) }
}

#let report() = {
  set page(width: 595pt, height: 842pt, margin: (x: 60pt, y: 70pt),
    header: text(size: 8pt)[#data.title #h(1fr) #data.edition],
    footer: context align(right, text(size: 8pt)[Page #counter(page).display()]))
  for (number, section) in data.sections.enumerate() {
    if number > 0 { pagebreak() }
    heading(level: 1, section.heading)
    for paragraph in section.paragraphs { par(paragraph) }
    rows(section.head, section.body, (1fr,) + (auto,) * (section.head.len() - 1))
    text(size: 8pt, section.caption)
    list(..section.points)
    par(section.last)
  }
}

#(article: article, invoice: invoice, letter: letter, report: report).at(data.kind)()
"""

_FONTS = ("Libertinus Serif", "New Computer Modern")
_NOUNS = (
    "harbour office market contract bridge factory library railway garden council survey engine valley museum ledger "
    "warehouse committee river laboratory school budget machine village pipeline theatre region customer supplier"
).split()
_ADJECTIVES = (
    "annual careful modern narrow public reliable small steady unusual wooden early formal local quiet".split()
)
_VERBS = "reviewed replaced measured opened repaired supported delayed financed described improved inspected".split()
_GIVEN = "Alice Bernard Clara Dmitri Eleanor Francis Greta Hassan Ingrid Jonas Katherine Leon".split()
_FAMILY = (
    "Abbott Brandt Castellan Dunmore Eriksen Fairweather Grantham Holloway Iversen Jansen Kessler Lindqvist".split()
)
_TOWNS = "Ashford Brackenfell Carrow Dunholme Eastmere Fenwick Greyhaven Holmbury".split()
_FORMS = (
    "The {a} {n} of {t} {v} the {n2} in {y}.",
    "In {m}, {p} {v} {k} {a} {n}s and found no fault with the {n2}.",
    "Although the {n} was {a}, costs rose by {d} per cent within {k} months.",
    "{p} ({t}) {v} the {n}; the {n2} followed {k} weeks later.",
    "According to the {n}, {k} of {k2} {n2}s were {v} before {m} {y}.",
    "What the {a} {n} needs is a {n2} that everyone in {t} can use.",
    "The {n2} and the {n} were {v} together, at a price of {c} euros.",
    "Nobody {v} the {n} until {p} wrote to the {a} {n2} of {t}.",
)
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A PDF and its text in reading order."""

    name: str
    pdf: bytes
    text: str


def draw(counts: dict[str, int]) -> list[Drawn]:
    """So many of each kind: article (about 2 pages), invoice (1), letter (1), report (4)."""
    drawn = []
    for kind, count in counts.items():
        for number in range(1, count + 1):
            name = f"{kind}-{number:02}"
            rng = random.Random(name)
            data, text = _KINDS[kind](rng)
            data |= {"kind": kind, "font": _FONTS[number % 2], "justify": kind in ("article", "report")}
            drawn.append(Drawn(f"{name}.pdf", _compile(data), "\n".join(text)))
    return drawn


def _compile(data: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "page.typ")
        source.write_text(_SOURCE, encoding="utf-8")
        inputs = {"data": json.dumps(data)}
        pdf = typst.compile(str(source), sys_inputs=inputs, ignore_system_fonts=True, timestamp=int(_TIME.timestamp()))
    if not isinstance(pdf, bytes):
        raise TypeError("the typesetter did not answer with one PDF")
    return pdf


def _article(rng: random.Random) -> tuple[dict[str, Any], list[str]]:
    title = f"{_title(rng)} and the {rng.choice(_NOUNS).title()}"
    byline = f"{_person(rng)} and {_person(rng)}, {rng.choice(_TOWNS)}"
    sections: list[dict[str, Any]] = [
        {"heading": _title(rng), "paragraphs": [_paragraph(rng, 6) for _ in range(4)]}
        for _ in range(4)
    ]  # fmt: skip
    text = [title, byline, *(line for part in sections for line in (part["heading"], *part["paragraphs"]))]
    return {"title": title, "byline": byline, "sections": sections}, text


def _invoice(rng: random.Random) -> tuple[dict[str, Any], list[str]]:
    issued = _day(rng)
    items: list[list[str]] = []
    net = 0
    for number in range(1, rng.randint(7, 14)):
        quantity, price = rng.randint(1, 60), rng.randint(150, 24_000)
        net += quantity * price
        what = f"{rng.choice(_ADJECTIVES).title()} {rng.choice(_NOUNS)} part {rng.randint(100, 999)}"
        items.append([str(number), what, str(quantity), _money(price), _money(quantity * price)])
    tax = round(net * 0.2)
    data: dict[str, Any] = {
        "sender": _address(rng, f"{rng.choice(_FAMILY)} & {rng.choice(_FAMILY)} Ltd"),
        "recipient": _address(rng, _person(rng)),
        "title": f"Invoice {rng.randint(10_000, 99_999)}",
        "facts": [f"Invoice date: {_date(issued)}", f"Payment due: {_date(issued + timedelta(days=30))}",
                  f"Your reference: {rng.choice(_TOWNS)[:3].upper()}-{rng.randint(1000, 9999)}"],
        "head": ["No.", "Description", "Quantity", "Unit price", "Amount"],
        "items": items,
        "totals": [f"Net {_money(net)}", f"VAT 20% {_money(tax)}", f"Total EUR {_money(net + tax)}"],
        "terms": [_sentence(rng), "Please pay within 30 days to the account given on our order form."],
    }  # fmt: skip
    table = [" ".join(row) for row in (data["head"], *items)]
    text = [*data["sender"], *data["recipient"], data["title"], *data["facts"], *table]
    return data, [*text, *data["totals"], *data["terms"]]


def _letter(rng: random.Random) -> tuple[dict[str, Any], list[str]]:
    sender = _person(rng)
    data: dict[str, Any] = {
        "sender": _address(rng, sender),
        "recipient": _address(rng, _person(rng)),
        "date": _date(_day(rng)),
        "subject": f"{_title(rng)}: your letter of {_date(_day(rng))}",
        "paragraphs": ["Dear Sir or Madam,", *(_paragraph(rng, 4) for _ in range(4))],
        "closing": ["Yours faithfully,", sender],
        "footer": f"{sender}, {rng.choice(_TOWNS)}, registered under number {rng.randint(10**6, 10**7)}",
    }
    order = ("sender", "recipient", "date", "subject", "paragraphs", "closing", "footer")
    return data, [line for key in order for line in ([data[key]] if isinstance(data[key], str) else data[key])]


def _report(rng: random.Random) -> tuple[dict[str, Any], list[str]]:
    title, edition = f"{_title(rng)} report", f"Edition {rng.randint(2019, 2026)}"
    sections: list[dict[str, Any]] = []
    text: list[str] = []
    for number in range(1, 5):
        head = ["District", *(f"Q{quarter}" for quarter in range(1, 5)), "Total"]
        body = [_figures(rng, town) for town in rng.sample(_TOWNS, 5)]
        part: dict[str, Any] = {
            "heading": f"{number}. {_title(rng)}",
            "paragraphs": [_paragraph(rng, 6) for _ in range(3)],
            "head": head,
            "body": body,
            "caption": f"Table {number}: {rng.choice(_NOUNS)} by district, in thousands",
            "points": [_sentence(rng) for _ in range(3)],
            "last": _paragraph(rng, 6),
        }
        sections.append(part)
        text += [f"{title} {edition}", part["heading"], *part["paragraphs"], *(" ".join(row) for row in (head, *body))]
        text += [part["caption"], *(f"• {point}" for point in part["points"]), part["last"], f"Page {number}"]
    return {"title": title, "edition": edition, "sections": sections}, text


_KINDS: dict[str, Callable[[random.Random], tuple[dict[str, Any], list[str]]]] = {
    "article": _article,
    "invoice": _invoice,
    "letter": _letter,
    "report": _report,
}


def _sentence(rng: random.Random) -> str:
    noun, other = rng.sample(_NOUNS, 2)
    told = rng.choice(_FORMS).format(
        a=rng.choice(_ADJECTIVES), n=noun, n2=other, t=rng.choice(_TOWNS), v=rng.choice(_VERBS),
        y=rng.randint(1950, 2025), m=rng.choice(_MONTHS), p=_person(rng), k=rng.randint(2, 40), k2=rng.randint(41, 400),
        d=round(rng.uniform(0.5, 30), 1), c=f"{rng.randint(1000, 999_999):,}",
    )  # fmt: skip
    return told[0].upper() + told[1:]


def _paragraph(rng: random.Random, sentences: int) -> str:
    return " ".join(_sentence(rng) for _ in range(sentences))


def _title(rng: random.Random) -> str:
    return f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)} of {rng.choice(_TOWNS)}"


def _person(rng: random.Random) -> str:
    return f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)}"


def _address(rng: random.Random, name: str) -> list[str]:
    town = rng.choice(_TOWNS)
    return [
        name,
        f"{rng.randint(1, 240)} {rng.choice(_FAMILY)} Street",
        f"{town} {town[:2].upper()}{rng.randint(1, 9)} 4QT",
    ]


def _day(rng: random.Random) -> date:
    return date(2025, 1, 1) + timedelta(days=rng.randint(0, 364))


def _date(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _figures(rng: random.Random, town: str) -> list[str]:
    values = [rng.randint(10, 999) for _ in range(4)]
    return [town, *map(str, values), f"{sum(values):,}"]
