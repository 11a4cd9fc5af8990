"""BCP 47 language tags, and the names Tesseract gives its language files (ISO 639-2/T, some with a script)."""

from __future__ import annotations

from collections.abc import Iterable, Set

_FILES = {
    "af": "afr", "am": "amh", "ar": "ara", "as": "asm", "az": "aze", "be": "bel", "bg": "bul", "bn": "ben",
    "bo": "bod", "br": "bre", "bs": "bos", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu",
    "dz": "dzo", "el": "ell", "en": "eng", "eo": "epo", "es": "spa", "et": "est", "eu": "eus", "fa": "fas",
    "fi": "fin", "fil": "fil", "fo": "fao", "fr": "fra", "fy": "fry", "ga": "gle", "gd": "gla", "gl": "glg",
    "gu": "guj", "he": "heb", "hi": "hin", "hr": "hrv", "ht": "hat", "hu": "hun", "hy": "hye", "id": "ind",
    "is": "isl", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz", "km": "khm", "kn": "kan",
    "ko": "kor", "ku": "kmr", "ky": "kir", "la": "lat", "lb": "ltz", "lo": "lao", "lt": "lit", "lv": "lav",
    "mi": "mri", "mk": "mkd", "ml": "mal", "mn": "mon", "mr": "mar", "ms": "msa", "mt": "mlt", "my": "mya",
    "nb": "nor", "ne": "nep", "nl": "nld", "nn": "nor", "no": "nor", "oc": "oci", "or": "ori", "pa": "pan",
    "pl": "pol", "ps": "pus", "pt": "por", "qu": "que", "ro": "ron", "ru": "rus", "sa": "san", "sd": "snd",
    "si": "sin", "sk": "slk", "sl": "slv", "sq": "sqi", "sr": "srp", "su": "sun", "sv": "swe", "sw": "swa",
    "ta": "tam", "te": "tel", "tg": "tgk", "th": "tha", "ti": "tir", "tl": "fil", "to": "ton", "tr": "tur",
    "tt": "tat", "ug": "uig", "uk": "ukr", "ur": "urd", "uz": "uzb", "vi": "vie", "yi": "yid", "yo": "yor",
    "zh": "chi_sim",
}  # fmt: skip
_SCRIPTED = {
    ("zh", "hant"): "chi_tra", ("zh", "tw"): "chi_tra", ("zh", "hk"): "chi_tra", ("zh", "mo"): "chi_tra",
    ("sr", "latn"): "srp_latn", ("az", "cyrl"): "aze_cyrl", ("uz", "cyrl"): "uzb_cyrl", ("de", "latf"): "deu_latf",
}  # fmt: skip
_OLDER = {"deu_latf": "frk", "kmr": "kur"}
"""Names of the same languages in older releases."""
_NO_LANGUAGES = frozenset({"osd", "equ"})


def file_of(tag: str) -> str | None:
    """ "de-AT" -> "deu", "zh-Hant" -> "chi_tra"; None for a language Tesseract has no file for."""
    primary, *rest = tag.lower().replace("_", "-").split("-")
    for part in rest:
        if (primary, part) in _SCRIPTED:
            return _SCRIPTED[primary, part]
    return _FILES.get(primary)


def choose_languages(tags: Iterable[str], installed: Set[str]) -> str:
    """The program's language argument: the files of `tags` that are installed, in their order.

    Where none is: English if installed, else the first by name. `installed` holds at least one language.
    """
    chosen: dict[str, None] = {}
    for tag in tags:
        file = file_of(tag) or ""
        chosen |= {name: None for name in (file, _OLDER.get(file, "")) if name in installed}
    if chosen:
        return "+".join(chosen)
    return "eng" if "eng" in installed else min(installed - _NO_LANGUAGES)


def spoken(installed: Set[str]) -> frozenset[str] | None:
    """BCP 47 primary tags of the installed files; None where not one of them is known here."""
    names = {_OLDER.get(file, file): tag for tag, file in _FILES.items()} | {file: tag for tag, file in _FILES.items()}
    tags = {names[file.split("_")[0]] for file in installed if file.split("_")[0] in names}
    tags |= {"zh"} if any(file.startswith("chi_") for file in installed) else set()
    return frozenset(tags) or None
