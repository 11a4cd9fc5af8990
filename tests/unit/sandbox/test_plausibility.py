"""Language is told from garbage; tables, codes and other scripts are no garbage."""
# ruff: noqa: E501 - prose

from __future__ import annotations

import random
import string

import pytest

from docfleet.domain.plausibility import plausibility

SOUND = {
    "english letter": "Dear Sir or Madam, thank you for your letter of last week. We regret that the goods arrived late "
    "and have credited your account. Our driver will collect the broken chairs on Friday afternoon.",
    "german letter": "Liebe Frau Schröder, wir bestätigen den Eingang Ihrer Kündigung und wünschen Ihnen für die Zukunft "
    "alles Gute. Bitte schicken Sie uns die Schlüssel zur Wohnung bis Monatsende zurück.",
    "french notice": "Le conseil municipal se réunira jeudi soir à la mairie afin d'examiner les travaux prévus sur le "
    "pont. Les habitants du quartier sont invités à y assister et à poser leurs questions.",
    "spanish notice": "El ayuntamiento informa a los vecinos de que mañana se cortará el agua en varias calles del barrio "
    "por obras. Disculpen las molestias que esta avería pueda ocasionar.",
    "swedish": "Mötet börjar klockan nio i den stora salen på andra våningen. Efteråt bjuds det på kaffe och smörgåsar, "
    "och den som vill kan följa med på en rundvandring genom fabriken.",
    "polish": "Szanowni Państwo, uprzejmie informujemy, że zebranie mieszkańców odbędzie się we wtorek wieczorem w szkole "
    "podstawowej. Prosimy o przyniesienie dowodu osobistego.",
    "czech": "Vážení zákazníci, dovolujeme si vás upozornit, že prodejna bude o svátcích zavřena. Děkujeme za pochopení a "
    "přejeme vám hezké prázdniny.",
    "hungarian": "Tisztelt Ügyfelünk! Értesítjük, hogy a vízóra leolvasása jövő héten történik. Kérjük, biztosítsa a "
    "bejutást a lakásba, és készítse elő a szükséges iratokat.",
    "turkish": "Değerli müşterimiz, siparişiniz kargoya verilmiştir. Paketiniz birkaç gün içinde adresinize teslim "
    "edilecektir. Bizi tercih ettiğiniz için teşekkür ederiz.",
    "estonian": "Lugupeetud elanikud, teatame teile, et homme hommikul katkestatakse remonditööde tõttu vee andmine. "
    "Palume vabandust võimalike ebamugavuste pärast.",
    "russian": "Уважаемые жильцы! Сообщаем вам, что завтра утром в доме будет отключена горячая вода в связи с ремонтом. "
    "Приносим извинения за доставленные неудобства.",
    "ukrainian": "Шановні мешканці! Повідомляємо, що завтра вранці у будинку буде вимкнено гарячу воду через ремонт. "
    "Перепрошуємо за незручності та дякуємо за розуміння.",
    "greek": "Αγαπητοί κάτοικοι, σας ενημερώνουμε ότι αύριο το πρωί θα διακοπεί η παροχή νερού λόγω εργασιών. Ζητούμε "
    "συγγνώμη για την ταλαιπωρία και σας ευχαριστούμε για την κατανόηση.",
    "chinese": "尊敬的客户,您好!感谢您选择我们的服务。随函附上本月的发票,请在三十天内付款。如有任何问题,请与我们的客服部门联系。祝您生活愉快,工作顺利。",
    "japanese": "拝啓、時下ますますご清栄のこととお慶び申し上げます。このたびはご注文いただき、誠にありがとうございます。請求書を同封いたしましたので、ご確認ください。",
    "korean": "안녕하세요. 이번 달 청구서를 보내 드립니다. 받으신 날부터 삼십 일 안에 납부해 주시기 바랍니다. 문의 사항이 있으시면 언제든지 연락해 주십시오. 감사합니다.",
    "arabic": "السادة العملاء الكرام، نرفق لكم فاتورة الشهر الماضي ونرجو سدادها خلال ثلاثين يوما من تاريخ الاستلام. "
    "لمزيد من المعلومات يرجى الاتصال بقسم خدمة العملاء.",
    "hebrew": "לקוחות יקרים, מצורפת החשבונית עבור השירותים שניתנו בחודש שעבר. נבקש להסדיר את התשלום בתוך שלושים יום. "
    "לשאלות ניתן לפנות למוקד השירות שלנו.",
    "hindi": "प्रिय ग्राहक, पिछले महीने की सेवाओं का बिल संलग्न है। कृपया तीस दिनों के भीतर भुगतान करें। किसी भी प्रश्न के लिए हमारे कार्यालय से संपर्क करें।",
    "capitals": "NOTICE TO ALL TENANTS: THE ELEVATOR WILL BE OUT OF ORDER ON TUESDAY MORNING. PLEASE USE THE STAIRS AND "
    "KEEP THE ENTRANCE CLEAR FOR THE WORKERS.",
    "numbers": "12.50 99.10 1,204.00 17 3 2024-01-31 88.00 EUR 19% 4.75 " * 12,
    "product codes": " ".join(f"XK{i:04d}-{i * 7 % 97:02d}/B Ref{i}" for i in range(80)),
    "names": "Müller Kowalczyk Nguyen O'Brien Fernández Johansson Papadopoulos Van der Berg Schwarzenegger Ivanov "
    "Rossi Dubois Smith Andersson Yilmaz Horvat Novák Silva Costa Jensen Nielsen Virtanen",
    "leaders": "Introduction ........................ 3 Methods .................... 7 Results ............ 12 Index ____ 40",
    "short": "OK",
    "nothing": "",
}
ENGLISH = (
    SOUND["english letter"]
    + " "
    + (
        "The undersigned parties agree that all drawings remain the property of the seller until payment has been made in "
        "full. Either side may end this contract by giving written notice six weeks before the end of any quarter."
    )
)


