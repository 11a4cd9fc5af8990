"""How much a text looks like written language.

The text layer of a PDF can be wrong in ways that only its content shows: glyphs mapped to shifted or shuffled letters
("Wklv lv d whvw"), to symbols, to raw glyph numbers ("(cid:12)"), bytes of one encoding read as another, or OCR of poor
quality. Alphabets give such text away by their letter pairs: language uses few of them often, and never the same few
as its disguise does.

The table below holds, for each ordered pair of the 26 letters and the word's edge, how common it is in running text:
log10 of its share, in 26 steps from a (10^-4.5) to z (10^-1.6), averaged over eighteen European and other languages in
Latin script. It was counted from articles 1 to 3 of the Universal Declaration of Human Rights and a paragraph of plain
business prose in each language. Letters with marks count as their base letter; Greek and Cyrillic words are read
through a transliteration, which keeps the rhythm of vowels and consonants. Nothing is judged where there is little
text, nor words with digits, short acronyms, addresses and numbers: tables and codes are no broken language.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

_PAIRS = (
    "awtrxvuqtuqrtttwvmuxusuqanp"
    "ypnqrhkriqmrvrwloausuoqkelo"
    "ipaahtaaaofafahpaanaflaaahe"
    "kpagfpaassfinafqaaiamoaaafk"
    "tteagwfaatgamanraapnhpaaakk"
    "zkorspkpmqlqusxhkeyuumpgllo"
    "mpaaeleeamaeaaaraapamiaaaaa"
    "tqaaesagoqaflalnaakejoaaala"
    "psaaataaanaegfmpaakannlaaaa"
    "wrnrqsksonoosqwskersthoaemn"
    "lpaaaqaegkagafilaafifmeaaaa"
    "rraaareaapikofgpaakmloefaha"
    "tuegluajeujjsmmqejamooihaka"
    "ssmaeufaaqfaflipmafjfliaaif"
    "yugntuisjuhklaqrgahrtpiaaol"
    "vlopsjkqknkmrqvkpattpqnmaao"
    "mpfgaqheaoaalahskasallaaaea"
    "aaaaaaaaaaaaaaaaaaaaanaaaaa"
    "wvigpwiknufnlmnraakqqpnfajj"
    "vshriufeitfqoiasoaipuoniako"
    "vugaavgaouhmjflsaarnrtmiame"
    "tpjkmnklllfmpptklaroqliaeah"
    "osaaataaarffaakoaamiafeaafa"
    "lmaaalaaemaaaaflaaahaeaaaih"
    "ifaaagaaaaaaaaaheaaaaaaaaaa"
    "rpakimaafjajfjijfajkfffaaaf"
    "npfajqahfpaajfklhaaghlfaakj"
)
"""Row: first letter (the edge, then a to z); column: second."""
_LOWEST, _HIGHEST = -4.5, -1.6
_MIDDLE = -2.82
"""Mean over a text's pairs at which it is as likely broken as sound. Measured on 400 pages of contracts, invoices and
reports: sound ones lie above -2.59, the same pages with letters shifted or shuffled below -2.87."""
_STEEPNESS = 0.07
_SPREAD = 0.75
"""Standard deviation of one pair's value: what few pairs are given the benefit of."""
_MIN_PAIRS = 40
_MOST_OF_ONE_LETTER = 0.6
"""No language comes near a quarter."""
_MIN_LETTERS = 3
_ACRONYM = 4
"""Words in capitals up to this length are no words."""

_EDGE, _SKIP, _FOREIGN, _OTHER_SCRIPT = 0, -1, 27, 28
"""Classes beside 1..26: the word's edge, marks that do not count, letters no table knows, scripts without a table."""
_TABLE_END = 0x2100

