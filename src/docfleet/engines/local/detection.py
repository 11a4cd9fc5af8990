"""Where the text stands: a page image in, strips out.

A *strip* is one run of text as the detector sees it, a parallelogram given as (ox, oy, ux, uy, vx, vy) in image pixels:
the corner where reading begins, the way along the reading direction to the end of the line, and the way down its
height. The network is PP-OCR's; what follows it is the post-processing of Liao et al., "Real-time Scene Text
Detection with Differentiable Binarization" (AAAI 2020), with offset rectangles in place of offset polygons.
"""

from __future__ import annotations

import math

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from docfleet.engines.local.inference import Network
from docfleet.engines.local.pixels import Floats, Pixels, scaled

_OVERLAP = 64
"""Pixels that neighbouring tiles share; each believes only its half."""
_CONTRAST = 20
"""Grey levels between the darkest and the lightest pixel of a tile that may hold text."""


class DetectionRules(msgspec.Struct, frozen=True):
    pixel_threshold: float = 0.3
    """A pixel of the probability map belongs to text from here on."""
    box_threshold: float = 0.5
    """A box is text when its mean probability reaches this."""
    unclip_ratio: float = 1.6
    """How far boxes grow: the network marks only the core of each line."""
    least_side: float = 3.0
    """Boxes thinner than this many pixels of the map are specks."""
    most_boxes: int = 3000


_DEFAULT = DetectionRules()


class Region(msgspec.Struct, frozen=True):
    """One connected run of text pixels, in image pixels."""

    outline: Floats
    """(k, 2) convex corners of the core the network marked."""
    score: float
    grow: float
    """How far the core grows on every side."""


def probability_map(network: Network, image: Pixels, scale: float) -> tuple[Floats, float, float]:
    """Text probability over `image` scaled by `scale`, and the map's pixels per image pixel in x and y.

    The network sees tiles of few different sizes: each new size costs the runtime as much as a whole page, and memory
    goes with the largest. Tiles overlap, and tiles without any contrast are taken as empty unseen.
    """
    height, width = image.shape[:2]
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    across, down = plan_tiles(inner[0]), plan_tiles(inner[1])
    below, right = down.starts[-1] + down.side - inner[1], across.starts[-1] + across.side - inner[0]
    page = cv2.copyMakeBorder(scaled(image, *inner), 0, below, 0, right, cv2.BORDER_REPLICATE)
    answer = np.zeros((page.shape[0], page.shape[1]), np.float32)
    half = _OVERLAP // 2
    for y in down.starts:
        for x in across.starts:
            tile = page[y : y + down.side, x : x + across.side]
            if int(tile.max()) - int(tile.min()) < _CONTRAST:
                continue
            seen = network(tile[np.newaxis])[0][0, 0]
            top, left = (half if y else 0), (half if x else 0)
            answer[y + top : y + down.side, x + left : x + across.side] = seen[top:, left:]
    return answer[: inner[1], : inner[0]], inner[0] / width, inner[1] / height


class Tiles(msgspec.Struct, frozen=True):
    side: int
    starts: list[int]


def plan_tiles(length: int) -> Tiles:
    """Tiles that cover `length` pixels: the side (a multiple of 160, at most 640) that wastes least."""

    def count(side: int) -> int:
        return max(1, math.ceil((length - _OVERLAP) / (side - _OVERLAP)))

    side = min(range(640, 0, -160), key=lambda side: count(side) * side)
    return Tiles(side, [index * (side - _OVERLAP) for index in range(count(side))])


def find_regions(
    probability: Floats,
    x_scale: float,
    y_scale: float,
    corner: tuple[int, int] = (0, 0),
    rules: DetectionRules = _DEFAULT,
) -> list[Region]:
    """Regions of the map, in image pixels.

    `x_scale` and `y_scale` are map pixels per image pixel, `corner` is where in the image the map begins.
    """
    mask = (probability > rules.pixel_threshold).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    regions: list[Region] = []
    if tree is None:
        return regions
    back = np.array([1 / x_scale, 1 / y_scale], np.float32)
    for outline, links in zip(outlines, tree[0], strict=True):
        if links[3] >= 0:  # a hole in another region
            continue
        (_, _), (side_a, side_b), _ = cv2.minAreaRect(outline)
        if min(side_a, side_b) < rules.least_side - 1:
            continue
        score = _mean_inside(probability, outline)
        if score < rules.box_threshold:
            continue
        grow = side_a * side_b * rules.unclip_ratio / (2 * (side_a + side_b))
        corners = cv2.convexHull(outline)[:, 0].astype(np.float32)
        # pixel (x, y) covers x..x+1, and the 2x2 dilation has moved every region half a pixel to the lower right
        regions.append(
            Region((corners + 0.5) * back + np.array(corner, np.float32), score, grow / math.sqrt(x_scale * y_scale))
        )
    regions.sort(key=lambda region: -region.score)
    return regions[: rules.most_boxes]


def _mean_inside(probability: Floats, outline: npt.NDArray[np.int32]) -> float:
    x, y, width, height = cv2.boundingRect(outline)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [outline - (x, y)], 1)
    return float(cv2.mean(probability[y : y + height, x : x + width], mask)[0])


def level_strip(region: Region, degrees: float) -> Floats:
    """The strip around `region` at this angle (clockwise from level)."""
    t = math.radians(degrees)
    along = np.array([math.cos(t), math.sin(t)], np.float32)
    down = np.array([-math.sin(t), math.cos(t)], np.float32)
    a, d = region.outline @ along, region.outline @ down
    a0, a1 = float(a.min()) - region.grow, float(a.max()) + region.grow
    d0, d1 = float(d.min()) - region.grow, float(d.max()) + region.grow
    origin = along * a0 + down * d0
    return np.concatenate([origin, along * (a1 - a0), down * (d1 - d0)]).astype(np.float32)


def own_angle(region: Region) -> float:
    """The angle of the region's tightest rectangle, -45 (excluded) to 45 degrees clockwise from level."""
    _, _, angle = cv2.minAreaRect(region.outline)
    return (float(angle) + 45.0) % 90.0 - 45.0


def strip_sizes(strips: Floats) -> tuple[Floats, Floats]:
    """Lengths and heights of (n, 6) strips, pixels."""
    return np.hypot(strips[:, 2], strips[:, 3]), np.hypot(strips[:, 4], strips[:, 5])


def turn_strip(strip: Floats, degrees: int) -> Floats:
    """The same parallelogram, read in a direction turned clockwise by 0, 90, 180 or 270 degrees."""
    o, u, v = strip[0:2], strip[2:4], strip[4:6]
    turned = {
        0: (o, u, v),
        90: (o + u, v, -u),
        180: (o + u + v, -u, -v),
        270: (o + v, -v, u),
    }[degrees]
    return np.concatenate(turned).astype(np.float32)


def reading_order(strips: Floats) -> list[int]:
    """Indices top to bottom, and left to right among strips that stand side by side."""
    centre_x = strips[:, 0] + (strips[:, 2] + strips[:, 4]) / 2
    centre_y = strips[:, 1] + (strips[:, 3] + strips[:, 5]) / 2
    tall = np.abs(strips[:, 5]) + np.abs(strips[:, 3])
    order: list[int] = []
    row: list[int] = []
    for index in np.argsort(centre_y, kind="stable").tolist():
        if row and centre_y[index] - centre_y[row].mean() > 0.5 * min(tall[index], float(np.median(tall[row]))):
            order.extend(sorted(row, key=lambda i: float(centre_x[i])))
            row = []
        row.append(index)
    order.extend(sorted(row, key=lambda i: float(centre_x[i])))
    return order
