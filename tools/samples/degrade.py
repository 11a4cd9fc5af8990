"""What scanners, telephones and fax machines do to a clean page; each change of geometry moves the words' boxes along.

Randomness comes from `numpy.random.RandomState`, whose stream is frozen (that of `Generator` may change between
releases), and pictures are warped by Pillow, whose arithmetic does not depend on the processor's extensions.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from samples.typeset import Corner, Lines, TrueWord

Matrix = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sheet:
    """A page as a picture, and its words in the picture's own normalised coordinates."""

    picture: Image.Image
    lines: Lines


def warp(sheet: Sheet, matrix: Matrix, size: tuple[int, int], *, fill: int = 255) -> Sheet:
    """The sheet seen through the homography `matrix` (pixels of the sheet to pixels of the result)."""
    back = np.linalg.inv(matrix)
    back /= back[2, 2]
    coefficients = [float(value) for value in back.ravel()[:8]]
    colour = (fill,) * 3 if sheet.picture.mode == "RGB" else fill
    picture = sheet.picture.transform(
        size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC, fillcolor=colour
    )
    return Sheet(picture, [[_move(word, matrix, sheet.picture.size, size) for word in line] for line in sheet.lines])


def _move(word: TrueWord, matrix: Matrix, old: tuple[int, int], new: tuple[int, int]) -> TrueWord:
    def point(corner: Corner) -> Corner:
        x, y, w = matrix @ np.array([corner[0] * old[0], corner[1] * old[1], 1.0])
        return (float(x / w / new[0]), float(y / w / new[1]))

    a, b, c, d = word.corners
    return TrueWord(word.text, (point(a), point(b), point(c), point(d)))


def rotation(degrees: float, size: tuple[int, int]) -> Matrix:
    """Clockwise about the middle of a picture of `size`."""
    t = math.radians(degrees)
    x, y = size[0] / 2, size[1] / 2
    cos, sin = math.cos(t), math.sin(t)
    return np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> Matrix:
    return np.diag([x, y, 1.0])


def quad(size: tuple[int, int], corners: list[Corner]) -> Matrix:
    """The homography that takes a picture's corners (from the top left, clockwise) to `corners`, in pixels.

    The usual eight linear equations of four point pairs (Hartley and Zisserman, Multiple View Geometry, 4.1).
    """
    width, height = size
    rows, right = [], []
    for (x, y), (u, v) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solution = np.linalg.solve(np.array(rows, dtype=float), np.array(right, dtype=float))
    return np.append(solution, 1.0).reshape(3, 3)


def noise(size: tuple[int, int], seed: int, *, grain: tuple[int, int] = (1, 1)) -> Pixels:
    """Normally distributed values, height x width; `grain` is how many pixels a grain is wide and high."""
    width, height = size
    coarse = (-(-width // grain[0]), -(-height // grain[1]))
    values = np.random.RandomState(seed).standard_normal((coarse[1], coarse[0]))
    if grain == (1, 1):
        return values
    smooth = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float64)


def to_picture(values: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def scan(sheet: Sheet, seed: int, *, grain: float = 5.0) -> Sheet:
    """A flatbed scanner: soft edges, a paper that is not quite white, an ink that is not quite black, grain, dust."""
    soft = np.asarray(sheet.picture.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float64) / 255
    size = sheet.picture.size
    values = 34 + 210 * soft + grain * noise(size, seed) + 2.0 * noise(size, seed + 1, grain=(60, 60))
    picture = to_picture(values)
    draw = ImageDraw.Draw(picture)
    random = np.random.RandomState(seed + 2)
    for _ in range(40):
        x, y, r = random.randint(size[0]), random.randint(size[1]), random.randint(1, 3)
        draw.ellipse((x, y, x + r, y + r), fill=int(random.randint(70, 170)))
    return Sheet(picture, sheet.lines)


def few_greys(picture: Image.Image, levels: int = 16, white: int = 214, black: int = 40) -> Image.Image:
    """What a scanner's document mode keeps: the paper made white, the rest in `levels` greys."""
    values = (np.asarray(picture, dtype=np.float64) - black) / (white - black)
    steps = np.rint(np.clip(values, 0, 1) * (levels - 1))
    return to_picture(steps * (255 / (levels - 1)))


def fax(sheet: Sheet, seed: int) -> Sheet:
    """A fax: two levels, ragged edges, and speckles."""
    size = sheet.picture.size
    soft = np.asarray(sheet.picture.filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float64)
    black = soft + 22 * noise(size, seed) < 150
    specks = np.random.RandomState(seed + 1).random_sample((size[1], size[0]))
    black = (black | (specks < 0.0006)) & (specks < 0.9985)
    return Sheet(Image.fromarray(~black), sheet.lines)


def wood(size: tuple[int, int], seed: int) -> Pixels:
    """A dark table top, height x width x 3."""
    boards = 7 * noise(size, seed, grain=(5, size[1])) + 5 * noise(size, seed + 1, grain=(3, 260))
    grain = boards + 4 * noise(size, seed + 2, grain=(40, 40)) + 2 * noise(size, seed + 3)
    board: Pixels = np.array([92.0, 66.0, 48.0]) + grain[..., None] * np.array([1.0, 0.8, 0.6])
    return board


def jpeg(picture: Image.Image, quality: int = 70, *, dpi: int = 0, orientation: int = 0) -> bytes:
    """JPEG bytes. `orientation`: the EXIF value that a telephone held upright writes (6: turn clockwise to view)."""
    out = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    picture.save(out, "JPEG", quality=quality, optimize=True, exif=exif, **({"dpi": (dpi, dpi)} if dpi else {}))
    return out.getvalue()


def png(picture: Image.Image, dpi: int) -> bytes:
    """PNG bytes with a palette of the greys in use."""
    out = io.BytesIO()
    picture.quantize(16).save(out, "PNG", optimize=True, dpi=(dpi, dpi))
    return out.getvalue()


def tiff_g4(pictures: list[Image.Image], dpi: tuple[int, int]) -> bytes:
    """A multi-page TIFF, CCITT group 4."""
    out = io.BytesIO()
    first, *rest = pictures
    first.save(out, "TIFF", compression="group4", dpi=dpi, save_all=True, append_images=rest)
    return out.getvalue()