_SPECIAL = {
    "ß": "s", "ø": "o", "æ": "a", "œ": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "t", "ı": "i", "ħ": "h", "ĳ": "i",
    "ŋ": "n", "ə": "e", "ŧ": "t",
}  # fmt: skip
_CYRILLIC = dict(
    zip("абвгдежзийклмнопрстуфхцчшщыэюяіїєґјљњћђџў", "abvgdezzijklmnoprstufhccssyeuaiiegjlncdcu", strict=True)
)
_GREEK = dict(zip("αβγδεζηθικλμνξοπρςστυφχψω", "avgdezitiklmnxoprsstyfhso", strict=True))
_LIGATURES = {0xFB00: "f", 0xFB01: "i", 0xFB02: "l", 0xFB03: "i", 0xFB04: "l", 0xFB05: "t", 0xFB06: "t"}

_Codes = npt.NDArray[np.uint32]
_Classes = npt.NDArray[np.int8]


def _class_of(code: int) -> int:
    """Class of a code point below _TABLE_END."""
    char = chr(code)
    category = unicodedata.category(char)
    if category.startswith("M") or category == "Cf" or char in "ьъЬЪʹʼ":
        return _SKIP
    if not category.startswith("L"):
        return _EDGE
    lowered = char.lower()[0]
    base = unicodedata.normalize("NFD", lowered)[0]
    for letters in (_SPECIAL, _CYRILLIC, _GREEK):
        base = letters.get(lowered, letters.get(base, base))
    if "a" <= base <= "z":
        return ord(base) - 96
    return _OTHER_SCRIPT if code >= 0x530 and not 0x1E00 <= code < 0x2000 else _FOREIGN


def _alphabet_of(code: int) -> int:
    """1 Latin, 2 Greek, 3 Cyrillic, 0 anything else."""
    if code < 0x250 or 0x1E00 <= code < 0x1F00:
        return 1
    if 0x370 <= code < 0x400 or 0x1F00 <= code < 0x2000:
        return 2
    return 3 if 0x400 <= code < 0x530 else 0


_CLASSES = np.array([_class_of(code) for code in range(_TABLE_END)], np.int8)
_ALPHABETS = np.array([_alphabet_of(code) for code in range(_TABLE_END)], np.int8)
_UPPER = np.array([chr(code).isupper() for code in range(_TABLE_END)])
_LOWER = np.array([chr(code).islower() for code in range(_TABLE_END)])
_SCORES = np.full((29, 29), _LOWEST, np.float32)
_SCORES[:27, :27] = [
    [_LOWEST + (ord(step) - 97) * (_HIGHEST - _LOWEST) / 25 for step in _PAIRS[27 * row : 27 * row + 27]]
    for row in range(27)
]
_ADDRESS_MARKS = "@/\\_"
_PLAIN_MARKS = ".,;:!?'\"()-/%$+*&_=€£§°·•–—‘’“”„«»…©®"
_STRAY_MARKS = "~^|\\<>{}[]=#*¬¦`¢¥±÷×¤¶¿¡»«_;!?"
"""What poor OCR puts between the letters of a word."""


def _table_of(marks: str) -> npt.NDArray[np.bool_]:
    """Which code points below _TABLE_END are among `marks`, all of which are."""
    found = np.zeros(_TABLE_END, np.bool_)
    found[[ord(mark) for mark in marks]] = True
    return found


_PLAIN, _STRAY = _table_of(_PLAIN_MARKS), _table_of(_STRAY_MARKS + "0123456789")
_HAS_DIGIT, _HAS_ADDRESS, _HAS_LOWER, _HAS_UPPER = 1, 2, 4, 8
_KINDS = (
    _HAS_DIGIT * _table_of("0123456789") + _HAS_ADDRESS * _table_of(_ADDRESS_MARKS)
    + _HAS_LOWER * _LOWER + _HAS_UPPER * _UPPER
).astype(np.uint8)  # fmt: skip
"""By code point, what it says about the word it stands in."""


def plausibility(text: str) -> float:
    """0 (no language) to 1 (language, or too little of it to say) of a text."""
    return plausibility_of_codes(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32))


def plausibility_of_codes(codes: _Codes) -> float:
    """`plausibility` of a text given as code points."""
    if len(codes) < _MIN_PAIRS:
        return 1.0
    classes = _classify(codes)
    kept = classes != _SKIP
    codes, classes = codes[kept], classes[kept]
    if len(codes) < _MIN_PAIRS:
        return 1.0
    tokens = _Tokens(codes, classes)
    language = _language(tokens) * _variety(tokens)
    return round(language * _symbols(codes, classes) * _mojibake(codes) * _shape(tokens), 4)


