"""Which of the recogniser's 18,710 symbols are asked for.

The last layer of the recogniser multiplies every time step with one column a symbol, which is a fifth of its cost, and
most lines need only a fraction of the columns. Lines are therefore read with the Latin columns first; where a line
comes out unsure, a few of its time steps are tried against all columns, and if other scripts win there, the line is
read with all of them. Fewer columns are also fewer things to confuse: a full-width comma can no longer win.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LATIN_LANGUAGES = frozenset(
    "af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it la lb lt lv mi ms mt nl no nb nn oc pl pt ro sk sl "
    "sq sr-latn sv sw tl tr uz vi".split()
)
"""Languages written in Latin letters; with only such hints, the full vocabulary is never asked."""

_SYMBOLS = "°§©®™€£¥¢$•·…–—‘’“”„«»‹›†‡‰№×÷±²³¹¼½¾¿¡µ¶ªº−≤≥≠≈✓✔☐☑☒■□●○◦▪"


def is_latin(symbol: str) -> bool:
    """Latin letters, digits, and the punctuation and signs that stand in Latin text."""
    if symbol in {"", " "}:
        return True
    if len(symbol) != 1:
        return False
    if ord(symbol) < 0x80 or symbol in _SYMBOLS:
        return True
    return ord(symbol) < 0x250 and unicodedata.name(symbol, "").startswith("LATIN")


def latin_indices(symbols: Sequence[str]) -> npt.NDArray[np.intp]:
    """Positions of the Latin symbols (the CTC blank at 0 and the space included), ascending."""
    return np.array([index for index, symbol in enumerate(symbols) if is_latin(symbol)], np.intp)


def only_latin(languages: Sequence[str]) -> bool:
    """True when hints are given and all of them are languages written in Latin letters."""
    return bool(languages) and all(code.lower().split("-")[0] in LATIN_LANGUAGES for code in languages)
