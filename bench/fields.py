"""Fields by rules against the truth: what invoices and receipts say, and the names and values of scanned forms.

    python -m bench.fields                       all three sets; minutes, most of them reading pixels
    python -m bench.fields --quick               every fifth document
    python -m bench.fields e_invoices --wrong    one set, and what was missed or read wrongly, one line each

Invoices (ZUGFeRD and Factur-X, read from the page and not from the XML inside): the values that stand on the page, of
the types the rules know. Receipts (SROIE): date and total. A found value counts where the truth has one of its type;
sums are compared as numbers, dates as days, other values by their letters and digits alone.

Forms (FUNSD): a pair of a question and all answers linked to it. A found pair is right if its name and its value are
each at least 80 % alike (`difflib`) to those of a true pair that no other found pair took: OCR errs on these scans, and
which words belong together is what is measured.

These documents were looked at while the rules were made; on others the figures are lower.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from bench.corpora import CORPORA, truth
from bench.table import Row
from bench.tables import Score, total
from docfleet.domain.document import Document
from docfleet.domain.entities import Entity
from docfleet.engines.local.fields import entities_of, form_fields
from docfleet.runtime import Runtime
from docfleet.settings import Settings
from docfleet.single import process_document

ALIKE = 0.8
_INVOICE = {
    "invoice_id": "number", "invoice_date": "issue_date", "due_date": "due_date", "total_amount": "grand_total",
    "net_amount": "tax_basis", "total_tax_amount": "tax_total", "currency": "currency", "supplier_name": "seller_name",
    "purchase_order": "order_number",
}  # fmt: skip
_RECEIPT = {"receipt_date": "date", "total_amount": "total"}
Pair = tuple[str, str]
Told = tuple[str, str, str]
"""(field, true value, found value)."""
Values = Mapping[str, str]


def folded(text: str) -> str:
    """Letters and digits alone, of whatever case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def amount(text: str) -> str:
    """The number in a sum, without zeros at its end; the text where there is none: "RM 9.00" -> "9"."""
    with suppress(InvalidOperation):
        return f"{Decimal(re.sub(r'[^0-9.-]', '', text.replace(',', ''))).normalize():f}"
    return text


def day(text: str) -> str:
    """An ISO date of "25/12/2018", "25-12-18" or "2018-12-25"; the text of anything else."""
    with suppress(ValueError):
        return date.fromisoformat(text).isoformat()
    if told := re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{2}|\d{4})", text.strip()):
        with suppress(ValueError):
            year = int(told[3])
            return date(year + 2000 * (year < 100), int(told[2]), int(told[1])).isoformat()
    return text


def compared(name: str, value: str) -> str:
    """How a value of this field is compared."""
    if name.endswith("_amount"):
        return amount(value)
    return day(value) if name.endswith("_date") else folded(value)


def value_of(entity: Entity) -> str:
    """What an entity means, or its text where it means nothing else."""
    normal = entity.normalized_value
    if normal is None:
        return entity.mention_text
    if normal.money_value is not None:
        return f"{Decimal(normal.money_value.units) + Decimal(normal.money_value.nanos) / 10**9:f}"
    if normal.date_value is not None:
        return f"{normal.date_value.year:04}-{normal.date_value.month:02}-{normal.date_value.day:02}"
    return normal.text or entity.mention_text


def judge(true: Values, found: Values) -> tuple[Score, list[Told]]:
    """Of one document: fields that the truth has; and which of them were not right."""
    kept = {name: value for name, value in found.items() if name in true}
    wrong = [
        (name, value, kept.get(name, ""))
        for name, value in true.items()
        if compared(name, kept.get(name, "")) != compared(name, value)
    ]
    return Score(len(true) - len(wrong), len(kept), len(true)), wrong


def judge_pairs(true: list[Pair], found: list[Pair]) -> Score:
    """Of one form; each true pair is found once."""
    left = [(folded(name), folded(value)) for name, value in true]
    right = 0
    for name, value in ((folded(name), folded(value)) for name, value in found):
        best = max(((_alike(name, n) + _alike(value, v), n, v) for n, v in left), default=(0.0, "", ""))
        if min(_alike(name, best[1]), _alike(value, best[2])) >= ALIKE:
            left.remove((best[1], best[2]))
            right += 1
    return Score(right, len(found), len(true))


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


# --- the sets