def language_of_codes(codes: _Codes) -> float:
    """What the letters alone say, 0..1: formulas, codes and rules among them do not count against a text."""
    if len(codes) < _MIN_PAIRS:
        return 1.0
    classes = _classify(codes)
    kept = classes != _SKIP
    if int(kept.sum()) < _MIN_PAIRS:
        return 1.0
    tokens = _Tokens(codes[kept], classes[kept])
    return _language(tokens) * _variety(tokens)


def _classify(codes: _Codes) -> _Classes:
    if int(codes.max(initial=0)) < _TABLE_END:
        return _CLASSES[codes]
    classes = np.where(codes < _TABLE_END, _CLASSES[np.minimum(codes, _TABLE_END - 1)], _EDGE).astype(np.int8)
    classes[(codes >= 0x2C00) & (codes < 0xE000) & ~((codes >= 0x3000) & (codes < 0x3005))] = _OTHER_SCRIPT
    classes[(codes >= 0xF900) & (codes < 0xFB00)] = _OTHER_SCRIPT
    classes[((codes >= 0xFB07) & (codes < 0xFE00)) | ((codes >= 0xFE70) & (codes < 0xFEFF))] = _OTHER_SCRIPT
    classes[(codes >= 0x20000) & (codes < 0x32000)] = _OTHER_SCRIPT
    ligatures = (codes >= 0xFB00) & (codes < 0xFB07)
    if ligatures.any():
        classes[ligatures] = [ord(_LIGATURES[int(code)]) - 96 for code in codes[ligatures]]
    return classes


