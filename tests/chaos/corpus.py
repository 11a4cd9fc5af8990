"""The documents of a chaos run: small, made by seed, each with the end it deserves."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator

import msgspec

COLOURS = {"kills": (255, 0, 0), "hangs": (0, 255, 0), "eats": (0, 0, 255), "slow": (255, 255, 0)}
CODES = {"kills": "worker_died", "hangs": "timed_out", "eats": "out_of_memory"}


class Item(msgspec.Struct, frozen=True):
    """One document to submit."""

    number: int
    kind: str
    name: str
    data: bytes
    states: tuple[str, ...]
    codes: tuple[str, ...]
    priority: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def is_poison(self) -> bool:
        return self.kind in CODES


def make_corpus(seed: int, count: int, poison: int, slow: float = 0.0) -> Iterator[Item]:
    """`count` documents, `poison` of them poison in turn: one that kills, one that hangs, one that eats memory.

    `slow`: share of the others that take ten seconds each, so that a fault finds somebody at work.
    """
    dice = random.Random(seed)
    poisoned = dict(zip(sorted(dice.sample(range(count), poison)), _turns(poison), strict=True))
    earlier: list[Item] = []
    for number in range(count):
        item = _poison(number, poisoned[number]) if number in poisoned else _sound(number, dice, earlier, slow)
        if item.kind in ("pdf", "png"):
            earlier.append(item)
        yield item


def _turns(poison: int) -> list[str]:
    return [("kills", "hangs", "kills", "eats")[number % 4] for number in range(poison)]


def _sound(number: int, dice: random.Random, earlier: list[Item], slow: float) -> Item:
    priority = dice.choices(("critical", "high", "normal", "bulk"), (1, 2, 12, 5))[0]
    if slow and dice.random() < slow:
        return Item(number, "slow", f"{number}.png", picture(number, COLOURS["slow"]), ("succeeded",), (), priority)
    draw = dice.random()
    if draw < 0.1 and earlier:
        first = dice.choice(earlier)
        return msgspec.structs.replace(
            first, number=number, kind="duplicate", name=f"again-{first.name}", priority=priority
        )
    if draw < 0.14:
        data = digital_pdf(f"document {number}", 1)[: dice.randint(40, 120)] + dice.randbytes(200)
        return Item(number, "bad", f"{number}.pdf", data, ("failed",), (), priority)
    if draw < 0.3:
        return Item(number, "png", f"{number}.png", picture(number), ("succeeded",), (), priority)
    pages = dice.choices((1, 3, 20), (90, 8, 2))[0]
    data = digital_pdf(f"document {number}", pages)
    return Item(number, "pdf", f"{number}.pdf", data, ("succeeded",), (), priority)


def _poison(number: int, kind: str) -> Item:
    codes = tuple({CODES[kind], "worker_died"})
    return Item(number, kind, f"{kind}-{number}.png", picture(number, COLOURS[kind]), ("failed",), codes, "normal")


def digital_pdf(words: str, pages: int) -> bytes:
    """A PDF with a text layer: every page says `words` and its number."""
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(pages))
    bodies = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for page in range(pages):
        drawn = f"BT /F 14 Tf 72 700 Td ({words}, page {page + 1}) Tj 0 -20 Td (All of it is text.) Tj ET"
        bodies.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 792]/Contents {5 + 2 * page} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>"
        )
        bodies.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(bodies) + 1
    head = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    return out + f"{head}trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF\n".encode()


def picture(number: int, colour: tuple[int, int, int] = (255, 255, 255)) -> bytes:
    """A small PNG of one colour, with a mark that makes its bytes its own."""
    from PIL import Image

    image = Image.new("RGB", (160, 120), colour)
    for bit in range(24):
        if number >> bit & 1:
            image.putpixel((2 + 3 * bit, 4), (0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
