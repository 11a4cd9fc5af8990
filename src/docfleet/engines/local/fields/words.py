"""What invoices and receipts call things, in English, German, French, Spanish, Italian and Dutch."""

from __future__ import annotations

import re

_NO = r"(?:n[o°º]s?|num(?:ber|éro|ero)?|nr|nummer|#|id)"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


INVOICE_ID = (
    _any(
        rf"\b(?:tax\s)?invoice\s?{_NO}(?![^\W\d_])\.?",
        r"\binv\.?\s?(?:no|nr|#)\.?",
        r"rechnungs?[\s-]{0,2}(?:nr|nummer|no)\b\.?",
        rf"(?:rechnung|gutschrift|korrektur)\s(?:\(\d+\)\s)?{_NO}\.?(?![^\W\d_])",
        rf"\b{_NO}\.?\s?(?:de\s)?(?:la\s)?(?:facture|factura|fattura)\b",
        rf"\bfact(?:ure|ura)\s?{_NO}(?![^\W\d_])\.?",
        rf"\bfattura\s{_NO}\.?",
        r"\bfactuurnummer\b",
        r"\bbelegn(?:umme)?r\b\.?",
        r"\b(?:bill|document|doc)\.?\s?(?:no|#)(?![^\W\d_])\.?",
        rf"\breceipt\s?{_NO}(?![^\W\d_])\.?",
    ),
    _any(
        r"^(?:tax\s)?invoice\b",
        r"^rechnung\b",
        r"^facture\b",
        r"^fattura\b",
        r"^factura\b",
        r"^gutschrift\b",
        r"^avoir\b",
    ),
)
INVOICE_DATE = (
    _any(
        r"\binvoice\sdate\b",
        r"\bdate\sof\sinvoice\b",
        r"\bbill(?:ing)?\sdate\b",
        r"\bissue\sdate\b",
        r"\bdate\sof\sissue\b",
        r"\brechnungs-?datum\b",
        r"\bbelegdatum\b",
        r"\bdate\s(?:de\s)?(?:la\s)?fact(?:ure|uration)\b",
        r"\bdate\sd.?\s?émission\b",
        r"\bfecha\s(?:de\s)?(?:la\s)?factura\b",
        r"\bdata\sfattura\b",
        r"\bfactuurdatum\b",
        r"\bdocument\sdate\b",
        r"\breceipt\sdate\b",
    ),
    _any(r"(?:rechnung|\bfacture|\binvoice)\b.{0,60}\b(?:vom|du|dated)\b"),
    _any(r"^dated?\b(?!\s?(?:d.?\s?éch|due))", r"^datum\b", r"^fecha\b", r"^data\b"),
)
DUE_DATE = (
    _any(
        r"\bdue\sdate\b",
        r"\bpayment\sdue\b",
        r"\bdate\sd.?\s?échéance\b",
        r"\béchéance\b",
        r"\bfällig(?:keit(?:sdatum)?)?\b",
        r"\bzahlbar\sbis\b",
        r"\b(?:pay(?:able)?|due)\s(?:by|on)\b",
        r"\bvencimiento\b",
        r"\bscadenza\b",
        r"\bvervaldatum\b",
        r"^due\b(?=\s?:|$)",
        r"\bà\spayer\savant\b",
        r"\bzahlungsziel\b",
    ),
)
TOTAL = (
    _any(
        r"\bgrand\stotal\b",
        r"\binvoice\stotal\b",
        r"\btotal\s\(?t\.?t\.?c\b",
        r"\bmontant\s(?:total\s)?t\.?t\.?c\b",
        r"brutto-?(?:betrag|summe)\b",
        r"\b(?:gesamt-?(?:betrag|summe)|rechnungs-?(?:betrag|summe)|endbetrag|endsumme)\b(?!.{0,3}(?:netto|ohne|ex|der))",
        r"\bimporte\stotal\b",
        r"\btotal\s(?:a\spagar|factura|fattura)\b",
        r"\b(?:rounded|net|nett)\stotal\b",
        r"\btotal\s?(?:rounded\b|(?:rm\s|sales\s|amount\s)?\(?\s?incl?)",
        r"\btotal\samount\b(?!.{0,12}(?:excl|without|untaxed|due))",
        r"\b(?:gesamt|summe|betrag)\s\(?(?:brutto|inkl)\b",
        r"\btotaal\sincl",
        r"\btotal\ssales\b(?!.{0,4}excl)",
    ),
    _any(
        r"\b(?:amount|balance)\s(?:due|payable)\b",
        r"\btotal\s(?:amount\s)?(?:due|payable)\b",
        r"\bzahlbetrag\b",
        r"\bnet\sà\spayer\b",
        r"\b(?:total|montant|solde)\s(?:total\s)?à\spayer\b",
        r"\bfälliger?\sbetrag\b",
    ),
    _any(
        r"^total\b(?!.{0,3}(?:ht|h\.t|tax|vat|gst|tva|net|qty|quant|items?|disc|excl|hors|before|sans|saving|hours|units|paid))",
        r"^(?:gesamt|summe|totale?|totaal)\b(?!.{0,4}(?:netto|ust|mwst|steuer|ht|tva|tax|der))",
        r"^montant\stotal\b(?!.{0,3}ht)",
    ),
)
ROUNDING = (_any(r"\bround(?:ing|ed)\b", r"\brundung", r"\barrondi"),)
NET = (
    _any(
        r"\bsub[\s-]?total\b",
        r"\btotal\s\(?h\.?t\b",
        r"\bmontant\s(?:total\s)?h\.?t\b",
        r"\btotal\shors\stax",
        r"\bnetto-?(?:betrag|summe)\b",
        r"\b(?:summe|gesamt(?:betrag|summe)?|betrag)\s\(?netto\b",
        r"\bnet\s(?:amount|total|price)\b",
        r"\btotal\snet\b",
        r"\bzwischensumme\b",
        r"\buntaxed\samount\b",
        r"\b(?:rechnungs|gesamt)-?(?:summe|betrag)\s\(?(?:netto|ohne|exkl|excl)\b",
        r"\bmontant\sht\b",
        r"\b(?:total|amount)\s\(?(?:excl|before\stax|without\s(?:tax|vat))",
        r"\bbase\simponible\b",
        r"\bimponibile\b",
        r"\bmontant\shors\stax",
    ),
)
TAX = (
    _any(
        r"\b(?:total|amount)\s(?:of\s)?(?:sales\s)?(?:tax|vat|gst)\b",
        r"\b(?:tax|vat|gst)\s(?:amount|total)\b",
        r"\b(?:montant|total)\s(?:de\sla\s)?t\.?v\.?a\b",
        r"\bsteuer-?betrag\b",
        r"\b(?:summe|gesamt)\s(?:ust|mwst|steuer|umsatzsteuer)\b",
        r"\btotale\siva\b",
        r"\btotal\staxes?\b",
    ),
    _any(
        r"^(?:zzgl\.?\s|plus\s|inkl\.?\s|add\s)?(?:\d{1,2}(?:[.,]\d+)?\s?%\s)?(?:sales\stax|tax(?:es)?|vat|gst|t\.?v\.?a|mwst|ust|umsatzsteuer|mehrwertsteuer|iva|btw|igst|cgst)\b"
        r"(?!.{0,3}(?:id|no|nr|reg|invoice|ident|code))",
    ),
)
ORDER = (
    _any(
        r"\bp\.?\s?o\.?\s?(?:no|#|number)(?![^\W\d_])\.?",
        r"\bpurchase\sorder(?:\s(?:no|number|#))?\b\.?",
        rf"\border\s{_NO}(?![^\W\d_])\.?",
        r"\b(?:bestell|auftrags)-?(?:nummer|nr)\b\.?",
        rf"\b{_NO}\.?\s(?:de\s)?commande\b",
        rf"\bcommande\s{_NO}\.?",
        r"\bihre\sbestellung\b",
        r"\bcommande\b(?=\s?:)",
        r"^bestellung\b(?=\s?:)",
        rf"\b{_NO}\s?bc\b",
        r"\bbc\s?(?:#|n[o°º])",
        r"\bpo\s?(?:#|no|number)",
    ),
    _any(rf"\bbestellung\s{_NO}\.?"),
)
COMPANY = re.compile(
    r"\b(?:gmbh|mbh|ltd|limited|inc|llc|llp|corp(?:oration)?|company|sdn\.?\s?bhd|bhd|s\.?a\.?r\.?l|sas|s\.a|sa|sl|s\.l|spa|s\.p\.a|"
    r"srl|b\.?v|n\.v|ag|kg|ohg|e\.k|plc|pty|oy|ab|enterprise|trading|restaurant|pte|gbr|kgaa|co\.)(?:\b|\.|$)",
    re.IGNORECASE,
)
ADDRESSEE = _any(
    r"^(?:bill(?:ed)?|ship(?:ped)?|sold|invoice[d]?)\s?to\b",
    r"^(?:to|an|für)\b\s?:?$",
    r"\bcustomer\b",
    r"\bkunden?\b",
    r"\bclient\b",
    r"\bdeliver\w*\b",
    r"\bliefer(?:adresse|anschrift)\b",
    r"\brechnungsempfänger\b",
    r"\battn\b",
    r"\bdestinataire\b",
    r"\bbuyer\b",
    r"\bkäufer\b",
    r"\bfacturé\sà\b",
)
FROM = _any(
    r"^from\b\s?:?",
    r"\bseller\b\s?:?",
    r"\bverkäufer\b\s?:?",
    r"\bvendor\b\s?:?",
    r"\bsupplier\b\s?:?",
    r"\brechnungssteller\b\s?:?",
    r"\blieferant\b\s?:",
)

