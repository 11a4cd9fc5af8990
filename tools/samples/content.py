"""Figures and rows of the sample documents. Companies, places and numbers are invented; no people appear."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Rows = list[list[str]]


def money(value: Decimal) -> str:
    return f"{value:,.2f}"


def invoice() -> dict[str, Any]:
    goods = [
        ("Writing paper A4, 90 g, white", 120, "ream", "4.85"),
        ("Writing paper A4, 120 g, ivory", 40, "ream", "7.20"),
        ("Envelopes C5 with window", 24, "box", "18.50"),
        ("Envelopes DL, self-adhesive", 36, "box", "14.95"),
        ("Gift wrap, kraft, 70 cm x 50 m", 15, "roll", "22.40"),
        ("Cover board A3, 300 g", 8, "pack", "31.75"),
        ("Carriage, two pallets", 1, "flat", "95.00"),
    ]
    rows = [["No.", "Description", "Qty", "Unit price", "VAT %", "Amount"]]
    net = Decimal(0)
    for number, (name, quantity, _, price) in enumerate(goods, start=1):
        amount = quantity * Decimal(price)
        net += amount
        rows.append([str(number), name, str(quantity), price, "20", money(amount)])
    tax = (net * Decimal("0.20")).quantize(Decimal("0.01"))
    totals = [["Net amount", money(net)], ["VAT 20 %", money(tax)], ["Total GBP", money(net + tax)]]
    return {"lines": rows, "totals": totals}


def statement() -> dict[str, Any]:
    """Two pages of entries; the balance follows from the amounts."""
    payees = [
        ("Harbour Lane Bookshop, invoice 0388", "2,418.60"), ("Westmere Water Company", "-184.20"),
        ("Card payment, Quayside Fuel", "-96.45"), ("Fuller's Mill, pulp delivery", "-6,250.00"),
        ("Port Ansel Schools Trust", "3,906.15"), ("Direct debit, Wend Valley Energy", "-1,877.03"),
        ("Standing order, rent of warehouse A", "-2,400.00"), ("Millrace Stationers, invoice 0391", "812.90"),
        ("Card payment, Corner Mill Grocery", "-41.10"), ("Westmere Port Authority, berth fee", "-320.00"),
        ("Account fee", "-12.50"), ("Lock Mill Museum, invoice 0379", "268.44"),
    ]  # fmt: skip
    header = ["Date", "Description", "Money out", "Money in", "Balance"]
    balance = opening = Decimal("18240.75")
    pages: list[Rows] = [[header], [header]]
    spent = received = Decimal(0)
    for index in range(52):
        name, text = payees[(index * 7 + index // 12) % len(payees)]
        amount = Decimal(text.replace(",", ""))
        if not name.startswith(("Standing order", "Account fee")):
            amount += amount * Decimal(index * 137 % 89 - 44) / 250
        amount = amount.quantize(Decimal("0.01"))
        balance += amount
        spent -= min(amount, Decimal(0))
        received += max(amount, Decimal(0))
        date = f"{1 + index * 27 // 51:02d} Feb 2026"
        row = [date, name, money(-amount) if amount < 0 else "", money(amount) if amount > 0 else "", money(balance)]
        pages[0 if index < 26 else 1].append(row)
    summary = [
        ["Opening balance", money(opening)], ["Money in", money(received)],
        ["Money out", money(spent)], ["Closing balance", money(balance)],
    ]  # fmt: skip
    return {"first": pages[0], "second": pages[1], "summary": summary}


RECEIPT: dict[str, Any] = {
    "items": [
        ["Rye bread 750 g", "3.40"], ["Butter, salted", "2.65"], ["Apples, 1.240 kg", "3.10"],
        ["Coffee beans 500 g", "8.95"], ["Oat milk 2 x 1.85", "3.70"], ["Cheddar, mature", "4.20"],
        ["Tomatoes on the vine", "2.15"], ["Paper bag", "0.10"],
    ],
    "sums": [["Subtotal", "28.25"], ["Member discount", "-1.25"]],
    "total": ["TOTAL", "27.00"],
    "paid": [["Cash", "30.00"], ["Change", "3.00"], ["VAT included", "1.18"]],
}  # fmt: skip

ARTICLE: dict[str, Any] = {
    "stops": [
        ["Cause", "1865", "1867"], ["Drying of felts", "402", "388"], ["Waiting for parts", "296", "71"],
        ["Repair", "118", "124"], ["River in flood", "64", "59"],
    ],
}  # fmt: skip

FAX: dict[str, Any] = {
    "order": [
        ["Item", "Description", "Quantity"], ["1001", "Writing paper A4, white", "120"],
        ["1004", "Writing paper A4, ivory", "40"], ["2210", "Envelopes C5, box of 500", "24"],
        ["2215", "Envelopes DL, box of 500", "36"], ["3120", "Gift wrap, kraft, 50 m", "15"],
        ["4007", "Cover board A3, 300 g", "8"],
    ],
}  # fmt: skip

HALF: dict[str, Any] = {
    "pallets": [
        ["Pallet", "Goods", "Reams", "Weight, kg"], ["1", "Writing paper A4, 90 g", "800", "2,240"],
        ["2", "Writing paper A4, 90 g", "800", "2,240"], ["3", "Writing paper A4, 120 g", "800", "2,985"],
        ["4", "Writing paper A4, 120 g", "800", "2,985"],
    ],
}  # fmt: skip

NORTHWIND: dict[str, Any] = {
    "company": "Northwind Paper Ltd",
    "address": ["14 Quayside Road, Westmere WM3 9QX", "sales@northwind-paper.example"],
    "footer": "Northwind Paper Ltd, company no. 00417733, VAT no. GB 000 4177 33",
}

PRICES: dict[str, Any] = NORTHWIND | {
    "title": "Price agreement",
    "facts": [
        ["Customer", "Harbour Lane Bookshop Ltd"],
        ["Valid", "1 April 2026 to 31 March 2027"],
        ["Class", "Confidential"],
    ],
    "opening": [
        "The following prices are agreed for the period named above. They are net prices in pounds, carriage paid."
    ],
    "columns": ["auto", "1fr", "auto", "auto", "auto"],
    "rows": [
        ["Item", "Description", "List price", "Discount", "Agreed price"],
        ["1001", "Writing paper A4, 90 g, white", "5.40", "10 %", "4.86"],
        ["1004", "Writing paper A4, 120 g, ivory", "8.00", "10 %", "7.20"],
        ["2210", "Envelopes C5 with window, box of 500", "21.00", "12 %", "18.48"],
        ["2215", "Envelopes DL, box of 500", "17.00", "12 %", "14.96"],
        ["3120", "Gift wrap, kraft, 50 m", "28.00", "20 %", "22.40"],
    ],
    "closing": [
        "The agreement covers orders of at least 200 pounds. It does not bind the customer to buy a minimum quantity.",
        "Both parties keep these prices secret, also after the agreement has ended.",
    ],
}

ORDER: dict[str, Any] = NORTHWIND | {
    "title": "Order confirmation",
    "facts": [["Customer", "Millrace Stationers"], ["Order", "MS-5071 of 25 February 2026"], ["Delivery", "Week 11"]],
    "opening": ["Thank you for your order, which we confirm as follows."],
    "columns": ["auto", "1fr", "auto", "auto"],
    "rows": [
        ["Item", "Description", "Quantity", "Ready"],
        ["1001", "Writing paper A4, 90 g, white", "60 reams", "9 March"],
        ["5103", "Exercise books A5, ruled", "400 pieces", "10 March"],
        ["5110", "Exercise books A4, squared", "250 pieces", "12 March"],
        ["6020", "Drawing pads A3, 50 sheets", "80 pieces", "10 March"],
    ],
    "closing": ["The goods are delivered together. Changes are possible until 5 March 2026."],
}

NOTE: dict[str, Any] = NORTHWIND | {
    "title": "Delivery note 30522",
    "facts": [
        ["Delivered to", "Millrace Stationers, 8 Millrace Street, Westmere"],
        ["Order", "MS-5071"],
        ["Date", "12 March 2026"],
    ],
    "opening": ["Please check the goods on arrival and note any damage on this page."],
    "columns": ["auto", "1fr", "auto", "auto"],
    "rows": [
        ["Item", "Description", "Quantity", "Boxes"],
        ["1001", "Writing paper A4, 90 g, white", "60", "12"],
        ["5103", "Exercise books A5, ruled", "400", "8"],
        ["5110", "Exercise books A4, squared", "250", "10"],
        ["6020", "Drawing pads A3, 50 sheets", "80", "4"],
    ],
    "closing": ["Received in good order: the goods-in desk of Millrace Stationers."],
}
