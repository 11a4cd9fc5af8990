"""How far a page's lines run downhill, from the angles of its lines."""

from __future__ import annotations

import numpy as np

from docfleet.engines.local.detection import Region, own_angle

_LEVEL = 0.12
"""Degrees below which a page counts as level."""
_CLEAR_ASPECT = 5.0


def estimate_skew(regions: list[Region]) -> float:
    """Degrees clockwise (-45..45), the median over long lines weighted by length; 0 for a level page or too few."""
    angles, weights = [], []
    for region in regions:
        spread = region.outline.max(axis=0) - region.outline.min(axis=0)
        if max(spread) < 1:
            continue
        angle = own_angle(region)
        t = np.radians(angle)
        along = region.outline @ np.array([np.cos(t), np.sin(t)])
        down = region.outline @ np.array([-np.sin(t), np.cos(t)])
        length, height = float(np.ptp(along)), float(np.ptp(down))
        if max(length, height) >= _CLEAR_ASPECT * max(1.0, min(length, height)):
            angles.append(angle)
            weights.append(max(length, height))
    if not angles or (len(angles) < 3 and sum(weights) < 400):
        return 0.0
    order = np.argsort(angles)
    total = np.cumsum(np.array(weights)[order])
    middle = float(np.array(angles)[order][np.searchsorted(total, total[-1] / 2)])
    return middle if abs(middle) >= _LEVEL else 0.0