class _Tokens:
    """A text cut at white space, and what each piece holds."""

    def __init__(self, codes: _Codes, classes: _Classes) -> None:
        self.codes = codes
        self.classes = classes
        white = (codes <= 32) | (codes == 0xA0) | ((codes >= 0x2000) & (codes <= 0x200B)) | (codes == 0x3000)
        self.of_char = np.cumsum(white)
        first = np.concatenate(([0], np.flatnonzero(white)))
        # a text that begins with white space has an empty first piece, for which the space stands: it adds nothing
        self.letters = np.add.reduceat((classes > _EDGE).astype(np.intp), first)
        self.small = np.minimum(codes, _TABLE_END - 1)
        kinds = np.bitwise_or.reduceat(_KINDS[self.small], first)
        self.has_digit = kinds & _HAS_DIGIT != 0
        self.has_address = kinds & _HAS_ADDRESS != 0
        self.has_lower = kinds & _HAS_LOWER != 0
        self.is_acronym = ~self.has_lower & (self.letters <= _ACRONYM) & (kinds & _HAS_UPPER != 0)
        self.is_word = (self.letters >= _MIN_LETTERS) & ~self.has_digit & ~self.has_address & ~self.is_acronym

    def share_with(self, mask: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float:
        """Share of the tokens `among` that hold a character of `mask`."""
        return float((self._count(mask, len(among)) > 0)[among].mean())

    def _count(self, mask: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.intp]:
        return np.bincount(self.of_char[mask], minlength=count)


def _language(tokens: _Tokens) -> float:
    """From the pairs of letters, and from where the scripts without a table change."""
    inside = tokens.is_word[tokens.of_char]
    first = np.where(inside, tokens.classes, _EDGE)
    known = first[:-1], first[1:]
    other = (known[0] == _OTHER_SCRIPT) | (known[1] == _OTHER_SCRIPT)
    pairs = ((known[0] > _EDGE) | (known[1] > _EDGE)) & ~other
    count = int(pairs.sum())
    others = int((tokens.classes == _OTHER_SCRIPT).sum())
    latin = 1.0
    if count >= _MIN_PAIRS:
        alphabets = _ALPHABETS[tokens.small]
        mixed = (alphabets[:-1] != alphabets[1:]) & (known[0] > _EDGE) & (known[1] > _EDGE) & ~other
        values = np.where(mixed, _LOWEST, _SCORES[known[0], known[1]])[pairs]
        mean = float(values.mean()) + _SPREAD / count**0.5
        latin = 1.0 / (1.0 + float(np.exp((_MIDDLE - mean) / _STEEPNESS)))
    if others < _MIN_PAIRS // 2:
        return latin
    weight = count / 2  # an ideograph or syllable says about as much as two letters
    return (latin * weight + _other_scripts(tokens) * others) / (weight + others)


def _variety(tokens: _Tokens) -> float:
    """0 where one letter is most of a longer text: a font all of whose glyphs were given the same value."""
    letters = tokens.codes[(tokens.classes > _EDGE) & tokens.is_word[tokens.of_char]]
    if len(letters) < 2 * _MIN_PAIRS:
        return 1.0
    counts = np.bincount(letters) if int(letters.max()) < _TABLE_END else np.unique(letters, return_counts=True)[1]
    return 0.0 if int(counts.max()) > _MOST_OF_ONE_LETTER * len(letters) else 1.0


def _other_scripts(tokens: _Tokens) -> float:
    """Scripts without a table: whether they stay the same between letters, and are not ASCII read as UTF-16."""
    codes = tokens.codes[tokens.classes == _OTHER_SCRIPT]
    blocks = _blocks(codes)
    jumps = float((blocks[1:] != blocks[:-1]).mean())
    ideographs = codes[blocks == 1]
    if len(ideographs) >= 20:
        high, low = ideographs >> 8, ideographs & 0xFF
        paired = _is_ascii_text(high) & _is_ascii_text(low)
        if float(paired.mean()) > 0.6:
            return 0.0
        common = float(_COMMON_IDEOGRAPHS[np.minimum(ideographs, len(_COMMON_IDEOGRAPHS) - 1)].mean())
        if common < _MIN_COMMON_IDEOGRAPHS:
            return 0.0
    return float(np.clip(1.0 - (jumps - 0.1) / 0.3, 0.0, 1.0))


def _common_ideographs() -> npt.NDArray[np.bool_]:
    """By code point: the first levels of the national character sets (GB 2312, Big5, JIS X 0208), ordered by use, and
    kana; names and rare words apart, text is written with them."""
    known = np.zeros(0xA000, np.bool_)
    known[0x2E80:0x3400] = True
    levels = (("gb2312", 0xB0, 0xD8, 0xA1), ("big5", 0xA4, 0xC7, 0x40), ("euc_jp", 0xB0, 0xD0, 0xA1))
    for name, first, end, low in levels:
        data = b"".join(bytes((lead, trail)) for lead in range(first, end) for trail in range(low, 0xFF))
        text = data.decode(name, "ignore")
        found = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        known[found[(found >= 0x4E00) & (found < 0xA000)]] = True
    known[-1] = False
    return known


_COMMON_IDEOGRAPHS = _common_ideographs()
_MIN_COMMON_IDEOGRAPHS = 0.65
"""Text lies above nine tenths; ideographs taken at random are common in one of three."""


def _is_ascii_text(values: _Codes) -> npt.NDArray[np.bool_]:
    lowered = values | 0x20
    return np.asarray(((lowered >= 97) & (lowered <= 122)) | (values == 32))


_BLOCKS = (
    (1, ((0x2E80, 0x3130), (0x3190, 0xAC00), (0xF900, 0xFB00), (0x20000, 0x32000))),
    (2, ((0x1100, 0x1200), (0x3130, 0x3190), (0xAC00, 0xD7B0))),
    (3, ((0x600, 0x900), (0xFB50, 0xFE00), (0xFE70, 0xFF00))),
    (4, ((0x590, 0x600), (0xFB07, 0xFB50))),
)
"""Scripts spread over several ranges: 1 ideographs and kana, 2 Hangul, 3 Arabic, 4 Hebrew."""


def _blocks(codes: _Codes) -> npt.NDArray[np.int64]:
    """Number of the script each letter belongs to: as in _BLOCKS, others by their place in the code space."""
    blocks = (codes >> 7).astype(np.int64) + 10
    for number, ranges in _BLOCKS:
        for start, end in ranges:
            blocks[(codes >= start) & (codes < end)] = number
    return blocks


def _symbols(codes: _Codes, classes: _Classes) -> float:
    """1, less where symbols that are no punctuation make up more than a quarter of the text."""
    # Runs of one character are leaders and rules drawn with text.
    fresh = np.concatenate(([True], codes[1:] != codes[:-1]))
    solid = fresh & (codes > 32) & (codes != 0xA0)
    total = int(solid.sum())
    if total < _MIN_PAIRS:
        return 1.0
    digits = (codes >= 48) & (codes < 58)
    marks = solid & (classes == _EDGE) & ~digits & ~_is_formula(codes)
    odd = marks & ~_PLAIN[np.minimum(codes, _TABLE_END - 1)]
    cid = _count_sequence(codes, "(cid:") * 7
    odd_share = min(1.0, (int(odd.sum()) + cid) / total)
    mark_share = int(marks.sum()) / total
    return float(np.clip(1.0 - (odd_share - 0.15) / 0.3, 0.0, 1.0) * np.clip(1.0 - (mark_share - 0.4) / 0.3, 0.0, 1.0))


def _is_formula(codes: _Codes) -> npt.NDArray[np.bool_]:
    """Letters of formulas, mathematical operators and arrows: nothing that glyphs are mistaken for."""
    return np.asarray(
        ((codes >= 0x1D400) & (codes < 0x1D800))
        | ((codes >= 0x2190) & (codes < 0x2300))
        | ((codes >= 0x2A00) & (codes < 0x2B00))
    )


def _count_sequence(codes: _Codes, sequence: str) -> int:
    wanted = [ord(char) for char in sequence]
    if not (codes == wanted[0]).any():
        return 0
    hits = np.ones(len(codes) - len(wanted) + 1, np.bool_)
    for shift, code in enumerate(wanted):
        hits &= codes[shift : len(codes) - len(wanted) + 1 + shift] == code
    return int(hits.sum())


def _mojibake(codes: _Codes) -> float:
    """1, less where UTF-8 was read as a one-byte encoding (or as one): "Ã¤", "â€™"."""
    if int(codes.max(initial=0)) < 0x80:
        return 1.0
    lead, follow = codes[:-1], codes[1:]
    continuation = ((follow >= 0x80) & (follow <= 0xBF)) | np.isin(follow, _WINDOWS_CONTINUATIONS)
    hits = int(((((lead >= 0xC2) & (lead <= 0xC5)) | (lead == 0xE2)) & continuation).sum())
    letters = int((codes > 64).sum())
    if hits < 3 or not letters:
        return 1.0
    return float(np.clip(1.0 - hits / letters * 60, 0.1, 1.0))


_WINDOWS_CONTINUATIONS = np.array(
    [ord(bytes([byte]).decode("cp1252")) for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)],
    np.uint32,
)


def _shape(tokens: _Tokens) -> float:
    """1, less where many words have digits or stray marks among small letters, or capitals after small ones."""
    codes, classes = tokens.codes, tokens.classes
    wordy = tokens.has_lower & (tokens.letters >= _MIN_LETTERS) & ~tokens.has_address
    words = int(wordy.sum())
    if words < 15:
        return 1.0
    small = _LOWER[tokens.small]
    stray = _STRAY[tokens.small]
    inner = np.zeros(len(codes), np.bool_)
    inner[1:-1] = stray[1:-1] & small[:-2] & (classes[2:] > _EDGE)
    camel = np.zeros(len(codes), np.bool_)
    camel[:-1] = small[:-1] & _UPPER[tokens.small[1:]]
    share = tokens.share_with(inner, wordy)
    camel_share = tokens.share_with(camel, wordy)
    return float(np.clip(1.0 - (share - 0.04) / 0.25, 0.0, 1.0) * np.clip(1.0 - (camel_share - 0.15) / 0.4, 0.0, 1.0))