def shifted(text: str, by: int) -> str:
    table = {}
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        table |= {ord(old): new for old, new in zip(letters, letters[by:] + letters[:by], strict=True)}
    return text.translate(table)


def shuffled(text: str, seed: int) -> str:
    letters = list(string.ascii_lowercase)
    random.Random(seed).shuffle(letters)
    return text.lower().translate({ord(old): new for old, new in zip(string.ascii_lowercase, letters, strict=True)})


def random_letters(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices(string.ascii_lowercase, k=draw.randint(3, 9))) for _ in range(60))


@pytest.mark.parametrize("name", SOUND)
def test_sound_text_passes(name: str) -> None:
    assert plausibility(SOUND[name]) > 0.7


@pytest.mark.parametrize("by", range(1, 26))
def test_shifted_letters_are_caught(by: int) -> None:
    assert plausibility(shifted(ENGLISH, by)) < 0.4


@pytest.mark.parametrize("seed", range(12))
def test_shuffled_letters_are_caught(seed: int) -> None:
    assert plausibility(shuffled(ENGLISH, seed)) < 0.4


@pytest.mark.parametrize("seed", range(5))
def test_random_letters_are_caught(seed: int) -> None:
    assert plausibility(random_letters(seed)) < 0.4


@pytest.mark.parametrize("by", [3, 29, -29])
def test_shifted_codes_are_caught(by: int) -> None:
    assert plausibility("".join(chr(max(33, ord(char) + by)) if char > " " else char for char in ENGLISH)) < 0.4


@pytest.mark.parametrize(
    "garbage",
    [
        " ".join(f"(cid:{n})" for n in range(10, 90)),
        "†‡§¶◊√∆˙ƒ∂ß∑≈ç√∫˜µ≤≥÷" * 8,
        "".join(chr(33 + (7 * n) % 15) for n in range(300)),
        "敬獴氠瑥整⁲潴琠敨挠瑩穩湥⁳景琠楨⁳潴湷愠摮" * 3,
        "".join(
            chr(random.Random(n).choice([0x41, 0x3B1, 0x5D0, 0x905, 0xE01, 0x10D0, 0xAC00, 0x30A2]) + n % 20)
            for n in range(400)
        ),
    ],
)
def test_symbols_and_glyph_numbers_are_caught(garbage: str) -> None:
    assert plausibility(garbage) < 0.4


@pytest.mark.parametrize("name", ["german letter", "french notice", "swedish", "polish", "russian", "greek"])
def test_misread_utf8_is_caught(name: str) -> None:
    assert plausibility(SOUND[name].encode().decode("latin-1")) < 0.7


def test_poor_ocr_lies_below_good_text() -> None:
    draw = random.Random(4)
    spoiled = "".join(
        draw.choice("1l|~i!rn;t'") if char.isalpha() and draw.random() < 0.2 else char for char in ENGLISH
    )
    assert plausibility(spoiled) < 0.7 < plausibility(ENGLISH)
