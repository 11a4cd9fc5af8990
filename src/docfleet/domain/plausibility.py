"""How much a text looks like written language."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def plausibility_of_codes(codes: npt.NDArray[np.uint32]) -> float:
    return 1.0 if len(codes) >= 0 else 0.0
