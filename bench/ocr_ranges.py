"""Measures the ranges that int8 needs, on pages and lines drawn here, and writes them beside the engine.

    python bench/ocr_ranges.py

Run it once for a new version of the models; the result (src/docfleet/engines/local/ranges.json) is committed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import openvino
from PIL import Image, ImageDraw, ImageFont

from docfleet.engines.local import inference, quantise

TABLE = Path(quantise.__file__).with_name("ranges.json")
FONTS = [
    str(path)
    for pattern in ("DejaVu*.ttf", "Nimbus*.otf", "P052*.otf", "C059*.otf", "URW*.otf", "Noto*.ttf", "Liberation*.ttf")
    for path in sorted(Path("/usr/share/fonts").rglob(pattern))
]
WORDS = (
    "invoice total amount due date number the of and to in for with quantity price unit tax VAT order customer address "
    "street account balance payment received please return within thirty days Jahr Straße für über größer façade déjà "
    "niño señor thank you receipt cash change item description subtotal RM USD EUR £ € $ % # @ & ( ) / - : ; ! ? "
    "Rechnung Betrag Société contract agreement party hereby WHEREAS pursuant section Article report table figure"
).split()
OTHER = "发票号码日期金额合计税率购买方销售方名称地址电话開票人請求書合計金額御中ありがとうございますカタカナ株式会社"

Pixels = npt.NDArray[np.uint8]


def _font(rng: random.Random, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(rng.choice(FONTS), size) if FONTS else ImageFont.load_default(size)


def _phrase(rng: random.Random, words: int) -> str:
    if rng.random() < 0.06:
        return "".join(rng.choice(OTHER) for _ in range(words * 2))
    parts = []
    for _ in range(words):
        kind = rng.random()
        if kind < 0.3:
            parts.append(f"{rng.uniform(0, 10 ** rng.randint(1, 6)):,.{rng.choice([0, 2])}f}")
        elif kind < 0.4:
            parts.append("".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789-") for _ in range(rng.randint(3, 12))))
        else:
            word = rng.choice(WORDS)
            parts.append(rng.choice([word, word, word.upper(), word.capitalize()]))
    return " ".join(parts)


def _age(rng: random.Random, pixels: Pixels) -> Pixels:
    """Blur, noise, fading, resampling and JPEG, as scanners and telephones do."""
    aged = pixels
    if rng.random() < 0.5:
        aged = cv2.GaussianBlur(aged, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(aged, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        aged = cv2.resize(small, (aged.shape[1], aged.shape[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.uniform(2, 25), aged.shape)
        aged = np.clip(aged + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        aged = np.clip(aged * rng.uniform(0.4, 0.8) + rng.uniform(20, 50), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        aged = ((aged > rng.randint(100, 190)) * 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, packed = cv2.imencode(".jpg", aged, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(25, 90)])
        aged = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return aged


def draw_page(rng: random.Random, height: int, width: int) -> Pixels:
    """A page of text of mixed sizes, rules and grey boxes, (height, width, 3), aged."""
    paper = tuple(rng.randint(225, 255) for _ in range(3))
    ink = tuple(rng.randint(0, 90) for _ in range(3))
    if rng.random() < 0.08:
        paper, ink = ink, paper
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    y = rng.randint(10, 60)
    base = rng.choice([11, 13, 15, 18, 22, 28])
    while y < height - 20:
        size = base if rng.random() < 0.8 else rng.randint(10, 64)
        font = _font(rng, size)
        x = rng.choice([20, 40, width // 3])
        while x < width - 60:
            text = _phrase(rng, rng.randint(1, 7))
            draw.text((x, y), text, font=font, fill=ink)
            x += int(draw.textlength(text, font=font)) + rng.choice([20, 60, 200, width])
        if rng.random() < 0.15:
            draw.line((20, y + size * 1.3, width - 20, y + size * 1.3), fill=ink, width=rng.randint(1, 3))
        if rng.random() < 0.05:
            draw.rectangle((30, y, rng.randint(60, width - 20), y + 3 * size), outline=ink, width=2)
        y += int(size * rng.uniform(1.2, 2.2))
    return _age(rng, np.asarray(image))


def draw_line(rng: random.Random, width: int) -> Pixels:
    """One line of text cut out tightly, (48, width, 3), aged; filled to the right with mid grey as the engine does."""
    size = rng.choice([14, 18, 24, 32, 40])
    font = _font(rng, size)
    text = _phrase(rng, rng.randint(1, max(1, width // 90)))
    paper = tuple(rng.randint(215, 255) for _ in range(3))
    ink = tuple(rng.randint(0, 110) for _ in range(3))
    if rng.random() < 0.08:
        paper, ink = ink, paper
    x0, y0, x1, y1 = font.getbbox(text)
    margin = max(1, int(size * rng.uniform(0.05, 0.25)))
    image = Image.new("RGB", (max(8, int(x1 - x0) + 2 * margin), max(8, int(y1 - y0) + 2 * margin)), paper)
    ImageDraw.Draw(image).text((margin - x0, margin - y0), text, font=font, fill=ink)
    line = _age(rng, np.asarray(image))
    scaled = cv2.resize(line, (max(8, round(line.shape[1] * 48 / line.shape[0])), 48))[:, :width]
    canvas = np.full((48, width, 3), 127, np.uint8)
    canvas[:, : scaled.shape[1]] = scaled
    return canvas


def normalised(images: list[Pixels]) -> npt.NDArray[np.float32]:
    batch = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)
    return batch / 127.5 - 1


def page_batches(rng: random.Random, count: int) -> Iterator[npt.NDArray[np.float32]]:
    for _ in range(count):
        yield normalised([draw_page(rng, 640, rng.choice([480, 640]))])


def line_batches(rng: random.Random, count: int) -> Iterator[npt.NDArray[np.float32]]:
    for _ in range(count):
        width = rng.choice([160, 320, 640])
        yield normalised([draw_line(rng, width) for _ in range(4)])


def main() -> None:
    core = openvino.Core()
    table = {}
    for name, batches in (
        (inference.DETECTOR, page_batches(random.Random(1), 40)),
        (inference.RECOGNISER, line_batches(random.Random(2), 120)),
    ):
        path = inference.model_path(name)
        ranges = quantise.measure_ranges(core, core.read_model(path), batches)
        table[inference.model_digest(path)] = {op: (round(lo, 5), round(hi, 5)) for op, (lo, hi) in ranges.items()}
        print(f"{name}: ranges of {len(ranges)} operations")
    TABLE.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")


if __name__ == "__main__":
    main()
