"""Which language a text is in: by its script, then by the small words and letters only some languages have.

Function words make up nearly half of running text and differ between languages (Ingle 1976; Grefenstette, "Comparing
two language identification schemes", 1995), so a table of some fifty per language decides from a dozen words on, at a
few microseconds a line, without a model to load. Where the text gives no such evidence (figures, names, codes) the
answer is empty rather than guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from docfleet.domain.document import DetectedLanguage

_FUNCTION_WORDS = {
    "en": "the of and to in is that for it as was with be by on not he his but at are this have from or had an they "
    "which one you were all her she there would their we him been has when who will no more if out so up said "
    "what its than into them can only other time new any these may do our shall such your",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er "
    "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor "
    "zur bis mehr durch man sein wurde sei wir ihr ihre diese dieser wenn kann ich unter gegen vom bitte sehr",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec ou son "
    "lui nous comme mais on si leur y dont cette aux ces ses être fait été vous je elle sans tout deux même "
    "après sous votre notre était ont peut entre aussi",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin "
    "sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque "
    "qué sólo han yo hay vez puede todos así nos ni parte tiene él uno donde",
    "it": "di e il la che in un a per è una sono del con non da si le dei al i nel della come più ma gli lo alla "
    "delle anche ha dal se o su ed questo questa degli nella sul dalla essere stato dopo tra fra loro ai cui "
    "suo sua quando ancora due prima ogni molto nei così",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu "
    "sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos "
    "ter seus quem nas me esse eles estão você tinha foram",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er om ook als door maar bij uit naar dan of over "
    "nog tot was wordt hij deze heeft die worden kan wel zij hun zich geen al ze werd meer hebben onder wij ik "
    "u uw onze tegen moet zal tussen dit zoals",
    "pl": "w i na z się do nie że o jest to jak za po od przez co dla są oraz tym ale czy tak może być został tego "
    "które który która ich jego jej przy już lub pod tylko będzie nad były było bardzo także jako ten we ze ma "
    "gdy bez można",
    "sv": "och i att det som en på är av för med den till inte om ett har de jag var från vid kan man så men nu ut "
    "när eller där hade sig efter ska vi skall sin hur över under också mot detta dem blev alla denna hos utan "
    "mellan vara genom sedan än får varit mycket någon",
    "da": "og i at det er en til af på som med for den der de ikke et har var fra om ved man kan men så være eller "
    "jeg han hun blev efter skal vil også nu havde når hvor ud op over under sig deres denne dette mellem mod "
    "meget bliver kun hvis mere uden nogen hvad siden kunne skulle "
    "jeres mig dig noget bliver selv mange andre således",
    "nb": "og i det er en til av på som med for den at de ikke et har var fra om ved man kan men så være eller jeg "
    "han hun ble etter skal vil også nå hadde når hvor ut opp over under seg deres denne dette mellom mot meget "
    "blir bare hvis mer uten noen hva siden kunne skulle dere vi "
    "meg deg noe selv mange andre slik både",
    "fi": "ja on ei se että oli hän ovat mutta kuin myös joka sen tai mukaan kun jos ole olla vain niin jo nyt hänen "
    "sekä voi ne jonka vuoden kanssa jotka mitä ollut tämä tämän siitä mutta kuitenkin ennen jälkeen vielä noin "
    "sitä eivät joita sille tässä koko kaikki minä sinä me he",
    "cs": "a v se na je že s z do i o to k ve pro za by ale si po jsou jako podle od jeho které který která byl tak "
    "bylo však při před jen již nebo jsem než být jak aby u až také byla bude mezi které ze co když ne může "
    "nebyl své jejich tím této tento",
    "sk": "a v sa na je že s z do i o to k vo pre za by ale si po sú ako podľa od jeho ktoré ktorý ktorá bol tak bolo "
    "však pri pred len už alebo som než byť aby u až tiež bola bude medzi zo čo keď nie môže svoje ich tým "
    "tejto tento",
    "ro": "de și în a la cu pe nu din că o este care un mai pentru se ce au sau fi prin sunt să fost după lui al cele "
    "ale dar ca fie acest această lor între unei unui fără ei sa nici când doar foarte dintre asupra",
    "hu": "a az és hogy nem is egy ez ezt azt van volt meg csak de már mint el ha vagy még kell lesz sem fel ki lehet "
    "ami után minden aki között szerint majd volna alatt amely így azonban illetve valamint nagyon olyan",
    "tr": "ve bir bu için da de ile olarak çok daha olan gibi en ne kadar sonra ki her var ya ama değil ise veya o mi "
    "tarafından olduğu göre kendi iki diye üzerinde ancak hem şey içinde bunu",
    "hr": "i u je se na da su za od s kao koji koja koje ne što bi o ili ali iz već sam prema te nije bio samo do još "
    "ako biti njegov kako nakon tako prije između također može ima sve svoje ovaj tijekom",
    "sl": "in je v na se da so za z ki ne s pa bi tudi po kot iz ali od o do pri še bil ni bo ter več lahko med "
    "zaradi kako če to kar bilo le svoj vse pred samo že kjer njegov ob tem",
    "et": "ja on ei et see oli ka kui ta mis oma või aga ning siis ma nii selle kes veel olid välja pärast ainult nad "
    "juba olla tema kuid seda mitte üle mida enne vahel peab saab koos kõik",
    "lv": "un ir ar no uz par ka tas kas kā vai arī bet lai pie nav tiek šo viņa pēc gan tā bija pa to līdz ja kuru "
    "būt starp tikai pret jau vēl viņš savu kur ļoti",
    "lt": "ir yra į kad iš su tai kaip bet ar buvo jo apie o nuo už per jis pagal tik po taip jau ne dar kurie prie "
    "savo jos turi gali buvo tarp dėl arba metų",
    "ca": "de la i el que a en les un per amb els del una és es no al com més va o però dels són ha seva seu aquest "
    "aquesta també entre fins molt tot sobre quan sense hi ser perquè han des als",
}  # fmt: skip

_TRADE_WORDS = {
    "en": "invoice total amount due date number page address phone name tax order payment description quantity price",
    "de": "rechnung betrag datum summe nummer seite straße kunde menge preis gesamt mwst lieferung angebot",
    "fr": "facture montant date total page adresse prix quantité client numéro tva commande",
    "es": "factura fecha importe cliente número página precio cantidad dirección pedido",
    "it": "fattura data importo cliente numero pagina prezzo quantità indirizzo iva ordine",
    "pt": "fatura data valor cliente número página preço quantidade endereço pedido",
    "nl": "factuur datum bedrag klant nummer pagina prijs aantal adres btw totaal",
    "pl": "faktura data kwota klient numer strona cena ilość adres razem",
    "sv": "faktura datum belopp kund nummer sida pris antal adress summa moms",
}
"""What stands on invoices and forms, which have few function words."""

_LETTERS = {
    "de": "ß", "fr": "œùûë", "es": "ñ¿¡", "pt": "ãõ", "pl": "łżęąśćźń", "sv": "", "da": "æø", "nb": "æø", "fi": "",
    "cs": "ěřů", "sk": "ľĺŕô", "ro": "șțăşţ", "hu": "őű", "tr": "ğıİ", "hr": "đ", "et": "õ",
    "lv": "āēīņļķģ", "lt": "ėųįū", "ca": "·",
}  # fmt: skip

_SCRIPTS = (
    ("CYRILLIC", 0x0400, 0x052F), ("GREEK", 0x0370, 0x03FF), ("HEBREW", 0x0590, 0x05FF), ("ARABIC", 0x0600, 0x06FF),
    ("ARABIC", 0x0750, 0x077F), ("HANGUL", 0xAC00, 0xD7AF), ("HANGUL", 0x1100, 0x11FF), ("KANA", 0x3040, 0x30FF),
    ("HAN", 0x4E00, 0x9FFF), ("HAN", 0x3400, 0x4DBF), ("th", 0x0E00, 0x0E7F), ("hi", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF), ("pa", 0x0A00, 0x0A7F), ("gu", 0x0A80, 0x0AFF), ("ta", 0x0B80, 0x0BFF),
    ("te", 0x0C00, 0x0C7F), ("kn", 0x0C80, 0x0CFF), ("ml", 0x0D00, 0x0D7F), ("hy", 0x0530, 0x058F),
    ("ka", 0x10A0, 0x10FF), ("lo", 0x0E80, 0x0EFF), ("km", 0x1780, 0x17FF), ("my", 0x1000, 0x109F),
    ("am", 0x1200, 0x137F), ("si", 0x0D80, 0x0DFF),
)  # fmt: skip
_OTHER_SCRIPT = re.compile("[" + "".join(f"{chr(a)}-{chr(z)}" for _, a, z in _SCRIPTS) + "]")
_WORD = re.compile(r"[^\W\d_]+")

LEAST_WORDS = 4
LEAST_SCORE = 0.06
"""Weight of function words per word below which a text is no running text of a language known here."""
LONGEST = 6_000
"""Characters looked at; more does not change the answer."""


def _weights() -> dict[str, tuple[tuple[str, float], ...]]:
    """Word -> its languages, each with the word's weight: what many languages share says little."""
    owners: dict[str, set[str]] = {}
    for code, words in (*_FUNCTION_WORDS.items(), *_TRADE_WORDS.items()):
        for word in words.split():
            owners.setdefault(word, set()).add(code)
    return {word: tuple([(code, 1.0 / len(codes)) for code in sorted(codes)]) for word, codes in owners.items()}