def _found(document: Document, kind: Literal["invoice", "receipt"]) -> Values:
    entities = entities_of(document, kind)
    return {entity.type: value_of(entity) for entity in reversed(entities)}


def invoices(runtime: Runtime, step: int) -> Iterator[tuple[str, Score, list[Told]]]:
    told = {name: record for name, record in truth("e_invoices").items() if record.get("visible")}
    for name, record in list(told.items())[::step]:
        shown = {kind: record["truth"][key] for kind, key in _INVOICE.items() if record["visible"].get(key)}
        yield name, *judge(_told(shown), _found(_read("e_invoices", name, runtime), "invoice"))


def receipts(runtime: Runtime, step: int) -> Iterator[tuple[str, Score, list[Told]]]:
    for name, record in list(truth("receipts").items())[::step]:
        true = _told({kind: record["fields"].get(key) for kind, key in _RECEIPT.items()})
        yield name, *judge(true, _found(_read("receipts", name, runtime), "receipt"))


def forms(runtime: Runtime, step: int) -> Iterator[tuple[str, Score, list[Told]]]:
    for name, record in list(truth("forms").items())[::step]:
        document = _read("forms", name, runtime)
        found = [
            (document.text_of(field.field_name), document.text_of(field.field_value))
            for page in document.pages
            for field in form_fields(document.text, page)
            if field.field_name and field.field_value
        ]
        yield name, judge_pairs(_linked(record["form"]), found), []


def _told(values: Mapping[str, str | None]) -> Values:
    return {name: value for name, value in values.items() if value}


def _linked(form: list[dict[str, Any]]) -> list[Pair]:
    """Each question with the texts of its answers, in the order of their places."""
    by_id = {entity["id"]: entity for entity in form}
    answers: dict[int, list[dict[str, Any]]] = {}
    for entity in form:
        for begin, end in entity["linking"]:
            if entity["id"] == begin and by_id[begin]["label"] == "question" and by_id[end]["label"] == "answer":
                answers.setdefault(begin, []).append(by_id[end])
    pairs = []
    for question, told in answers.items():
        placed = sorted(told, key=lambda answer: (answer["box"][1], answer["box"][0]))
        pairs.append((by_id[question]["text"], " ".join(answer["text"] for answer in placed)))
    return [pair for pair in pairs if folded(pair[0]) and folded(pair[1])]


def _read(folder: str, name: str, runtime: Runtime) -> Document:
    return process_document(CORPORA / folder / name, runtime=runtime)


SETS: dict[str, tuple[Callable[[Runtime, int], Iterator[tuple[str, Score, list[Told]]]], str, str]] = {
    "e_invoices": (invoices, "fields of hybrid PDF invoices, from the page", "-"),
    "receipts": (receipts, "date and total of scanned receipts", "published for all four fields: TRIE .821, VIES .911"),
    "forms": (forms, "names and values of noisy scanned forms, 80 % alike", "-"),
}


def rows(quick: bool) -> list[Row]:
    """One row a set."""
    made = []
    with Runtime(Settings()) as runtime:
        for measure, what, published in SETS.values():
            scores = [score for _, score, _ in measure(runtime, 5 if quick else 1)]
            sum_ = total(scores)
            said = f"F1 {sum_.f1:.3f} (precision {sum_.precision:.3f}, recall {sum_.recall:.3f})"
            made.append(Row(f"{what}: {len(scores)} documents", said, published, "-", None))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="every fifth document")
    parser.add_argument("--wrong", action="store_true", help="also each field that is not right")
    asked = parser.parse_args()
    if unknown := set(asked.sets) - set(SETS):
        parser.error(f"there is no set {', '.join(sorted(unknown))}")
    with Runtime(Settings()) as runtime:
        for name in asked.sets or SETS:
            scores = []
            for file, score, wrong in SETS[name][0](runtime, 5 if asked.quick else 1):
                scores.append(score)
                for field, true, found in wrong if asked.wrong else ():
                    print(f"  {Path(file).name[:60]:60} {field:17} {true!r} read as {found!r}")
            s = total(scores)
            counts = f"({s.right} right, {s.found} found, {s.true} true, {len(scores)} documents)"
            print(f"{name:12} precision {s.precision:.3f}  recall {s.recall:.3f}  F1 {s.f1:.3f}  {counts}", flush=True)


if __name__ == "__main__":
    main()
