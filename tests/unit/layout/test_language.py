"""Languages by function words and scripts."""

from __future__ import annotations

import pytest

from docfleet.domain.language import detect_languages

SENTENCES = {
    "en": "We have received your letter of last week and will answer it as soon as we can.",
    "de": "Wir haben Ihr Schreiben der letzten Woche erhalten und werden es bald beantworten.",
    "fr": "Nous avons reçu votre lettre de la semaine dernière et nous vous répondrons dans les jours qui viennent.",
    "es": "Hemos recibido su carta de la semana pasada y la contestaremos en los días que vienen, como siempre.",
    "it": "Abbiamo ricevuto la vostra lettera della settimana scorsa e risponderemo nei prossimi giorni, come sempre.",
    "pt": "Recebemos a sua carta da semana passada e não vamos responder antes de falar com o senhor, como sempre.",
    "nl": "Wij hebben uw brief van vorige week ontvangen en zullen die zo snel als het kan beantwoorden.",
    "pl": "Otrzymaliśmy list w zeszłym tygodniu i odpowiemy na niego tak szybko, jak to będzie możliwe, bo się nie da.",
    "sv": "Vi har fått ert brev från förra veckan och kommer att svara på det så snart vi kan.",
    "da": "Vi har modtaget jeres brev fra sidste uge og vil svare på det, når vi har talt med hinanden efter mødet.",
    "nb": "Vi har mottatt brevet deres fra forrige uke og skal svare på det når vi har snakket med noen etter møtet.",
    "fi": "Olemme saaneet kirjeen, joka on päivätty viime viikolla, ja vastaamme siihen kun se on mahdollista.",
    "cs": "Dostali jsme dopis z minulého týdne a odpovíme na něj, jakmile to bude možné, protože se to tak dělá.",
    "ru": "Мы получили ваше письмо и ответим на него, как только сможем, если вы этого хотите.",
    "uk": "Ми отримали ваш лист і відповімо на нього, щойно зможемо.",
    "el": "Λάβαμε την επιστολή σας και θα απαντήσουμε σύντομα.",
    "zh": "我们上周收到了您的来信，会尽快回复。",
    "ja": "先週お手紙を受け取りました。できるだけ早くお返事します。",
    "ko": "지난주에 보내주신 편지를 받았으며 곧 답변드리겠습니다.",
    "ar": "لقد تلقينا رسالتكم الأسبوع الماضي وسنرد عليها قريبا.",
    "he": "קיבלנו את מכתבך מהשבוע שעבר ונענה עליו בקרוב.",
}  # fmt: skip


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_enough(code: str) -> None:
    found = detect_languages(SENTENCES[code])
    assert found[0].code == code
    assert 0.3 < found[0].confidence <= 1.0


def test_two_languages_on_a_page_are_both_named() -> None:
    assert {lang.code for lang in detect_languages(SENTENCES["en"] * 3 + SENTENCES["ru"] * 3)} == {"en", "ru"}


@pytest.mark.parametrize("text", ["", "12.50 17 4711", "XK-22 INV-2024 7731", "a", "\ufffd" * 50])
def test_no_evidence_no_answer(text: str) -> None:
    assert detect_languages(text) == ()
