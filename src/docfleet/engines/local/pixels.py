"""Scaling of pixel arrays, the one way it is done here: averaging when smaller, interpolating when larger."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""(height, width) or (height, width, 3)."""
Floats = npt.NDArray[np.float32]


def scaled(image: Pixels, width: int, height: int) -> Pixels:
    """The image with `width` x `height` pixels; the same array when it has them already."""
    old_height, old_width = image.shape[:2]
    if (old_width, old_height) == (width, height):
        return image
    shrinks = width * height < old_width * old_height
    # Halving is several times cheaper than averaging over fractions of pixels, which only the rest then needs. A last
    # odd row or column is left out: less than half a pixel of the result.
    while old_width >= 2 * width and old_height >= 2 * height:
        old_width, old_height = old_width // 2, old_height // 2
        even = image[: 2 * old_height, : 2 * old_width]
        image = np.asarray(cv2.resize(even, (old_width, old_height), interpolation=cv2.INTER_AREA), np.uint8)
    answer: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return answer