COLUMNS = {
    "description": _any(
        r"description",
        r"\bitem\b",
        r"product",
        r"bezeichnung",
        r"beschreibung",
        r"artikel",
        r"désignation",
        r"designation",
        r"libellé",
        r"particulars",
        r"service",
        r"leistung",
        r"descripci",
        r"descrizione",
        r"\bd[ée]tails?\b",
        r"omschrijving",
        r"produit",
    ),
    "quantity": _any(
        r"\bqty\b",
        r"quantit",
        r"\bmenge\b",
        r"\banzahl\b",
        r"\bqt[ée]\b",
        r"cantidad",
        r"\baantal\b",
        r"\bhours\b",
        r"\bstk\b",
    ),
    "unit_price": _any(
        r"unit\s?price",
        r"\bprice\b",
        r"\brate\b",
        r"einzel-?preis",
        r"\be-?preis\b",
        r"\bpreis\b",
        r"prix\s?(?:unit|u\b)",
        r"\bp\.?\s?u\b",
        r"\bprix\b",
        r"precio",
        r"prezzo",
        r"\bprijs\b",
        r"unit\s?cost",
    ),
    "amount": _any(
        r"\bamount\b",
        r"\btotal\b",
        r"gesamt",
        r"\bbetrag\b",
        r"montant",
        r"\bsous[\s-]tota",
        r"importe",
        r"importo",
        r"\bbedrag\b",
        r"sub-?total",
        r"\bsumme\b",
        r"\bnet\b",
        r"\bprix\stotal\b",
        r"line\stotal",
    ),
}
"""Headers of the columns of a table of items."""
LAST_ROWS = _any(
    r"\b(?:sub)?-?\s?total\b",
    r"\bsumme\b",
    r"gesamt",
    r"\b(?:vat|tax|tva|mwst|ust)\b",
    r"zwischensumme",
    r"balance",
    r"\bübertrag\b",
    r"montant",
)
"""Rows at the end of a table of items that are none."""