_WEIGHTS = _weights()
_LETTER_OWNERS = {
    letter: tuple([code for code, letters in _LETTERS.items() if letter in letters])
    for letter in {letter for letters in _LETTERS.values() for letter in letters}
}


def detect_languages(text: str, most: int = 3) -> tuple[DetectedLanguage, ...]:
    """Up to `most` languages of a text, likeliest first, with a confidence 0..1 that is the language's share of the
    evidence; () where there is too little to say. Codes are BCP 47 primary tags ("nb" for Norwegian Bokmål)."""
    text = text[:LONGEST]
    letters = 0 if text.isascii() else _foreign_letters(text)
    shares: dict[str, float] = {}
    latin = 1.0
    if letters:
        total = letters + len(re.findall(r"[a-zA-Z\u00c0-\u024f]", text))
        # an ideograph says as much as several letters
        weight = letters * (3 if re.search("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", text) else 1)
        latin = (total - letters) / (total - letters + weight)
        if letters >= 4:
            shares = {code: share * (1 - latin) for code, share in _by_script(text, letters).items()}
    if latin > 0.15:
        for code, share in _by_words(text).items():
            shares[code] = shares.get(code, 0.0) + share * latin
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:most]
    return tuple([DetectedLanguage(code, round(min(share, 1.0), 3)) for code, share in ranked if share >= 0.1])


