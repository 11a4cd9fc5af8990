"""Invoices and receipts: the values beside their names, sums that add up, items of a table, ids and anchors."""

from __future__ import annotations

from decimal import Decimal

from tests.unit.fields.pages import document_of

from docfleet.documentai_format import as_google
from docfleet.domain.document import Document
from docfleet.domain.entities import Date, Entity, Money
from docfleet.engines.local.fields import entities_of
from docfleet.engines.local.fields.invoice import money


def invoice() -> Document:
    return as_google(
        document_of(
            (40, (50, "Lieferant GmbH"), (400, "RECHNUNG")),
            (60, (50, "Lieferantenstraße 20")),
            (100, (50, "Rechnungsnummer"), (200, "Rechnungsdatum"), (330, "Fällig am")),
            (115, (50, "RE-471102"), (200, "05.03.2018"), (330, "04.04.2018")),
            (200, (50, "Beschreibung"), (250, "Menge"), (350, "Einzelpreis"), (480, "Betrag")),
            (220, (50, "Trennblätter A4"), (260, "20"), (370, "9,90"), (480, "198,00")),
            (240, (50, "Joghurt Banane"), (260, "50"), (370, "5,50"), (480, "275,00")),
            (260, (50, "Apfelmus fein"), (260, "10"), (370, "1,00"), (480, "10,00")),
            (330, (300, "Nettobetrag"), (480, "483,00 €")),
            (350, (300, "MwSt. 19 %"), (480, "91,77 €")),
            (370, (300, "Gesamtbetrag"), (480, "574,77 €")),
        ),
        "v2",
    )


def found_in(document: Document) -> dict[str, Entity]:
    return {one.type: one for one in entities_of(document, "invoice") if one.type != "line_item"}


def test_what_an_invoice_says() -> None:
    document = invoice()
    found = found_in(document)
    assert {name: one.mention_text for name, one in found.items()} == {
        "invoice_id": "RE-471102",
        "invoice_date": "05.03.2018",
        "due_date": "04.04.2018",
        "supplier_name": "Lieferant GmbH",
        "total_amount": "574,77 €",
        "net_amount": "483,00 €",
        "total_tax_amount": "91,77 €",
        "currency": "€",
    }
    dated, total = found["invoice_date"].normalized_value, found["total_amount"].normalized_value
    assert dated is not None
    assert total is not None
    assert (dated.text, dated.date_value) == ("2018-03-05", Date(2018, 3, 5))
    assert (total.text, total.money_value) == ("574.77 EUR", Money("EUR", 574, 770_000_000))
    for one in found.values():
        assert one.text_anchor is not None
        (span,) = one.text_anchor.spans
        assert document.text[span.start : span.end] == one.mention_text == one.text_anchor.content
        (reference,) = one.page_refs
        assert reference.page == 0
        assert reference.bounding_poly is not None
        assert 0 < one.confidence < 1


def test_items_are_rows_with_properties() -> None:
    items = [one for one in entities_of(invoice(), "invoice") if one.type == "line_item"]
    assert [one.mention_text for one in items] == [
        "Trennblätter A4 20 9,90 198,00",
        "Joghurt Banane 50 5,50 275,00",
        "Apfelmus fein 10 1,00 10,00",
    ]
    assert [one.type for one in items[0].properties] == [
        "line_item/description",
        "line_item/quantity",
        "line_item/unit_price",
        "line_item/amount",
    ]


def test_ids_count_through_properties_and_from_where_they_are_told() -> None:
    made = entities_of(invoice(), "invoice", 7)
    ids = [id for one in made for id in (one.id, *(part.id for part in one.properties))]
    assert ids == [str(number) for number in range(7, 7 + len(ids))]


def test_a_receipt_has_the_names_of_a_receipt() -> None:
    document = document_of(
        (40, (50, "BOOK STORE SDN BHD")),
        (80, (50, "Date:"), (120, "25/12/2018 8:13 PM")),
        (100, (50, "CLAY KIDDY FISH"), (300, "9.00")),
        (120, (50, "TOTAL:"), (300, "RM 9.00")),
    )
    found = {one.type: one.mention_text for one in entities_of(document, "receipt")}
    assert found["receipt_date"] == "25/12/2018"
    assert found["total_amount"] == "RM 9.00"
    assert found["supplier_name"] == "BOOK STORE SDN BHD"
    assert "invoice_date" not in found


def test_three_sums_that_add_up_are_surer_and_win() -> None:
    rows = [(40.0, (50.0, "Subtotal"), (300.0, "100.00")), (60.0, (50.0, "Tax"), (300.0, "8.00"))]
    good = found_in(
        document_of(*rows, (80.0, (50.0, "Total"), (300.0, "108.00")), (100.0, (50.0, "Total"), (300.0, "99.00")))
    )
    bad = found_in(document_of(*rows, (80.0, (50.0, "Total"), (300.0, "120.00"))))
    assert good["total_amount"].mention_text == "108.00"
    assert good["total_amount"].confidence > bad["total_amount"].confidence


def test_nothing_is_made_of_nothing() -> None:
    assert entities_of(Document(), "invoice") == ()
    assert entities_of(document_of(), "invoice") == ()
    assert found_in(document_of((40, (50, "Just a letter with no figures at all")))) == {}


def test_money_is_normalised() -> None:
    assert money(Decimal("140.50"), "USD").text == "140.5 USD"
    assert money(Decimal("-0.25"), "").money_value == Money("", 0, -250_000_000)
    assert money(Decimal("1000"), "EUR").text == "1000 EUR"
