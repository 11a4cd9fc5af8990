"""Words to tokens: punctuation at the edges of a word stands alone, as in Document AI."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby

_SIGNS = frozenset("+-−±#@&_'’")
"""At the start of a word these belong to it: -5, #12, 'tis."""
_TAILS = frozenset("'’_+#&")


@lru_cache(maxsize=16_384)
def split_word(text: str) -> tuple[str, ...]:
    """The tokens of one word, in order; joined they are the word. Letters and digits stay together.

    >>> split_word("(fee):")
    ('(', 'fee', ')', ':')
    >>> split_word("$1,200.50")
    ('$', '1,200.50')
    """
    if text.isalnum() or len(text) == 1:
        return (text,)
    begin, end = 0, len(text)
    while begin < end and _stands_alone(text[begin]) and not (text[begin] in _SIGNS and begin + 1 < end):
        begin += 1
    while end > begin and _stands_alone(text[end - 1]) and text[end - 1] not in _TAILS:
        end -= 1
    if end > begin and text[end - 1] == "-" and end < len(text):
        end = len(text)
    head, body, tail = text[:begin], text[begin:end], text[end:]
    if tail == "-" and body:  # a hyphen at a line's end belongs to its word
        body, tail = body + tail, ""
    return tuple(_marks(head) + ([body] if body else []) + _marks(tail))


def _stands_alone(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def _marks(text: str) -> list[str]:
    """Punctuation marks one by one, but a row of equal ones (....) whole."""
    return ["".join(same) for _, same in groupby(text)]