def _foreign_letters(text: str) -> int:
    return len(_OTHER_SCRIPT.findall(text))


def _by_script(text: str, letters: int) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for char, count in Counter(_OTHER_SCRIPT.findall(text)).items():
        point = ord(char)
        counts[next(name for name, a, z in _SCRIPTS if a <= point <= z)] += count
    if counts["KANA"] > 0.08 * (counts["KANA"] + counts["HAN"]):
        counts["ja"] = counts.pop("KANA") + counts.pop("HAN", 0)
    names = {
        "CYRILLIC": _cyrillic(text),
        "GREEK": "el",
        "HEBREW": "he",
        "ARABIC": _arabic(text),
        "HANGUL": "ko",
        "HAN": "zh",
        "KANA": "ja",
    }
    found: dict[str, float] = {}
    for name, count in counts.items():
        if count >= 4 and count >= 0.02 * letters:
            code = names.get(name, name)
            found[code] = found.get(code, 0.0) + count / letters
    return found


def _any(text: str, letters: Iterable[str]) -> bool:
    return any(letter in text for letter in letters)


def _cyrillic(text: str) -> str:
    low = text.lower()
    if "ў" in low:
        return "be"
    if _any(low, "їєґ") or ("і" in low and "ы" not in low):
        return "uk"
    if _any(low, "ѓќѕ"):
        return "mk"
    if _any(low, "ђћљњџј"):
        return "sr"
    if _any(low, "ыэё"):
        return "ru"
    return "bg" if len(low) > 60 or re.search(r"\b(на|се|да|за|от|са|със|като)\b.*ъ", low) else "ru"


def _arabic(text: str) -> str:
    if _any(text, "ٹڈڑںے"):
        return "ur"
    return "fa" if _any(text, "پچژگ") else "ar"


def _by_words(text: str) -> dict[str, float]:
    """Language -> share of the evidence, by function words and telling letters."""
    low = text.lower()
    if not low.isascii():
        low = unicodedata.normalize("NFC", low)
    words = Counter(_WORD.findall(low))
    total = 0
    known: list[tuple[int, tuple[tuple[str, float], ...]]] = []
    for word, count in words.items():
        owners = _WEIGHTS.get(word)
        if owners is not None:
            known.append((count, owners))
            total += count
        elif len(word) > 1:
            total += count
    if total < LEAST_WORDS:
        return {}
    scores: dict[str, float] = {}
    kinds: dict[str, int] = {}
    for count, owners in known:
        # the tenth "de" says less than the first
        counted = count if count <= 5 else min(count, 4 + 0.25 * count)
        for code, weight in owners:
            scores[code] = scores.get(code, 0.0) + weight * counted
            kinds[code] = kinds.get(code, 0) + 1
    if not low.isascii():
        present = set(low)
        for letter, codes in _LETTER_OWNERS.items():
            if letter in present:
                for code in codes:
                    if code in scores:
                        scores[code] += min(0.5 * low.count(letter), 0.05 * total) / len(codes)
    fit = {code: score for code, score in scores.items() if score / total >= LEAST_SCORE and kinds[code] >= 2}
    if not fit:
        return {}
    # squares: languages that merely share words with the right one fall behind
    whole = sum(score * score for score in fit.values())
    return {code: score * score / whole for code, score in fit.items()}
