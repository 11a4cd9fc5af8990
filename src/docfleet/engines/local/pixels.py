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
    answer: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return answer
